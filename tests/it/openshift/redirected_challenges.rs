//! Identity providers that ask for the password elsewhere, or for none.

use kubegate::demo::openshift::Challenge;

use super::*;
use crate::support::Refused;

impl Cluster {
    /// Logs in with a password, and trusts `cas` for the OAuth server and what it redirects to.
    fn log_in_trusting(&self, cas: &[&str], password: &str) -> Refused {
        let ca = self.file("ca.pem", self.openshift.api().ca_pem());
        let cas = self.file("cas.pem", &cas.concat());
        let url = self.openshift.api().url();
        let mut command = self.login(&[&url, "-u", "alice", "--password-stdin"], password);
        command.args(["--certificate-authority", ca.to_str().unwrap()]);
        command.args(["--oauth-certificate-authority", cas.to_str().unwrap()]);
        Kubegate::refused(command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_an_identity_provider_gets_the_password() {
    let cluster = Cluster::with(Options::default()).await;
    let proxy = cluster.openshift.start_challenging_proxy().await.unwrap();
    let cas = [cluster.openshift.oauth_ca_pem(), proxy.ca_pem()];
    let ended = cluster.log_in_trusting(&cas, "sesame-os-wrong");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("Login failed (401"), "{ended:?}");
    assert!(cluster.is_untouched());
    let ended = cluster.log_in_trusting(&cas, "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    cluster.works().await;
    // A proxy that is not trusted gets nothing.
    let requests = proxy.requests().len();
    let ended = cluster.log_in_trusting(&cas[..1], "sesame-os-1");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("--oauth-certificate-authority"),
        "{ended:?}"
    );
    assert_eq!(proxy.requests().len(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_that_no_password_answers_name_the_browser() {
    let cluster = Cluster::with(Options::default()).await;
    let own = cluster.openshift.oauth_url();
    for (challenge, says) in [
        (Challenge::Negotiate, "a Kerberos ticket (Negotiate)"),
        (Challenge::None, "can only log in with a browser"),
        (
            Challenge::Redirect("http://127.0.0.1:1/login".to_owned()),
            "not to an https:// URL",
        ),
        (Challenge::Redirect(format!("{own}/login")), "a page"),
        (
            Challenge::Redirect(format!("{own}/oauth/authorize")),
            "more than 10 times",
        ),
    ] {
        cluster
            .openshift
            .change(|options| options.challenge = challenge.clone());
        let cas = [cluster.openshift.oauth_ca_pem()];
        let ended = cluster.log_in_trusting(&cas, "sesame-os-1");
        assert_eq!(ended.code, Some(1), "{challenge:?} {ended:?}");
        assert!(
            ended.stderr.contains(says) && ended.stderr.contains("--web"),
            "{challenge:?} {ended:?}"
        );
        assert!(cluster.is_untouched());
    }
}
