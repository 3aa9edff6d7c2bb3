//! [`VpcIdentity`]: the identity of a virtual server in a VPC, with which it logs in to a trusted
//! profile. IBM's metadata service on the server's host issues it (VPC Identity API, version
//! 2022-03-01, as go-sdk-core's `VpcInstanceAuthenticator` calls it).

use bytes::Bytes;
use http::{
    Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    error::{VENDOR, ibm_error},
    iam::{Client, Failure, Grant, Iam, Tokens, renew_at},
    services::problem,
};
use crate::{
    credential::{
        Error,
        protocol::{
            authorization,
            issuer::{self, Issuer, IssuerError, Response},
        },
    },
    dial::Environment,
    kubeconfig,
    secret::Secret,
    tls::Trust,
};

/// The variable with the URL of the metadata service, as IBM's command line names it.
pub(super) const URL_VARIABLE: &str = "IBMCLOUD_CR_VPC_URL";
/// The metadata service on the host of each virtual server.
const DEFAULT_URL: &str = "http://169.254.169.254";
/// The same where secure access is configured.
const SECURE_URL: &str = "https://api.metadata.cloud.ibm.com";
/// Below the URL.
const TOKEN_PATH: &str = "/instance_identity/v1/token";
const IAM_TOKEN_PATH: &str = "/instance_identity/v1/iam_token";
const VERSION: &str = "2022-03-01";
/// How long the identity token is valid, in seconds.
const IDENTITY_LIFETIME: u32 = 300;

/// See the module.
#[derive(Clone, Debug)]
pub struct VpcIdentity {
    /// URL of the metadata service, without a trailing slash.
    url: Uri,
    /// `None` means the profile that the server has by default.
    profile: Option<Profile>,
}

/// A trusted profile.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Profile {
    Id(String),
    Crn(String),
}

impl VpcIdentity {
    /// `profile` is the ID or the CRN of a trusted profile, and `url` where the metadata service is: a
    /// variable, for errors, and its value.
    ///
    /// # Errors
    /// The profile is a name; the URL is no https URL, nor one of this machine's metadata service.
    pub(super) fn new(profile: Option<&str>, url: Option<(&str, &str)>) -> Result<Self, Error> {
        let (origin, url) = url.unwrap_or((URL_VARIABLE, DEFAULT_URL));
        Ok(Self {
            url: metadata_url(origin, url)?,
            profile: profile.map(parsed_profile).transpose()?,
        })
    }

    /// The ID or CRN of the trusted profile, if one is chosen.
    pub(super) fn profile(&self) -> Option<&str> {
        match &self.profile {
            Some(Profile::Id(text) | Profile::Crn(text)) => Some(text),
            None => None,
        }
    }

    /// Requests tokens: of client `bx` from the metadata service, as IBM's command line does, and of
    /// client `kube` from IAM, which alone issues tokens for clusters.
    pub(super) async fn grant(&self, client: Client, iam: &Iam) -> Result<Tokens, Failure> {
        let identity = self.identity_token().await?;
        if client == Client::Bx {
            return Ok(self.iam_token(&identity).await?);
        }
        let profile = match &self.profile {
            Some(profile) => profile.clone(),
            None => self.default_profile(&identity).await?,
        };
        let profile = match &profile {
            Profile::Id(id) => ("profile_id", id.as_str()),
            Profile::Crn(crn) => ("profile_crn", crn.as_str()),
        };
        let token = &identity;
        iam.grant(client, &Grant::ComputeResource { token, profile })
            .await
    }

    async fn identity_token(&self) -> Result<Secret, Error> {
        let request = Request::builder()
            .method(Method::PUT)
            .header("Metadata-Flavor", "ibm");
        let body = json!({"expires_in": IDENTITY_LIFETIME});
        let response = self.send(TOKEN_PATH, request, Some(&body)).await?;
        Ok(granted(&response)?.0)
    }

    /// Exchanges the identity token for an access token of the trusted profile.
    async fn iam_token(&self, identity: &Secret) -> Result<Tokens, Error> {
        let request = Request::builder()
            .method(Method::POST)
            .header(AUTHORIZATION, authorization::bearer(identity.expose())?);
        let profile = self.profile.as_ref().map(|profile| match profile {
            Profile::Id(id) => json!({"trusted_profile": {"id": id}}),
            Profile::Crn(crn) => json!({"trusted_profile": {"crn": crn}}),
        });
        let response = self.send(IAM_TOKEN_PATH, request, profile.as_ref()).await?;
        let (access, expires_in) = granted(&response)?;
        Ok(Tokens {
            access,
            refresh: None,
            id: None,
            renew_at: renew_at(&response, expires_in)?,
        })
    }

    /// Returns the profile that the server has by default: the metadata service's token names it.
    async fn default_profile(&self, identity: &Secret) -> Result<Profile, Error> {
        let holder = self.iam_token(identity).await?.holder();
        let named = [holder.sub, holder.iam_id].into_iter().flatten();
        let mut ids = named.map(|name| name.strip_prefix("iam-").unwrap_or(&name).to_owned());
        let id = ids.find(|id| id.starts_with(PROFILE_PREFIX));
        id.map(Profile::Id).ok_or_else(|| {
            ibm_error(
                "the token of this virtual server names no trusted profile; choose one by \
                 IBMCLOUD_CR_PROFILE"
                    .to_owned(),
            )
        })
    }

    async fn send(
        &self,
        path: &str,
        request: http::request::Builder,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, Error> {
        let base = self.url.to_string();
        let url = format!("{}{path}?version={VERSION}", base.trim_end_matches('/'));
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request
            .uri(&url)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| {
                Error::Issuer(IssuerError::Url {
                    what: url,
                    problem: "cannot be requested",
                })
            })?;
        // The service is on this machine's host, so no proxy is asked.
        let service = Issuer::new(Trust::system(), Environment::read(|_| None))
            .named("the VPC metadata service");
        let service = match self.url.scheme_str() {
            Some("http") => service.over_plain_http(),
            _ => service,
        };
        let response = service.send(request, None).await;
        let response = response.map_err(unreachable)?;
        if response.status.is_success() {
            return Ok(response);
        }
        let advice = match response.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                "; enable the metadata service of this virtual server, and link it to the trusted \
                 profile"
            }
            _ => "",
        };
        Err(problem(
            &response,
            &format!("it answered {}{advice}", response.status),
        ))
    }
}

/// Adds what to do to the error of a service that does not answer.
fn unreachable(error: Error) -> Error {
    let retry_after = error.retry_after();
    match &error {
        Error::Issuer(IssuerError::Unreachable { .. } | IssuerError::TimedOut { .. }) => {
            Error::Vendor {
                vendor: VENDOR,
                problem: format!(
                    "{error}; this must be a virtual server in a VPC with its metadata service \
                     enabled, and with secure access {URL_VARIABLE} must be {SECURE_URL}"
                ),
                transient: true,
                retry_after,
            }
        }
        _ => error,
    }
}

/// How the ID of a profile begins.
const PROFILE_PREFIX: &str = "Profile-";

fn parsed_profile(profile: &str) -> Result<Profile, Error> {
    let profile = profile.trim();
    if profile.starts_with("crn:") {
        Ok(Profile::Crn(profile.to_owned()))
    } else if profile.starts_with(PROFILE_PREFIX) {
        Ok(Profile::Id(profile.to_owned()))
    } else {
        Err(ibm_error(format!(
            "the trusted profile {profile:?} is given by its name, and a virtual server takes its ID \
             ({PROFILE_PREFIX}...) or its CRN; `ibmcloud iam trusted-profile NAME` shows both"
        )))
    }
}

/// Parses the URL of the metadata service. Plain http does not leave the host of the virtual server
/// only at the link-local address, and at loopback.
fn metadata_url(origin: &str, url: &str) -> Result<Uri, Error> {
    let url = url.trim().trim_end_matches('/');
    let url = [TOKEN_PATH, IAM_TOKEN_PATH]
        .iter()
        .find_map(|path| url.strip_suffix(path))
        .unwrap_or(url);
    if !url.contains("://") {
        return issuer::https(origin, &format!("https://{url}"));
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return issuer::https(origin, url);
    };
    let bad = |problem| {
        Error::Issuer(IssuerError::Url {
            what: origin.to_owned(),
            problem,
        })
    };
    // The same rules, but for the scheme.
    issuer::https(origin, &format!("https://{rest}"))?;
    let parsed: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    let host = kubeconfig::host(&parsed);
    let is_local = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback() || host == "169.254.169.254",
        Err(_) => false,
    };
    if !is_local {
        return Err(bad(
            "must begin with https://: over plain http, an identity is taken only from \
             169.254.169.254",
        ));
    }
    Ok(parsed)
}

/// Returns the token of a response and its lifetime in seconds.
fn granted(response: &Response) -> Result<(Secret, Option<f64>), Error> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: Secret,
        expires_in: Option<f64>,
    }
    let granted: Granted = response.json("not a token of the VPC metadata service")?;
    Ok((granted.access_token, granted.expires_in))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn plain_http_is_only_for_the_metadata_service_of_the_host() {
        let ok = |url| metadata_url("X", url).map(|url| url.to_string());
        for (url, expected) in [
            ("http://169.254.169.254", "http://169.254.169.254/"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/"),
            ("http://[::1]:1", "http://[::1]:1/"),
            (
                "api.metadata.cloud.ibm.com",
                "https://api.metadata.cloud.ibm.com/",
            ),
            (
                "https://api.metadata.cloud.ibm.com/instance_identity/v1/token",
                "https://api.metadata.cloud.ibm.com/",
            ),
        ] {
            assert_eq!(ok(url).unwrap(), expected);
        }
        for url in [
            "http://api.metadata.cloud.ibm.com",
            "http://169.254.169.254.example",
            "http://u@169.254.169.254",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
        ] {
            let error = ok(url).unwrap_err().to_string();
            assert!(error.starts_with("X "), "{url}: {error}");
        }
    }

    #[test]
    fn a_profile_is_given_by_id_or_crn() {
        let profile = |text| VpcIdentity::new(Some(text), None);
        for text in [
            "Profile-1",
            "crn:v1:bluemix:public:iam-identity::a/1::profile:Profile-1",
        ] {
            assert_eq!(profile(text).unwrap().profile(), Some(text));
        }
        let error = profile("pods").unwrap_err().to_string();
        assert!(
            error.contains("\"pods\"") && error.contains("CRN"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_identity_is_exchanged_over_plain_http_on_loopback() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut heads = Vec::new();
            for token in ["sesame-identity", "sesame-access"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                heads.push(String::from_utf8_lossy(&head[..read]).to_lowercase());
                let body = json!({"access_token": token, "expires_in": 300}).to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heads
        });
        let identity = VpcIdentity::new(None, Some(("X", &url))).unwrap();
        let token = identity.identity_token().await.unwrap();
        let tokens = identity.iam_token(&token).await.unwrap();
        assert_eq!(tokens.access.expose(), "sesame-access");
        let heads = server.await.unwrap();
        for (head, parts) in heads.iter().zip([
            [
                "put /instance_identity/v1/token?version=",
                "metadata-flavor: ibm",
            ],
            [
                "post /instance_identity/v1/iam_token?version=",
                "authorization: bearer sesame-identity",
            ],
        ]) {
            for part in parts {
                assert!(head.contains(part), "{part}: {head}");
            }
        }
    }
}
