//! `--service-account-secret`: a service account's token that rests in a Secret
//! (`kubernetes.io/service-account-token`), and follows its changes by a watch.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use serde::Deserialize;
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};
use zeroize::Zeroizing;

use crate::credential::protocol::issuer::IssuerError;
use crate::{
    credential::{
        Cache, Credential, Error, Fetch, RefreshPolicy, Source,
        cache::backoff,
        protocol::{
            api_server::{ApiServer, refusal},
            authorization,
            issuer::{API_SERVER, Response},
            jwt,
        },
    },
    kubeconfig::Cluster,
    secret::Secret,
    settings::Namespaced,
};

/// What the Secret must be.
const TYPE: &str = "kubernetes.io/service-account-token";

/// How long the server is asked to keep a watch open, and how long it is waited for at most:
/// a connection may die without a word.
const WATCH_SECONDS: u64 = 300;
const WATCH: Duration = Duration::from_secs(WATCH_SECONDS + 30);

/// A watch that ended sooner counts as failed.
const SHORT: Duration = Duration::from_secs(10);

/// The longest pause before the Secret is read and watched again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Bytes that one event of the watch may have.
const LIMIT: usize = 1 << 20;

/// A Secret and what it said last.
pub(in crate::credential) struct TokenSecret {
    reader: Arc<Reader>,
    watching: OnceLock<AbortHandle>,
}

struct Reader {
    api: ApiServer,
    url: Uri,
    watch_path: String,
    secret: Namespaced,
    known: Mutex<Known>,
    /// One read at a time, so that a later one is never overtaken by an earlier one.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// What the Secret said last; `None` before it was read.
    outcome: Option<Result<Credential, Error>>,
    /// How often the watch told something.
    events: u64,
}

impl TokenSecret {
    pub(in crate::credential) fn new(
        cluster: &Cluster,
        base: Arc<Cache>,
        secret: &Namespaced,
    ) -> Result<Self, Error> {
        let api = ApiServer::new(cluster, base)?;
        let Namespaced { namespace, name } = secret;
        let all = format!("/api/v1/namespaces/{namespace}/secrets");
        let reader = Reader {
            url: api.url(&format!("{all}/{name}"))?,
            watch_path: format!(
                "{all}?watch=1&fieldSelector=metadata.name%3D{name}\
                 &timeoutSeconds={WATCH_SECONDS}&resourceVersion="
            ),
            api,
            secret: secret.clone(),
            known: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Ok(Self {
            reader: Arc::new(reader),
            watching: OnceLock::new(),
        })
    }
}

impl Drop for TokenSecret {
    fn drop(&mut self) {
        if let Some(task) = self.watching.get() {
            task.abort();
        }
    }
}

impl Source for TokenSecret {
    fn subject(&self) -> String {
        self.reader.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        self.watching
            .get_or_init(|| tokio::spawn(follow(Arc::clone(&self.reader))).abort_handle());
        Box::pin(async {
            let (_version, outcome) = self.reader.read().await?;
            outcome
        })
    }

    /// A look at what the watch told costs nothing.
    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy {
            recheck_after: Some(Duration::from_secs(1)),
            max_backoff: Duration::from_secs(2),
            max_wait: self.reader.api.base().max_wait(),
        }
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        let known = self.reader.known().outcome.clone();
        Box::pin(async { known.unwrap_or_else(|| Ok(last.clone())) })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.reader.api.base().files()
    }

    fn login_files(&self) -> Vec<PathBuf> {
        self.reader.api.base().login_files()
    }

    fn inputs_changed(&self) {
        self.reader.api.base().recheck_in_background();
    }
}

/// Reads the Secret and watches it from there, and again whenever the watch ends.
async fn follow(reader: Arc<Reader>) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let outcome = timeout(WATCH, reader.read_and_watch()).await;
        match outcome {
            Ok(Ok(())) | Err(_) if began.elapsed() >= SHORT => failures = 0,
            Ok(Ok(())) | Err(_) => failures += 1,
            Ok(Err(error)) => {
                failures += 1;
                let error = &error as &dyn std::error::Error;
                let secret = &reader.secret;
                if failures == 1 {
                    tracing::warn!(error, %secret, "the Secret is not watched; it is read again");
                } else {
                    tracing::debug!(error, %secret, failures, "the Secret is not watched");
                }
            }
        }
        sleep(backoff::full_jitter(failures.max(1), LONGEST_PAUSE)).await;
    }
}

impl Reader {
    fn subject(&self) -> String {
        format!("service account token of Secret {}", self.secret)
    }

    /// Reads the Secret now: its version and what it says, or what the watch told meanwhile.
    async fn read(&self) -> Result<(String, Result<Credential, Error>), Error> {
        let _turn = self.turn.lock().await;
        let events = self.known().events;
        let response = self.api.ask(&Method::GET, &self.url, Bytes::new()).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok((String::new(), self.learn(Err(self.absent()), Some(events))));
        }
        if response.status != StatusCode::OK {
            return Err(self.refused(&response, "get"));
        }
        let object: Object = response.json("no Secret")?;
        let outcome = self.credential(&object);
        Ok((
            object.metadata.resource_version,
            self.learn(outcome, Some(events)),
        ))
    }

    /// Takes note of what the Secret says, unless the watch has told something since `read_at`.
    fn learn(
        &self,
        outcome: Result<Credential, Error>,
        read_at: Option<u64>,
    ) -> Result<Credential, Error> {
        let mut known = self.known();
        match read_at {
            Some(events) if events == known.events => known.outcome = Some(outcome.clone()),
            Some(_) => return known.outcome.clone().unwrap_or(outcome),
            None => {
                known.events += 1;
                known.outcome = Some(outcome.clone());
            }
        }
        outcome
    }

    /// Follows the changes until the server ends the watch.
    async fn read_and_watch(&self) -> Result<(), Error> {
        let (version, _outcome) = self.read().await?;
        let url = self.api.url(&format!("{}{version}", self.watch_path))?;
        let mut opened = self.api.open(&Method::GET, &url, Bytes::new()).await?;
        if opened.status() != StatusCode::OK {
            return Err(self.refused(&opened.whole().await?, "watch"));
        }
        // Room for the largest event: growing would leave unwiped copies behind.
        let mut pending = Zeroizing::new(Vec::with_capacity(LIMIT));
        while let Some(part) = opened.part().await? {
            for piece in part.split_inclusive(|byte| *byte == b'\n') {
                if pending.len() + piece.len() > LIMIT {
                    return Ok(());
                }
                pending.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    if !self.told(&pending) {
                        return Ok(());
                    }
                    pending.clear();
                }
            }
        }
        Ok(())
    }

    /// One event of the watch; `false` where only a new read can tell more.
    fn told(&self, line: &[u8]) -> bool {
        let Ok(Event { kind, object }) = serde_json::from_slice(line) else {
            return false;
        };
        let outcome = match kind.as_str() {
            "ADDED" | "MODIFIED" => self.credential(&object),
            "DELETED" => Err(self.absent()),
            _ => return false,
        };
        tracing::debug!(secret = %self.secret, kind, "the Secret has changed");
        // Whatever it is, it is the business of the next request.
        let _outcome = self.learn(outcome, None);
        true
    }

    fn credential(&self, object: &Object) -> Result<Credential, Error> {
        if object.kind.as_deref() != Some(TYPE) {
            return Err(self.useless(&format!("is not of type {TYPE}"), false));
        }
        let encoded = object.data.as_ref().and_then(|data| data.token.as_ref());
        let Some(encoded) = encoded.filter(|token| !token.expose().is_empty()) else {
            // Its controller is about to fill it in.
            return Err(self.useless("has no data.token yet", true));
        };
        let bytes = BASE64_STANDARD.decode(encoded.expose()).map(Zeroizing::new);
        let token = bytes.ok().and_then(|bytes| {
            let text = std::str::from_utf8(&bytes).ok()?;
            Some(Secret::new(text.trim()))
        });
        let token = token.ok_or_else(|| self.useless("has no base64 text in data.token", false))?;
        Ok(Credential {
            authorization: Some(authorization::bearer_of(token.expose(), || self.subject())?),
            expires_at: jwt::claims(token.expose()).map(|claims| claims.expires_at),
            ..Credential::default()
        })
    }

    fn absent(&self) -> Error {
        let Namespaced { namespace, .. } = &self.secret;
        self.useless(
            &format!("is not there (404); see kubectl -n {namespace} get secrets"),
            false,
        )
    }

    fn useless(&self, problem: &str, transient: bool) -> Error {
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
