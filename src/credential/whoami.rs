//! Asks the API server whose credential it is.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{
    Cache, Error,
    protocol::{api_server::ApiServer, issuer::Response},
    sources::static_header::StaticHeader,
};
use crate::{kubeconfig::Cluster, printable::printable, secret::Secret};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEW: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
/// Asked if the token's scopes do not allow a review, or an `OpenShift` has no such API.
const OWN_USER: &str = "/apis/user.openshift.io/v1/users/~";

/// A user as the API server identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub username: String,
    /// The user's groups, in the server's order.
    pub groups: Vec<String>,
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewStatus {
    user_info: UserInfo,
}

#[derive(Deserialize)]
struct UserInfo {
    username: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// `user.openshift.io/v1`
#[derive(Deserialize)]
struct User {
    metadata: Name,
    groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// Asks the API server of `cluster` who `user` is.
///
/// # Errors
/// No credential, no response, or one without the user.
pub async fn whoami(cluster: &Cluster, user: Arc<Cache>) -> Result<Identity, Error> {
    let server = ApiServer::new(cluster, user)?;
    let body = Bytes::from_static(REVIEW.as_bytes());
    let response = server
        .send(&Method::POST, &server.url(REVIEWS)?, body)
        .await?;
    match response.status {
        StatusCode::OK | StatusCode::CREATED => {
            let UserInfo { username, groups } = parsed::<Review>(&response)?.status.user_info;
            return Ok(named(&username, &groups));
        }
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {}
        _ => return Err(refused(&response)),
    }
    let own = server
        .send(&Method::GET, &server.url(OWN_USER)?, Bytes::new())
        .await?;
    if own.status != StatusCode::OK {
        return Err(refused(&response));
    }
    let User { metadata, groups } = parsed(&own)?;
    Ok(named(&metadata.name, &groups.unwrap_or_default()))
}

/// Makes the names printable: they are shown on a terminal, and become part of the names of
/// contexts.
fn named(username: &str, groups: &[String]) -> Identity {
    Identity {
        username: printable(username).into_owned(),
        groups: groups
            .iter()
            .map(|group| printable(group).into_owned())
            .collect(),
    }
}

/// Creates the cache for a user who has only a token.
///
/// # Errors
/// A token that no header can carry.
pub fn from_token(token: &Secret) -> Result<Arc<Cache>, Error> {
    Ok(Cache::new(Arc::new(StaticHeader::bearer(None, token)?)))
}

fn refused(response: &Response) -> Error {
    unidentified(
        response,
        match response.status {
            StatusCode::UNAUTHORIZED => "it does not take the credential (401)".to_owned(),
            status => format!("it answered {status}"),
        },
    )
}

fn unidentified(response: &Response, problem: String) -> Error {
    Error::Unidentified {
        url: response.url.to_string(),
        problem,
    }
}

fn parsed<'a, T: Deserialize<'a>>(response: &'a Response) -> Result<T, Error> {
    serde_json::from_slice(&response.body).map_err(|_| {
        unidentified(
            response,
            "its answer is not the JSON of Kubernetes".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable() {
        for (user, shown) in [
            ("system:serviceaccount:a:b", "system:serviceaccount:a:b"),
            ("j\u{f6}rg", "j\u{f6}rg"),
            ("jane\u{1b}[2J", "jane\u{fffd}[2J"),
            ("g\u{9b}2J\u{202e}", "g\u{fffd}2J\u{fffd}"),
        ] {
            let identity = named(user, &[user.to_owned()]);
            assert_eq!((&*identity.username, &*identity.groups[0]), (shown, shown));
        }
    }
}
