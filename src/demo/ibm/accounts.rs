//! The HTTP interface of the account service: the user's accounts, two on a page.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Cloud, fixtures::ACCOUNTS};
use crate::demo::{form::Form, https::message};

const PAGE_SIZE: usize = 2;
const PATH: &str = "/coe/v2/accounts";

impl Cloud {
    pub(super) fn handle_accounts(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Response<Bytes> {
        if (request.method(), request.uri().path()) != (&Method::GET, PATH) {
            return message::text(StatusCode::NOT_FOUND, "there is nothing here");
        }
        if self.access_token_claims(request, now).is_none() {
            let body = json!({"errors": [{"code": "unauthorized", "message": "Invalid token"}]});
            return message::json(StatusCode::UNAUTHORIZED, &body);
        }
        let query = Form::parse(request.uri().query());
        let start = query.get("_start").unwrap_or_default();
        let first = ACCOUNTS.iter().position(|(id, _)| *id == start);
        let first = first.unwrap_or(0);
        let next = ACCOUNTS.get(first + PAGE_SIZE);
        let page = ACCOUNTS.iter().skip(first).take(PAGE_SIZE);
        let body = json!({
            "next_url": next.map(|(id, _)| format!("{PATH}?_start={id}&limit={PAGE_SIZE}")),
            "total_results": ACCOUNTS.len(),
            "resources": page.map(resource).collect::<Vec<_>>(),
        });
        message::json(StatusCode::OK, &body)
    }

    /// The claims of the access token that a request carries.
    pub(super) fn access_token_claims(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Option<Value> {
        let token = message::bearer(request.headers())?;
        let claims = self.signer.unexpired_claims(token, now)?;
        // A token with an audience is an ID token.
        claims.get("aud").is_none().then_some(claims)
    }
}

fn resource((id, name): &(&str, &str)) -> Value {
    json!({
        "metadata": {
            "guid": id,
            "url": format!("{PATH}/{id}"),
            "created_at": "2016-09-29T02:49:41.842Z",
            "updated_at": "2018-08-16T18:56:00.442Z",
        },
        "entity": {"name": name, "type": "PAYG", "state": "ACTIVE"},
    })
}
