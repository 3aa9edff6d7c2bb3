//! Requests to the API server as the user of a session, and the one that ends it.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::AUTHORIZATION};

use super::{Access, object_name, session_expiry::OBJECTS};
use crate::{
    credential::{
        Error,
        protocol::{
            authorization::bearer,
            issuer::{IssuerError, Response},
        },
    },
    secret::Secret,
    shell::quoted,
};

impl Access {
    /// Ends the session of `token` at the server. Returns false if it had ended before.
    ///
    /// # Errors
    /// The token belongs to no session or may not end it, or the request fails.
    pub async fn revoke(&self, token: &Secret) -> Result<bool, Error> {
        let Some(name) = object_name(token) else {
            return Err(Error::LoginNeeded {
                subject: format!("the token for {}", self.server()),
                problem: "it does not belong to a session, so it cannot be revoked at the server"
                    .into(),
                remedy: "have the cluster's administrator revoke it".to_owned(),
            });
        };
        let response = self
            .call(Method::DELETE, &format!("{OBJECTS}{name}"), token)
            .await?;
        match response.status {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(true),
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&response, "the end of the session")),
        }
    }

    async fn call(&self, method: Method, path: &str, token: &Secret) -> Result<Response, Error> {
        let url = self.url(path)?;
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(AUTHORIZATION, bearer(token.expose())?)
            .body(Bytes::new());
        let request = request.map_err(|_| {
            Error::Issuer(IssuerError::Url {
                what: url.to_string(),
                problem: "cannot be requested",
            })
        })?;
        self.api().await?.send(request, None).await
    }

    fn refused(&self, response: &Response, what: &str) -> Error {
        if response.status == StatusCode::UNAUTHORIZED {
            return Error::LoginNeeded {
                subject: format!("the API server {}", self.server()),
                problem: "it does not accept the token (401)".into(),
                remedy: format!(
                    "run `kubegate login openshift --server {}`",
                    quoted(&self.server())
                ),
            };
        }
        response.error(format!("it answered {} about {what}", response.status))
    }
}
