//! The list of the user's accounts, two to a page.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Cloud, people::ACCOUNTS};
use crate::demo::{form::Query, https::messages};

const PAGE: usize = 2;
const PATH: &str = "/coe/v2/accounts";

impl Cloud {
    pub(super) fn answer_accounts(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Response<Bytes> {
        if (request.method(), request.uri().path()) != (&Method::GET, PATH) {
            return messages::text(StatusCode::NOT_FOUND, "there is nothing here");
        }
        if self.access(request, now).is_none() {
            let body = json!({"errors": [{"code": "unauthorized", "message": "Invalid token"}]});
            return messages::json(StatusCode::UNAUTHORIZED, &body);
        }
        let query = Query::parse(request.uri().query());
        let start = query.get("_start").unwrap_or_default();
        let from = ACCOUNTS.iter().position(|(id, _)| *id == start);
        let from = from.unwrap_or(0);
        let next = ACCOUNTS.get(from + PAGE);
        let page = json!({
            "next_url": next.map(|(id, _)| format!("{PATH}?_start={id}&limit={PAGE}")),
            "total_results": ACCOUNTS.len(),
            "resources": ACCOUNTS.iter().skip(from).take(PAGE).map(resource).collect::<Vec<_>>(),
        });
        messages::json(StatusCode::OK, &page)
    }

    /// The claims of the access token that a request brings.
    pub(super) fn access(&self, request: &Request<Bytes>, now: SystemTime) -> Option<Value> {
        let token = messages::bearer(request.headers())?;
        let claims = self.signer.living_claims(token, now)?;
        // ID tokens have an audience.
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
