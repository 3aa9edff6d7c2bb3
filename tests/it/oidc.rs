//! `auth-provider: oidc`: tokens out of the kubeconfig, renewed at their issuer.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Connection, Kubegate, Upstream, cert, get, status};

/// What the issuer is told to be.
#[derive(Clone, Default)]
enum Mood {
    #[default]
    Well,
    /// Every answer is this: status line, further headers, body.
    Saying(&'static str, String, String),
    /// Wants the client's secret in the form.
    FormOnly,
}

/// An issuer whose refresh tokens work once.
#[derive(Default)]
struct Book {
    mood: Mood,
    lifetime: f64,
    /// The number of the newest pair.
    issued: usize,
    renewals: usize,
    refused: usize,
    url: String,
}

struct Issuer {
    server: Upstream,
    book: Arc<Mutex<Book>>,
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

fn jwt(number: usize, lifetime: f64) -> String {
    let claims = json!({"iat": now(), "exp": now() + lifetime, "n": number});
    format!(
        "e30.{}.c2ln",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

impl Book {
    /// The answer to one request: status line, further headers, body.
    fn answer(&mut self, head: &str, body: &str) -> (&'static str, String, String) {
        if let Mood::Saying(status, headers, body) = &self.mood {
            return (status, headers.clone(), body.clone());
        }
        let ok = |body: Value| ("200 OK", String::new(), body.to_string());
        let bad = |code| {
            let body = json!({"error": code, "error_description": body});
            ("400 Bad Request", String::new(), body.to_string())
        };
        if head.starts_with("GET /.well-known/openid-configuration ") {
            let url = &self.url;
            return ok(json!({"issuer": url, "token_endpoint": format!("{url}/token")}));
        }
        // "kube:s%26t": form-encoded, then Basic.
        let by_header = head.contains("authorization: Basic a3ViZTpzJTI2dA==\r\n");
        let by_form = body.contains("client_id=kube&client_secret=s%26t");
        let proven = match self.mood {
            Mood::FormOnly => by_form && !by_header,
            _ => by_header && !by_form,
        };
        if !proven {
            return bad("invalid_client");
        }
        let newest = format!("refresh_token=refresh-{}", self.issued);
        if !body.split('&').any(|field| field == newest) {
            self.refused += 1;
            return bad("invalid_grant");
        }
        self.renewals += 1;
        self.issued += 1;
        ok(json!({
            "id_token": jwt(self.issued, self.lifetime),
            "refresh_token": format!("refresh-{}", self.issued),
        }))
    }
}

impl Issuer {
    async fn start(lifetime: f64) -> Self {
        let book = Arc::new(Mutex::new(Book {
            lifetime,
            ..Book::default()
        }));
        let script = book.clone();
        let server = Upstream::tls("localhost", move |mut connection: Connection| {
            let book = script.clone();
            async move {
                while let Some(request) = connection.request().await {
                    let body = String::from_utf8(request.body).unwrap();
                    let (status, headers, body) = book.lock().unwrap().answer(&request.head, &body);
                    let length = body.len();
                    connection
                        .write(format!(
                            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
                        ))
                        .await;
                }
            }
        })
        .await;
        book.lock().unwrap().url = server.url();
        Self { server, book }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

/// An API server that refuses ID tokens that have ended.
async fn api() -> Upstream {
    Upstream::tls("localhost", async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            let token = request.head.split("authorization: Bearer ").nth(1);
            let claims = token
                .and_then(|token| token.split('.').nth(1))
                .and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok())
                .and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
            let holds = claims.is_some_and(|claims| claims["exp"].as_f64().unwrap() > now());
            let status = if holds { "200 OK" } else { "401 Unauthorized" };
            connection
                .write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
                .await;
        }
    })
    .await
}

struct Home {
    folder: TempDir,
    api: Upstream,
    issuer: Issuer,
}

impl Home {
    async fn new(lifetime: f64) -> Self {
        Self {
            folder: tempdir().unwrap(),
            api: api().await,
            issuer: Issuer::start(lifetime).await,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Writes a kubeconfig with the tokens given.
    fn write(&self, id_token: &str, refresh_token: &str) {
        self.write_for(&self.issuer.server.url(), id_token, refresh_token);
    }

    fn write_for(&self, issuer: &str, id_token: &str, refresh_token: &str) {
        let text = format!(
            "# by hand\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: jane}}\n\
             clusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority: {ca}\n\
             users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
             idp-issuer-url: {issuer}\n        client-id: kube\n        client-secret: s&t\n        \
             idp-certificate-authority: {ca}\n        id-token: {id_token}\n        \
             refresh-token: {refresh_token}\n",
            self.api.url(),
            ca = cert("ca.pem").display(),
        );
        fs::write(self.path(), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn start(&self) -> Kubegate {
        Kubegate::start(["--kubeconfig", self.path().to_str().unwrap()])
    }
}

#[tokio::test]
async fn twenty_renewals_under_steady_load_go_unnoticed() {
    let home = Home::new(2.0).await;
    home.write(&jwt(0, 1.0), "refresh-0");
    let kubegate = home.start();
    let (mut asked, mut refused) = (0, 0);
    let started = std::time::Instant::now();
    while home.issuer.book().renewals < 20 {
        assert!(
            started.elapsed() < Duration::from_secs(90),
            "too few renewals"
        );
        asked += 1;
        refused += usize::from(status(&get(&kubegate.address, "/x").await) != 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(refused, 0, "of {asked}: {}", kubegate.log());
    assert_eq!(home.issuer.book().refused, 0);
    // What was renewed last comes into the file, and nothing else has changed.
    crate::support::in_time(async {
        while !home.text().contains("refresh-token: refresh-2") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let text = home.text();
    assert!(
        text.starts_with("# by hand\n") && text.contains("client-secret: s&t\n"),
        "{text}"
    );
    let log = kubegate.log();
    assert!(!log.contains("refresh-") && !log.contains("e30."), "{log}");
}

#[tokio::test]
async fn two_kubegates_on_one_file_never_spend_a_token_twice() {
    let home = Home::new(3.0).await;
    home.write(&jwt(0, -60.0), "refresh-0");
    let (one, other) = (home.start(), home.start());
    while home.issuer.book().renewals < 6 {
        let answers = tokio::join!(get(&one.address, "/x"), get(&other.address, "/x"));
        assert_eq!(
            (status(&answers.0), status(&answers.1)),
            (200, 200),
            "{answers:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(home.issuer.book().refused, 0);
}

#[tokio::test]
async fn a_dead_refresh_token_asks_for_a_login_and_a_new_one_ends_that() {
    let home = Home::new(60.0).await;
    home.write("not-a-jwt", "stolen-hunter2");
    let kubegate = home.start();
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 401, "{answer}");
    for part in ["log in again", "jane", &home.issuer.server.url()] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert!(!answer.contains("hunter2") && !kubegate.log().contains("hunter2"));

    home.write("not-a-jwt", "refresh-0");
    let renewed = async {
        while status(&get(&kubegate.address, "/x").await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    crate::support::in_time(renewed).await;
    assert!(home.text().contains("refresh-token: refresh-1\n"));
}

#[tokio::test]
async fn the_secret_goes_into_the_form_where_basic_is_refused() {
    let home = Home::new(60.0).await;
    home.issuer.book().mood = Mood::FormOnly;
    home.write(&jwt(0, -60.0), "refresh-0");
    let answer = get(&home.start().address, "/x").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn an_issuer_that_answers_wrongly_is_named_and_not_quoted() {
    let elsewhere = "Location: https://elsewhere.example/hunter2\r\n".to_owned();
    let none = String::new();
    for (line, headers, body, code, says) in [
        (
            "200 OK",
            none.clone(),
            "<html>hunter2".to_owned(),
            401,
            "not the JSON",
        ),
        (
            "200 OK",
            none.clone(),
            "hunter2".repeat(1_500_000),
            401,
            "more than",
        ),
        ("302 Found", elsewhere, none.clone(), 401, "redirects"),
        (
            "503 Service Unavailable",
            none.clone(),
            "hunter2".to_owned(),
            503,
            "503",
        ),
        (
            "429 Too Many Requests",
            "Retry-After: 7\r\n".to_owned(),
            none.clone(),
            503,
            "429",
        ),
        (
            "200 OK",
            none,
            json!({"issuer": "https://other.example", "token_endpoint": "https://x"}).to_string(),
            401,
            "another issuer",
        ),
    ] {
        let home = Home::new(60.0).await;
        home.issuer.book().mood = Mood::Saying(line, headers, body);
        home.write(&jwt(0, -60.0), "refresh-0");
        let kubegate = home.start();
        let answer = get(&kubegate.address, "/x").await;
        assert_eq!(status(&answer), code, "{answer}");
        assert!(
            answer.contains(says) && answer.contains(&home.issuer.server.url()),
            "{answer}"
        );
        assert!(
            !answer.contains("hunter2") && !kubegate.log().contains("hunter2"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_issuer_over_http_is_refused_at_start() {
    let home = Home::new(60.0).await;
    home.write_for("http://127.0.0.1:1", &jwt(0, 60.0), "refresh-0");
    let path = home.path();
    let command = Kubegate::command(["--kubeconfig", path.to_str().unwrap(), "--port", "0"]);
    let refused = Kubegate::refused(command);
    assert_ne!(refused.code, Some(0));
    for part in ["idp-issuer-url", "jane", "https://"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}
