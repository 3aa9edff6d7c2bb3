//! Sessions that a human began.

use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use kubegate::{
    credential::{
        issuer::Issuer,
        oauth::form_value,
        openshift::{Access, SessionExpiry},
        store::{LoginBinding, SavedLogin, Store},
    },
    dial::Environment,
    kubeconfig::{self, Overrides},
    secret::Secret,
    tls::Trust,
};

use super::*;

fn lasting(seconds: u64) -> Options {
    Options {
        token_max_age: seconds,
        ..Options::default()
    }
}

impl Cluster {
    /// Starts the proxy on a kubeconfig as `oc login` leaves it.
    fn after_oc_login(&self) -> (Kubegate, Secret) {
        let token = self.shift.issue_session("alice").unwrap();
        let config = self.kubeconfig(&json!({"token": token.expose()}));
        (self.start(&config, &["-v", "4"]), token)
    }

    /// Saves a session as `kubegate login` does.
    fn save(&self, token: &Secret) {
        let state = self.state();
        let store = Store::of_user(&|name| {
            (name == "XDG_STATE_HOME").then(|| state.clone().into_os_string())
        });
        let saved = SavedLogin {
            token: Some(token.clone()),
            ..SavedLogin::default()
        };
        let binding = LoginBinding::of_server(&self.shift.api().url().parse().unwrap());
        let here = store.unwrap().bound_to(binding);
        here.write("alice", &saved).unwrap();
    }

    /// A kubeconfig as `kubegate login` writes it.
    fn own_kubeconfig(&self) -> PathBuf {
        self.kubeconfig(&json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubegate",
            "args": ["credential", "openshift", "--login", "alice",
                     "--oauth-certificate-authority", self.oauth_ca()],
            "interactiveMode": "Never",
            "provideClusterInfo": true,
        }}))
    }
}

fn warning(answer: &str) -> Option<&str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| line.strip_prefix("warning: "))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_oc_login_is_announced_and_then_said() {
    let cluster = Cluster::with(lasting(8)).await;
    let started = Instant::now();
    let (gate, token) = cluster.after_oc_login();
    let answer = get(&gate.address, OWN_USER).await;
    assert!(is_ok(&answer) && warning(&answer).is_none(), "{answer}");
    let answer = until(&gate, OWN_USER, |answer| warning(answer).is_some()).await;
    // The last tenth, or a minute, but no more than half of it.
    assert!(started.elapsed() > Duration::from_millis(2500), "{answer}");
    assert!(is_ok(&answer), "{answer}");
    let server = cluster.shift.api().url();
    let header = warning(&answer).unwrap();
    assert!(header.starts_with("299 - \""), "{header}");
    assert!(
        header.contains(&format!("; run `oc login {server}`")),
        "{header}"
    );
    let answer = until(&gate, OWN_USER, |answer| !is_ok(answer)).await;
    assert!(started.elapsed() > Duration::from_millis(6500), "{answer}");
    let says = format!("run `oc login {server}`");
    let answer = until(&gate, OWN_USER, |answer| answer.contains(&says)).await;
    assert_eq!(status(&answer), 401, "{answer}");
    let log = gate.log();
    assert_eq!(
        log.matches(&format!("{server} ends at 20")).count(),
        1,
        "{log}"
    );
    assert!(!log.contains(token.expose()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_said_within_seconds() {
    let cluster = Cluster::with(Options::default()).await;
    let (gate, token) = cluster.after_oc_login();
    assert!(is_ok(&get(&gate.address, OWN_USER).await));
    assert!(cluster.shift.revoke(token.expose()));
    let says = "has ended or was revoked";
    let answer = until(&gate, OWN_USER, |answer| answer.contains(says)).await;
    assert!(answer.contains("oc login"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_does_not_end_by_idleness() {
    let cluster = Cluster::with(Options {
        inactivity_timeout: 3,
        ..Options::default()
    })
    .await;
    let (gate, _) = cluster.after_oc_login();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(9) {
        let answer = get(&gate.address, OWN_USER).await;
        assert!(is_ok(&answer), "{answer}\n{}", gate.log());
        assert!(warning(&answer).is_none(), "{answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let answer = until(&gate, OWN_USER, |answer| answer.contains("oc login")).await;
    assert_eq!(status(&answer), 401, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_login_is_in_force_within_two_seconds() {
    let cluster = Cluster::with(lasting(3)).await;
    let config = cluster.own_kubeconfig();
    let gate = cluster.start(&config, &[]);
    let answer = get(&gate.address, OWN_USER).await;
    assert_eq!(status(&answer), 401, "{answer}");
    let server = cluster.shift.api().url();
    let says = format!("run `kubegate login openshift --server {server}`");
    assert!(
        answer.contains("there is no saved session") && answer.contains(&says),
        "{answer}"
    );
    // The first login, and the next after its end.
    for _ in 0..2 {
        cluster.save(&cluster.shift.issue_session("alice").unwrap());
        let saved = Instant::now();
        until(&gate, OWN_USER, is_ok).await;
        assert!(
            saved.elapsed() < Duration::from_secs(2),
            "{:?}",
            saved.elapsed()
        );
        until(&gate, OWN_USER, |answer| answer.contains(&says)).await;
    }
    // And one while the last still holds: that one is not used any more.
    cluster.shift.change(|options| options.token_max_age = 600);
    let last = cluster.shift.issue_session("alice").unwrap();
    cluster.save(&last);
    until(&gate, OWN_USER, is_ok).await;
    cluster.save(&cluster.shift.issue_session("alice").unwrap());
    tokio::time::sleep(Duration::from_millis(1900)).await;
    until(&gate, OWN_USER, is_ok).await;
    assert!(cluster.shift.revoke(last.expose()));
    let answer = get(&gate.address, OWN_USER).await;
    assert!(is_ok(&answer), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_session_serves_though_its_servers_say_nothing_of_its_end() {
    let cluster = Cluster::with(Options::default()).await;
    cluster.save(&cluster.shift.issue_session("alice").unwrap());
    cluster.shift.faults().delay(Duration::from_secs(60));
    let config = cluster.own_kubeconfig();
    let started = Instant::now();
    let gate = cluster.start(&config, &[]);
    assert!(is_ok(&get(&gate.address, OWN_USER).await));
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A session of a scope that may not see its own object.
async fn scoped(cluster: &Cluster) -> Secret {
    let trust = Trust::roots(cluster.shift.oauth_ca_pem().as_bytes(), "test").unwrap();
    let issuer = Issuer::new(trust, Environment::default());
    let url = format!(
        "{}/oauth/authorize?response_type=token&client_id=openshift-challenging-client\
         &scope=user:info",
        cluster.shift.oauth_url()
    );
    let proof = format!("Basic {}", BASE64_STANDARD.encode("alice:sesame-os-1"));
    let request = Request::get(url).header(AUTHORIZATION, proof);
    let answer = issuer.send(request.body(Bytes::new()).unwrap(), None).await;
    let answer = answer.unwrap();
    let location = answer.headers["location"].to_str().unwrap();
    let (_, fragment) = location.split_once('#').unwrap();
    Secret::new(form_value(fragment, "access_token").unwrap().as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_tells_the_end_that_it_knows() {
    let cluster = Cluster::with(lasting(600)).await;
    let config = cluster.own_kubeconfig();
    let target = kubeconfig::resolve(Some(&config), &Overrides::default(), &|_| None).unwrap();
    let oauth_ca = PathBuf::from(cluster.oauth_ca());
    let access = Access::new(&target.cluster, Some(&oauth_ca));
    let full = cluster.shift.issue_session("alice").unwrap();
    let info = scoped(&cluster).await;
    for (token, knows_begin) in [(&full, true), (&info, false)] {
        let found = access.expiry(token).await.unwrap();
        let SessionExpiry::Valid {
            issued_at,
            ends_at: Some(end),
            by_inactivity: false,
        } = found
        else {
            panic!("{found:?}");
        };
        assert_eq!(issued_at.is_some(), knows_begin);
        let left = end.duration_since(std::time::SystemTime::now()).unwrap();
        assert!(
            left > Duration::from_secs(570) && left <= Duration::from_secs(601),
            "{left:?}"
        );
    }
    cluster.shift.change(|options| options.token_max_age = 0);
    for token in [
        cluster.shift.issue_session("alice").unwrap(),
        scoped(&cluster).await,
    ] {
        let found = access.expiry(&token).await.unwrap();
        assert!(
            matches!(found, SessionExpiry::Valid { ends_at: None, .. }),
            "{found:?}"
        );
    }
    for token in [full, info] {
        assert!(cluster.shift.revoke(token.expose()));
        let found = access.expiry(&token).await.unwrap();
        assert!(matches!(found, SessionExpiry::Ended(_)), "{found:?}");
    }
}
