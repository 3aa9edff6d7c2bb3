//! The project that a user starts in, which becomes the namespace of a context.
//!
//! Clusters have thousands of projects, so the list is the last thing to be asked for, and only its
//! names.

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use serde::Deserialize;

use super::Access;
use crate::{
    credential::{
        Error,
        protocol::{
            authorization::bearer,
            issuer::{self, IssuerError},
        },
    },
    secret::Secret,
};

const PROJECTS: &str = "/apis/project.openshift.io/v1/projects";

/// Bytes that a list may have. `OpenShift` does not heed `limit` for projects, and the metadata of
/// each may have several kilobytes.
const LIMIT: usize = 32 << 20;

/// The longest name of a namespace (RFC 1123).
const LONGEST_NAME: usize = 63;

/// A `PartialObjectMetadata`.
#[derive(Deserialize)]
struct Project {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Projects {
    items: Vec<Project>,
}

impl Access {
    /// Returns the first project of `preferred` that the user of `token` may see, else the first in the
    /// server's order. Returns `None` if the user may see none, or the cluster has no projects.
    ///
    /// # Errors
    /// The request fails, or its response is invalid.
    pub async fn starting_project(
        &self,
        token: &Secret,
        preferred: &[&str],
    ) -> Result<Option<String>, Error> {
        for name in preferred.iter().filter(|name| is_name(name)) {
            let path = format!("{PROJECTS}/{name}");
            let body = self.read(&path, "PartialObjectMetadata", token).await?;
            if let Some(body) = body {
                let found: Project = parsed(&body)?;
                if found.metadata.name == **name {
                    return Ok(Some(found.metadata.name));
                }
            }
        }
        let path = format!("{PROJECTS}?limit=1");
        let body = self.read(&path, "PartialObjectMetadataList", token).await?;
        let Some(body) = body else {
            return Ok(None);
        };
        let names = parsed::<Projects>(&body)?.items.into_iter();
        let mut names = names.map(|project| project.metadata.name);
        Ok(names.find(|name| is_name(name)))
    }

    /// Reads metadata as `kind`. Returns `None` if the user may not see them or they do not exist.
    async fn read(&self, path: &str, kind: &str, token: &Secret) -> Result<Option<Vec<u8>>, Error> {
        let address = self.url("")?;
        let accept = format!("application/json;as={kind};v=v1;g=meta.k8s.io,application/json");
        let accept = HeaderValue::from_str(&accept).map_err(|_| failed("has no such format"))?;
        let request = Request::get(format!("{}{path}", self.server()))
            .header(ACCEPT, accept)
            .header(AUTHORIZATION, bearer(token.expose())?)
            .body(Bytes::new());
        let request = request.map_err(|_| {
            Error::Issuer(IssuerError::Url {
                what: address.to_string(),
                problem: "cannot be requested",
            })
        })?;
        let api = self.api().await?;
        let answer = async {
            let mut response = api.open(request, None).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                    return Ok(None);
                }
                status => return Err(failed(&format!("answered {status}"))),
            }
            let mut body = Vec::new();
            while let Some(part) = response.part().await? {
                if body.len() + part.len() > LIMIT {
                    return Err(failed(&format!("answered with more than {LIMIT} bytes")));
                }
                body.extend_from_slice(&part);
            }
            Ok(Some(body))
        };
        // Boxed, since it is large.
        let answer = Box::pin(issuer::with_timeout("the API server", &address, answer)).await;
        answer.unwrap_or_else(|| Err(failed("did not answer in time")))
    }
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| failed("answered with something else"))
}

fn failed(problem: &str) -> Error {
    Error::Vendor {
        vendor: "OpenShift",
        problem: format!("the API server {problem} when it was asked for the projects"),
        transient: true,
        retry_after: None,
    }
}

/// Whether this is the name of a namespace (RFC 1123, label), and so can be part of a path.
fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_good)
}
