//! A user with several accounts, who chooses one on the terminal.

use kubegate::demo::ibm::{ACCOUNT, Grant, IAM_USER, PASSWORD, USER};

use super::{
    Cloud,
    cloud::{CLUSTER, assert_no_secret},
};
use crate::support::{Kubegate, on_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn one_passcode_is_enough_for_a_choice_among_accounts() {
    let cloud = Cloud::start().await;
    let passcode = cloud.ibm.passcode();
    let name = format!("ibm/{ACCOUNT}/{}/session", USER.to_lowercase());
    let command = cloud.command(&["login", "ibm", "--cluster", CLUSTER, "--sso"]);
    let prompt = "Number of the account: ";
    // A number that is none does not cost the passcode.
    let answers = [
        ("One-time passcode: ", passcode.as_str()),
        (prompt, "9"),
        (prompt, ""),
        (prompt, "2"),
    ];
    let done = Kubegate::refused(on_terminal(&command, &answers));
    assert_eq!(done.code, Some(0), "{done:?}");
    for part in [
        "\"Example Staging\"",
        ACCOUNT,
        IAM_USER,
        "none of these numbers",
    ] {
        assert!(done.stdout.contains(part), "{part}: {done:?}");
    }
    assert_eq!(cloud.ibm.granted(Grant::Passcode), 1);
    assert!(cloud.has_valid_refresh_token(&name));
    let who = Kubegate::refused(cloud.command(&["whoami", "-o", "name"]));
    assert_eq!(who.stdout, format!("{IAM_USER}\n"), "{who:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_before_an_account_is_chosen() {
    let cloud = Cloud::start().await;
    let passcode = cloud.ibm.passcode();
    for (args, secret) in [
        (&["--sso"][..], passcode.as_str()),
        (&["-u", USER], PASSWORD),
    ] {
        let args = [&["login", "ibm", "--cluster", CLUSTER], args].concat();
        let command = cloud.command(&args);
        let prompt = if secret == PASSWORD {
            "Password: "
        } else {
            "One-time passcode: "
        };
        // Ctrl-C at the choice.
        let answers = [(prompt, secret), ("Number of the account: ", "\u{3}")];
        let done = Kubegate::refused(on_terminal(&command, &answers));
        assert_ne!(done.code, Some(0), "{done:?}");
        assert_no_secret(&done.stdout);
        assert!(!cloud.path(".kube/config").exists());
        assert!(!cloud.path(".local/state/kubegate").exists());
    }
}
