//! The OAuth clients that every cluster has.

use http::Uri;

/// A client that may request tokens.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: &'static str,
    /// Whether it can answer a Basic challenge. If not, it is redirected to the login page.
    pub(super) answers_challenges: bool,
    /// Whether its secret is empty.
    pub(super) public: bool,
    /// The registered redirect URIs: paths on the OAuth server, or absolute URIs.
    redirects: &'static [&'static str],
}

/// The client of `oc login -u`.
pub(super) const CHALLENGING: &str = "openshift-challenging-client";

/// The client of the page that displays a token.
pub(super) const BROWSER: &str = "openshift-browser-client";

/// The path of the page that displays a token.
pub(super) const DISPLAY: &str = "/oauth/token/display";

static CLIENTS: [Client; 3] = [
    Client {
        id: CHALLENGING,
        answers_challenges: true,
        public: true,
        redirects: &["/oauth/token/implicit"],
    },
    Client {
        id: BROWSER,
        answers_challenges: false,
        public: false,
        redirects: &[DISPLAY],
    },
    // `oc login --web`
    Client {
        id: "openshift-cli-client",
        answers_challenges: false,
        public: true,
        redirects: &["http://127.0.0.1/callback", "http://[::1]/callback"],
    },
];

/// The client with this ID.
pub(super) fn find(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

impl Client {
    /// The URI to redirect to: the requested one if it is registered. If none is requested, the
    /// only registered one.
    pub(super) fn redirect(&self, requested: &str, issuer: &str) -> Option<String> {
        let registered = self.redirects.iter().map(|redirect| {
            if redirect.starts_with('/') {
                format!("{issuer}{redirect}")
            } else {
                (*redirect).to_owned()
            }
        });
        let registered: Vec<String> = registered.collect();
        match (&registered[..], requested) {
            ([only], "") => Some(only.clone()),
            (_, "") => None,
            (all, requested) => {
                let is_registered = all.iter().any(|base| is_at_or_below(requested, base));
                is_registered.then(|| requested.to_owned())
            }
        }
    }
}

/// Whether a URI is `base` or below it. On a loopback address every port is allowed (RFC 8252,
/// section 7.3).
fn is_at_or_below(uri: &str, base: &str) -> bool {
    let (Ok(uri), Ok(base), false) = (uri.parse::<Uri>(), base.parse::<Uri>(), uri.contains('#'))
    else {
        return false;
    };
    let is_loopback =
        matches!(base.host(), Some("127.0.0.1" | "[::1]")) && base.scheme_str() == Some("http");
    let is_same_server = uri.scheme() == base.scheme()
        && uri.host() == base.host()
        && (is_loopback || uri.port_u16() == base.port_u16());
    let below = uri.path().strip_prefix(base.path());
    let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_same_server && is_below && !uri.path().split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_redirect_uris_are_allowed() {
        let issuer = "https://oauth.example:8443";
        for (client, requested, allowed) in [
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
            let redirect = find(client).and_then(|client| client.redirect(requested, issuer));
            assert_eq!(redirect.is_some(), allowed, "{client} {requested}");
        }
        assert!(find("unknown").is_none());
    }
}
