//! Who a token is at the API server, and how its session is ended there.

use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;

use super::{Access, expiry::OBJECTS, object_name};
use crate::{
    credential::{Error, authorization::bearer, issuer::Answer},
    secret::Secret,
};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const OWN_USER: &str = "/apis/user.openshift.io/v1/users/~";
const PROJECTS: &str = "/apis/project.openshift.io/v1/projects";

/// Who somebody is by the API server's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub username: String,
    /// Groups, in the server's order.
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

/// `user.openshift.io/v1`, `User`.
#[derive(Deserialize)]
struct User {
    metadata: Name,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Projects {
    items: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    metadata: Name,
}

impl Access {
    /// Who `token` is: by a `SelfSubjectReview`, or where a scope or an old server does not
    /// allow that, by its own `User`.
    ///
    /// # Errors
    /// [`Error::LoginNeeded`] for a token that the server does not take; no answer.
    pub async fn whoami(&self, token: &Secret) -> Result<Identity, Error> {
        let body = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let review = self.call("POST", REVIEWS, token, body).await?;
        match review.status {
            StatusCode::OK | StatusCode::CREATED => {
                let UserInfo { username, groups } = review
                    .json::<Review>("no SelfSubjectReview")?
                    .status
                    .user_info;
                return Ok(Identity { username, groups });
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {}
            _ => return Err(self.refused(&review, "who the token is")),
        }
        let user = self.call("GET", OWN_USER, token, "").await?;
        if user.status != StatusCode::OK {
            return Err(self.refused(&user, "who the token is"));
        }
        let User { metadata, groups } = user.json("no User")?;
        Ok(Identity {
            username: metadata.name,
            groups: groups.unwrap_or_default(),
        })
    }

    /// Ends the session of `token` at the server; `false` where it was over already.
    ///
    /// # Errors
    /// A token that is no session's, or may not end it; no answer.
    pub async fn revoke(&self, token: &Secret) -> Result<bool, Error> {
        let Some(name) = object_name(token) else {
            return Err(Error::LoginNeeded {
                subject: format!("the token for {}", self.server()),
                problem: "it is no session's, so it cannot be ended at the server".into(),
                remedy: "have the cluster's administrator revoke it".to_owned(),
            });
        };
        let answer = self
            .call("DELETE", &format!("{OBJECTS}{name}"), token, "")
            .await?;
        match answer.status {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(true),
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&answer, "the end of the session")),
        }
    }

    /// The projects that `token` may see, in the server's order; none where it may not ask.
    ///
    /// # Errors
    /// No answer.
    pub async fn projects(&self, token: &Secret) -> Result<Vec<String>, Error> {
        let answer = self.call("GET", PROJECTS, token, "").await?;
        if answer.status != StatusCode::OK {
            return Ok(Vec::new());
        }
        let projects = answer
            .json::<Projects>("no list of projects")?
            .items
            .into_iter();
        Ok(projects.map(|project| project.metadata.name).collect())
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        token: &Secret,
        body: &'static str,
    ) -> Result<Answer, Error> {
        let url = self.url(path)?;
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(AUTHORIZATION, bearer(token.expose())?)
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from_static(body.as_bytes()));
        let request = request.map_err(|_| Error::IssuerUrl {
            what: url.to_string(),
            problem: "cannot be asked for",
        })?;
        self.api().await?.send(request, None).await
    }

    fn refused(&self, answer: &Answer, what: &str) -> Error {
        if answer.status == StatusCode::UNAUTHORIZED {
            return Error::LoginNeeded {
                subject: format!("the API server {}", self.server()),
                problem: "it does not take the token (401)".into(),
                remedy: format!("run `kubegate login openshift --server {}`", self.server()),
            };
        }
        answer.error(format!("it answered {} about {what}", answer.status))
    }
}
