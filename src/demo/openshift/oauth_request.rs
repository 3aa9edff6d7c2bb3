//! Parsing requests to the OAuth server.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};

use super::responses::OAuthError;
use crate::{
    demo::{form::Form, https::message},
    secret::Secret,
};

/// A parsed request.
pub(super) struct OAuthRequest<'a> {
    pub(super) method: &'a Method,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// The form in the body, followed by the query. The body comes first, as in Go.
    pub(super) form: Form,
}

impl<'a> OAuthRequest<'a> {
    pub(super) fn parse(request: &'a Request<Bytes>) -> Self {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_form = content_type.is_some_and(|content_type| {
            content_type
                .as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        let body = if is_form { &request.body()[..] } else { b"" };
        let body = String::from_utf8_lossy(body);
        let query = request.uri().query().unwrap_or_default();
        let target = request.uri().path_and_query();
        Self {
            method: request.method(),
            target: target.map_or("/", |target| target.as_str()),
            headers: request.headers(),
            form: Form::parse(Some(&format!("{body}&{query}"))),
        }
    }

    /// A parameter; empty if it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default()
    }

    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header(header::COOKIE)?.split(';');
        let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// User and password of a Basic header; `None` if there is no such header.
    pub(super) fn basic(&self) -> Option<Result<(String, Secret), OAuthError>> {
        let (scheme, _) = self.header(header::AUTHORIZATION)?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = message::basic(self.headers).ok_or(OAuthError::InvalidRequest);
        Some(pair.map(|(user, password)| (user, Secret::new(password))))
    }
}
