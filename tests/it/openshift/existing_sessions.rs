//! Sessions that a user has begun with oc or kubegate.

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
    /// Starts the proxy with a kubeconfig as `oc login` writes it.
    fn after_oc_login(&self) -> (Kubegate, Secret) {
        let token = self.openshift.issue_session("alice").unwrap();
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
        let binding = LoginBinding::of_server(&self.openshift.api().url().parse().unwrap());
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

fn warning(response: &str) -> Option<&str> {
    let head = response.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| line.strip_prefix("warning: "))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_oc_login_is_announced_and_reported() {
    let cluster = Cluster::with(lasting(8)).await;
    let started = Instant::now();
    let (kubegate, token) = cluster.after_oc_login();
    let response = get(&kubegate.address, OWN_USER).await;
    assert!(
        is_ok(&response) && warning(&response).is_none(),
        "{response}"
    );
    let response = wait_until(&kubegate, OWN_USER, |response| warning(response).is_some()).await;
    // In the last tenth or the last minute of the session, but not in its first half.
    assert!(
        started.elapsed() > Duration::from_millis(2500),
        "{response}"
    );
    assert!(is_ok(&response), "{response}");
    let server = cluster.openshift.api().url();
    let header = warning(&response).unwrap();
    assert!(header.starts_with("299 - \""), "{header}");
    assert!(
        header.contains(&format!("; run `oc login {server}`")),
        "{header}"
    );
    let response = wait_until(&kubegate, OWN_USER, |response| !is_ok(response)).await;
    assert!(
        started.elapsed() > Duration::from_millis(6500),
        "{response}"
    );
    let says = format!("run `oc login {server}`");
    let response = wait_until(&kubegate, OWN_USER, |response| response.contains(&says)).await;
    assert_eq!(status(&response), 401, "{response}");
    let log = kubegate.log();
    assert_eq!(
        log.matches(&format!("{server} ends at 20")).count(),
        1,
        "{log}"
    );
    assert!(!log.contains(token.expose()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_reported_within_seconds() {
    let cluster = Cluster::with(Options::default()).await;
    let (kubegate, token) = cluster.after_oc_login();
    assert!(is_ok(&get(&kubegate.address, OWN_USER).await));
    assert!(cluster.openshift.revoke(token.expose()));
    let says = "has ended or was revoked";
    let response = wait_until(&kubegate, OWN_USER, |response| response.contains(says)).await;
    assert!(response.contains("oc login"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_401_after_a_revocation_has_the_command_for_kubectl() {
    let cluster = Cluster::with(Options::default()).await;
    for is_own in [false, true] {
        let token = cluster.openshift.issue_session("alice").unwrap();
        let (config, command) = if is_own {
            cluster.save(&token);
            (cluster.own_kubeconfig(), "kubegate login openshift")
        } else {
            let user = json!({"token": token.expose()});
            (cluster.kubeconfig(&user), "oc login")
        };
        let kubegate = cluster.start(&config, &[]);
        assert!(is_ok(&get(&kubegate.address, OWN_USER).await));
        assert!(cluster.openshift.revoke(token.expose()));
        // The first 401 is the API server's; later ones are the proxy's own.
        for _ in 0..3 {
            let response = get(&kubegate.address, OWN_USER).await;
            assert_eq!(status(&response), 401, "{response}");
            let header = warning(&response).unwrap_or_else(|| panic!("{response}"));
            assert!(
                header.starts_with("299 - \"") && header.contains(&format!("run `{command}")),
                "{header}"
            );
        }
        assert!(
            !kubegate.log().contains(token.expose()),
            "{}",
            kubegate.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_does_not_end_by_inactivity() {
    let cluster = Cluster::with(Options {
        inactivity_timeout: 3,
        ..Options::default()
    })
    .await;
    let (kubegate, _) = cluster.after_oc_login();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(9) {
        let response = get(&kubegate.address, OWN_USER).await;
        assert!(is_ok(&response), "{response}\n{}", kubegate.log());
        assert!(warning(&response).is_none(), "{response}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let response = wait_until(&kubegate, OWN_USER, |response| {
        response.contains("oc login")
    })
    .await;
    assert_eq!(status(&response), 401, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_login_is_used_within_two_seconds() {
    let cluster = Cluster::with(lasting(3)).await;
    let config = cluster.own_kubeconfig();
    let kubegate = cluster.start(&config, &[]);
    let response = get(&kubegate.address, OWN_USER).await;
    assert_eq!(status(&response), 401, "{response}");
    let says = format!(
        "run `kubegate login openshift --context 'c' --kubeconfig '{}'`",
        config.display()
    );
    assert!(
        response.contains("there is no saved session") && response.contains(&says),
        "{response}"
    );
    // The first login, and the next after its end.
    for _ in 0..2 {
        cluster.save(&cluster.openshift.issue_session("alice").unwrap());
        let saved = Instant::now();
        wait_until(&kubegate, OWN_USER, is_ok).await;
        assert!(
            saved.elapsed() < Duration::from_secs(2),
            "{:?}",
            saved.elapsed()
        );
        wait_until(&kubegate, OWN_USER, |response| response.contains(&says)).await;
    }
    // A login while the last session is valid: that session is not used any more.
    cluster
        .openshift
        .change(|options| options.token_max_age = 600);
    let last = cluster.openshift.issue_session("alice").unwrap();
    cluster.save(&last);
    wait_until(&kubegate, OWN_USER, is_ok).await;
    cluster.save(&cluster.openshift.issue_session("alice").unwrap());
    tokio::time::sleep(Duration::from_millis(1900)).await;
    wait_until(&kubegate, OWN_USER, is_ok).await;
    assert!(cluster.openshift.revoke(last.expose()));
    let response = get(&kubegate.address, OWN_USER).await;
    assert!(is_ok(&response), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_session_is_used_though_its_expiry_is_unknown() {
    let cluster = Cluster::with(Options::default()).await;
    cluster.save(&cluster.openshift.issue_session("alice").unwrap());
    cluster.openshift.faults().delay(Duration::from_secs(60));
    let config = cluster.own_kubeconfig();
    let started = Instant::now();
    let kubegate = cluster.start(&config, &[]);
    assert!(is_ok(&get(&kubegate.address, OWN_USER).await));
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A session whose scope does not allow reading its own object.
async fn scoped(cluster: &Cluster) -> Secret {
    let trust = Trust::roots(cluster.openshift.oauth_ca_pem().as_bytes(), "test").unwrap();
    let issuer = Issuer::new(trust, Environment::default());
    let url = format!(
        "{}/oauth/authorize?response_type=token&client_id=openshift-challenging-client\
         &scope=user:info",
        cluster.openshift.oauth_url()
    );
    let proof = format!("Basic {}", BASE64_STANDARD.encode("alice:sesame-os-1"));
    let request = Request::get(url).header(AUTHORIZATION, proof);
    let response = issuer.send(request.body(Bytes::new()).unwrap(), None).await;
    let response = response.unwrap();
    let location = response.headers["location"].to_str().unwrap();
    let (_, fragment) = location.split_once('#').unwrap();
    Secret::new(form_value(fragment, "access_token").unwrap().as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expiry_is_read_from_the_server_that_knows_it() {
    let cluster = Cluster::with(lasting(600)).await;
    let config = cluster.own_kubeconfig();
    let target = kubeconfig::resolve(Some(&config), &Overrides::default(), &|_| None).unwrap();
    let oauth_ca = PathBuf::from(cluster.oauth_ca());
    let access = Access::new(&target.cluster, Some(&oauth_ca));
    let full = cluster.openshift.issue_session("alice").unwrap();
    let info = scoped(&cluster).await;
    for (token, knows_start) in [(&full, true), (&info, false)] {
        let found = access.expiry(token).await.unwrap();
        let SessionExpiry::Valid {
            issued_at,
            ends_at: Some(end),
            by_inactivity: false,
        } = found
        else {
            panic!("{found:?}");
        };
        assert_eq!(issued_at.is_some(), knows_start);
        let left = end.duration_since(std::time::SystemTime::now()).unwrap();
        assert!(
            left > Duration::from_secs(570) && left <= Duration::from_secs(601),
            "{left:?}"
        );
    }
    cluster
        .openshift
        .change(|options| options.token_max_age = 0);
    for token in [
        cluster.openshift.issue_session("alice").unwrap(),
        scoped(&cluster).await,
    ] {
        let found = access.expiry(&token).await.unwrap();
        assert!(
            matches!(found, SessionExpiry::Valid { ends_at: None, .. }),
            "{found:?}"
        );
    }
    for token in [full, info] {
        assert!(cluster.openshift.revoke(token.expose()));
        let found = access.expiry(&token).await.unwrap();
        assert!(matches!(found, SessionExpiry::Ended(_)), "{found:?}");
    }
}

impl Cluster {
    fn run(&self, config: &Path, args: &[&str]) -> crate::support::Refused {
        let mut command = Kubegate::command(args);
        command.args(["--kubeconfig", config.to_str().unwrap()]);
        command.env("XDG_STATE_HOME", self.state());
        Kubegate::refused(command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_and_contexts_show_the_end_of_an_oc_login() {
    let cluster = Cluster::with(lasting(7200)).await;
    let token = cluster.openshift.issue_session("alice").unwrap();
    let config = cluster.kubeconfig(&json!({"token": token.expose()}));
    let who = cluster.run(&config, &["whoami"]);
    assert!(
        who.stdout.contains("in 1h59m") || who.stdout.contains("in 2h"),
        "{who:?}"
    );
    let command = format!("oc login {}", cluster.openshift.api().url());
    assert!(who.stdout.contains(&command), "{who:?}");
    let table = cluster.run(&config, &["contexts"]);
    assert!(
        table.stdout.contains("1h59m") || table.stdout.contains("2h"),
        "{table:?}"
    );
    let json = cluster.run(&config, &["contexts", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(
        json[0]["expires"].as_str().unwrap().starts_with("20"),
        "{json}"
    );
    // No names of contexts wait for a server.
    let before = cluster.openshift.api().connections();
    let names = cluster.run(&config, &["contexts", "-o", "name"]);
    assert_eq!(names.stdout, "c\n");
    assert_eq!(cluster.openshift.api().connections(), before);
    assert!(cluster.openshift.revoke(token.expose()));
    let table = cluster.run(&config, &["contexts"]);
    assert!(table.stdout.contains("login needed"), "{table:?}");
    // A server that cannot be reached delays nothing else.
    let ca = cluster.openshift.api().ca_pem();
    let gone = cluster.kubeconfig_for("https://127.0.0.1:1", ca, &json!({"token": "sha256~x"}));
    let table = cluster.run(&gone, &["contexts"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(
        table.stdout.lines().nth(1).unwrap().ends_with('-'),
        "{table:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_session_costs_no_request_and_cannot_be_renewed() {
    let cluster = Cluster::with(lasting(7200)).await;
    let token = cluster.openshift.issue_session("alice").unwrap();
    cluster.save(&token);
    let again = format!("oc login {}", cluster.openshift.api().url());
    for (is_own, command) in [
        (true, "kubegate login openshift --context 'c'"),
        (false, &again),
    ] {
        let config = if is_own {
            cluster.own_kubeconfig()
        } else {
            cluster.kubeconfig(&json!({"token": token.expose()}))
        };
        let connections = || cluster.openshift.api().connections();
        let before = connections();
        for args in [&["token"][..], &["whoami", "-t"]] {
            let ended = cluster.run(&config, args);
            assert_eq!(ended.stdout, format!("{}\n", token.expose()), "{ended:?}");
        }
        assert_eq!(connections(), before, "{command}");
        let ended = cluster.run(&config, &["token", "--renew"]);
        assert_eq!(ended.stdout, format!("{}\n", token.expose()), "{ended:?}");
        let says = ended.stderr.contains("cannot be renewed") && ended.stderr.contains(command);
        assert!(says, "{ended:?}");
    }
}
