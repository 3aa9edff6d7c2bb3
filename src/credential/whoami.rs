//! Asks the API server whose credential it is.

mod claims;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{
    Cache, Error,
    protocol::{api_server::ApiServer, exec_credential, issuer::Response},
    sources::static_header::StaticHeader,
};
use crate::{
    kubeconfig::Cluster,
    printable::{excerpt, printable},
    secret::Secret,
};

/// The versions of `SelfSubjectReview`: Kubernetes 1.28, 1.27 and 1.26 have them, the latter two only
/// where they are turned on.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
/// The longest name in a warning, in characters.
const MAX_SHOWN: usize = 200;
/// Asked if the token's scopes do not allow a review, or an `OpenShift` has no such API.
const OWN_USER: &str = "/apis/user.openshift.io/v1/users/~";

/// A user as the API server identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub username: String,
    /// The user's groups, in the server's order.
    pub groups: Vec<String>,
    /// Whether the API server said so. Else they are the claims of the token, which the API server may
    /// name differently.
    pub is_confirmed: bool,
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

/// Asks the API server of `cluster` who `user` is. If it has no such API, or does not allow it, the
/// claims of the user's token tell, with a warning.
///
/// # Errors
/// No credential, no response, a credential that is not accepted, or a server that does not tell about
/// a credential without claims.
pub async fn whoami(cluster: &Cluster, user: Arc<Cache>) -> Result<Identity, Error> {
    let server = ApiServer::new(cluster, user)?;
    let silent = match review(&server).await? {
        Ok(UserInfo { username, groups }) => return Ok(named(&username, &groups, true)),
        Err(silent) => silent,
    };
    let own = server
        .send(&Method::GET, &server.url(OWN_USER)?, Bytes::new())
        .await?;
    match own.status {
        StatusCode::OK => {
            let User { metadata, groups } = parsed(&own)?;
            return Ok(named(&metadata.name, &groups.unwrap_or_default(), true));
        }
        StatusCode::UNAUTHORIZED => return Err(refused(&own)),
        _ => {}
    }
    let credential = server.base().get().await?;
    let claims = exec_credential::token(&credential, "")
        .ok()
        .and_then(|token| claims::identity(&token));
    let (username, groups) = claims.ok_or_else(|| refused(&silent))?;
    let identity = named(&username, &groups, false);
    tracing::warn!(
        "the API server {} does not say who the user is ({}); the name {} is that of the token's claims",
        cluster.url(),
        silent.status,
        excerpt(&identity.username, MAX_SHOWN)
    );
    Ok(identity)
}

/// Asks for a `SelfSubjectReview` in the newest version that the server has. Returns the response of a
/// server that does not review.
async fn review(server: &ApiServer) -> Result<Result<UserInfo, Response>, Error> {
    let [newest, older @ ..] = VERSIONS;
    let mut response = review_in(server, newest).await?;
    for version in older {
        if !is_missing(response.status) {
            break;
        }
        response = review_in(server, version).await?;
    }
    match response.status {
        StatusCode::OK | StatusCode::CREATED => {
            Ok(Ok(parsed::<Review>(&response)?.status.user_info))
        }
        StatusCode::FORBIDDEN => Ok(Err(response)),
        status if is_missing(status) => Ok(Err(response)),
        _ => Err(refused(&response)),
    }
}

async fn review_in(server: &ApiServer, version: &str) -> Result<Response, Error> {
    let path = format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews");
    let review =
        format!(r#"{{"apiVersion":"authentication.k8s.io/{version}","kind":"SelfSubjectReview"}}"#);
    let url = server.url(&path)?;
    server.send(&Method::POST, &url, review.into()).await
}

fn is_missing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}

/// Makes the names printable: they are shown on a terminal, and become part of the names of
/// contexts.
fn named(username: &str, groups: &[String], is_confirmed: bool) -> Identity {
    Identity {
        username: printable(username).into_owned(),
        groups: groups
            .iter()
            .map(|group| printable(group).into_owned())
            .collect(),
        is_confirmed,
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
            let identity = named(user, &[user.to_owned()], true);
            assert_eq!((&*identity.username, &*identity.groups[0]), (shown, shown));
        }
    }
}
