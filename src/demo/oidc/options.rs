//! The properties of an issuer.

use std::time::Duration;

/// The properties of an issuer.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only client.
    pub client_id: String,
    /// The client's secret; `None` for a public client.
    pub client_secret: Option<String>,
    /// Lifetime of ID tokens and access tokens, in whole seconds.
    pub id_token: Duration,
    /// Lifetime of refresh tokens, in whole seconds.
    pub refresh_token: Duration,
    /// Whether a refresh token can be used more than once. If not, each response has a new one.
    pub reusable: bool,
    /// The password of `jane`, for clients that send it themselves; `None` allows that to none.
    pub password: Option<String>,
    /// Whether there is a device authorization endpoint (RFC 8628).
    pub device_flow: bool,
    /// Lifetime of device codes, in whole seconds.
    pub device_code: Duration,
    /// How often a device may ask whether its user has logged in, in whole seconds.
    pub device_interval: Duration,
    /// Whether there is a page that has the user's code already.
    pub verification_uri_complete: bool,
    /// DNS names that its certificate is valid for, beside localhost.
    pub dns_names: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: "kubegate-demo".to_owned(),
            client_secret: None,
            id_token: Duration::from_secs(60),
            refresh_token: Duration::from_secs(86_400),
            reusable: false,
            password: None,
            device_flow: true,
            device_code: Duration::from_secs(600),
            device_interval: Duration::from_secs(5),
            verification_uri_complete: true,
            dns_names: Vec::new(),
        }
    }
}

/// Where the issuer accepts the client's secret (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// In either place, but not in both.
    #[default]
    Any,
    /// Only in the `Authorization` header.
    Basic,
    /// Only in the form.
    Post,
}
