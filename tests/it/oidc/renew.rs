//! `kubegate token --renew` with tokens in the kubeconfig.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn renew_replaces_a_valid_token_of_the_kubeconfig() {
    let home = Home::new(3600).await;
    let valid = jwt("valid", 3600.0);
    home.write(&valid, &home.refresh_token());
    let path = home.path();
    let token = |flags: &[&str]| {
        let args = ["token", "--kubeconfig", path.to_str().unwrap()];
        Kubegate::refused(Kubegate::command([&args[..], flags].concat()))
    };
    assert_eq!(token(&[]).stdout, format!("{valid}\n"));
    assert_eq!(home.issuer.refreshes(), 0);
    let renewed = token(&["--renew"]);
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    assert_eq!(renewed.stdout, format!("{}\n", home.saved_tokens().0));
    assert_ne!(renewed.stdout, format!("{valid}\n"));
    assert_eq!(home.issuer.refreshes(), 1);
    assert_eq!(token(&[]).stdout, renewed.stdout);
    assert_eq!(home.issuer.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_refresh_token_cannot_be_renewed() {
    let home = Home::new(3600).await;
    let valid = jwt("valid", 3600.0);
    home.write(&valid, "none");
    let text = home.text().replace("        refresh-token: none\n", "");
    fs::write(home.path(), text).unwrap();
    let path = home.path();
    for (flags, code) in [(&[][..], 0), (&["--renew"], 1)] {
        let args = ["token", "--kubeconfig", path.to_str().unwrap()];
        let ended = Kubegate::refused(Kubegate::command([&args[..], flags].concat()));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let says = ended.stderr.contains("there is no refresh token");
        assert_eq!(says, code == 1, "{ended:?}");
    }
}
