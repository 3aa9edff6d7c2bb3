//! The properties of a cluster.

/// The flows that the OAuth server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// Code and implicit, with PKCE.
    Pkce,
    /// Code and implicit, without PKCE, as older servers.
    Code,
    /// Only the implicit flow.
    Implicit,
}

/// The properties of a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lifetime of new tokens, in seconds. With 0 they do not expire.
    pub token_max_age: u64,
    /// The number of seconds without use after which new tokens expire; 0 for never. Real servers
    /// accept no less than 300.
    pub inactivity_timeout: u64,
    /// The flows that the OAuth server offers.
    pub flows: Flows,
    /// Whether the OAuth server accepts passwords in a Basic header. If not, users must log in on
    /// the login page.
    pub challenge: bool,
    /// Whether the API server names the OAuth server. It does not if users come from elsewhere.
    pub discovery: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token_max_age: 86_400,
            inactivity_timeout: 0,
            flows: Flows::Pkce,
            challenge: true,
            discovery: true,
        }
    }
}
