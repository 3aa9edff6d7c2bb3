//! Impersonation: sends the identity of `--as` and the flags beside it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use http::{Request, Response};
//! use kubegate::{
//!     kubeconfig::Impersonation,
//!     proxy::{Body, Error, impersonate::Impersonate},
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let jane = Impersonation { user: Some("jane".to_owned()), ..Impersonation::default() };
//! let service = ServiceBuilder::new()
//!     .layer(Impersonate::layer(&jane).unwrap())
//!     .service(service_fn(async |request: Request<()>| {
//!         assert_eq!(request.headers()["impersonate-user"], "jane");
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! assert!(service.oneshot(Request::get("/").body(()).unwrap()).await.is_ok());
//! # }
//! ```

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    head_filter::{HeadFilter, HeadFilterLayer},
    header_names::canonical,
    refusal::Refusal,
};
use crate::kubeconfig::Impersonation;

/// Every byte that is not a token character (RFC 9110 section 5.6.2), and `%`, as client-go
/// escapes the keys of extra fields.
const NOT_TOKEN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// A field that cannot be sent as a header.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {value:?} cannot be sent in a header; use printable characters")]
pub struct Error {
    field: &'static str,
    value: String,
}

/// Puts the `Impersonate-*` headers of the configured identity on every request, and refuses
/// requests that bring their own. Without such an identity those of the client pass, as with kubectl.
#[derive(Debug)]
pub struct Impersonate {
    headers: HeaderMap,
}

impl Impersonate {
    /// Returns the layer that impersonates `identity`.
    ///
    /// # Errors
    /// A field that cannot be sent in a header.
    pub fn layer(identity: &Impersonation) -> Result<HeadFilterLayer<Self>, Error> {
        Ok(HeadFilterLayer::new(Self {
            headers: headers(identity)?,
        }))
    }
}

impl HeadFilter for Impersonate {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        if self.headers.is_empty() {
            return Ok(());
        }
        let own = request
            .headers()
            .keys()
            .find(|name| canonical(name).starts_with("impersonate-"));
        if let Some(name) = own {
            return Err(Refusal::forbidden(
                "impersonation",
                format!(
                    "this proxy already acts as another user, so {name} may not choose one; \
                 leave it out, or start kubegate without --as (and without `as` in the kubeconfig)"
                ),
            ));
        }
        request.headers_mut().extend(self.headers.clone());
        Ok(())
    }
}

/// Returns the headers of <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>.
fn headers(identity: &Impersonation) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let mut add = |name: HeaderName, field, value: &str| {
        let value = HeaderValue::try_from(value).map_err(|_| Error {
            field,
            value: value.to_owned(),
        })?;
        headers.append(name, value);
        Ok(())
    };
    if let Some(user) = &identity.user {
        add(HeaderName::from_static("impersonate-user"), "as", user)?;
    }
    if let Some(uid) = &identity.uid {
        add(HeaderName::from_static("impersonate-uid"), "as-uid", uid)?;
    }
    for group in &identity.groups {
        add(
            HeaderName::from_static("impersonate-group"),
            "as-group",
            group,
        )?;
    }
    for (key, values) in &identity.extra {
        let escaped = utf8_percent_encode(key, NOT_TOKEN);
        let name =
            HeaderName::try_from(format!("impersonate-extra-{escaped}")).map_err(|_| Error {
                field: "as-user-extra",
                value: key.clone(),
            })?;
        for value in values {
            add(name.clone(), "as-user-extra", value)?;
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn jane() -> Impersonate {
        let identity = Impersonation {
            user: Some("jane".into()),
            uid: None,
            groups: vec!["dev".into(), "ops".into()],
            extra: [("example.com/scope".to_owned(), vec!["a b".to_owned()])].into(),
        };
        Impersonate {
            headers: headers(&identity).unwrap(),
        }
    }

    #[test]
    fn every_field_becomes_its_header() {
        let mut request = Request::get("/").body(()).unwrap();
        jane().filter(&mut request).unwrap();
        let headers = request.headers();
        assert_eq!(headers["impersonate-user"], "jane");
        let groups: Vec<_> = headers.get_all("impersonate-group").iter().collect();
        assert_eq!(groups, ["dev", "ops"]);
        assert_eq!(headers["impersonate-extra-example.com%2fscope"], "a b");
    }

    #[test]
    fn with_as_the_clients_own_identity_is_403() {
        for name in ["Impersonate-User", "impersonate-group", "Impersonate_User"] {
            let mut request = Request::get("/").header(name, "root").body(()).unwrap();
            assert_eq!(
                jane().filter(&mut request).unwrap_err().status,
                403,
                "{name}"
            );
        }
    }

    #[test]
    fn without_as_the_clients_own_identity_passes() {
        let none = Impersonate {
            headers: headers(&Impersonation::default()).unwrap(),
        };
        let mut request = Request::get("/")
            .header("Impersonate-User", "jane")
            .body(())
            .unwrap();
        none.filter(&mut request).unwrap();
        assert_eq!(request.headers()["impersonate-user"], "jane");
    }

    #[test]
    fn a_value_that_fits_no_header_is_an_error() {
        let identity = Impersonation {
            user: Some("a\nb".into()),
            ..Impersonation::default()
        };
        assert!(
            headers(&identity)
                .unwrap_err()
                .to_string()
                .starts_with("as: ")
        );
    }
}
