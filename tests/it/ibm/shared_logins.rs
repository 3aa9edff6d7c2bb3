//! Several contexts of one user and account: what a login or a logout leaves of the others.

use std::fs::{self, File};

use kubegate::demo::ibm::{ACCOUNT, API_KEY, PASSWORD, USER};

use serde_json::json;

use super::{Cloud, cloud::assert_no_secret};
use crate::support::{Kubegate, Refused};

const IKS: &str = "kubegate-iks/bkiks0prod0000000001";
const ROKS: &str = "kubegate-roks/bkroks0prod000000007";
const PRIVATE: &str = "kubegate-private/bkiks0priv0000000003";

fn run_with(cloud: &Cloud, args: &[&str], input: &str) -> Refused {
    let file = cloud.path("input");
    fs::write(&file, input).unwrap();
    let mut command = cloud.command(args);
    command.stdin(File::open(file).unwrap());
    let done = Kubegate::refused(command);
    assert_no_secret(&format!("{}{}", done.stdout, done.stderr));
    done
}

fn run(cloud: &Cloud, args: &[&str], input: &str) -> String {
    let done = run_with(cloud, args, input);
    assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
    done.stdout
}

fn log_in_with_key(cloud: &Cloud, context: &str) {
    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let (cluster, _) = context.split_once('/').unwrap();
    let file = key.to_str().unwrap();
    let args = ["login", "ibm", "--cluster", cluster, "--apikey-file", file];
    run(cloud, &args, "");
}

fn log_in_with_password(cloud: &Cloud, context: &str) {
    let (cluster, _) = context.split_once('/').unwrap();
    let args = ["login", "ibm", "--cluster", cluster, "-u", USER];
    let args = [&args[..], &["--account", ACCOUNT, "--password-stdin"]].concat();
    run(cloud, &args, PASSWORD);
}

/// Whether a context's user is known to its cluster.
fn works(cloud: &Cloud, context: &str) -> bool {
    run_with(cloud, &["whoami", "--context", context], "").code == Some(0)
}

/// What the list of contexts says about a context's credential.
fn expiry(cloud: &Cloud, context: &str) -> String {
    let list = run(cloud, &["contexts"], "");
    let row = list.lines().find(|line| line.contains(context)).unwrap();
    row.rsplit("  ").next().unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_replace_the_key_that_another_context_needs() {
    let cloud = Cloud::start().await;
    log_in_with_key(&cloud, ROKS);
    let passcode = cloud.ibm.passcode();
    let args = ["login", "ibm", "--cluster", "kubegate-iks", "--sso"];
    let args = [&args[..], &["--account", ACCOUNT, "--password-stdin"]].concat();
    run(&cloud, &args, &passcode);
    let name = format!("ibm/{ACCOUNT}/{}", USER.to_lowercase());
    assert_eq!(cloud.saved(&name)["api-key"], API_KEY);
    // A new session of the cluster can only begin with the key.
    let ended = cloud.saved(&name)["token"].as_str().unwrap().to_owned();
    assert!(cloud.ibm.roks().revoke(&ended));
    cloud.save(
        &name,
        &json!({"api-key": API_KEY, "servers": cloud.saved(&name)["servers"]}),
    );
    assert!(works(&cloud, ROKS) && works(&cloud, IKS));
    assert!(cloud.has_valid_refresh_token(&format!("{name}/session")));

    // The other way round: the key of another login leaves the session.
    log_in_with_key(&cloud, PRIVATE);
    assert!(cloud.has_valid_refresh_token(&format!("{name}/session")));
    // A logout of the one leaves the other.
    let out = run(&cloud, &["logout", "--context", IKS], "");
    assert!(!out.contains("stays logged in"), "{out}");
    assert!(!works(&cloud, IKS));
    assert!(works(&cloud, ROKS) && works(&cloud, PRIVATE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_an_earlier_version_keeps_its_name_and_its_contexts() {
    let cloud = Cloud::start().await;
    log_in_with_password(&cloud, IKS);
    log_in_with_password(&cloud, PRIVATE);
    // Version 0.1.0 saved a session under the name that only keys have now.
    let config = cloud.path(".kube/config");
    let text = fs::read_to_string(&config).unwrap();
    let user = USER.to_lowercase();
    let former = text.replace(&format!("{user}/session"), &user);
    assert_ne!(former, text);
    fs::write(&config, &former).unwrap();
    let name = format!("ibm/{ACCOUNT}/{user}");
    cloud.save(&name, &cloud.saved(&format!("{name}/session")));
    assert!(works(&cloud, IKS) && works(&cloud, PRIVATE));
    // One new login renews all its contexts.
    cloud.ibm.end_sessions();
    log_in_with_password(&cloud, IKS);
    let text = fs::read_to_string(&config).unwrap();
    assert!(!text.contains(&format!("{user}/")), "{text}");
    assert!(cloud.has_valid_refresh_token(&name));
    assert!(works(&cloud, IKS) && works(&cloud, PRIVATE));
    // A key takes another name.
    log_in_with_key(&cloud, ROKS);
    assert!(cloud.has_valid_refresh_token(&name));
    assert!(works(&cloud, ROKS) && works(&cloud, PRIVATE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_keeps_the_login_that_other_clusters_need() {
    let cloud = Cloud::start().await;
    // The control of the issuer's kind: a session, beside the key.
    for log_in in [log_in_with_key as fn(&Cloud, &str), log_in_with_password] {
        for context in [IKS, PRIVATE] {
            log_in(&cloud, context);
        }
        let out = run(&cloud, &["logout", "--context", IKS], "");
        for part in [PRIVATE, "stays logged in", "logout --all"] {
            assert!(out.contains(part), "{part}: {out}");
        }
        assert!(!works(&cloud, IKS) && works(&cloud, PRIVATE));
        assert_eq!(expiry(&cloud, IKS), "login needed");
        assert_ne!(expiry(&cloud, PRIVATE), "login needed");
        let out = run(&cloud, &["logout", "--context", IKS], "");
        assert!(out.contains("was logged out already"), "{out}");
        assert!(works(&cloud, PRIVATE));
        // A login brings the context back.
        log_in(&cloud, IKS);
        assert!(works(&cloud, IKS) && works(&cloud, PRIVATE));
        let out = run(&cloud, &["logout", "--all", "--context", IKS], "");
        assert!(out.contains("is logged out too"), "{out}");
        assert!(!works(&cloud, IKS) && !works(&cloud, PRIVATE));
        // The last context takes the login with it.
        log_in(&cloud, IKS);
        run(&cloud, &["logout", "--forget", "--context", PRIVATE], "");
        assert!(works(&cloud, IKS));
        run(&cloud, &["logout", "--context", IKS], "");
        let folder = cloud.path(".local/state/kubegate/logins");
        let saved = fs::read_dir(folder).unwrap().filter(|file| {
            let path = file.as_ref().unwrap().path();
            path.extension() == Some("json".as_ref())
        });
        assert_eq!(saved.count(), 0);
    }
}
