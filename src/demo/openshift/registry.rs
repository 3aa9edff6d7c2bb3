//! The integrated image registry, reduced to logins and image signatures.

mod signature;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use self::signature::Signature;
use super::scopes::{FULL, SCOPES};
use crate::demo::{
    https::message,
    kubernetes::{api_server::ApiServer, authentication::user_info::UserInfo},
    random::hex,
};

/// The token that a request without credentials gets.
const ANONYMOUS_TOKEN: &str = "anonymous";

/// The registry. Users whom the API server authenticates may see and sign images.
#[derive(Debug)]
pub(super) struct Registry {
    server: Arc<ApiServer>,
    /// Images by digest.
    images: Mutex<BTreeMap<String, Image>>,
}

#[derive(Debug, Default)]
struct Image {
    /// The repositories that it is in, as `namespace/name`.
    repositories: BTreeSet<String>,
    signatures: Vec<Signature>,
}

/// Why a signature is not added.
enum SignatureError {
    Invalid(String),
    ImageNotFound,
    /// There is a signature of that name already.
    Exists(String),
}

/// Why a request is unauthorized.
enum Unauthorized {
    /// It has no credentials. The response names the URL of the token endpoint.
    TokenRequired,
    /// Its token is invalid or has too few scopes.
    Denied,
    /// Its `Authorization` header cannot be decoded.
    Undecodable,
}

impl Registry {
    pub(super) fn new(server: Arc<ApiServer>) -> Self {
        let images = Mutex::default();
        Self { server, images }
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

    /// Responds to a request with an absolute URI.
    pub(super) fn respond(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let mut response = match path {
            "/openshift/token" => self.token(request),
            "/v2" | "/v2/" => self.base(request),
            _ => match path
                .strip_prefix("/extensions/v2/")
                .and_then(parse_signatures_path)
            {
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

    /// `/openshift/token`: returns the password of the Basic header as the token, if it is valid.
    fn token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let token = if request.headers().contains_key(header::AUTHORIZATION) {
            let password = message::basic(request.headers()).map(|(_, password)| password);
            password.filter(|token| self.user(token).is_some())
        } else {
            Some(ANONYMOUS_TOKEN.to_owned())
        };
        match token {
            Some(token) => {
                let body = json!({"access_token": token, "token": token});
                json(StatusCode::OK, &body)
            }
            None => unauthorized(),
        }
    }

    /// `/v2/`: tells the client whether its credentials are valid.
    fn base(&self, request: &Request<Bytes>) -> Response<Bytes> {
        match self.authenticate(request) {
            Ok(_) => json(StatusCode::OK, &json!({})),
            Err(unauthorized) => unauthorized.response(request),
        }
    }

    fn signatures(
        &self,
        request: &Request<Bytes>,
        repository: &str,
        digest: &str,
    ) -> Response<Bytes> {
        let is_allowed = match self.authenticate(request) {
            Ok(Some(user)) => may_sign(&user),
            Ok(None) => false,
            Err(unauthorized) => return unauthorized.response(request),
        };
        if !is_allowed {
            return Unauthorized::Denied.response(request);
        }
        match *request.method() {
            Method::GET => self.list(repository, digest),
            Method::PUT => match self.add(request.body()) {
                Ok(()) => empty(StatusCode::CREATED),
                Err(error) => error.response(),
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
    fn add(&self, body: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::parse(body).map_err(SignatureError::Invalid)?;
        let digest = signature.name.split('@').next().unwrap_or_default();
        let mut images = self.images();
        let image = images
            .get_mut(digest)
            .ok_or(SignatureError::ImageNotFound)?;
        let has_same_name = |existing: &Signature| existing.name == signature.name;
        if image.signatures.iter().any(has_same_name) {
            return Err(SignatureError::Exists(signature.name));
        }
        image.signatures.push(signature);
        Ok(())
    }

    /// The user who sends a request; `None` for the anonymous token.
    fn authenticate(&self, request: &Request<Bytes>) -> Result<Option<UserInfo>, Unauthorized> {
        let token = match authorization(request) {
            Some(("bearer", ANONYMOUS_TOKEN)) => return Ok(None),
            Some(("bearer", token)) => token.to_owned(),
            Some(("basic", _)) => {
                let pair = message::basic(request.headers());
                pair.ok_or(Unauthorized::Undecodable)?.1
            }
            _ => return Err(Unauthorized::TokenRequired),
        };
        self.user(&token).map(Some).ok_or(Unauthorized::Denied)
    }

    fn user(&self, token: &str) -> Option<UserInfo> {
        self.server.authentication.user(token)
    }

    fn images(&self) -> MutexGuard<'_, BTreeMap<String, Image>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a user may see and sign images. A token with fewer scopes than all may not.
fn may_sign(user: &UserInfo) -> bool {
    let scopes = user.extra.get(SCOPES);
    scopes.is_none_or(|scopes| scopes.iter().any(|scope| scope == FULL))
}

/// Splits `namespace/name/signatures/sha256:...` into repository and digest.
fn parse_signatures_path(rest: &str) -> Option<(&str, &str)> {
    let (repository, digest) = rest.split_once("/signatures/")?;
    let (namespace, name) = repository.split_once('/')?;
    let is_complete = ![namespace, name, digest].contains(&"");
    is_complete.then_some((repository, digest))
}

/// The scheme of the `Authorization` header, in lower case, and its credentials. The scheme is empty
/// if it is neither Basic nor bearer.
fn authorization(request: &Request<Bytes>) -> Option<(&'static str, &str)> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, text) = value.split_once(' ').unwrap_or((value, ""));
    let schemes = ["basic", "bearer"];
    let scheme = schemes
        .into_iter()
        .find(|name| scheme.eq_ignore_ascii_case(name));
    Some((scheme.unwrap_or_default(), text))
}

impl SignatureError {
    fn response(self) -> Response<Bytes> {
        match self {
            Self::Invalid(detail) => {
                let message = "invalid image signature";
                let code = "SIGNATURE_INVALID";
                error(StatusCode::BAD_REQUEST, code, message, &json!(detail))
            }
            Self::ImageNotFound => empty(StatusCode::NOT_FOUND),
            Self::Exists(name) => {
                let message = "image signature already exists";
                let detail = format!("imagesignatures.image.openshift.io {name:?} already exists");
                error(
                    StatusCode::CONFLICT,
                    "SIGNATURE_EXISTS",
                    message,
                    &json!(detail),
                )
            }
        }
    }
}

impl Unauthorized {
    fn response(self, request: &Request<Bytes>) -> Response<Bytes> {
        let challenge = match self {
            Self::TokenRequired => {
                format!(
                    "Bearer realm=\"{}/openshift/token\"",
                    message::origin(request)
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
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    *response.body_mut() = body.to_string().into();
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
