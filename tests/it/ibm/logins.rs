//! `kubegate login ibm`, which writes a context and saves a root credential.

use std::{
    fs::{self, File},
    process::Command,
};

use http::StatusCode;
use kubegate::demo::{
    https::FaultyResponse,
    ibm::{ACCOUNT, API_KEY, Grant, IAM_USER, PASSWORD, PROFILE_NAME, STAGING_ACCOUNT, USER},
};
use serde_json::{Value, json};

use super::{
    Cloud,
    cloud::{CLUSTER, CLUSTER_ID, PODS, assert_no_secret, jwt},
};
use crate::{
    logins::interrupts::interrupt_at_lock,
    support::{Connection, Kubegate, Refused, Upstream, get, status},
};
use rustix::process::Signal;

/// `kubegate login ibm` with something on standard input.
fn command(cloud: &Cloud, args: &[&str], input: &str) -> Command {
    let mut command = cloud.command(&[&["login", "ibm", "-v", "9"], args].concat());
    let file = cloud.path("input");
    fs::write(&file, input).unwrap();
    command.stdin(File::open(file).unwrap());
    command
}

fn login(cloud: &Cloud, args: &[&str], input: &str) -> Refused {
    let done = Kubegate::refused(command(cloud, args, input));
    assert_no_secret(&format!("{}{}", done.stdout, done.stderr));
    done
}

/// Logs in to a cluster, which must succeed.
fn log_in(cloud: &Cloud, (name, id): (&str, &str), args: &[&str], input: &str) {
    let args = [&["--cluster", name], args].concat();
    let done = login(cloud, &args, input);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let (quoted, context) = (format!("{name:?}"), format!("{name}/{id}"));
    for part in [quoted.as_str(), IAM_USER, &context, ".kube/config"] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

/// Logs in with the API key in a file, which is removed afterwards.
fn log_in_with_key_file(cloud: &Cloud) {
    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let args = ["--apikey-file", key.to_str().unwrap()];
    log_in(cloud, (CLUSTER, CLUSTER_ID), &args, "");
    fs::remove_file(key).unwrap();
}

/// Asserts that a login fails with these parts in its error, and writes nothing.
fn refused(cloud: &Cloud, args: &[&str], input: &str, parts: &[&str]) {
    let done = login(cloud, args, input);
    let is_usage = parts.contains(&"-u USER or --sso");
    let code = if is_usage { 2 } else { 1 };
    assert_eq!(done.code, Some(code), "{}", done.stdout);
    for part in parts {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    assert!(!cloud.path(".kube/config").exists());
    let logins = fs::read_dir(cloud.path(".local/state/kubegate/logins"));
    let left = logins.into_iter().flatten().filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension() == Some("json".as_ref())
    });
    assert_eq!(left.count(), 0);
}

/// The name of the saved login with an API key.
fn name(account: &str) -> String {
    format!("ibm/{account}/{}", USER.to_lowercase())
}

/// The name of the saved login with a session.
fn session_name(account: &str) -> String {
    format!("{}/session", name(account))
}

/// Asserts that the context works for the proxy, and for kubectl, which runs it as a plugin.
async fn works(cloud: &Cloud) {
    let config = cloud.path(".kube/config");
    let text = fs::read_to_string(&config).unwrap();
    assert_no_secret(&text);
    let mut proxy = cloud.command(&["--port", "0"]);
    proxy.env_remove("IBMCLOUD_IAM_API_ENDPOINT");
    let kubegate = Kubegate::spawn(proxy);
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 200, "{response} {text}");

    let args = text
        .lines()
        .skip_while(|line| !line.trim().ends_with("args:"));
    let args: Vec<String> = args
        .skip(1)
        .map_while(|line| line.trim().strip_prefix("- ").map(str::to_owned))
        .map(|arg| arg.trim_matches(['"', '\'']).to_owned())
        .collect();
    assert_eq!(args[..2], ["credential", "ibm"], "{text}");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut plugin = cloud.command(&args);
    let info = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "spec": {"cluster": {"server": cloud.ibm.iks().url()}, "interactive": false}});
    plugin
        .env_remove("IBMCLOUD_IAM_API_ENDPOINT")
        .env("KUBERNETES_EXEC_INFO", info.to_string());
    let calls = cloud.count("/identity/token");
    let done = Kubegate::refused(plugin);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let response: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(
        response["status"]["token"]
            .as_str()
            .unwrap()
            .starts_with("eyJ")
    );
    assert!(response["status"]["expirationTimestamp"].is_string());
    if text.contains("--login") {
        // The saved token is still valid, so there was no request to IAM.
        assert_eq!(cloud.count("/identity/token"), calls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_logs_in_from_a_file_and_from_the_environment() {
    let cloud = Cloud::start().await;
    log_in_with_key_file(&cloud);
    assert_eq!(cloud.saved(&name(ACCOUNT))["api-key"], API_KEY);
    works(&cloud).await;

    let cloud = Cloud::start().await;
    let mut command = command(&cloud, &["--cluster", CLUSTER_ID], "");
    command.env("IBMCLOUD_API_KEY", API_KEY);
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    works(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passcode_logs_in_and_its_session_is_used() {
    let cloud = Cloud::start().await;
    let passcode = cloud.ibm.passcode();
    respond_with_one_account(&cloud);
    let args = ["--sso", "--password-stdin"];
    let input = format!("{passcode}\n");
    log_in(&cloud, (CLUSTER, CLUSTER_ID), &args, &input);
    assert!(cloud.has_valid_refresh_token(&session_name(ACCOUNT)));
    assert_eq!(cloud.saved(&session_name(ACCOUNT)).get("api-key"), None);
    works(&cloud).await;
    assert_eq!(cloud.ibm.granted(Grant::Passcode), 1);
    assert_eq!(cloud.ibm.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_logs_in_to_the_account_chosen_on_any_page() {
    let cloud = Cloud::start().await;
    let cluster = ("staging-iks", "bkiks0stag0000000006");
    for account in [STAGING_ACCOUNT, "Example Staging"] {
        let args = ["-u", USER, "--account", account, "--password-stdin"];
        log_in(&cloud, cluster, &args, PASSWORD);
        assert_eq!(cloud.count("/coe/v2/accounts") % 3, 0);
        assert!(cloud.has_valid_refresh_token(&session_name(STAGING_ACCOUNT)));
    }
    works(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_pod_logs_in_and_nothing_is_saved() {
    let cloud = Cloud::start().await;
    let token = cloud.ibm.pod_token(std::time::Duration::from_secs(600));
    let token = token.unwrap();
    let pod = [
        ("IBMCLOUD_CR_PROFILE", PROFILE_NAME),
        ("IBMCLOUD_CR_TOKEN", token.as_str()),
    ];
    let mut command = command(&cloud, &["--cluster", CLUSTER], "");
    command.envs(pod);
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    assert!(
        text.contains(&format!("--profile={PROFILE_NAME}")),
        "{text}"
    );
    assert_no_secret(&text);
    assert!(!cloud.path(".local/state/kubegate/logins").exists());
    let kubegate = cloud.proxy(&[], &pod[1..]);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
}

/// Has the account service list this page only.
fn respond_with_accounts(cloud: &Cloud, accounts: &[(&str, &str)]) {
    let resources: Vec<Value> = accounts
        .iter()
        .map(|(id, name)| json!({"metadata": {"guid": id}, "entity": {"name": name}}))
        .collect();
    let (_, faults) = cloud.ibm.accounts();
    faults.respond_with(Some(FaultyResponse::Custom {
        status: StatusCode::OK,
        headers: Vec::new(),
        body: json!({"next_url": null, "resources": resources}).to_string(),
    }));
}

fn respond_with_one_account(cloud: &Cloud) {
    respond_with_accounts(cloud, &[(ACCOUNT, "Home")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_says_what_to_do_and_writes_nothing() {
    let cloud = Cloud::start().await;
    respond_with_one_account(&cloud);
    let user = ["--cluster", CLUSTER, "-u", USER, "--password-stdin"];
    let sso = ["--cluster", CLUSTER, "--sso", "--password-stdin"];
    refused(
        &cloud,
        &user,
        "sesame-ibm-wrong",
        &["password is wrong", "--sso", "BXNIM0602E"],
    );
    refused(
        &cloud,
        &sso,
        "sesame-ibm-old",
        &["one-time passcode", "has expired", "/identity/passcode"],
    );
    cloud.ibm.refuse(Grant::Password, Some((400, "BXNIM0400E")));
    refused(&cloud, &user, PASSWORD, &["MFA", "--sso", "--apikey-file"]);
    cloud.ibm.refuse(Grant::Password, None);

    let two = [(ACCOUNT, "Home"), (STAGING_ACCOUNT, "Other")];
    respond_with_accounts(&cloud, &two);
    refused(
        &cloud,
        &user,
        PASSWORD,
        &["which account", "--account ID", "\"Home\"", STAGING_ACCOUNT],
    );
    let missing = [&user[..], &["--account", "nowhere"]].concat();
    refused(
        &cloud,
        &missing,
        PASSWORD,
        &["no account \"nowhere\"", "\"Home\"", ACCOUNT],
    );
    respond_with_accounts(&cloud, &[]);
    refused(&cloud, &user, PASSWORD, &["in no account", "invite"]);
    respond_with_one_account(&cloud);

    let unknown = ["--cluster", "kubegate-isk", "-u", USER, "--password-stdin"];
    refused(
        &cloud,
        &unknown,
        PASSWORD,
        &[
            "no cluster \"kubegate-isk\"",
            "did you mean \"kubegate-iks\"",
        ],
    );
    let none = ["-u", USER, "--password-stdin"];
    refused(
        &cloud,
        &none,
        PASSWORD,
        &[
            "which cluster",
            "--cluster NAME",
            "\"kubegate-private\" (bkiks0priv0000000003",
        ],
    );
    refused(
        &cloud,
        &["--cluster", CLUSTER],
        "",
        &["--apikey-file", "--sso", "-u USER"],
    );
    refused(&cloud, &["--password-stdin"], "", &["-u USER or --sso"]);

    let expired = jwt(&json!({"exp": 1, "aud": "kube"}));
    cloud
        .ibm
        .replace_token_field("id_token", Some(json!(expired)));
    refused(&cloud, &user, PASSWORD, &["401"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_keeps_the_saved_one() {
    let cloud = Cloud::start().await;
    log_in_with_key_file(&cloud);
    let expired = jwt(&json!({"exp": 1, "aud": "kube"}));
    cloud
        .ibm
        .replace_token_field("id_token", Some(json!(expired)));
    respond_with_one_account(&cloud);
    let user = ["--cluster", CLUSTER, "-u", USER, "--password-stdin"];
    let done = login(&cloud, &user, PASSWORD);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert_eq!(cloud.saved(&name(ACCOUNT))["api-key"], API_KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_login_is_used_only_for_its_clusters_and_its_iam() {
    let cloud = Cloud::start().await;
    log_in_with_key_file(&cloud);
    let config = cloud.path(".kube/config");
    let text = fs::read_to_string(&config).unwrap();
    let other = Upstream::tls("localhost", Connection::echo).await;
    let calls = cloud.count("/identity/token");
    let iam = cloud.iam_url();
    let iks = cloud.ibm.iks().url();
    let openshift = text.replace("- ibm\n", "- ibm\n      - --openshift\n");
    for hostile in [
        text.replace(&iks, &other.url()),
        openshift.replace(&iks, &other.url()),
        text.replace(&iam, &other.url()),
    ] {
        assert_ne!(hostile, text);
        fs::write(&config, &hostile).unwrap();
        let kubegate = Kubegate::spawn(cloud.command(&["--port", "0"]));
        let response = get(&kubegate.address, PODS).await;
        assert_eq!(status(&response), 401, "{response}");
        assert!(response.contains("the saved login"), "{response}");
        assert_no_secret(&kubegate.log());
    }
    assert_eq!(cloud.count("/identity/token"), calls);
    assert_eq!(other.connections(), 0);
    fs::write(&config, &text).unwrap();
    works(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_key_is_not_sent_to_servers_of_a_kubeconfig() {
    let cloud = Cloud::start().await;
    let other = Upstream::tls("localhost", Connection::echo).await;
    let url = other.url();
    for (args, says) in [
        (
            ["credential", "ibm", "--iam", url.as_str()].as_slice(),
            "is another IAM",
        ),
        (
            &["credential", "ibm", "--openshift"],
            "is not sent to a server",
        ),
    ] {
        let mut command = cloud.command(args);
        let info = json!({"apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": {"cluster": {"server": url}, "interactive": false}});
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        command.env("IBMCLOUD_API_KEY", API_KEY);
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(1), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{args:?}: {}", done.stderr);
        assert_no_secret(&done.stderr);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_interrupted_at_the_lock_leaves_no_key() {
    let cloud = Cloud::start().await;
    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let args = ["--cluster", CLUSTER, "--apikey-file", key.to_str().unwrap()];
    let lock = cloud.path(".kube/config.lock");
    let at = (cloud.folder.path(), lock.as_path());
    let (ended, saved) = interrupt_at_lock(command(&cloud, &args, ""), Signal::TERM, at);
    assert!(saved["api-key"].is_string(), "{ended:?}");
    assert!(!cloud.path(".kube/config").exists());
    log_in_with_key_file(&cloud);
}
