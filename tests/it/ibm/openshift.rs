//! Logins at the demo's clusters, among them the one of type `openshift`.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
    time::Duration,
};

use kubegate::{
    credential::store::SavedLogin,
    demo::ibm::{ACCOUNT, API_KEY, PASSWORD, PROFILE_NAME, USER},
};

use super::{
    Cloud,
    cloud::{CLUSTER, PODS},
};
use crate::support::{Kubegate, get, status};

#[tokio::test(flavor = "multi_thread")]
async fn an_openshift_cluster_is_logged_in_to_with_the_api_key() {
    let cloud = Cloud::with_id_tokens_of(4).await;
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "kubegate-roks"],
        &[("IBMCLOUD_API_KEY", API_KEY)],
    );
    let response = get(&kubegate.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.contains("IAM#user@example.com"), "{response}");
    drop(kubegate);

    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let args = [
        "login",
        "ibm",
        "--cluster",
        "kubegate-roks",
        "--apikey-file",
    ];
    let done = Kubegate::refused(cloud.command(&[&args[..], &[key.to_str().unwrap()]].concat()));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    assert!(
        text.contains("--openshift") && !text.contains(API_KEY),
        "{text}"
    );
    let logins = cloud.ibm.roks().logins();
    let kubegate = cloud.proxy(&[], &[]);
    let response = get(&kubegate.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&response), 200, "{response}");
    // The session of the login is still used.
    assert_eq!(cloud.ibm.roks().logins(), logins);
    cloud.ibm.revoke_api_key();
    let refused = cloud.path("refused");
    fs::write(&refused, API_KEY).unwrap();
    let by_file = ["--ibm-cluster", CLUSTER, "--apikey-file"];
    let by_file = [&by_file[..], &[refused.to_str().unwrap()]].concat();
    let response = get(&cloud.proxy(&by_file, &[]).address, "/x").await;
    assert!(
        status(&response) == 401 && response.contains("was not found"),
        "{response}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_of_an_api_key_is_replaced_when_a_token_is_requested() {
    let cloud = Cloud::start().await;
    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let args = ["login", "ibm", "--cluster", "kubegate-roks"];
    let mut command = cloud.command(&args);
    command.args(["--apikey-file", key.to_str().unwrap()]);
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let store = cloud.store();
    let age = || {
        for login in store.names().unwrap() {
            let saved = store.read(&login).unwrap().unwrap();
            let before = saved.issued_at.map(|at| at - Duration::from_secs(120));
            let aged = SavedLogin {
                issued_at: before,
                ..saved
            };
            store.write(&login, &aged).unwrap();
            let _ = fs::remove_file(store.path(&login).with_extension("checked"));
        }
    };
    let token = || Kubegate::refused(cloud.command(&["token"])).stdout;
    let first = token();
    assert!(first.starts_with("sha256~"), "no token");
    // A session that holds is kept, and asked about once a minute.
    age();
    let (logins, requests) = (
        cloud.ibm.roks().logins(),
        cloud.ibm.roks().api().connections(),
    );
    for _ in 0..3 {
        assert_eq!(token(), first);
    }
    assert_eq!(cloud.ibm.roks().api().connections(), requests + 1);

    age();
    assert!(cloud.ibm.roks().revoke(first.trim()));
    let start = |_| {
        let mut command = cloud.command(&["token"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let children: Vec<Child> = (0..10).map(start).collect();
    let outputs = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().stdout);
    let tokens: Vec<_> = outputs.map(|out| String::from_utf8(out).unwrap()).collect();
    assert!(tokens[0].starts_with("sha256~") && tokens[0] != first);
    assert!(tokens.iter().all(|one| *one == tokens[0]), "they differ");
    assert_eq!(cloud.ibm.roks().logins(), logins + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn passcode_password_and_pod_each_log_in() {
    let cloud = Cloud::start().await;
    let login = |args: &[&str], input: &str, variables: &[(&str, &str)]| {
        let file = cloud.path("input");
        fs::write(&file, input).unwrap();
        let all = [&["login", "ibm", "--cluster", CLUSTER], args].concat();
        let mut command = cloud.command(&all);
        command.stdin(File::open(file).unwrap());
        command.envs(variables.iter().copied());
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    };
    let account = ["--account", ACCOUNT, "--password-stdin"];
    login(
        &[&["--sso"], &account[..]].concat(),
        &cloud.ibm.passcode(),
        &[],
    );
    login(&[&["-u", USER], &account[..]].concat(), PASSWORD, &[]);
    let kubegate = cloud.proxy(&[], &[]);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);

    let token = cloud.ibm.pod_token(Duration::from_secs(600)).unwrap();
    let pod = [
        ("IBMCLOUD_CR_PROFILE", PROFILE_NAME),
        ("IBMCLOUD_CR_TOKEN", token.as_str()),
    ];
    let kubegate = cloud.proxy(&["--ibm-cluster", CLUSTER], &pod);
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_the_context_still_names_its_cluster() {
    let cloud = Cloud::start().await;
    let run = |args: &[&str], input: &str| {
        let file = cloud.path("input");
        fs::write(&file, input).unwrap();
        let mut command = cloud.command(args);
        command.stdin(File::open(file).unwrap());
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        done.stdout
    };
    let flags = ["--sso", "--account", ACCOUNT, "--password-stdin"];
    let first = [&["login", "ibm", "--cluster", CLUSTER], &flags[..]].concat();
    run(&first, &cloud.ibm.passcode());
    let name = run(&["contexts", "-o", "name"], "");
    let context = name.trim_end();
    let out = run(&["logout"], "");
    assert!(
        out.contains(&format!("kubegate login ibm --context '{context}'")),
        "{out}"
    );
    assert_eq!(Kubegate::refused(cloud.command(&["whoami"])).code, Some(1));
    let again = [&["login", "ibm", "--context", context], &flags[..]].concat();
    run(&again, &cloud.ibm.passcode());
    assert_eq!(run(&["contexts", "-o", "name"], ""), name);
    run(&["whoami"], "");
    run(&["logout", "--forget"], "");
    assert_eq!(run(&["contexts", "-o", "name"], ""), "");
}
