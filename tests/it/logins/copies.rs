//! Kubeconfigs that share a login.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    process::Command,
};

use kubegate::kubeconfig::{Login, Overrides};
use serde_json::json;

use super::Home;
use crate::support::Kubegate;

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfigs_share_a_login_only_by_a_copied_entry() {
    let home = Home::new(3600).await;
    let in_file = |mut command: Command, file: &str| {
        command.env("KUBECONFIG", home.path(file));
        Kubegate::refused(command)
    };
    let run = |args: &[&str], file: &str| {
        let ended = in_file(home.command(args), file);
        assert_eq!(ended.code, Some(0), "{args:?} {file}: {ended:?}");
        ended.stdout
    };
    let named = |file: &str| {
        let path = home.path(file);
        let target = kubegate::kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None);
        let Login::Exec(exec) = target.unwrap().user.login else {
            panic!("no exec entry");
        };
        kubegate::settings::Login::of_exec(&exec)
            .unwrap()
            .saved_as()
            .unwrap()
    };
    for file in ["one", "two"] {
        let ended = in_file(home.first_login(), file);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(format!("{}/2", named("one")), named("two"));
    // A second login keeps the name.
    let ended = in_file(home.first_login(), "two");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(format!("{}/2", named("one")), named("two"));
    fs::copy(home.path("one"), home.path("copy")).unwrap();
    let ended = in_file(home.first_login(), "copy");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(named("copy"), named("one"));

    // A logout names the other users of the login; other logins are not affected.
    let out = run(&["logout"], "one");
    let copy = home.path("copy");
    let expected = format!(" in {} used the same login", copy.display());
    assert_eq!(out.matches("used the same login").count(), 1, "{out}");
    assert!(out.contains(&expected), "{out}");
    assert_eq!(in_file(home.command(&["whoami"]), "copy").code, Some(1));
    assert!(run(&["whoami", "-o", "name"], "two").starts_with("oidc:jane"));
    let out = run(&["logout"], "two");
    assert!(!out.contains("used the same login"), "{out}");
    // A login that is logged out keeps its name.
    let ended = in_file(home.first_login(), "three");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(format!("{}/3", named("one")), named("three"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_names_copies_that_only_used_the_login() {
    let home = Home::new(3600).await;
    home.log_in();
    let copies = ["whoami", "token", "proxy", "kubectl"].map(|name| home.path(name));
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": home.plane.url()}},
    });
    let (user, login) = {
        let config = home.path(".kube/config");
        let target = kubegate::kubeconfig::resolve(Some(&config), &Overrides::default(), &|_| None);
        let user = target.unwrap().user;
        let Login::Exec(exec) = user.login else {
            panic!("no exec entry");
        };
        (user.name.unwrap(), exec.args)
    };
    for (copy, args) in copies.iter().zip([
        &["whoami"][..],
        &["token"],
        &["--port", "0"],
        &login.iter().map(String::as_str).collect::<Vec<_>>(),
    ]) {
        fs::copy(home.path(".kube/config"), copy).unwrap();
        let mut command = home.command(args);
        command.env("KUBECONFIG", copy);
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        if args[0] == "--port" {
            drop(Kubegate::spawn(command));
            continue;
        }
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    }
    // The control: a copy that never used the login is not named.
    fs::copy(home.path(".kube/config"), home.path("unused")).unwrap();
    let notes = home.saved().with_extension("kubeconfigs");
    assert_eq!(fs::metadata(&notes).unwrap().mode() & 0o777, 0o600);
    let before = fs::metadata(&notes).unwrap().ino();
    let args = ["whoami", "--kubeconfig", copies[0].to_str().unwrap()];
    home.out(&args);
    assert_eq!(fs::metadata(&notes).unwrap().ino(), before, "written once");

    let out = home.out(&["logout"]);
    for copy in &copies {
        let expected = format!("User {user} in {} used the same login", copy.display());
        assert!(out.contains(&expected), "{expected}: {out}");
    }
    assert_eq!(out.matches("used the same login").count(), 4, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_names_copies_with_any_path() {
    let home = Home::new(3600).await;
    home.log_in();
    let names = [&b"not-utf8-\xff"[..], b"line\nbreak", b"plain"];
    for name in names {
        let copy = home.path("").join(OsStr::from_bytes(name));
        fs::copy(home.path(".kube/config"), &copy).unwrap();
        let mut command = home.command(&["whoami"]);
        command.env("KUBECONFIG", copy);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let out = home.out(&["logout"]);
    for shown in ["/not-utf8-\u{fffd}", "/line break", "/plain"] {
        let expected = format!("{shown} used the same login");
        assert!(out.contains(&expected), "{expected}: {out}");
    }
    assert_eq!(out.matches("used the same login").count(), 3, "{out}");
}
