//! Reads and watches the Secret.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    credential::{
        Cache, Credential, Error,
        protocol::{
            api_server::{ApiServer, refusal},
            authorization,
            issuer::{API_SERVER, IssuerError, Response},
            jwt,
        },
    },
    kubeconfig::Cluster,
    secret::Secret,
    settings::Namespaced,
};

/// The type that the Secret must have.
const TYPE: &str = "kubernetes.io/service-account-token";

/// How long the server is asked to keep a watch open.
pub(super) const WATCH_SECONDS: u64 = 300;

/// Bytes that one event of the watch may have.
const LIMIT: usize = 1 << 20;

/// Reads a Secret, and has its last content.
pub(super) struct Reader {
    api: ApiServer,
    url: Uri,
    watch_path: String,
    secret: Namespaced,
    latest: Mutex<Latest>,
    /// Allows one read at a time, so that an earlier one never completes after a later one.
    read_lock: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Latest {
    /// The last content of the Secret; `None` before it was read.
    outcome: Option<Result<Credential, Error>>,
    /// The number of events of the watch.
    events: u64,
}

impl Reader {
    pub(super) fn new(
        cluster: &Cluster,
        base: Arc<Cache>,
        secret: &Namespaced,
    ) -> Result<Self, Error> {
        let api = ApiServer::new(cluster, base)?;
        let Namespaced { namespace, name } = secret;
        let all = format!("/api/v1/namespaces/{namespace}/secrets");
        Ok(Self {
            url: api.url(&format!("{all}/{name}"))?,
            watch_path: format!(
                "{all}?watch=1&fieldSelector=metadata.name%3D{name}\
                 &timeoutSeconds={WATCH_SECONDS}&resourceVersion="
            ),
            api,
            secret: secret.clone(),
            latest: Mutex::default(),
            read_lock: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn secret(&self) -> &Namespaced {
        &self.secret
    }

    /// The credential of the user who reads the Secret.
    pub(super) fn base(&self) -> &Arc<Cache> {
        self.api.base()
    }

    /// The last content of the Secret; `None` before it was read.
    pub(super) fn latest(&self) -> Option<Result<Credential, Error>> {
        self.lock().outcome.clone()
    }

    pub(super) fn subject(&self) -> String {
        format!("service account token of Secret {}", self.secret)
    }

    /// Reads the Secret: its version and its content, or newer content that the watch has reported.
    pub(super) async fn read(&self) -> Result<(String, Result<Credential, Error>), Error> {
        let _lock = self.read_lock.lock().await;
        let events = self.lock().events;
        let response = self.api.send(&Method::GET, &self.url, Bytes::new()).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok((String::new(), self.update(Err(self.absent()), Some(events))));
        }
        if response.status != StatusCode::OK {
            return Err(self.refused(&response, "get"));
        }
        let object: Object = response.json("no Secret")?;
        let outcome = self.credential(&object);
        Ok((
            object.metadata.resource_version,
            self.update(outcome, Some(events)),
        ))
    }

    /// Stores the content of the Secret, unless the watch has reported an event since `read_at`.
    fn update(
        &self,
        outcome: Result<Credential, Error>,
        read_at: Option<u64>,
    ) -> Result<Credential, Error> {
        let mut latest = self.lock();
        match read_at {
            Some(events) if events == latest.events => latest.outcome = Some(outcome.clone()),
            Some(_) => return latest.outcome.clone().unwrap_or(outcome),
            None => {
                latest.events += 1;
                latest.outcome = Some(outcome.clone());
            }
        }
        outcome
    }

    /// Reads the Secret, and follows its changes until the server ends the watch.
    pub(super) async fn read_and_watch(&self) -> Result<(), Error> {
        let (version, _outcome) = self.read().await?;
        let url = self.api.url(&format!("{}{version}", self.watch_path))?;
        let mut response = self.api.open(&Method::GET, &url, Bytes::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(&response.whole().await?, "watch"));
        }
        // The capacity is enough for the largest event: growing would leave copies that are not
        // wiped.
        let mut pending = Zeroizing::new(Vec::with_capacity(LIMIT));
        while let Some(part) = response.part().await? {
            for piece in part.split_inclusive(|byte| *byte == b'\n') {
                if pending.len() + piece.len() > LIMIT {
                    return Ok(());
                }
                pending.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    if !self.apply(&pending) {
                        return Ok(());
                    }
                    pending.clear();
                }
            }
        }
        Ok(())
    }

    /// Applies one event of the watch; `false` if the Secret must be read again.
    fn apply(&self, line: &[u8]) -> bool {
        let Ok(Event { kind, object }) = serde_json::from_slice(line) else {
            return false;
        };
        let outcome = match kind.as_str() {
            "ADDED" | "MODIFIED" => self.credential(&object),
            "DELETED" => Err(self.absent()),
            _ => return false,
        };
        tracing::debug!(secret = %self.secret, kind, "the Secret has changed");
        // An error is returned to the next request.
        let _outcome = self.update(outcome, None);
        true
    }

    fn credential(&self, object: &Object) -> Result<Credential, Error> {
        if object.kind.as_deref() != Some(TYPE) {
            return Err(self.unusable(&format!("is not of type {TYPE}"), false));
        }
        let encoded = object.data.as_ref().and_then(|data| data.token.as_ref());
        let Some(encoded) = encoded.filter(|token| !token.expose().is_empty()) else {
            // The token controller is about to add it.
            return Err(self.unusable("has no data.token yet", true));
        };
        let bytes = BASE64_STANDARD.decode(encoded.expose()).map(Zeroizing::new);
        let token = bytes.ok().and_then(|bytes| {
            let text = std::str::from_utf8(&bytes).ok()?;
            Some(Secret::new(text.trim()))
        });
        let token =
            token.ok_or_else(|| self.unusable("has no base64 text in data.token", false))?;
        Ok(Credential {
            authorization: Some(authorization::bearer_of(token.expose(), || self.subject())?),
            expires_at: jwt::claims(token.expose()).map(|claims| claims.expires_at),
            ..Credential::default()
        })
    }

    fn absent(&self) -> Error {
        let Namespaced { namespace, .. } = &self.secret;
        self.unusable(
            &format!("is not there (404); see kubectl -n {namespace} get secrets"),
            false,
        )
    }

    fn unusable(&self, problem: &str, transient: bool) -> Error {
        Error::Issuer(IssuerError::Response {
            server: API_SERVER,
            url: self.url.to_string(),
            problem: format!("Secret {} {problem}", self.secret),
            transient,
            retry_after: None,
        })
    }

    fn refused(&self, response: &Response, verb: &str) -> Error {
        let Namespaced { namespace, name } = &self.secret;
        if response.status != StatusCode::FORBIDDEN {
            return refusal(response);
        }
        response.error(format!(
            "the kubeconfig's user may not `{verb}` Secret {name} in namespace {namespace} \
             (403); allow it by a role: kubectl -n {namespace} create role {name}-reader \
             --verb=get,watch --resource=secrets --resource-name={name}, and bind that to the user"
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
    #[serde(rename = "type")]
    kind: Option<String>,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, rename = "resourceVersion")]
    resource_version: String,
}

#[derive(Deserialize)]
struct Data {
    token: Option<Secret>,
}
