//! The integrated image registry, as far as logging in and signatures go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::scopes::{FULL, SCOPES};
use crate::demo::{
    https::messages,
    kubernetes::{authentication::user_info::Identity, router::Plane},
    random::hex,
};

/// What somebody without a credential is given as a token.
const ANONYMOUS: &str = "anonymous";

/// The only version of a signature that is taken.
const SCHEMA_VERSION: u64 = 2;

/// Images by digest. Whoever the API server knows may see and sign them.
#[derive(Debug)]
pub(super) struct Registry {
    plane: Arc<Plane>,
    images: Mutex<BTreeMap<String, Image>>,
}

#[derive(Debug, Default)]
struct Image {
    /// As `namespace/name`.
    repositories: BTreeSet<String>,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Signature {
    #[serde(rename = "schemaVersion", default)]
    schema_version: u64,
    /// `sha256:DIGEST@NAME`.
    #[serde(default)]
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    /// Base64.
    #[serde(default)]
    content: String,
}

/// Why a signature is not taken.
enum Unsigned {
    Invalid(String),
    NoImage,
    /// By that name.
    Exists(String),
}

/// Why a request is turned away.
enum Refusal {
    /// No credential: here is where to get a token.
    TokenRequired,
    /// The token is not good, or not good enough.
    Denied,
    /// The header cannot be read.
    Undecodable,
}

impl Registry {
    pub(super) fn new(plane: Arc<Plane>) -> Self {
        let images = Mutex::default();
        Self { plane, images }
    }

    /// Adds an image to a repository, `namespace/name`, and returns its digest.
    pub(super) fn add_image(&self, repository: &str) -> String {
        let hash = digest(&SHA256, repository.as_bytes());
        let digest = format!("sha256:{}", hex(hash.as_ref()));
        let mut images = self.images();
        let image = images.entry(digest.clone()).or_default();
        image.repositories.insert(repository.to_owned());
        digest
    }

    /// Answers a request, whose URI begins with the registry's URL.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let mut response = match path {
            "/openshift/token" => self.token(request),
            "/v2" | "/v2/" => self.base(request),
            _ => match path.strip_prefix("/extensions/v2/").and_then(signatures_of) {
                Some((repository, digest)) => self.signatures(request, repository, digest),
                None => empty(StatusCode::NOT_FOUND),
            },
        };
        let headers = response.headers_mut();
        for (name, value) in [
            ("docker-distribution-api-version", "registry/2.0"),
            ("x-registry-supports-signatures", "1"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        response
    }

    /// `/openshift/token`: the password of a Basic credential is the token to use.
    fn token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let token = if request.headers().contains_key(header::AUTHORIZATION) {
            let password = messages::basic(request.headers()).map(|(_, password)| password);
            password.filter(|token| self.owner(token).is_some())
        } else {
            Some(ANONYMOUS.to_owned())
        };
        match token {
            Some(token) => {
                let answer = json!({"access_token": token, "token": token});
                json(StatusCode::OK, &answer)
            }
            None => unauthorized(),
        }
    }

    /// `/v2/`: whether the credential is good.
    fn base(&self, request: &Request<Bytes>) -> Response<Bytes> {
        match self.identify(request) {
            Ok(_) => json(StatusCode::OK, &json!({})),
            Err(refusal) => refusal.answer(request),
        }
    }

    fn signatures(
        &self,
        request: &Request<Bytes>,
        repository: &str,
        digest: &str,
    ) -> Response<Bytes> {
        let allowed = match self.identify(request) {
            // To see or sign an image is more than to see who one is.
            Ok(Some(identity)) => may_sign(&identity),
            Ok(None) => false,
            Err(refusal) => return refusal.answer(request),
        };
        if !allowed {
            return Refusal::Denied.answer(request);
        }
        match *request.method() {
            Method::GET => self.list(repository, digest),
            Method::PUT => match self.add(request.body()) {
                Ok(()) => empty(StatusCode::CREATED),
                Err(refused) => refused.answer(),
            },
            _ => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                let allow = HeaderValue::from_static("GET, PUT");
                response.headers_mut().insert(header::ALLOW, allow);
                response
            }
        }
    }

    fn list(&self, repository: &str, digest: &str) -> Response<Bytes> {
        let images = self.images();
        let image = images.get(digest);
        match image.filter(|image| image.repositories.contains(repository)) {
            Some(image) => json(StatusCode::OK, &json!({"signatures": image.signatures})),
            None => empty(StatusCode::NOT_FOUND),
        }
    }

    /// Adds a signature to the image that it names.
    fn add(&self, sent: &[u8]) -> Result<(), Unsigned> {
        let signature = Signature::read(sent).map_err(Unsigned::Invalid)?;
        let digest = signature.name.split('@').next().unwrap_or_default();
        let mut images = self.images();
        let image = images.get_mut(digest).ok_or(Unsigned::NoImage)?;
        let same = |known: &Signature| known.name == signature.name;
        if image.signatures.iter().any(same) {
            return Err(Unsigned::Exists(signature.name));
        }
        image.signatures.push(signature);
        Ok(())
    }

    /// Who sends a request; `None` is the anonymous token.
    fn identify(&self, request: &Request<Bytes>) -> Result<Option<Identity>, Refusal> {
        let token = match authorization(request) {
            Some(("bearer", ANONYMOUS)) => return Ok(None),
            Some(("bearer", token)) => token.to_owned(),
            Some(("basic", _)) => {
                let pair = messages::basic(request.headers());
                pair.ok_or(Refusal::Undecodable)?.1
            }
            _ => return Err(Refusal::TokenRequired),
        };
        self.owner(&token).map(Some).ok_or(Refusal::Denied)
    }

    fn owner(&self, token: &str) -> Option<Identity> {
        self.plane.authentication.owner(token)
    }

    fn images(&self) -> MutexGuard<'_, BTreeMap<String, Image>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn may_sign(identity: &Identity) -> bool {
    let scopes = identity.extra.get(SCOPES);
    scopes.is_none_or(|scopes| scopes.iter().any(|scope| scope == FULL))
}

/// `ns/name` and `sha256:...` out of `ns/name/signatures/sha256:...`.
fn signatures_of(rest: &str) -> Option<(&str, &str)> {
    let (repository, digest) = rest.split_once("/signatures/")?;
    let (namespace, name) = repository.split_once('/')?;
    let complete = ![namespace, name, digest].contains(&"");
    complete.then_some((repository, digest))
}

/// Scheme, in lower case where it is known, and credential.
fn authorization(request: &Request<Bytes>) -> Option<(&'static str, &str)> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, text) = value.split_once(' ').unwrap_or((value, ""));
    let known = ["basic", "bearer"];
    let scheme = known
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known));
    Some((scheme.unwrap_or_default(), text))
}

impl Signature {
    /// Reads a signature, or says what is wrong with it.
    fn read(sent: &[u8]) -> Result<Self, String> {
        let mut signature: Self = serde_json::from_slice(sent).map_err(|e| e.to_string())?;
        if signature.schema_version != SCHEMA_VERSION {
            return Err("only schemaVersion=2 is currently supported".to_owned());
        }
        if STANDARD.decode(&signature.content).is_err() {
            return Err("illegal base64 data".to_owned());
        }
        let parts = signature.name.split_once('@');
        if parts.is_none_or(|(image, name)| image.is_empty() || name.is_empty()) {
            return Err("the name must be of form <imageName>@<signatureName>".to_owned());
        }
        if signature.kind.is_empty() {
            "AtomicImageV1".clone_into(&mut signature.kind);
        }
        Ok(signature)
    }
}

impl Unsigned {
    fn answer(self) -> Response<Bytes> {
        match self {
            Self::Invalid(why) => {
                let message = "invalid image signature";
                let code = "SIGNATURE_INVALID";
                error(StatusCode::BAD_REQUEST, code, message, &json!(why))
            }
            Self::NoImage => empty(StatusCode::NOT_FOUND),
            Self::Exists(name) => {
                let message = "image signature already exists";
                let why = format!("imagesignatures.image.openshift.io {name:?} already exists");
                error(
                    StatusCode::CONFLICT,
                    "SIGNATURE_EXISTS",
                    message,
                    &json!(why),
                )
            }
        }
    }
}

impl Refusal {
    fn answer(self, request: &Request<Bytes>) -> Response<Bytes> {
        let challenge = match self {
            Self::TokenRequired => {
                format!(
                    "Bearer realm=\"{}/openshift/token\"",
                    messages::origin(request)
                )
            }
            Self::Denied => "Basic realm=openshift,error=\"access denied\"".to_owned(),
            Self::Undecodable => {
                "Basic realm=openshift,error=\"failed to decode credentials\"".to_owned()
            }
        };
        let mut response = unauthorized();
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn unauthorized() -> Response<Bytes> {
    let message = "authentication required";
    error(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        message,
        &Value::Null,
    )
}

/// An error as the registry API writes it.
fn error(status: StatusCode, code: &str, message: &str, detail: &Value) -> Response<Bytes> {
    let error = json!({"code": code, "message": message, "detail": detail});
    json(status, &json!({"errors": [error]}))
}

fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = empty(status);
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    *response.body_mut() = body.to_string().into();
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
