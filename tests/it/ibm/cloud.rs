//! IBM Cloud as far as a login goes: IAM, accounts and the container service on one host, and a
//! cluster that takes what IAM gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Request, Response};
use kubegate::demo::https::{Faults, HttpsServer};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Connection, Kubegate, Upstream, cert};

/// What every secret here begins with.
pub const SECRET: &str = "sesame-ibm";
pub const KEY: &str = "sesame-ibm-key";
pub const PASSCODE: &str = "sesame-ibm-passcode";
pub const PASSWORD: &str = "sesame-ibm-password";
pub const POD_TOKEN: &str = "sesame-ibm-pod";
pub const HOME_ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub const OTHER_ACCOUNT: &str = "fedcba9876543210fedcba9876543210";

type Answered = (u16, Value);

/// What IAM and the other services know, and what they are told to be.
pub struct Book {
    /// Seconds that the cluster's token lives.
    pub id_life: f64,
    /// `expires_in` of access tokens.
    pub access_life: Value,
    /// Whether a refresh token works once.
    pub single_use: bool,
    /// Codes in place of tokens, by the last word of the grant type.
    pub refusals: BTreeMap<&'static str, (u16, &'static str)>,
    /// The cluster's token, in place of a good one.
    pub id_token: Option<String>,
    /// Whether the container service knows version 1 alone.
    pub v1_only: bool,
    /// Answers for `getRBACStatus` that are still to come before it is in step.
    pub out_of_step: usize,
    pub accounts: Vec<(String, String)>,
    pub clusters: Vec<Value>,
    /// How often each grant was given.
    pub granted: BTreeMap<String, usize>,
    /// Refresh tokens that were shown and not taken.
    pub refused: usize,
    bx: BTreeMap<String, String>,
    kube: BTreeSet<String>,
    delegated: BTreeSet<String>,
    issued: usize,
    ca: String,
}

pub struct Cloud {
    pub host: HttpsServer,
    pub faults: Faults,
    pub api: Upstream,
    /// The same cluster in IBM Cloud's private network.
    pub private: Upstream,
    pub folder: TempDir,
    book: Arc<Mutex<Book>>,
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

pub fn jwt(claims: &Value) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.{SECRET}-signature")
}

impl Book {
    fn next(&mut self, what: &str) -> String {
        self.issued += 1;
        format!("{SECRET}-{what}-{}", self.issued)
    }

    /// Tokens for `client` in `account`.
    fn grant(&mut self, name: &str, client: &str, account: &str, now: f64) -> Answered {
        *self.granted.entry(name.to_owned()).or_default() += 1;
        let access_token = jwt(&json!({"iat": now, "exp": now + 3600.0,
            "email": "Jane@Example.com", "iam_id": "IBMid-1", "account": {"bss": account}}));
        let mut answer = json!({"access_token": access_token, "token_type": "Bearer",
            "expires_in": self.access_life, "scope": "ibm openid", "refresh_token": "not_supported"});
        match client {
            "bx" if name != "cr-token" => {
                let refresh = self.next("refresh");
                answer["refresh_token"] = json!(refresh);
                self.bx.insert(refresh, account.to_owned());
            }
            "kube" => {
                let refresh = self.next("kube");
                answer["refresh_token"] = json!(refresh);
                self.kube.insert(refresh);
                let exp = now + self.id_life;
                let id = json!({"iat": now, "exp": exp, "n": self.issued, "aud": "kube"});
                let id = self.id_token.clone().unwrap_or_else(|| jwt(&id));
                answer["id_token"] = json!(id);
            }
            _ => {}
        }
        (200, answer)
    }

    fn token(&mut self, client: &str, form: &BTreeMap<String, String>, now: f64) -> Answered {
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let grant = field("grant_type");
        let name = grant.rsplit(':').next().unwrap().to_owned();
        if let Some((status, code)) = self.refusals.get(name.as_str()) {
            return refusal(*status, code);
        }
        let account = match field("bss_account") {
            account if account.is_empty() => HOME_ACCOUNT.to_owned(),
            account => account,
        };
        match name.as_str() {
            "apikey" if field("apikey") == KEY => self.grant("apikey", client, &account, now),
            "apikey" => refusal(400, "BXNIM0415E"),
            "passcode" if field("passcode") == PASSCODE => {
                self.refusals.insert("passcode", (400, "BXNIM0407E"));
                self.grant("passcode", client, &account, now)
            }
            "passcode" => refusal(400, "BXNIM0407E"),
            "password" if field("username") == "jane" && field("password") == PASSWORD => {
                self.grant("password", client, &account, now)
            }
            "password" => refusal(401, "BXNIM0602E"),
            "cr-token" if field("cr_token").starts_with(POD_TOKEN) => {
                assert_eq!(field("profile_name"), "proxy");
                self.grant("cr-token", client, &account, now)
            }
            "cr-token" => refusal(400, "BXNIM0513E"),
            "refresh_token" if client == "bx" => self.refresh(form, &account, now),
            "refresh_token" => {
                if !self.kube.remove(&field("refresh_token")) {
                    self.refused += 1;
                    return refusal(400, "BXNIM0408E");
                }
                self.grant("kube-refresh", "kube", &account, now)
            }
            "delegated-refresh-token" if client == "kube" => {
                if self.delegated.remove(&field("refresh_token")) {
                    self.grant("delegated", "kube", &account, now)
                } else {
                    refusal(400, "BXNIM0407E")
                }
            }
            _ => refusal(400, "BXNIM0109E"),
        }
    }

    fn refresh(&mut self, form: &BTreeMap<String, String>, account: &str, now: f64) -> Answered {
        let token = form.get("refresh_token").cloned().unwrap_or_default();
        let Some(of) = self.bx.get(&token).cloned() else {
            self.refused += 1;
            return refusal(400, "BXNIM0408E");
        };
        if form.get("response_type").map(String::as_str) == Some("delegated_refresh_token") {
            assert_eq!(form["receiver_client_ids"], "kube");
            assert_eq!(form["delegated_refresh_token_expiry"], "600");
            let delegated = self.next("delegated");
            self.delegated.insert(delegated.clone());
            return (200, json!({"delegated_refresh_token": delegated}));
        }
        if self.single_use {
            self.bx.remove(&token);
        }
        let account = if form.contains_key("bss_account") {
            account.to_owned()
        } else {
            of
        };
        self.grant("refresh", "bx", &account, now)
    }

    /// Has every session end, as after 72 hours.
    pub fn end_sessions(&mut self) {
        self.bx.clear();
        self.kube.clear();
    }

    /// A refresh token of a session that somebody began.
    pub fn session(&mut self) -> String {
        let refresh = self.next("refresh");
        self.bx.insert(refresh.clone(), HOME_ACCOUNT.to_owned());
        refresh
    }

    /// A refresh token such as IBM's tools put into a kubeconfig.
    pub fn kube_session(&mut self) -> String {
        let refresh = self.next("kube");
        self.kube.insert(refresh.clone());
        refresh
    }

    /// Whether a session's refresh token is the newest.
    pub fn lives(&self, refresh: &str) -> bool {
        self.bx.contains_key(refresh)
    }

    pub fn granted(&self, name: &str) -> usize {
        self.granted.get(name).copied().unwrap_or_default()
    }

    fn accounts(&self, query: &str) -> Answered {
        // Two a page.
        let from: usize = query
            .strip_prefix("_start=")
            .map_or(0, |from| from.parse().unwrap());
        let page = self.accounts.iter().skip(from).take(2);
        let resources: Vec<Value> = page
            .map(|(id, name)| json!({"metadata": {"guid": id}, "entity": {"name": name}}))
            .collect();
        let next = from + 2;
        let next_url =
            (next < self.accounts.len()).then(|| format!("/coe/v2/accounts?_start={next}"));
        (
            200,
            json!({"next_url": next_url, "total_results": self.accounts.len(), "resources": resources}),
        )
    }

    fn containers(&mut self, path: &str, query: &str, body: &[u8]) -> Answered {
        let missing = || {
            let text = "The specified cluster could not be found.";
            (
                404,
                json!({"incidentID": "i", "code": "G0004", "description": text, "type": "General"}),
            )
        };
        let find = |asked: &str, clusters: &[Value]| {
            let asked = percent_decode_str(asked).decode_utf8().unwrap();
            let found = clusters
                .iter()
                .find(|one| one["id"] == *asked || one["name"] == *asked);
            found.map_or_else(missing, |one| (200, one.clone()))
        };
        let asked = query.strip_prefix("cluster=").unwrap_or_default();
        let asked = asked.split('&').next().unwrap();
        if self.v1_only {
            return match path.strip_prefix("/v1/clusters") {
                Some("") => (200, json!(self.clusters)),
                Some(name) => find(&name[1..], &self.clusters),
                None if path == "/v2/getKubeconfig" => (200, self.kubeconfig()),
                None => (404, json!("no such path")),
            };
        }
        match path {
            "/v2/classic/getClusters" => (200, json!(self.clusters[..1])),
            "/v2/vpc/getClusters" => {
                assert_eq!(query, "provider=vpc-gen2");
                (200, json!(self.clusters[1..]))
            }
            "/v2/getCluster" => find(asked, &self.clusters),
            "/v2/applyRBACAndGetKubeconfig" => {
                let body: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(body["format"], "json");
                assert_eq!(body["admin"], false);
                (200, self.kubeconfig())
            }
            "/v2/getRBACStatus" if self.out_of_step > 0 => {
                self.out_of_step -= 1;
                (404, json!("not yet"))
            }
            "/v2/getRBACStatus" => (200, json!({"synchronized": true, "error": ""})),
            // Satellite, for one: this account has no such locations.
            _ => (404, json!("no such path")),
        }
    }

    fn kubeconfig(&self) -> Value {
        let cluster = json!({"server": "https://x", "certificate-authority-data": self.ca});
        json!({"apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "mine", "cluster": cluster}]})
    }
}

fn refusal(status: u16, code: &str) -> Answered {
    let text = format!("{SECRET}-message: the token was {SECRET}-quoted");
    let body = json!({"errorCode": code, "errorMessage": text, "errorDetails": text,
        "requirements": {"code": "mfa", "error": text}, "context": {"requestId": "r"}});
    (status, body)
}

fn answer(book: &mut Book, request: &Request<Bytes>, now: f64) -> Answered {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let head = |name: &str| {
        let value = request.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    };
    let authorization = head("authorization").to_owned();
    if path == "/identity/token" {
        assert_eq!(head("content-type"), "application/x-www-form-urlencoded");
        let client = match authorization.as_str() {
            "Basic Yng6Yng=" => "bx",
            "Basic a3ViZTprdWJl" => "kube",
            other => panic!("no client of IAM's: {other}"),
        };
        return book.token(client, &form(request.body()), now);
    }
    if path == "/identity/.well-known/openid-configuration" {
        let url = format!("https://{}/identity", request.uri().authority().unwrap());
        return (
            200,
            json!({"issuer": url, "token_endpoint": format!("{url}/token")}),
        );
    }
    if !authorization.starts_with("Bearer e30.") {
        return (401, json!({"code": "E0058", "description": "who?"}));
    }
    match path.strip_prefix("/global") {
        Some(path) => book.containers(path, query, request.body()),
        None if path == "/coe/v2/accounts" => book.accounts(query),
        None => (404, json!({})),
    }
}

fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(body).unwrap();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// An API server that takes the cluster's tokens until they end.
async fn api() -> Upstream {
    Upstream::tls("localhost", async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            let token = request.head.split("authorization: Bearer ").nth(1);
            let claims = token
                .and_then(|token| token.split('.').nth(1))
                .and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok())
                .and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
            let now = seconds(SystemTime::now());
            let holds = claims.is_some_and(|claims| {
                claims["aud"] == "kube" && claims["exp"].as_f64().unwrap() > now
            });
            let status = if holds { "200 OK" } else { "401 Unauthorized" };
            let body = json!({"kind": "SelfSubjectReview",
                "status": {"userInfo": {"username": "IAM#jane@example.com"}}})
            .to_string();
            let length = body.len();
            connection
                .write(format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
                ))
                .await;
        }
    })
    .await
}

impl Cloud {
    pub async fn start() -> Self {
        let (api, private) = (api().await, api().await);
        let ca = fs::read(cert("ca.pem")).unwrap();
        let cluster = |id: &str, name: &str| {
            json!({"id": id, "name": name, "region": "us-south", "state": "normal",
                "type": "kubernetes", "masterURL": api.url()})
        };
        let mut clusters = vec![
            cluster("c1", "production"),
            cluster("c2", "production-eu"),
            cluster("c3", "staging"),
        ];
        clusters[0]["serviceEndpoints"] = json!({
            "publicServiceEndpointEnabled": true, "publicServiceEndpointURL": api.url(),
            "privateServiceEndpointEnabled": true,
            "privateServiceEndpointURL": private.url(),
        });
        let book = Arc::new(Mutex::new(Book {
            id_life: 60.0,
            access_life: json!(3600),
            single_use: true,
            refusals: BTreeMap::new(),
            id_token: None,
            v1_only: false,
            out_of_step: 0,
            accounts: vec![(HOME_ACCOUNT.to_owned(), "Home".to_owned())],
            clusters,
            granted: BTreeMap::new(),
            refused: 0,
            bx: BTreeMap::new(),
            kube: BTreeSet::new(),
            delegated: BTreeSet::new(),
            issued: 0,
            ca: BASE64_STANDARD.encode(ca),
        }));
        let (faults, shared) = (Faults::default(), book.clone());
        let host = HttpsServer::start(&[], faults.clone(), move |request, now| {
            let mut book = shared.lock().unwrap();
            let (status, body) = answer(&mut book, &request, seconds(now));
            let body = Bytes::from(body.to_string());
            Response::builder().status(status).body(body).unwrap()
        });
        let cloud = Self {
            host: host.await.unwrap(),
            faults,
            api,
            private,
            folder: tempdir().unwrap(),
            book,
        };
        fs::write(cloud.path("ca.pem"), cloud.host.ca_pem()).unwrap();
        cloud
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, for which this is IBM Cloud.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        let url = self.host.url();
        command
            .env("HOME", self.folder.path())
            .env("SSL_CERT_FILE", self.path("ca.pem"))
            .env("IBMCLOUD_IAM_API_ENDPOINT", &url)
            .env("IBMCLOUD_CS_API_ENDPOINT", format!("{url}/global"))
            .env("IBMCLOUD_ACCOUNT_MANAGEMENT_API_ENDPOINT", &url);
        command
    }

    /// A proxy at the most verbose level.
    pub fn proxy(&self, args: &[&str], variables: &[(&str, &str)]) -> Kubegate {
        let mut command = self.command(args);
        command.args(["--port", "0", "-v", "9"]);
        command.envs(variables.iter().copied());
        Kubegate::spawn(command)
    }

    /// Puts a login into the state folder.
    pub fn save(&self, name: &str, saved: &Value) {
        let folder = self.path(".local/state/kubegate/logins");
        fs::create_dir_all(&folder).unwrap();
        let file = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let file = file.to_string().replace("%2D", "-").replace("%5F", "_");
        let mut saved = saved.clone();
        saved["issuer"] = json!(self.host.url());
        fs::write(folder.join(format!("{file}.json")), saved.to_string()).unwrap();
    }

    /// What rests of a login.
    pub fn saved(&self, name: &str) -> Value {
        let file = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let file = file.to_string().replace("%2D", "-").replace("%5F", "_");
        let path = self.path(".local/state/kubegate/logins");
        serde_json::from_slice(&fs::read(path.join(format!("{file}.json"))).unwrap()).unwrap()
    }
}
