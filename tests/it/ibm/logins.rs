//! `kubegate login ibm`, and what it leaves behind: a context, and a root credential beside it.

use std::{
    fs::{self, File},
    process::Command,
};

use serde_json::{Value, json};

use super::{
    Cloud, KEY,
    cloud::{HOME_ACCOUNT, OTHER_ACCOUNT, PASSCODE, PASSWORD, POD_TOKEN, SECRET},
};
use crate::support::{Kubegate, Refused, get, status};

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
    let text = format!("{}{}", done.stdout, done.stderr);
    assert!(!text.contains(SECRET) && !text.contains("e30."), "{text}");
    done
}

fn logged_in(cloud: &Cloud, args: &[&str], input: &str) {
    let done = login(cloud, args, input);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for part in [
        "\"production\"",
        "IAM#jane@example.com",
        "production/c1",
        ".kube/config",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

/// What a login that fails says; it leaves nothing behind.
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

fn name(account: &str) -> String {
    format!("ibm/{account}/jane@example.com")
}

/// The proxy, and the plugin as kubectl runs it, both by the context alone.
async fn works(cloud: &Cloud) {
    let config = cloud.path(".kube/config");
    let text = fs::read_to_string(&config).unwrap();
    assert!(!text.contains(SECRET) && !text.contains("e30."), "{text}");
    let mut proxy = cloud.command(&["--port", "0"]);
    proxy.env_remove("IBMCLOUD_IAM_API_ENDPOINT");
    let kubegate = Kubegate::spawn(proxy);
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 200, "{answer} {text}");

    let args = text
        .lines()
        .skip_while(|line| !line.trim().ends_with("args:"));
    let words: Vec<String> = args
        .skip(1)
        .map_while(|line| line.trim().strip_prefix("- ").map(str::to_owned))
        .map(|word| word.trim_matches(['"', '\'']).to_owned())
        .collect();
    assert_eq!(words[..2], ["credential", "ibm"], "{text}");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut plugin = cloud.command(&words);
    let info = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "spec": {"cluster": {"server": cloud.api.url()}, "interactive": false}});
    plugin
        .env_remove("IBMCLOUD_IAM_API_ENDPOINT")
        .env("KUBERNETES_EXEC_INFO", info.to_string());
    let calls = cloud.host.count("/identity/token");
    let done = Kubegate::refused(plugin);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let answer: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(
        answer["status"]["token"]
            .as_str()
            .unwrap()
            .starts_with("e30.")
    );
    assert!(answer["status"]["expirationTimestamp"].is_string());
    if text.contains("--login") {
        // What rests from the last run still holds, so nobody was asked.
        assert_eq!(cloud.host.count("/identity/token"), calls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_logs_in_from_a_file_and_from_the_environment() {
    let cloud = Cloud::start().await;
    let key = cloud.path("key");
    fs::write(&key, KEY).unwrap();
    let args = [
        "--cluster",
        "production",
        "--apikey-file",
        key.to_str().unwrap(),
    ];
    logged_in(&cloud, &args, "");
    fs::remove_file(key).unwrap();
    assert_eq!(cloud.saved(&name(HOME_ACCOUNT))["api-key"], KEY);
    works(&cloud).await;

    let cloud = Cloud::start().await;
    let mut command = command(&cloud, &["--cluster", "c1"], "");
    command.env("IBMCLOUD_API_KEY", KEY);
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    works(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passcode_logs_in_and_its_session_goes_on() {
    let cloud = Cloud::start().await;
    let args = ["--cluster", "production", "--sso", "--password-stdin"];
    logged_in(&cloud, &args, &format!("{PASSCODE}\n"));
    let saved = cloud.saved(&name(HOME_ACCOUNT));
    assert!(cloud.book().lives(saved["refresh-token"].as_str().unwrap()));
    assert_eq!(saved.get("api-key"), None);
    works(&cloud).await;
    assert_eq!(cloud.book().granted("passcode"), 1);
    assert_eq!(cloud.book().refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_logs_in_to_the_account_that_is_chosen_on_any_page() {
    let cloud = Cloud::start().await;
    cloud.book().accounts = (0..5)
        .map(|n| (format!("{n:032}"), format!("Account {n}")))
        .chain([(OTHER_ACCOUNT.to_owned(), "Other".to_owned())])
        .collect();
    for account in [OTHER_ACCOUNT, "Other"] {
        let args = [
            "--cluster",
            "production",
            "-u",
            "jane",
            "--account",
            account,
            "--password-stdin",
        ];
        logged_in(&cloud, &args, PASSWORD);
        assert_eq!(cloud.host.count("/coe/v2/accounts") % 3, 0);
        let saved = cloud.saved(&name(OTHER_ACCOUNT));
        assert!(cloud.book().lives(saved["refresh-token"].as_str().unwrap()));
    }
    works(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_token_logs_in_and_nothing_is_kept() {
    let cloud = Cloud::start().await;
    let pod = [
        ("IBMCLOUD_CR_PROFILE", "proxy"),
        ("IBMCLOUD_CR_TOKEN", POD_TOKEN),
    ];
    let mut command = command(&cloud, &["--cluster", "production"], "");
    let done = Kubegate::refused({
        command.envs(pod);
        command
    });
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    assert!(
        text.contains("--profile=proxy") && !text.contains(SECRET),
        "{text}"
    );
    assert!(!cloud.path(".local/state/kubegate/logins").exists());
    let kubegate = cloud.proxy(&[], &pod[1..]);
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_what_to_do_and_leaves_nothing() {
    let cloud = Cloud::start().await;
    let user = ["--cluster", "production", "-u", "jane", "--password-stdin"];
    let sso = ["--cluster", "production", "--sso", "--password-stdin"];
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
    cloud
        .book()
        .refusals
        .insert("password", (400, "BXNIM0400E"));
    refused(&cloud, &user, PASSWORD, &["MFA", "--sso", "--apikey-file"]);
    cloud.book().refusals.clear();

    cloud
        .book()
        .accounts
        .push((OTHER_ACCOUNT.to_owned(), "Other".to_owned()));
    refused(
        &cloud,
        &user,
        PASSWORD,
        &["which account", "--account ID", "\"Home\"", OTHER_ACCOUNT],
    );
    let missing = [&user[..], &["--account", "nowhere"]].concat();
    refused(
        &cloud,
        &missing,
        PASSWORD,
        &["no account \"nowhere\"", "\"Home\"", HOME_ACCOUNT],
    );
    cloud.book().accounts.clear();
    refused(&cloud, &user, PASSWORD, &["in no account", "invite"]);
    cloud
        .book()
        .accounts
        .push((HOME_ACCOUNT.to_owned(), "Home".to_owned()));

    let unknown = ["--cluster", "producton", "-u", "jane", "--password-stdin"];
    refused(
        &cloud,
        &unknown,
        PASSWORD,
        &["no cluster \"producton\"", "did you mean \"production\""],
    );
    let none = ["-u", "jane", "--password-stdin"];
    refused(
        &cloud,
        &none,
        PASSWORD,
        &["which cluster", "--cluster NAME", "\"staging\" (c3"],
    );
    refused(
        &cloud,
        &["--cluster", "production"],
        "",
        &["--apikey-file", "--sso", "-u USER"],
    );
    refused(&cloud, &["--password-stdin"], "", &["-u USER or --sso"]);

    cloud.book().id_token = Some(super::cloud::jwt(&json!({"exp": 1, "aud": "kube"})));
    refused(&cloud, &user, PASSWORD, &["401"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_keeps_the_one_before() {
    let cloud = Cloud::start().await;
    let key = cloud.path("key");
    fs::write(&key, KEY).unwrap();
    let args = [
        "--cluster",
        "production",
        "--apikey-file",
        key.to_str().unwrap(),
    ];
    logged_in(&cloud, &args, "");
    cloud.book().id_token = Some(super::cloud::jwt(&json!({"exp": 1, "aud": "kube"})));
    let user = ["--cluster", "production", "-u", "jane", "--password-stdin"];
    let done = login(&cloud, &user, PASSWORD);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert_eq!(cloud.saved(&name(HOME_ACCOUNT))["api-key"], KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_for_the_clusters_it_was_begun_for_and_its_own_iam() {
    let cloud = Cloud::start().await;
    let key = cloud.path("key");
    fs::write(&key, KEY).unwrap();
    let args = [
        "--cluster",
        "production",
        "--apikey-file",
        key.to_str().unwrap(),
    ];
    logged_in(&cloud, &args, "");
    let config = cloud.path(".kube/config");
    let text = fs::read_to_string(&config).unwrap();
    let other = crate::support::Upstream::tls("localhost", crate::support::Connection::echo).await;
    let calls = cloud.host.count("/identity/token");
    let iam = cloud.host.url();
    let openshift = text.replace("- ibm\n", "- ibm\n      - --openshift\n");
    for hostile in [
        text.replace(&cloud.api.url(), &other.url()),
        openshift.replace(&cloud.api.url(), &other.url()),
        text.replace(&iam, &other.url()),
    ] {
        assert_ne!(hostile, text);
        fs::write(&config, &hostile).unwrap();
        let kubegate = Kubegate::spawn(cloud.command(&["--port", "0"]));
        let answer = get(&kubegate.address, "/x").await;
        assert_eq!(status(&answer), 401, "{answer}");
        assert!(answer.contains("the saved login"), "{answer}");
        assert!(!kubegate.log().contains(SECRET));
    }
    assert_eq!(cloud.host.count("/identity/token"), calls);
    assert_eq!(other.connections(), 0);
    fs::write(&config, &text).unwrap();
    works(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_key_goes_to_no_iam_or_server_that_a_kubeconfig_names() {
    let cloud = Cloud::start().await;
    let other = crate::support::Upstream::tls("localhost", crate::support::Connection::echo).await;
    let url = other.url();
    for (args, says) in [
        (
            ["credential", "ibm", "--iam", url.as_str()].as_slice(),
            "is another IAM",
        ),
        (
            &["credential", "ibm", "--openshift"],
            "is not shown to a server",
        ),
    ] {
        let mut command = cloud.command(args);
        let info = json!({"apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": {"cluster": {"server": url}, "interactive": false}});
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        command.env("IBMCLOUD_API_KEY", KEY);
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(1), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{args:?}: {}", done.stderr);
        assert!(!done.stderr.contains(SECRET));
    }
    assert_eq!(other.connections(), 0);
}
