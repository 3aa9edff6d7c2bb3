//! The OAuth clients that every cluster has.

use http::Uri;

/// A client that may ask for tokens.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: &'static str,
    /// Whether it can answer a Basic challenge; the rest are sent to the login page.
    pub(super) challenges: bool,
    /// Whether its secret is the empty text.
    pub(super) public: bool,
    /// Paths of the issuer's own, or whole URIs.
    redirects: &'static [&'static str],
}

/// `oc login -u`.
pub(super) const CHALLENGING: &str = "openshift-challenging-client";

/// The page that shows a token in a browser.
pub(super) const BROWSER: &str = "openshift-browser-client";

/// Where the page that shows a token is.
pub(super) const DISPLAY: &str = "/oauth/token/display";

static CLIENTS: [Client; 3] = [
    Client {
        id: CHALLENGING,
        challenges: true,
        public: true,
        redirects: &["/oauth/token/implicit"],
    },
    Client {
        id: BROWSER,
        challenges: false,
        public: false,
        redirects: &[DISPLAY],
    },
    // `oc login --web`
    Client {
        id: "openshift-cli-client",
        challenges: false,
        public: true,
        redirects: &["http://127.0.0.1/callback", "http://[::1]/callback"],
    },
];

/// The client of that name.
pub(super) fn find(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

impl Client {
    /// The URI to redirect to: the one asked for, if it is registered, or the only one there is.
    pub(super) fn redirect(&self, asked: &str, issuer: &str) -> Option<String> {
        let registered = self.redirects.iter().map(|redirect| {
            if redirect.starts_with('/') {
                format!("{issuer}{redirect}")
            } else {
                (*redirect).to_owned()
            }
        });
        let registered: Vec<String> = registered.collect();
        match (&registered[..], asked) {
            ([only], "") => Some(only.clone()),
            (_, "") => None,
            (all, asked) => {
                let fits = all.iter().any(|base| is_at_or_below(asked, base));
                fits.then(|| asked.to_owned())
            }
        }
    }
}

/// Whether a URI is `base` or below it. On a loopback address any port will do (RFC 8252,
/// section 7.3).
fn is_at_or_below(asked: &str, base: &str) -> bool {
    let (Ok(asked), Ok(base), false) = (
        asked.parse::<Uri>(),
        base.parse::<Uri>(),
        asked.contains('#'),
    ) else {
        return false;
    };
    let loopback =
        matches!(base.host(), Some("127.0.0.1" | "[::1]")) && base.scheme_str() == Some("http");
    let same_place = asked.scheme() == base.scheme()
        && asked.host() == base.host()
        && (loopback || asked.port_u16() == base.port_u16());
    let below = asked.path().strip_prefix(base.path());
    let below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    same_place && below && !asked.path().split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_go_where_the_client_is_registered_and_nowhere_else() {
        let issuer = "https://oauth.example:8443";
        for (client, asked, granted) in [
            (CHALLENGING, "", true),
            (
                CHALLENGING,
                "https://oauth.example:8443/oauth/token/implicit",
                true,
            ),
            (
                CHALLENGING,
                "https://oauth.example/oauth/token/implicit",
                false,
            ),
            (
                CHALLENGING,
                "https://evil.example/oauth/token/implicit",
                false,
            ),
            ("openshift-cli-client", "", false),
            (
                "openshift-cli-client",
                "http://127.0.0.1:40001/callback",
                true,
            ),
            (
                "openshift-cli-client",
                "http://[::1]:40001/callback/x",
                true,
            ),
            (
                "openshift-cli-client",
                "http://localhost:40001/callback",
                false,
            ),
            (
                "openshift-cli-client",
                "http://127.0.0.1:40001/callback/../x",
                false,
            ),
            (
                "openshift-cli-client",
                "http://127.0.0.1:40001/callbacks",
                false,
            ),
            (
                "openshift-cli-client",
                "https://127.0.0.1:40001/callback",
                false,
            ),
            (
                "openshift-cli-client",
                "http://127.0.0.1:40001/callback#x",
                false,
            ),
        ] {
            let redirect = find(client).and_then(|client| client.redirect(asked, issuer));
            assert_eq!(redirect.is_some(), granted, "{client} {asked}");
        }
        assert!(find("nobody").is_none());
    }
}
