//! An OIDC issuer that fails in every way it can: a token that holds is served to its end, then
//! the caller is told what to do, and the issuer's recovery ends it.
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

/// Lifetimes of ID tokens, in seconds: a longer one where a busy machine needs most of it to begin.
const LIFETIMES: [u64; 4] = [8, 16, 32, 64];
/// What must be left of it then.
const LEFT: Duration = Duration::from_secs(4);
/// How many may begin at once.
static STARTS: Semaphore = Semaphore::const_new(2);
/// How long an answer takes that waits for no issuer, on a machine that runs all tests at once.
const PROMPT: Duration = Duration::from_secs(5);
/// How long an issuer and its user may need to find together again.
const RECOVERY: Duration = Duration::from_secs(90);

/// An issuer, a cluster that takes its tokens, and a kubegate in between.
struct Home {
    oidc: OidcIssuer,
    _plane: ControlPlane,
    kubegate: Kubegate,
    /// When the first token ends, or a little earlier.
    ends: Instant,
    _folder: TempDir,
}

impl Home {
    /// For tokens of so many seconds.
    async fn new(lifetime: u64) -> Self {
        let options = Options {
            id_token: Duration::from_secs(lifetime),
            ..Options::default()
        };
        let oidc = OidcIssuer::start(options).await.unwrap();
        Self::with(oidc, lifetime).await
    }

    /// With a login at `oidc` as it is now, which nobody has asked yet.
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
        let ends = Instant::now() + Duration::from_secs(lifetime - 1);
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
            ends,
            _folder: folder,
        }
    }

    /// One that has answered, while its token still holds for a while.
    async fn at_work() -> Self {
        let _turn = STARTS.acquire().await.unwrap();
        for lifetime in LIFETIMES {
            let home = Self::new(lifetime).await;
            assert_eq!(status(&home.ask().await), 200, "{}", home.kubegate.log());
            if Instant::now() + LEFT < home.ends {
                return home;
            }
        }
        panic!("no lifetime of {LIFETIMES:?} is long enough to begin");
    }

    async fn ask(&self) -> String {
        get(&self.kubegate.address, "/api/v1/namespaces").await
    }

    /// Asks all the time until `end`; every answer must be 200, and prompt.
    async fn is_served_until(&self, end: Instant) {
        let mut asked = 0;
        while Instant::now() < end {
            let began = Instant::now();
            let answer = self.ask().await;
            assert_eq!(status(&answer), 200, "{answer}\n{}", self.kubegate.log());
            let took = began.elapsed();
            assert!(took < PROMPT, "{took:?}");
            asked += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(asked > 0);
    }

    /// Asks until kubegate itself answers, and gives that. Between two seconds a token may end
    /// on its way to the cluster, which then refuses it.
    async fn is_served_no_more(&self) -> String {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            let answer = self.ask().await;
            if status(&answer) != 200 && answer.contains("kubegate: ") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still served: {}", self.kubegate.log());
    }

    async fn recovers(&self) {
        let started = Instant::now();
        while status(&self.ask().await) != 200 {
            assert!(started.elapsed() < RECOVERY, "{}", self.kubegate.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn tells_no_secret(&self, answer: &str) {
        let log = self.kubegate.log();
        for secret in [QUOTED_SECRET, "oidc-refresh-"] {
            assert!(!answer.contains(secret) && !log.contains(secret), "{log}");
        }
    }
}

/// Breaks the issuer by `fault` and sees what the caller is told: a status and words.
async fn trial(name: &str, fault: impl FnOnce(&OidcIssuer), expected: (u16, &[&str])) {
    let home = Home::at_work().await;
    fault(&home.oidc);
    home.is_served_until(home.ends).await;
    let answer = home.is_served_no_more().await;
    let (code, words) = expected;
    assert_eq!(status(&answer), code, "{name}: {answer}");
    let url = home.oidc.url();
    for word in words.iter().chain(&[url.as_str()]) {
        assert!(answer.contains(word), "{name}: no {word:?} in {answer}");
    }
    home.tells_no_secret(&answer);
    home.oidc.faults().clear();
    let healed = Instant::now();
    home.recovers().await;
    eprintln!("{name}: {code}, again after {:?}", healed.elapsed());
    home.tells_no_secret("");
}

#[tokio::test]
async fn a_token_outlives_its_issuers_every_failure_and_then_the_caller_is_told() {
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
        for (wrong, code, words) in faults.clone() {
            let name = format!("{wrong:?} at {path}");
            let fault = move |oidc: &OidcIssuer| {
                oidc.faults().only_on(path);
                oidc.faults().respond_with(Some(wrong));
            };
            trials.spawn(async move { trial(&name, fault, (code, &[words])).await });
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
async fn an_issuer_that_limits_is_left_alone_as_long_as_it_says() {
    let mut trials = JoinSet::new();
    for form in [RetryAfter::Seconds(12), RetryAfter::Date(12)] {
        trials.spawn(async move {
            let home = Home::at_work().await;
            let faults = home.oidc.faults();
            faults.only_on("/token");
            faults.rate_limit(Some(form));
            home.is_served_until(home.ends).await;
            let answer = home.is_served_no_more().await;
            assert_eq!(status(&answer), 503, "{form:?}: {answer}");
            assert!(answer.contains("429"), "{answer}");
            // So long a pause is told in words alone: client-go would try ten times.
            assert!(answer.contains("next try in "), "{answer}");
            assert!(!answer.contains("retry-after: "), "{answer}");
            assert_eq!(home.oidc.server().count("/token"), 1, "{form:?}");
            home.tells_no_secret(&answer);
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
async fn a_slow_issuer_delays_nobody_while_a_token_holds() {
    // Slower than an answer may be, and quicker than a token that is renewed ahead ends.
    let home = Home::new(60).await;
    home.oidc.faults().only_on("/token");
    home.oidc.faults().delay(PROMPT + Duration::from_secs(1));
    home.is_served_until(home.ends + Duration::from_secs(8))
        .await;
    assert!(home.oidc.refreshes() >= 1);
    assert_eq!(home.oidc.refused(), 0);
}

#[tokio::test]
async fn a_skewed_issuer_is_not_asked_again_and_again() {
    let mut trials = JoinSet::new();
    for (skew, code, calls) in [(3600, 200, 1), (0, 200, 1), (-3600, 401, 6)] {
        trials.spawn(async move {
            let options = Options {
                id_token: Duration::from_secs(60),
                refresh_token: Duration::from_secs(1_000_000),
                ..Options::default()
            };
            let oidc = OidcIssuer::start(options).await.unwrap();
            // The token in the file has ended by any clock.
            oidc.faults().skew_clock(-100_000);
            let home = Home::with(oidc, 60).await;
            home.oidc.faults().skew_clock(skew);
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until {
                let answer = home.ask().await;
                assert_eq!(status(&answer), code, "{skew}: {answer}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let made = home.oidc.server().count("/token");
            assert!((1..=calls).contains(&made), "{skew}: {made} of {calls}");
            let doubts = home.kubegate.log().contains("clock");
            assert_eq!(doubts, code == 401, "{}", home.kubegate.log());
        });
    }
    while let Some(done) = trials.join_next().await {
        done.unwrap();
    }
}
