//! `auth-provider: oidc`: tokens out of the kubeconfig, renewed at their issuer.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{Connection, Kubegate, Upstream, cert, get, in_time, status};

/// What the issuer is told to be.
#[derive(Clone, Default)]
enum Mood {
    #[default]
    Well,
    /// Every answer is this: status line, further headers, body.
    Saying(&'static str, String, String),
    /// Its token endpoint grants this, whatever is asked for.
    Granting(String),
    /// Wants the client's secret in the form.
    FormOnly,
    /// Knows the client without a secret.
    Public,
}

/// An issuer whose refresh tokens work once.
#[derive(Default)]
struct Book {
    mood: Mood,
    /// Before each answer of the token endpoint.
    delay: Duration,
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
        if let Mood::Granting(body) = &self.mood {
            self.renewals += 1;
            return ("200 OK", String::new(), body.clone());
        }
        // "kube:s%26t": form-encoded, then Basic.
        let by_header = head.contains("authorization: Basic a3ViZTpzJTI2dA==\r\n");
        let by_form = body.contains("client_id=kube&client_secret=s%26t");
        let proven = match self.mood {
            Mood::FormOnly => by_form && !by_header,
            Mood::Public => {
                let named = body.split('&').any(|field| field == "client_id=kube");
                named && !body.contains("secret") && !head.contains("authorization")
            }
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
        Self::start_as("localhost", "localhost", lifetime).await
    }

    /// With the certificate `certs/{leaf}.pem` and under the name `host`.
    async fn start_as(leaf: &str, host: &str, lifetime: f64) -> Self {
        let book = Arc::new(Mutex::new(Book {
            lifetime,
            ..Book::default()
        }));
        let script = book.clone();
        let server = Upstream::tls(leaf, move |mut connection: Connection| {
            let book = script.clone();
            async move {
                while let Some(request) = connection.request().await {
                    let body = String::from_utf8(request.body).unwrap();
                    let delay = book.lock().unwrap().delay;
                    if request.head.starts_with("POST ") {
                        tokio::time::sleep(delay).await;
                    }
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
        book.lock().unwrap().url = server.url_for(host);
        Self { server, book }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

/// An API server that refuses ID tokens that have ended, and tells their number.
async fn api() -> Upstream {
    Upstream::tls("localhost", async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            let token = request.head.split("authorization: Bearer ").nth(1);
            let claims = token
                .and_then(|token| token.split('.').nth(1))
                .and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok())
                .and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
            let number = claims
                .as_ref()
                .and_then(|claims| claims["n"].as_u64())
                .unwrap_or_default();
            let holds = claims.is_some_and(|claims| claims["exp"].as_f64().unwrap() > now());
            let status = if holds { "200 OK" } else { "401 Unauthorized" };
            connection
                .write(format!(
                    "HTTP/1.1 {status}\r\nShown: {number}\r\nContent-Length: 0\r\n\r\n"
                ))
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
        fs::write(self.path(), self.config(issuer, id_token, refresh_token)).unwrap();
    }

    fn config(&self, issuer: &str, id_token: &str, refresh_token: &str) -> String {
        format!(
            "# by hand\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: jane}}\n\
             clusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority: {ca}\n\
             users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
             idp-issuer-url: {issuer}\n        client-id: kube\n        client-secret: s&t\n        \
             idp-certificate-authority: {ca}\n        id-token: {id_token}\n        \
             refresh-token: {refresh_token}\n",
            self.api.url(),
            ca = cert("ca.pem").display(),
        )
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
    let started = Instant::now();
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

    // Dead is dead: it is not sent again while nothing changes.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(status(&get(&kubegate.address, "/x").await), 401);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(home.issuer.book().refused, 1);

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
            503,
            "login page",
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

/// Asks all the time until `end`: each answer must be 200, and there at once.
async fn served_at_once(kubegate: &Kubegate, end: Instant) {
    let mut asked = 0;
    while Instant::now() < end {
        let began = Instant::now();
        let answer = get(&kubegate.address, "/x").await;
        assert_eq!(status(&answer), 200, "{answer}: {}", kubegate.log());
        let took = began.elapsed();
        assert!(took < Duration::from_millis(800), "{took:?} of {asked}");
        asked += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(asked > 50, "{asked}");
}

#[tokio::test]
async fn a_token_that_holds_is_served_at_once_whatever_becomes_of_its_issuer() {
    // Accepts and never says a word, as a process that was stopped.
    let stopped = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stopped = format!("https://localhost:{}", stopped.local_addr().unwrap().port());
    // Nobody listens on port 1.
    let down = "https://localhost:1".to_owned();
    let home = Home::new(60.0).await;
    home.issuer.book().delay = Duration::from_millis(700);
    let slow = home.issuer.server.url();
    let mut trials = JoinSet::new();
    for (issuer, is_slow) in [(stopped, false), (down, false), (slow, true)] {
        let home = Home::new(60.0).await;
        // In its last tenth, and due again well before its end.
        let claims = json!({"iat": now() - 90.0, "exp": now() + 8.0});
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let begins = Instant::now();
        let ends = begins + Duration::from_secs(8);
        home.write_for(&issuer, &format!("e30.{claims}.c2ln"), "refresh-0");
        trials.spawn(async move {
            let kubegate = home.start();
            served_at_once(&kubegate, begins + Duration::from_millis(7500)).await;
            if is_slow {
                served_at_once(&kubegate, ends + Duration::from_secs(2)).await;
            }
            (kubegate, home, ends, issuer)
        });
    }
    while let Some(trial) = trials.join_next().await {
        let (kubegate, _home, ends, issuer) = trial.unwrap();
        if issuer == "https://localhost:1" {
            tokio::time::sleep_until(ends.into()).await;
            let answer = get(&kubegate.address, "/x").await;
            assert_eq!(status(&answer), 503, "{answer}");
            assert!(answer.contains("next try in "), "{answer}");
            assert!(
                answer.contains(&format!("reach the issuer at {issuer}")),
                "{answer}"
            );
        }
    }
    assert_eq!(home.issuer.book().renewals, 1);
}

#[tokio::test]
async fn a_public_client_sends_its_name_and_no_secret() {
    let home = Home::new(60.0).await;
    home.issuer.book().mood = Mood::Public;
    home.write(&jwt(0, -60.0), "refresh-0");
    let text = home.text().replace("        client-secret: s&t\n", "");
    fs::write(home.path(), text).unwrap();
    let answer = get(&home.start().address, "/x").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(home.text().contains("refresh-token: refresh-1\n"));
}

#[tokio::test]
async fn an_issuer_is_reached_through_the_proxy_of_the_environment() {
    let issuer = Issuer::start_as("wrong-san", "other.example", 60.0).await;
    let port = issuer.server.port();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heads = told.clone();
    let proxy = Upstream::plain(move |mut connection: Connection| {
        let heads = heads.clone();
        async move {
            let Some(head) = connection.head().await else {
                return;
            };
            heads.lock().unwrap().push(head);
            connection
                .write("HTTP/1.1 200 Connection established\r\n\r\n")
                .await;
            let mut near = connection.into_stream();
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // Whichever end leaves first ends it.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    })
    .await;
    let home = Home::new(60.0).await;
    home.write_for(
        &format!("https://other.example:{port}"),
        &jwt(0, -60.0),
        "refresh-0",
    );
    let path = home.path();
    let mut command = Kubegate::command(["--kubeconfig", path.to_str().unwrap(), "--port", "0"]);
    command.env("HTTPS_PROXY", proxy.url());
    let answer = get(&Kubegate::spawn(command).address, "/x").await;
    assert_eq!(status(&answer), 200, "{answer}");
    let told = told.lock().unwrap();
    assert!(!told.is_empty());
    for head in told.iter() {
        assert!(
            head.starts_with(&format!("CONNECT other.example:{port} ")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_renewed_in_memory_with_one_warning() {
    let home = Home::new(2.0).await;
    // A pipe is read once, and can be written to by nobody.
    let text = home.config(&home.issuer.server.url(), &jwt(0, -60.0), "refresh-0");
    let mut command = Kubegate::command(["--kubeconfig", "/dev/stdin", "--port", "0"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    drop(writer);
    let kubegate = Kubegate::spawn(command);
    let started = Instant::now();
    while home.issuer.book().renewals < 4 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            kubegate.log()
        );
        let answer = get(&kubegate.address, "/x").await;
        assert_eq!(status(&answer), 200, "{answer}: {}", kubegate.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(home.issuer.book().refused, 0);
    let log = kubegate.log();
    assert_eq!(log.matches("kept in memory only").count(), 1, "{log}");
}

#[tokio::test]
async fn a_form_that_cannot_be_edited_is_refused_before_the_refresh_token_is_spent() {
    let home = Home::new(60.0).await;
    // A token over several lines is one that kubegate does not rewrite.
    let over_lines = "\"refresh-\\\n          0\"";
    home.write(&jwt(0, -60.0), over_lines);
    let kubegate = home.start();
    let answer = get(&kubegate.address, "/x").await;
    assert_ne!(status(&answer), 200, "{answer}");
    assert!(
        answer.contains("refresh-token") && answer.contains("on one line"),
        "{answer}"
    );
    {
        let book = home.issuer.book();
        assert_eq!((book.renewals, book.refused), (0, 0));
    }
    // The control: the same in a form that can be edited.
    drop(kubegate);
    home.write(&jwt(0, -60.0), "refresh-0");
    let kubegate = home.start();
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
}

#[tokio::test]
async fn renewed_tokens_go_where_they_count_and_all_else_stays() {
    let home = Home::new(60.0).await;
    let text = home.config(&home.issuer.server.url(), "OLD-ID", "OLD-REFRESH");
    let more = "---\n# another\nusers: [\n";
    for (form, is_utf16) in [
        (text.clone() + more, false),
        (
            text.replace(
                "        id-token",
                "        id-token: shadowed\n        id-token",
            ),
            false,
        ),
        (format!("\u{feff}{text}"), true),
    ] {
        let issued = home.issuer.book().issued;
        let refresh = format!("refresh-{issued}");
        let filled = form
            .replace("OLD-ID", &jwt(0, -60.0))
            .replace("OLD-REFRESH", &refresh);
        let bytes = if is_utf16 {
            filled.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            filled.into_bytes()
        };
        fs::write(home.path(), bytes).unwrap();
        let kubegate = home.start();
        assert_eq!(
            status(&get(&kubegate.address, "/x").await),
            200,
            "{}",
            kubegate.log()
        );
        let now = home.text();
        let tokens = kubegate::kubeconfig::OidcTokens::read(&home.path(), "jane").unwrap();
        let token = tokens.id_token.unwrap();
        let expected = form
            .trim_start_matches('\u{feff}')
            .replace("OLD-ID", token.expose())
            .replace("OLD-REFRESH", &format!("refresh-{}", issued + 1));
        assert_eq!(now, expected);
    }
}

#[tokio::test]
async fn a_refresh_token_that_kubectl_rotated_meanwhile_is_taken_from_the_file() {
    // Before kubegate wants to renew: the new one is found and used.
    let home = Home::new(60.0).await;
    home.write(&jwt(0, 3.0), "refresh-0");
    let kubegate = home.start();
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    home.issuer.book().issued = 5;
    home.write(&jwt(5, -1.0), "refresh-5");
    in_time(async {
        while home.issuer.book().renewals == 0 {
            let answer = get(&kubegate.address, "/x").await;
            assert_eq!(status(&answer), 200, "{answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(home.issuer.book().refused, 0);

    // While kubegate renews: its own is refused, and that in the file is tried.
    let home = Home::new(60.0).await;
    home.write(&jwt(0, -60.0), "refresh-0");
    home.issuer.book().issued = 7;
    home.issuer.book().delay = Duration::from_secs(1);
    let kubegate = home.start();
    let address = kubegate.address.clone();
    let asked = tokio::spawn(async move { get(&address, "/x").await });
    in_time(async {
        while home.issuer.server.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    home.write(&jwt(7, -1.0), "refresh-7");
    let answer = in_time(asked).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(home.issuer.book().refused, 1);
    assert!(home.text().contains("refresh-token: refresh-8\n"));
}

#[tokio::test]
async fn grants_that_make_no_sense_are_told_or_lived_with() {
    let token = |claims: &str| {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
        format!(r#"{{"id_token": "e30.{claims}.hunter2"}}"#)
    };
    let good = jwt(1, 60.0);
    for (granted, code, says) in [
        (r#"{"id_token": "hunter2"}"#.to_owned(), 401, "not a JWT"),
        (
            r#"{"id_token": 7, "x": "hunter2"}"#.to_owned(),
            401,
            "not the JSON",
        ),
        (
            r#"{"access_token": "hunter2"}"#.to_owned(),
            401,
            "no id_token",
        ),
        (r#"{"id_token": "hunter2"#.to_owned(), 503, "no JSON at all"),
        ("<html>hunter2</html>".to_owned(), 503, "login page"),
        (String::new(), 503, "no JSON at all"),
        (token(r#"{"exp": -5}"#), 401, "not a JWT"),
        (token(r#"{"exp": 1e300}"#), 401, "not a JWT"),
        // Had ended when it came: for the API server to judge.
        (token(r#"{"exp": 0}"#), 401, ""),
        (token(r#"{"exp": 1e15}"#), 200, ""),
        (
            format!(r#"{{"id_token": "{good}", "expires_in": 0}}"#),
            200,
            "",
        ),
        (
            format!(r#"{{"id_token": "{good}", "expires_in": -7}}"#),
            200,
            "",
        ),
        (
            format!(r#"{{"id_token": "{good}", "expires_in": 1e99}}"#),
            200,
            "",
        ),
    ] {
        let home = Home::new(60.0).await;
        home.issuer.book().mood = Mood::Granting(granted.clone());
        home.write(&jwt(0, -60.0), "refresh-0");
        let kubegate = home.start();
        for _ in 0..20 {
            let answer = get(&kubegate.address, "/x").await;
            assert_eq!(status(&answer), code, "{granted}: {answer}");
            assert!(answer.contains(says), "{granted}: {answer}");
            let log = kubegate.log();
            assert!(
                !answer.contains("hunter2") && !log.contains("hunter2"),
                "{answer} {log}"
            );
        }
        // No refresh loop.
        let renewals = home.issuer.book().renewals;
        assert!((1..=3).contains(&renewals), "{granted}: {renewals}");
    }
}

// What is written to the files while it runs.

/// Waits, for no longer than a change may take to be in force, until the API server is shown
/// the ID token of this number.
async fn shown(kubegate: &Kubegate, number: usize) {
    let started = Instant::now();
    loop {
        let answer = get(&kubegate.address, "/x").await;
        if status(&answer) == 200 && answer.contains(&format!("\r\nshown: {number}\r\n")) {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{answer}\n{}",
            kubegate.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn our_own_writes_are_no_change_and_those_of_a_login_are_taken_up() {
    let home = Home::new(60.0).await;
    home.write(&jwt(0, -60.0), "refresh-0");
    let kubegate = home.start();
    shown(&kubegate, 1).await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    shown(&kubegate, 1).await;
    assert_eq!(home.issuer.book().renewals, 1);
    home.write(&jwt(77, 60.0), "refresh-1");
    shown(&kubegate, 77).await;
    assert_eq!(home.issuer.book().renewals, 1);
    let log = kubegate.log();
    assert!(
        !log.contains("reloaded") && !log.contains(" WARN "),
        "{log}"
    );
}

#[tokio::test]
async fn a_failure_that_is_to_last_for_an_hour_ends_with_a_change_of_the_file() {
    let home = Home::new(60.0).await;
    home.issuer.book().mood = Mood::Saying(
        "401 Unauthorized",
        "Retry-After: 3600\r\n".to_owned(),
        json!({"error": "invalid_client"}).to_string(),
    );
    home.write(&jwt(0, -60.0), "refresh-0");
    let kubegate = home.start();
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 401, "{answer}");
    home.issuer.book().mood = Mood::Well;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 401, "{answer}");
    assert_eq!(home.issuer.book().renewals, 0);
    // By any change: what is wrong may have been corrected at the issuer alone.
    fs::write(home.path(), home.text() + "# try again\n").unwrap();
    shown(&kubegate, 1).await;
}

#[tokio::test]
async fn the_issuer_s_authority_is_read_again() {
    let home = Home::new(60.0).await;
    let ca = home.folder.path().join("issuer-ca.pem");
    fs::copy(cert("other-ca.pem"), &ca).unwrap();
    let text = home.config(&home.issuer.server.url(), &jwt(0, -60.0), "refresh-0");
    let named = format!("idp-certificate-authority: {}", cert("ca.pem").display());
    assert!(text.contains(&named), "{text}");
    let text = text.replace(&named, "idp-certificate-authority: issuer-ca.pem");
    fs::write(home.path(), text).unwrap();
    let kubegate = home.start();
    let answer = get(&kubegate.address, "/x").await;
    assert_ne!(status(&answer), 200, "{answer}");
    fs::write(&ca, "half a cert").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    fs::copy(cert("ca.pem"), &ca).unwrap();
    shown(&kubegate, 1).await;
}
