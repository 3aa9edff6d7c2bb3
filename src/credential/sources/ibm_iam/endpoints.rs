//! [`Endpoints`]: the URLs of IBM Cloud's services.

use std::sync::Arc;

use http::Uri;

use crate::credential::protocol::issuer::IssuerError;
use crate::{
    credential::{
        Error,
        protocol::issuer::{self, IBM_CLOUD, Issuer},
    },
    dial::Environment,
    tls::Trust,
};

const IAM: &str = "https://iam.cloud.ibm.com";
const CONTAINERS: &str = "https://containers.cloud.ibm.com/global";
const ACCOUNTS: &str = "https://accounts.cloud.ibm.com";

/// The paths below IAM's URL that some settings end with, longest first: `..._AUTH_URL` of IBM's SDKs
/// may name the token endpoint, and a kubeconfig names the issuer.
const IAM_PATHS: [&str; 4] = [
    "/identity/.well-known/openid-configuration",
    "/identity/token",
    "/identity/passcode",
    "/identity",
];
/// The same for the service for accounts.
const ACCOUNTS_PATHS: [&str; 3] = ["/coe/v2/accounts", "/coe/v2", "/coe"];
/// The path of the container service, which some settings lack.
const CONTAINERS_PATH: &str = "/global";

/// The variable with IAM's URL, as IBM's tools name it.
pub const IAM_VARIABLE: &str = "IBMCLOUD_IAM_API_ENDPOINT";

/// The base URLs of the services: IBM's public hosts, or those of the environment.
#[derive(Clone, Debug)]
pub struct Endpoints {
    iam: Uri,
    containers: Uri,
    accounts: Uri,
}

impl Endpoints {
    /// Reads the endpoints from `env`; IBM's public hosts are the defaults. `iam` takes precedence over
    /// the environment: where it was given, for errors, and its URL.
    ///
    /// # Errors
    /// An endpoint is not an https URL.
    pub fn read(
        env: &dyn Fn(&str) -> Option<String>,
        iam: Option<(&str, &str)>,
    ) -> Result<Self, Error> {
        let base = |variable: &str, default: &str, paths: &[&str]| match env(variable) {
            Some(url) if !url.trim().is_empty() => parsed(variable, &url, paths),
            _ => parsed(variable, default, paths),
        };
        let containers = base("IBMCLOUD_CS_API_ENDPOINT", CONTAINERS, &[])?;
        Ok(Self {
            iam: match iam {
                Some((origin, url)) => parsed(origin, url, &IAM_PATHS)?,
                None => base(IAM_VARIABLE, IAM, &IAM_PATHS)?,
            },
            containers: match containers.path() {
                "/" => below(&containers, CONTAINERS_PATH)?,
                _ => containers,
            },
            accounts: base(
                "IBMCLOUD_ACCOUNT_MANAGEMENT_API_ENDPOINT",
                ACCOUNTS,
                &ACCOUNTS_PATHS,
            )?,
        })
    }

    /// Returns IAM's base URL.
    #[must_use]
    pub fn iam(&self) -> String {
        text(&self.iam)
    }

    /// Returns a name of this IAM that does not depend on the host: IBM's own IAM has several.
    #[must_use]
    pub fn name(&self) -> String {
        let iam = self.iam();
        let is_ibm = iam.strip_prefix("https://").is_some_and(is_ibm);
        if is_ibm { IAM.to_owned() } else { iam }
    }

    /// Returns IAM's URL if it is not IBM's public host.
    #[must_use]
    pub fn other_iam(&self) -> Option<String> {
        Some(self.iam()).filter(|iam| iam != IAM)
    }

    /// Returns the URL of the page that shows a one-time passcode in a browser.
    #[must_use]
    pub fn passcode(&self) -> String {
        format!("{}/identity/passcode", self.iam())
    }

    /// Returns whether an OIDC issuer is this IAM, or IBM's own.
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        let issuer = issuer.trim_end_matches('/');
        let host = issuer
            .strip_prefix("https://")
            .and_then(|rest| rest.strip_suffix("/identity"));
        let Some(host) = host else {
            return false;
        };
        is_ibm(host) || format!("https://{host}") == self.iam()
    }

    /// Returns the URL that requests to IBM's container service begin with, if `url` is of that service:
    /// with the path of its API, unless `url` has one.
    #[must_use]
    pub fn container_service(&self, url: &Uri) -> Option<Uri> {
        let is_known = url.authority() == self.containers.authority();
        let of_ibm = url.port_u16().is_none_or(|port| port == 443)
            && url.host().is_some_and(serves_containers);
        if !is_known && !of_ibm {
            return None;
        }
        match url.path() {
            "/" | "" if is_known => Some(self.containers.clone()),
            "/" | "" => below(url, CONTAINERS_PATH).ok(),
            _ => Some(url.clone()),
        }
    }

    pub(super) fn token(&self) -> Result<Uri, Error> {
        below(&self.iam, "/identity/token")
    }

    pub(super) fn accounts(&self, path: &str) -> Result<Uri, Error> {
        below(&self.accounts, path)
    }

    pub(super) fn containers(&self, path: &str) -> Result<Uri, Error> {
        below(&self.containers, path)
    }
}

/// Returns whether it is a host of IBM's own IAM: public, private, or one of the former regional
/// hosts.
fn is_ibm(host: &str) -> bool {
    host == "iam.cloud.ibm.com"
        || host.ends_with(".iam.cloud.ibm.com")
        || host.starts_with("iam.") && host.ends_with(".bluemix.net")
}

/// Returns whether it is a host of IBM's container service, and not of a cluster, such as
/// `c1.us-south.containers.cloud.ibm.com`.
fn serves_containers(host: &str) -> bool {
    let Some(region) = host.strip_suffix("containers.cloud.ibm.com") else {
        return false;
    };
    let Some(region) = region.strip_suffix('.') else {
        return region.is_empty();
    };
    let region = region.strip_prefix("private.").unwrap_or(region);
    let of_region = |c: char| c.is_ascii_lowercase() || c == '-';
    let (area, rest) = region.split_once('-').unwrap_or(("", region));
    region == "private"
        || !area.is_empty()
            && area.chars().all(of_region)
            && rest
                .trim_end_matches(|c: char| c.is_ascii_digit())
                .chars()
                .all(of_region)
}

/// Parses a URL, or a host without scheme as IBM's tools accept it, without the first of `paths` that
/// it ends with.
fn parsed(origin: &str, url: &str, paths: &[&str]) -> Result<Uri, Error> {
    let url = url.trim().trim_end_matches('/');
    let base = paths.iter().find_map(|path| url.strip_suffix(path));
    let url = base.unwrap_or(url).trim_end_matches('/');
    if url.contains("://") {
        issuer::https(origin, url)
    } else {
        issuer::https(origin, &format!("https://{url}"))
    }
}

fn below(base: &Uri, path: &str) -> Result<Uri, Error> {
    let url = format!("{}{path}", text(base));
    url.parse().map_err(|_| {
        Error::Issuer(IssuerError::Url {
            what: text(base),
            problem: "cannot be extended by the path of a request",
        })
    })
}

fn text(uri: &Uri) -> String {
    uri.to_string().trim_end_matches('/').to_owned()
}

/// Returns the client for IBM Cloud: it trusts the system's CAs and uses the proxy of the environment.
#[must_use]
pub fn issuer() -> Arc<Issuer> {
    let environment = Environment::read(variable);
    Arc::new(Issuer::new(Trust::system(), environment).named(IBM_CLOUD))
}

/// Returns the value of an environment variable.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_environment_sets_each_endpoint() {
        let none = Endpoints::read(&|_| None, None).unwrap();
        assert_eq!(
            none.token().unwrap(),
            "https://iam.cloud.ibm.com/identity/token"
        );
        assert_eq!(none.other_iam(), None);
        let moved = Endpoints::read(
            &|name| {
                Some(match name {
                    IAM_VARIABLE => "private.iam.cloud.ibm.com".to_owned(),
                    "IBMCLOUD_CS_API_ENDPOINT" => "https://127.0.0.1:1/global/".to_owned(),
                    _ => return None,
                })
            },
            None,
        )
        .unwrap();
        let private = Some("https://private.iam.cloud.ibm.com".to_owned());
        assert_eq!(moved.other_iam(), private);
        let list = moved.containers("/v2/vpc/getClusters?provider=vpc-gen2");
        let expected = "https://127.0.0.1:1/global/v2/vpc/getClusters?provider=vpc-gen2";
        assert_eq!(list.unwrap(), expected);
        let accounts = moved.accounts("/coe/v2/accounts").unwrap();
        assert_eq!(accounts, "https://accounts.cloud.ibm.com/coe/v2/accounts");
    }

    #[test]
    fn the_container_service_is_recognized_and_no_cluster_is() {
        let endpoints = Endpoints::read(&|_| None, None).unwrap();
        let service = |url: &str| {
            let found = endpoints.container_service(&url.parse().unwrap());
            found.map(|url| url.to_string())
        };
        let global = "https://containers.cloud.ibm.com/global";
        assert_eq!(
            service("https://containers.cloud.ibm.com").as_deref(),
            Some(global)
        );
        assert_eq!(service(global).as_deref(), Some(global));
        for region in [
            "us-south",
            "private.eu-de",
            "jp-tok",
            "private",
            "private.br-sao",
        ] {
            let url = format!("https://{region}.containers.cloud.ibm.com");
            assert_eq!(service(&url), Some(format!("{url}/global")));
        }
        for other in [
            "https://c1.us-south.containers.cloud.ibm.com:31234",
            "https://c1-e.us-south.containers.cloud.ibm.com",
            "https://c100.private.us-south.containers.cloud.ibm.com",
            "https://containers.cloud.ibm.com:8443",
            "https://evilcontainers.cloud.ibm.com",
            "https://us-south.containers.appdomain.cloud",
            "https://containers.cloud.ibm.com.example",
        ] {
            assert_eq!(service(other), None, "{other}");
        }
    }

    #[test]
    fn an_endpoint_may_end_with_a_path_of_its_service() {
        for url in [
            "https://iam.example",
            "https://iam.example/",
            "https://iam.example/identity",
            "https://iam.example/identity/",
            "https://iam.example/identity/token",
            "iam.example/identity/token/",
            "https://iam.example/identity/.well-known/openid-configuration",
        ] {
            let by_variable = |name: &str| (name == IAM_VARIABLE).then(|| url.to_owned());
            for endpoints in [
                Endpoints::read(&by_variable, None).unwrap(),
                Endpoints::read(&|_| None, Some(("--iam", url))).unwrap(),
            ] {
                let token = endpoints.token().unwrap();
                assert_eq!(token, "https://iam.example/identity/token", "{url}");
                assert_eq!(endpoints.iam(), "https://iam.example", "{url}");
            }
        }
        let others = |name: &str| {
            Some(match name {
                "IBMCLOUD_CS_API_ENDPOINT" => "https://private.eu-de.containers.example".to_owned(),
                "IBMCLOUD_ACCOUNT_MANAGEMENT_API_ENDPOINT" => {
                    "https://accounts.example/coe/v2/".to_owned()
                }
                _ => return None,
            })
        };
        let endpoints = Endpoints::read(&others, None).unwrap();
        let list = endpoints.containers("/v2/classic/getClusters").unwrap();
        let expected = "https://private.eu-de.containers.example/global/v2/classic/getClusters";
        assert_eq!(list, expected);
        let accounts = endpoints.accounts("/coe/v2/accounts").unwrap();
        assert_eq!(accounts, "https://accounts.example/coe/v2/accounts");
        // The control: a path that is no service's is part of the URL.
        let proxied = |_: &str| Some("https://gateway.example/ibm".to_owned());
        let endpoints = Endpoints::read(&proxied, None).unwrap();
        assert_eq!(endpoints.iam(), "https://gateway.example/ibm");
    }

    #[test]
    fn plain_http_is_refused_by_the_name_of_its_variable() {
        let http = |name: &str| (name == IAM_VARIABLE).then(|| "http://127.0.0.1:1".to_owned());
        let error = Endpoints::read(&http, None).unwrap_err().to_string();
        assert!(
            error.contains(IAM_VARIABLE) && error.contains("https://"),
            "{error}"
        );
    }

    #[test]
    fn iam_is_recognized_as_an_issuer() {
        let endpoints = Endpoints::read(&|_| None, Some(("--iam", "https://127.0.0.1:1"))).unwrap();
        for (issuer, is_iam) in [
            ("https://iam.cloud.ibm.com/identity", true),
            ("https://iam.cloud.ibm.com/identity/", true),
            ("https://private.iam.cloud.ibm.com/identity", true),
            ("https://127.0.0.1:1/identity", true),
            ("https://127.0.0.1:2/identity", false),
            ("https://iam.cloud.ibm.com.example/identity", false),
            ("https://accounts.example", false),
        ] {
            assert_eq!(endpoints.is_issuer(issuer), is_iam, "{issuer}");
        }
    }
}
