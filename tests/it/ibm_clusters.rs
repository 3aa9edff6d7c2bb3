//! The clusters of the demo's IBM Cloud, from the root credential to the API server.
#![cfg(feature = "demo")]

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use kubegate::demo::ibm::{
    API_KEY, Grant, IAM_USER, IbmCloud, Options, PROFILE_NAME, STAGING_API_KEY,
};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, exchange, get, in_time, status};

/// A cloud, and a home folder for kubegate.
struct Home {
    ibm: IbmCloud,
    folder: TempDir,
}

impl Home {
    async fn new(options: Options) -> Self {
        let ibm = IbmCloud::start(options).await.unwrap();
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), ibm.ca_pem()).unwrap();
        Self { ibm, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Kubegate with IBM's variables, and an API key if there is one.
    fn command(&self, args: &[&str], key: Option<&str>) -> Command {
        let mut command = Kubegate::command(args);
        command
            .args(["--port", "0", "-v", "9"])
            .envs(self.ibm.environment())
            .env("SSL_CERT_FILE", self.path("ca.pem"))
            .env("HOME", self.folder.path());
        if let Some(key) = key {
            command.env("IBMCLOUD_API_KEY", key);
        }
        command
    }

    fn proxy(&self, args: &[&str], key: &str) -> Kubegate {
        Kubegate::spawn(self.command(args, Some(key)))
    }

    /// Starts a proxy that does not find its cluster. Returns the message.
    async fn refused(&self, args: &[&str], key: &str) -> String {
        let kubegate = self.proxy(args, key);
        let response = refusal(&kubegate).await;
        let body = response.split_once("\r\n\r\n").unwrap().1;
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["message"].as_str().unwrap().to_owned()
    }
}

fn assert_no_secret(text: &str) {
    for secret in ["sesame-ibm", "ibm-refresh-", "ibm-delegated-", "eyJhbGciOi"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// The review in which the cluster names the user of the request.
async fn whoami(kubegate: &Kubegate) -> String {
    let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{review}",
        kubegate.address,
        review.len()
    );
    let response = exchange(&kubegate.address, head).await;
    assert_eq!(status(&response), 201, "{response}\n{}", kubegate.log());
    response
}

async fn is_served(kubegate: &Kubegate) {
    let response = get(&kubegate.address, "/api/v1/namespaces").await;
    assert_eq!(status(&response), 200, "{response}\n{}", kubegate.log());
}

/// Sends requests until kubegate itself responds with an error, and returns that.
async fn refusal(kubegate: &Kubegate) -> String {
    let refused = async {
        loop {
            let response = get(&kubegate.address, "/api/v1/namespaces").await;
            if status(&response) != 200 && response.contains("kubegate: ") {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let response = in_time(refused).await;
    assert_no_secret(&response);
    assert_no_secret(&kubegate.log());
    response
}

/// Runs kubegate under steady load for 20 renewals of the cluster's token.
async fn renew_under_load(name: &str, options: Options) -> IbmCloud {
    let home = Home::new(options).await;
    let kubegate = home.proxy(&["--ibm-cluster", "kubegate-iks"], API_KEY);
    assert!(whoami(&kubegate).await.contains(IAM_USER));
    let count = |grant| home.ibm.granted(grant);
    let renewals = || {
        let grants = [Grant::Refresh, Grant::ClusterRefresh, Grant::Redeem];
        grants.into_iter().map(count).sum::<usize>()
    };
    let (mut requests, started) = (0, Instant::now());
    while renewals() <= 20 {
        assert!(started.elapsed() < Duration::from_secs(120), "{name}");
        is_served(&kubegate).await;
        requests += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = started.elapsed();
    let counts = [
        Grant::ApiKey,
        Grant::Delegate,
        Grant::Redeem,
        Grant::Refresh,
        Grant::ClusterRefresh,
    ];
    let counts = counts.map(|grant| (grant, count(grant)));
    eprintln!("{name}: {requests} requests, all served, in {took:?}: {counts:?}");
    assert_no_secret(&kubegate.log());
    home.ibm
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_renewals_under_steady_load_refuse_no_request() {
    let short = Options {
        access_token: Duration::from_secs(5),
        id_token: Duration::from_secs(3),
        refresh_token: Duration::from_secs(9),
        ..Options::default()
    };
    let reusable = Options {
        reusable: true,
        ..short.clone()
    };
    // Only the key is still valid at the next renewal.
    let forgetful = Options {
        inactivity: Duration::from_secs(1),
        ..short.clone()
    };
    let (once, reusable, forgetful) = tokio::join!(
        renew_under_load("tokens that work once", short),
        renew_under_load("reusable tokens", reusable),
        renew_under_load("sessions that end", forgetful),
    );
    for ibm in [once, reusable] {
        assert_eq!((ibm.refused(), ibm.granted(Grant::ApiKey)), (0, 1));
    }
    assert!(forgetful.granted(Grant::ApiKey) > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requested_endpoint_is_used_or_the_only_one() {
    let home = Home::new(Options::default()).await;
    let public = home.proxy(&["--ibm-cluster", "kubegate-iks"], API_KEY);
    is_served(&public).await;
    assert_eq!(home.ibm.private_connections(), 0);
    let args = ["--ibm-cluster", "kubegate-iks", "--ibm-endpoint", "private"];
    is_served(&home.proxy(&args, API_KEY)).await;
    let once = home.ibm.private_connections();
    assert!(once > 0);
    is_served(&home.proxy(&["--ibm-cluster", "kubegate-private"], API_KEY)).await;
    assert!(home.ibm.private_connections() > once);
    let args = [
        "--ibm-cluster",
        "kubegate-private",
        "--ibm-endpoint",
        "public",
    ];
    let message = home.refused(&args, API_KEY).await;
    assert!(message.contains("--ibm-endpoint private"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_found_in_every_form_of_description() {
    for (version_2, flat_endpoints) in [(true, true), (false, false)] {
        let home = Home::new(Options {
            version_2,
            flat_endpoints,
            ..Options::default()
        })
        .await;
        for name in ["kubegate-iks", "bkiks0prod0000000001"] {
            let args = ["--ibm-cluster", name, "--ibm-endpoint", "private"];
            is_served(&home.proxy(&args, API_KEY)).await;
        }
        assert!(home.ibm.private_connections() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_account_or_not_ready_is_reported() {
    let home = Home::new(Options::default()).await;
    is_served(&home.proxy(&["--ibm-cluster", "staging-iks"], STAGING_API_KEY)).await;
    let message = home
        .refused(&["--ibm-cluster", "staging-iks"], API_KEY)
        .await;
    assert!(message.contains("no cluster \"staging-iks\""), "{message}");
    let message = home
        .refused(&["--ibm-cluster", "kubegate-isk"], API_KEY)
        .await;
    assert!(
        message.contains("did you mean \"kubegate-iks\""),
        "{message}"
    );
    let message = home
        .refused(&["--ibm-cluster", "kubegate-young"], API_KEY)
        .await;
    assert!(message.contains("deploying"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_assumes_its_trusted_profile() {
    let home = Home::new(Options {
        id_token: Duration::from_secs(3),
        ..Options::default()
    })
    .await;
    let token = home.ibm.pod_token(Duration::from_secs(60)).unwrap();
    fs::write(home.path("pod-token"), token).unwrap();
    let mut command = home.command(&["--ibm-cluster", "kubegate-iks"], None);
    command.env("IBMCLOUD_CR_PROFILE", PROFILE_NAME);
    command.env(
        "IBMCLOUD_CR_TOKEN",
        format!("@{}", home.path("pod-token").display()),
    );
    let kubegate = Kubegate::spawn(command);
    assert!(whoami(&kubegate).await.contains("IAM#Profile-"));
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        is_served(&kubegate).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_continues_from_its_deepest_valid_token() {
    let home = Home::new(Options {
        id_token: Duration::from_secs(3),
        ..Options::default()
    })
    .await;
    let kubegate = home.proxy(&["--ibm-cluster", "kubegate-iks"], API_KEY);
    is_served(&kubegate).await;
    // The key is revoked, but the session that it began is valid.
    home.ibm.revoke_api_key();
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        is_served(&kubegate).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    home.ibm.end_sessions();
    let response = refusal(&kubegate).await;
    assert_eq!(status(&response), 401, "{response}");
    assert!(
        response.contains("IBMCLOUD_API_KEY was not found") && response.contains("new API key"),
        "{response}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_begins_again_and_a_suspended_user_is_reported() {
    let home = Home::new(Options {
        id_token: Duration::from_secs(3),
        ..Options::default()
    })
    .await;
    let kubegate = home.proxy(&["--ibm-cluster", "kubegate-iks"], API_KEY);
    is_served(&kubegate).await;
    let begun = home.ibm.granted(Grant::ApiKey);
    home.ibm.end_sessions();
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        is_served(&kubegate).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(home.ibm.granted(Grant::ApiKey) > begun);
    home.ibm.suspend_user(true);
    let response = refusal(&kubegate).await;
    assert!(response.contains("suspended"), "{response}");
    home.ibm.suspend_user(false);
    let again = async {
        while status(&get(&kubegate.address, "/api/v1/namespaces").await) != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), again)
        .await
        .unwrap();
}

/// A kubeconfig as `ibmcloud ks cluster config` writes it.
fn kubeconfig(home: &Home, id_token: &str, refresh_token: &str) -> PathBuf {
    let refresh = match refresh_token {
        "" => String::new(),
        token => format!("        refresh-token: {token}\n"),
    };
    fs::write(home.path("cluster-ca.pem"), home.ibm.iks().ca_pem()).unwrap();
    let text = format!(
        "current-context: kubegate-iks/bkiks0prod0000000001\n\
         contexts:\n- name: kubegate-iks/bkiks0prod0000000001\n  \
         context: {{cluster: kubegate-iks/bkiks0prod0000000001, user: jane}}\n\
         clusters:\n- name: kubegate-iks/bkiks0prod0000000001\n  cluster: {{server: '{}', certificate-authority: cluster-ca.pem}}\n\
         users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
         client-id: kube\n        client-secret: kube\n        id-token: {id_token}\n        \
         idp-issuer-url: {}\n{refresh}",
        home.ibm.iks().url(),
        home.ibm.issuer_url(),
    );
    fs::write(home.path("config"), text).unwrap();
    home.path("config")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_of_ibms_tools_is_renewed_until_its_session_ends() {
    let home = Home::new(Options {
        id_token: Duration::from_secs(3),
        ..Options::default()
    })
    .await;
    let (id_token, refresh_token) = home.ibm.kube_login().unwrap();
    let config = kubeconfig(&home, &id_token, &refresh_token);
    let args = ["--kubeconfig", config.to_str().unwrap()];
    let kubegate = Kubegate::spawn(home.command(&args, None));
    assert!(whoami(&kubegate).await.contains(IAM_USER));
    while home.ibm.granted(Grant::ClusterRefresh) < 3 {
        is_served(&kubegate).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(home.ibm.refused(), 0);
    home.ibm.end_sessions();
    let ended = refusal(&kubegate).await;
    drop(kubegate);

    let config = kubeconfig(&home, "not-a-jwt", "");
    let args = ["--kubeconfig", config.to_str().unwrap()];
    let missing = refusal(&Kubegate::spawn(home.command(&args, None))).await;
    for response in [ended, missing] {
        assert_eq!(status(&response), 401, "{response}");
        for part in [
            "ibmcloud ks cluster config",
            "kubegate login ibm",
            "kubegate-iks",
        ] {
            assert!(response.contains(part), "{part}: {response}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_leads_to_the_container_service_with_a_renewed_access_token() {
    let home = Home::new(Options {
        access_token: Duration::from_secs(3),
        ..Options::default()
    })
    .await;
    let route = format!("/ibm/={}", home.ibm.containers().0.url());
    let kubegate = home.proxy(
        &["--ibm-cluster", "kubegate-iks", "--route", &route],
        API_KEY,
    );
    is_served(&kubegate).await;
    let cluster = "bkiks0prod0000000001";
    let paths = [
        "/ibm/v2/classic/getClusters".to_owned(),
        "/ibm/v2/getCluster?cluster=kubegate-iks".to_owned(),
        format!("/ibm/v1/clusters/{cluster}"),
    ];
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        for path in &paths {
            let response = get(&kubegate.address, path).await;
            assert_eq!(status(&response), 200, "{response}\n{}", kubegate.log());
            assert!(response.contains(cluster), "{response}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The service makes its tokens from the refresh token of the session.
    let config = get(
        &kubegate.address,
        &format!("/ibm/v1/clusters/{cluster}/config"),
    )
    .await;
    assert!(config.contains("refresh-token"), "{config}");
    is_served(&kubegate).await;
    assert_no_secret(&kubegate.log());
}
