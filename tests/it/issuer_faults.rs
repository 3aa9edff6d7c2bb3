//! An OIDC issuer that fails in many ways: a valid token is used until it expires, then the error
//! says what to do, and it ends when the issuer recovers.
#![cfg(feature = "demo")]

use std::{
    fs,
    time::{Duration, Instant},
};

use http::{Response, StatusCode};
use kubegate::demo::{
    ControlPlane,
    https::{Faults, FaultyResponse, HttpsServer, QUOTED_SECRET, RetryAfter},
    oidc::{OidcIssuer, Options},
};
use tempfile::{TempDir, tempdir};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::{Kubegate, get, status};

/// Lifetimes of ID tokens in seconds. A longer one is used if a busy machine starts too slowly.
const LIFETIMES: [u64; 4] = [8, 16, 32, 64];
/// The time that must remain of it after the start.
const LEFT: Duration = Duration::from_secs(4);
/// Limits how many start at once.
static STARTS: Semaphore = Semaphore::const_new(2);
/// The longest time of a response that does not wait for an issuer, on a machine that runs all tests
/// at once.
const PROMPT: Duration = Duration::from_secs(5);
/// The longest time until kubegate uses an issuer that has recovered.
const RECOVERY: Duration = Duration::from_secs(90);

/// An issuer, a cluster that accepts its tokens, and kubegate as its proxy.
struct Home {
    oidc: OidcIssuer,
    _plane: ControlPlane,
    kubegate: Kubegate,
    /// When the first token expires, or a little earlier.
    expires_at: Instant,
    _folder: TempDir,
}

impl Home {
    /// With tokens of this lifetime, in seconds.
    async fn new(lifetime: u64) -> Self {
        let options = Options {
            id_token: Duration::from_secs(lifetime),
            ..Options::default()
        };
        let oidc = OidcIssuer::start(options).await.unwrap();
        Self::with(oidc, lifetime).await
    }

    /// With a login at this issuer, by its current clock.
    async fn with(oidc: OidcIssuer, lifetime: u64) -> Self {
        let plane = oidc.control_plane().await.unwrap();
        let folder = tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (ca, issuers_ca) = (
            file("ca.pem", plane.ca_pem()),
            file("issuers-ca.pem", oidc.ca_pem()),
        );
        // `exp` is in whole seconds, rounded down.
        let expires_at = Instant::now() + Duration::from_secs(lifetime - 1);
        let (id_token, refresh_token) = oidc.issue_login().unwrap();
        let config = file(
            "config",
            &format!(
                "current-context: c\n\
                 contexts: [{{name: c, context: {{cluster: c, user: jane}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: '{server}', certificate-authority: {ca}}}}}]\n\
                 users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
                 idp-issuer-url: {issuer}\n        client-id: kubegate-demo\n        \
                 idp-certificate-authority: {issuers_ca}\n        id-token: {id_token}\n        \
                 refresh-token: {refresh_token}\n",
                server = plane.url(),
                issuer = oidc.url(),
                ca = ca.display(),
                issuers_ca = issuers_ca.display(),
            ),
        );
        let kubegate = Kubegate::start(["-v", "9", "--kubeconfig", config.to_str().unwrap()]);
        Self {
            oidc,
            _plane: plane,
            kubegate,
            expires_at,
            _folder: folder,
        }
    }

    /// One that has responded and whose token is valid for [`LEFT`] at least.
    async fn started() -> Self {
        let _permit = STARTS.acquire().await.unwrap();
        for lifetime in LIFETIMES {
            let home = Self::new(lifetime).await;
            assert_eq!(status(&home.get().await), 200, "{}", home.kubegate.log());
            if Instant::now() + LEFT < home.expires_at {
                return home;
            }
        }
        panic!("no lifetime of {LIFETIMES:?} is long enough to start");
    }

    async fn get(&self) -> String {
        get(&self.kubegate.address, "/api/v1/namespaces").await
    }

    /// Sends requests until `end`. Every response must be 200 and prompt.
    async fn is_served_until(&self, end: Instant) {
        let mut requests = 0;
        while Instant::now() < end {
            let began = Instant::now();
            let response = self.get().await;
            assert_eq!(
                status(&response),
                200,
                "{response}\n{}",
                self.kubegate.log()
            );
            let took = began.elapsed();
            assert!(took < PROMPT, "{took:?}");
            requests += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(requests > 0);
    }

    /// Sends requests until kubegate itself responds with an error, and returns that. A token may
    /// also expire in transit, and the cluster refuses it then.
    async fn fails(&self) -> String {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            let response = self.get().await;
            if status(&response) != 200 && response.contains("kubegate: ") {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still served: {}", self.kubegate.log());
    }

    async fn recovers(&self) {
        let started = Instant::now();
        while status(&self.get().await) != 200 {
            assert!(started.elapsed() < RECOVERY, "{}", self.kubegate.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn assert_no_secret(&self, response: &str) {
        let log = self.kubegate.log();
        for secret in [QUOTED_SECRET, "oidc-refresh-"] {
            assert!(!response.contains(secret) && !log.contains(secret), "{log}");
        }
    }
}

/// Injects a fault into the issuer, and checks the status and the text of the error.
async fn trial(name: &str, fault: impl FnOnce(&OidcIssuer), expected: (u16, &[&str])) {
    let home = Home::started().await;
    fault(&home.oidc);
    home.is_served_until(home.expires_at).await;
    let response = home.fails().await;
    let (code, parts) = expected;
    assert_eq!(status(&response), code, "{name}: {response}");
    let url = home.oidc.url();
    for part in parts.iter().chain(&[url.as_str()]) {
        assert!(response.contains(part), "{name}: no {part:?} in {response}");
    }
    home.assert_no_secret(&response);
    home.oidc.faults().clear();
    let healed = Instant::now();
    home.recovers().await;
    eprintln!("{name}: {code}, again after {:?}", healed.elapsed());
    home.assert_no_secret("");
}

#[tokio::test]
async fn a_token_is_used_until_it_expires_whatever_fault_its_issuer_has() {
    let faults = [
        (
            FaultyResponse::Status(StatusCode::INTERNAL_SERVER_ERROR),
            503,
            "500",
        ),
        (
            FaultyResponse::Status(StatusCode::SERVICE_UNAVAILABLE),
            503,
            "503",
        ),
        (FaultyResponse::Html, 503, "login page"),
        (FaultyResponse::Oversized, 401, "more than"),
        (FaultyResponse::TruncatedJson, 503, "no JSON at all"),
        (FaultyResponse::Empty, 503, "no JSON at all"),
    ];
    let mut trials = JoinSet::new();
    for path in ["/token", "/.well-known/openid-configuration"] {
        for (faulty, code, part) in faults.clone() {
            let name = format!("{faulty:?} at {path}");
            let fault = move |oidc: &OidcIssuer| {
                oidc.faults().only_on(path);
                oidc.faults().respond_with(Some(faulty));
            };
            trials.spawn(async move { trial(&name, fault, (code, &[part])).await });
        }
    }
    trials.spawn(trial(
        "down",
        |oidc| oidc.faults().reset_connections(true),
        (503, &["reach"]),
    ));
    while let Some(done) = trials.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = HttpsServer::start(&[], Faults::default(), |_, _| Response::default());
    let elsewhere = elsewhere.await.unwrap();
    let url = elsewhere.url();
    let fault = |oidc: &OidcIssuer| {
        oidc.faults()
            .respond_with(Some(FaultyResponse::Redirect(url)));
    };
    trial("redirect", fault, (401, &["redirects elsewhere"])).await;
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_rate_limit_of_the_issuer_is_respected() {
    let mut trials = JoinSet::new();
    for form in [RetryAfter::Seconds(12), RetryAfter::Date(12)] {
        trials.spawn(async move {
            let home = Home::started().await;
            let faults = home.oidc.faults();
            faults.only_on("/token");
            faults.rate_limit(Some(form));
            home.is_served_until(home.expires_at).await;
            let response = home.fails().await;
            assert_eq!(status(&response), 503, "{form:?}: {response}");
            assert!(response.contains("429"), "{response}");
            // Such a long pause is only in the text: client-go would retry ten times with a header.
            assert!(response.contains("next try in "), "{response}");
            assert!(!response.contains("retry-after: "), "{response}");
            assert_eq!(home.oidc.server().count("/token"), 1, "{form:?}");
            home.assert_no_secret(&response);
            faults.clear();
            let healed = Instant::now();
            home.recovers().await;
            eprintln!("{form:?}: again after {:?}", healed.elapsed());
            assert_eq!(home.oidc.refreshes(), 1);
        });
    }
    while let Some(done) = trials.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_slow_issuer_delays_no_request_while_a_token_is_valid() {
    // Slower than a response may be, but faster than the token expires that is renewed early.
    let home = Home::new(60).await;
    home.oidc.faults().only_on("/token");
    home.oidc.faults().delay(PROMPT + Duration::from_secs(1));
    home.is_served_until(home.expires_at + Duration::from_secs(8))
        .await;
    assert!(home.oidc.refreshes() >= 1);
    assert_eq!(home.oidc.refused(), 0);
}

#[tokio::test]
async fn an_issuer_with_a_skewed_clock_gets_few_requests() {
    let mut trials = JoinSet::new();
    for (skew, code, calls) in [(3600, 200, 1), (0, 200, 1), (-3600, 401, 6)] {
        trials.spawn(async move {
            let options = Options {
                id_token: Duration::from_secs(60),
                refresh_token: Duration::from_secs(1_000_000),
                ..Options::default()
            };
            let oidc = OidcIssuer::start(options).await.unwrap();
            // The token in the file has expired by any clock.
            oidc.faults().skew_clock(-100_000);
            let home = Home::with(oidc, 60).await;
            home.oidc.faults().skew_clock(skew);
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until {
                let response = home.get().await;
                assert_eq!(status(&response), code, "{skew}: {response}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let requests = home.oidc.server().count("/token");
            assert!(
                (1..=calls).contains(&requests),
                "{skew}: {requests} of {calls}"
            );
            let mentions_clock = home.kubegate.log().contains("clock");
            assert_eq!(mentions_clock, code == 401, "{}", home.kubegate.log());
        });
    }
    while let Some(done) = trials.join_next().await {
        done.unwrap();
    }
}
