//! The status of a user's credential, without the network and without running a plugin.

use std::time::SystemTime;

use super::{
    protocol::jwt,
    store::{LoginBinding, SavedLogin, Store},
};
use crate::{
    kubeconfig::{Cluster, KeyPair, Login, Target},
    settings,
    tls::identity,
};

/// The kind of a credential, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialStatus {
    /// `token`, `exec aws`, `kubegate openshift`, ...
    pub kind: String,
    /// When it expires.
    pub expiry: Expiry,
}

/// When a credential expires, by the files alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At this time, unless the user logs in again.
    At(SystemTime),
    /// It is renewed automatically.
    Renewed,
    /// The user must log in first.
    LoginNeeded,
    /// The files do not say.
    Unknown,
}

impl CredentialStatus {
    /// Reads the status from the user of `target`, and for saved logins from `store`.
    #[must_use]
    pub fn of(target: &Target, store: Option<&Store>) -> Self {
        let user = &target.user;
        let (kind, expiry) = match &user.login {
            Login::None => match &user.certificate {
                Some(pair) => ("client certificate".to_owned(), expiry_of_certificate(pair)),
                None => ("anonymous".to_owned(), Expiry::Unknown),
            },
            Login::Token(token) => ("token".to_owned(), expiry_of_token(token.expose())),
            Login::TokenFile { .. } => ("token file".to_owned(), Expiry::Renewed),
            Login::Basic { .. } => ("password".to_owned(), Expiry::Unknown),
            Login::Oidc(config) => {
                let token = config.tokens.id_token.as_ref();
                let expiry = match (&config.tokens.refresh_token, token) {
                    (Some(_), _) => Expiry::Renewed,
                    (None, Some(token)) => expiry_of_token(token.expose()),
                    (None, None) => Expiry::LoginNeeded,
                };
                ("oidc".to_owned(), expiry)
            }
            Login::Exec(config) => {
                if let Some(login) = settings::Login::of_exec(config) {
                    let expiry = store.map_or(Expiry::Unknown, |store| {
                        expiry_of_login(&login, &target.cluster, store)
                    });
                    (format!("kubegate {}", login.kind()), expiry)
                } else {
                    let command = config.command.file_name().unwrap_or_default();
                    (format!("exec {}", command.display()), Expiry::Renewed)
                }
            }
        };
        Self { kind, expiry }
    }
}

fn expiry_of_token(token: &str) -> Expiry {
    jwt::claims(token).map_or(Expiry::Unknown, |claims| Expiry::At(claims.expires_at))
}

fn expiry_of_certificate(pair: &KeyPair) -> Expiry {
    let read = || {
        let (certificate, key) = (pair.certificate.read().ok()?, pair.key.read().ok()?);
        let (certificate_origin, key_origin) = (pair.certificate.location(), pair.key.location());
        let identity =
            identity::certified_key(&certificate, &certificate_origin, &key, &key_origin).ok()?;
        identity::not_after(&identity)
    };
    read().map_or(Expiry::Unknown, Expiry::At)
}

fn expiry_of_login(login: &settings::Login, cluster: &Cluster, store: &Store) -> Expiry {
    let Some(name) = login.saved_as() else {
        return Expiry::Renewed;
    };
    match store.read_without_keyring(&name) {
        Ok(None) => Expiry::LoginNeeded,
        // A logout here may have kept the login for other servers.
        Ok(Some(saved)) if !is_for(&saved, cluster) => Expiry::LoginNeeded,
        Ok(Some(saved)) => match saved.expires_at {
            Some(end) if !login.renews_itself() => Expiry::At(end),
            None if !login.renews_itself() => Expiry::Unknown,
            _ => Expiry::Renewed,
        },
        Err(_) => Expiry::Unknown,
    }
}

/// Whether a saved login is for the API server of `cluster`. The file of one in the keyring does not say.
fn is_for(saved: &SavedLogin, cluster: &Cluster) -> bool {
    let binding = LoginBinding::of_cluster(cluster);
    let is_named = |server: &str| saved.servers.iter().any(|one| one == server);
    saved.servers.is_empty() || binding.server().is_none_or(is_named)
}
