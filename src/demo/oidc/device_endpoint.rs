//! The device authorization endpoint, and the page that its user opens, which logs every user in without
//! a prompt (RFC 8628, sections 3.1 to 3.3).

use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;

use super::{Issuer, token_endpoint::error};
use crate::demo::{
    form::{Form, add_query},
    https::message,
};

impl Issuer {
    pub(super) fn authorize_device(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Response<Bytes> {
        let form = message::form(request);
        if !self.is_client(request, &form) {
            return error(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let options = &self.options;
        let scopes = form.get("scope").unwrap_or_default();
        let expires_at = now + options.device_code;
        let begun = self
            .grants
            .begin_device_login(scopes, expires_at, options.device_interval);
        let (device_code, user_code) = begun;
        let page = format!("{}/device", message::origin(request));
        let mut answer = json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "expires_in": options.device_code.as_secs(),
            "interval": options.device_interval.as_secs(),
        });
        if options.verification_uri_complete {
            let complete = add_query(&page, &[("user_code", &user_code)]);
            answer["verification_uri_complete"] = complete.into();
        }
        message::json(StatusCode::OK, &answer)
    }

    /// The page that the user opens. With a user code, it logs the user in.
    pub(super) fn device_page(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let query = Form::parse(request.uri().query());
        let Some(user_code) = query.get("user_code") else {
            return message::text(StatusCode::OK, "give the code: ?user_code=");
        };
        let allow = !self.grants.refuses_logins();
        if !self.grants.decide_device_login(user_code, allow, now) {
            return message::text(StatusCode::NOT_FOUND, "the code is not known");
        }
        message::text(StatusCode::OK, "decided; please return to your terminal")
    }
}
