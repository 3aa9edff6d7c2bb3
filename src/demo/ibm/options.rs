//! The properties of a cloud.

use std::time::Duration;

/// The properties of a cloud. Lifetimes are in whole seconds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lifetime of IAM access tokens.
    pub access_token: Duration,
    /// Lifetime of the ID tokens that clusters accept.
    pub id_token: Duration,
    /// Lifetime of refresh tokens.
    pub refresh_token: Duration,
    /// The longest lifetime of delegated refresh tokens. A request may ask for less.
    pub delegated_token: Duration,
    /// Lifetime of one-time passcodes.
    pub passcode: Duration,
    /// How long a session may be unused before its refresh tokens become invalid.
    pub inactivity: Duration,
    /// Lifetime of sessions in clusters of type `openshift`.
    pub roks_session: Duration,
    /// Whether a refresh token can be used more than once. Each response has a new one.
    pub reusable: bool,
    /// Whether the endpoints of a cluster are top-level fields, not under `serviceEndpoints`.
    pub flat_endpoints: bool,
    /// Whether the container service has the lists and clusters of its API version 2.
    pub version_2: bool,
    /// How often `getRBACStatus` says that the caller's role has not reached the cluster yet.
    pub unsynchronized: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access_token: Duration::from_secs(3600),
            id_token: Duration::from_secs(1200),
            refresh_token: Duration::from_secs(72 * 3600),
            delegated_token: Duration::from_secs(600),
            passcode: Duration::from_secs(300),
            inactivity: Duration::from_secs(2 * 3600),
            roks_session: Duration::from_secs(86_400),
            reusable: false,
            flat_endpoints: false,
            version_2: true,
            unsynchronized: 1,
        }
    }
}
