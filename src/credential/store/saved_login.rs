//! A saved login and its JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// A saved login. Which fields are set depends on its kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SavedLogin {
    /// The root credential of IBM Cloud.
    pub api_key: Option<Secret>,
    /// OIDC, IBM Cloud.
    pub refresh_token: Option<Secret>,
    /// The scopes to send with the refresh token of an OIDC issuer, separated by spaces.
    pub scope: Option<String>,
    /// When the issuer refused the refresh token, which is not sent again soon.
    #[serde(deserialize_with = "time")]
    pub refused_at: Option<SystemTime>,
    /// The issuer's words then.
    pub refusal: Option<String>,
    /// A digest of the user name or token, read from a file, that `token` was obtained for.
    pub subject: Option<String>,
    /// The client at an OIDC issuer that the login is for; `None` if an earlier version saved it.
    pub client_id: Option<String>,
    /// The client's secret at an OIDC issuer.
    pub client_secret: Option<Secret>,
    /// What goes into `Authorization: Bearer`: a session token or an ID token.
    pub token: Option<Secret>,
    /// When `token` was requested.
    #[serde(deserialize_with = "time")]
    pub issued_at: Option<SystemTime>,
    /// When `token` expires.
    #[serde(deserialize_with = "time")]
    pub expires_at: Option<SystemTime>,
    /// The issuer that gave the tokens and gets them back; `None` for a cluster's own.
    pub issuer: Option<String>,
    /// The API servers that it is for, as [`LoginBinding`](super::LoginBinding) names them.
    pub servers: Vec<String>,
    /// The one of them that `token` is for, if it is for only one.
    pub token_of: Option<String>,
    /// Whether the login is in the OS's keyring rather than in the file.
    pub keyring: bool,
}

impl SavedLogin {
    /// The content of the file of a login that is in the keyring. It differs each time, so that a
    /// process that watches the file notices a new login. `login` is the name, unless the file's
    /// name has it.
    pub(super) fn marker(&self, login: Option<&str>) -> String {
        let name = login.map(|login| format!("  \"login\": {},\n", serde_json::json!(login)));
        let end = self
            .expires_at
            .map(|end| format!("  \"expires-at\": {},\n", seconds(end)));
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let written_at = since.unwrap_or_default().as_nanos();
        format!(
            "{{\n{}{}  \"keyring\": true,\n  \"written-at\": {written_at}\n}}\n",
            name.unwrap_or_default(),
            end.unwrap_or_default()
        )
    }

    /// The content of the file. `login` is the name, unless the file's name has it.
    pub(super) fn to_json(&self, login: Option<&str>) -> Zeroizing<String> {
        let secrets = [
            ("api-key", &self.api_key),
            ("refresh-token", &self.refresh_token),
            ("client-secret", &self.client_secret),
            ("token", &self.token),
        ];
        let mut fields = Vec::new();
        if let Some(login) = login {
            let text = serde_json::json!(login);
            fields.push(Zeroizing::new(format!("  \"login\": {text}")));
        }
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                let text = Zeroizing::new(serde_json::json!(secret.expose()).to_string());
                fields.push(Zeroizing::new(format!("  \"{name}\": {}", *text)));
            }
        }
        for (name, time) in [
            ("issued-at", self.issued_at),
            ("expires-at", self.expires_at),
            ("refused-at", self.refused_at),
        ] {
            if let Some(time) = time {
                fields.push(Zeroizing::new(format!("  \"{name}\": {}", seconds(time))));
            }
        }
        for (name, text) in [
            ("subject", &self.subject),
            ("client-id", &self.client_id),
            ("scope", &self.scope),
            ("refusal", &self.refusal),
            ("issuer", &self.issuer),
            ("token-of", &self.token_of),
        ] {
            if let Some(text) = text {
                let text = serde_json::json!(text);
                fields.push(Zeroizing::new(format!("  \"{name}\": {text}")));
            }
        }
        if !self.servers.is_empty() {
            let text = serde_json::json!(self.servers);
            fields.push(Zeroizing::new(format!("  \"servers\": {text}")));
        }
        let lines: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
        Zeroizing::new(format!("{{\n{}\n}}\n", lines.join(",\n")))
    }
}

/// A time in the file: whole seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let Some(seconds) = Option::<u64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.ok_or_else(|| de::Error::custom("no time")).map(Some)
}
