//! `auth-provider: oidc`: tokens in the kubeconfig, which are refreshed at their issuer.
#![cfg(feature = "demo")]

mod availability;
mod faults;
mod kubeconfig;
mod renew;
mod renewal;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kubegate::{
    demo::oidc::{ClientAuthentication, OidcIssuer, Options},
    kubeconfig::OidcTokens,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Connection, Kubegate, Upstream, cert, get, status};

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

/// A token with the ID `id` that expires in `lifetime` seconds. It has no valid signature.
fn jwt(id: &str, lifetime: f64) -> String {
    let claims = json!({"iat": now(), "exp": now() + lifetime, "jti": id});
    format!(
        "e30.{}.c2ln",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

fn claims(token: &str) -> Option<Value> {
    let claims = token.split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// An API server that refuses expired ID tokens, and otherwise responds with the token's ID. It
/// does not verify signatures.
async fn api() -> Upstream {
    Upstream::tls("localhost", async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            let token = request.head.split("authorization: Bearer ").nth(1);
            let claims = token.and_then(claims).unwrap_or_default();
            let is_valid = claims["exp"].as_f64().is_some_and(|exp| exp > now());
            let status = if is_valid {
                "200 OK"
            } else {
                "401 Unauthorized"
            };
            let id = claims["jti"].as_str().unwrap_or_default();
            connection
                .write(format!(
                    "HTTP/1.1 {status}\r\nToken-Id: {id}\r\nContent-Length: 0\r\n\r\n"
                ))
                .await;
        }
    })
    .await
}

/// An issuer, an API server, and a kubeconfig for both.
struct Home {
    folder: TempDir,
    api: Upstream,
    issuer: OidcIssuer,
}

impl Home {
    /// With an issuer of ID tokens of this lifetime, in seconds. It accepts the client's secret
    /// only in the header.
    async fn new(lifetime: u64) -> Self {
        let home = Self::with(Options {
            client_id: "kube".to_owned(),
            client_secret: Some("s&t".to_owned()),
            id_token: Duration::from_secs(lifetime),
            ..Options::default()
        });
        let home = home.await;
        let basic = ClientAuthentication::Basic;
        home.issuer.restrict_client_authentication(basic);
        home
    }

    async fn with(options: Options) -> Self {
        let home = Self {
            folder: tempdir().unwrap(),
            api: api().await,
            issuer: OidcIssuer::start(options).await.unwrap(),
        };
        fs::write(home.issuer_ca(), home.issuer.ca_pem()).unwrap();
        home
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn issuer_ca(&self) -> PathBuf {
        self.folder.path().join("issuer-ca.pem")
    }

    /// A refresh token that the issuer accepts.
    fn refresh_token(&self) -> String {
        self.issuer.issue_login().unwrap().1
    }

    /// Writes a kubeconfig with these tokens.
    fn write(&self, id_token: &str, refresh_token: &str) {
        let (url, ca) = (self.issuer.url(), self.issuer_ca());
        self.write_for(&url, &ca, id_token, refresh_token);
    }

    fn write_for(&self, issuer: &str, ca: &Path, id_token: &str, refresh_token: &str) {
        let config = self.config(issuer, ca, id_token, refresh_token);
        fs::write(self.path(), config).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn config(&self, issuer: &str, ca: &Path, id_token: &str, refresh_token: &str) -> String {
        format!(
            "# by hand\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: jane}}\n\
             clusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority: {}\n\
             users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
             idp-issuer-url: {issuer}\n        client-id: kube\n        client-secret: s&t\n        \
             idp-certificate-authority: {}\n        id-token: {id_token}\n        \
             refresh-token: {refresh_token}\n",
            self.api.url(),
            cert("ca.pem").display(),
            ca.display(),
        )
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// The ID token and the refresh token in the kubeconfig.
    fn saved_tokens(&self) -> (String, String) {
        let tokens = OidcTokens::read(&self.path(), "jane").unwrap();
        let id_token = tokens.id_token.unwrap().expose().to_owned();
        (id_token, tokens.refresh_token.unwrap().expose().to_owned())
    }

    /// Whether the refresh token in the kubeconfig is one that the issuer accepts.
    fn has_valid_refresh_token(&self) -> bool {
        self.issuer.accepts_refresh_token(&self.saved_tokens().1)
    }

    fn start(&self) -> Kubegate {
        Kubegate::start(["--kubeconfig", self.path().to_str().unwrap()])
    }

    /// Waits, no longer than a change of a file may take to be read, until the API server gets
    /// the ID token of the kubeconfig.
    async fn is_served_with_saved_token(&self, kubegate: &Kubegate) {
        let started = Instant::now();
        loop {
            let response = get(&kubegate.address, "/x").await;
            let saved = claims(&self.saved_tokens().0).unwrap_or_default();
            let id = saved["jti"].as_str().unwrap_or_default();
            let expected = format!("\r\ntoken-id: {id}\r\n");
            if status(&response) == 200 && response.contains(&expected) {
                return;
            }
            let log = kubegate.log();
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "no token {id:?}: {response}\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
