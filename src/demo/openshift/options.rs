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

/// How the OAuth server asks programs for a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// It accepts passwords in a Basic header.
    Basic,
    /// It asks for a Kerberos ticket alone.
    Negotiate,
    /// Not at all: users must log in on the login page.
    None,
    /// It redirects to this URL of a proxy, as with a request-header identity provider. See
    /// [`super::OpenShift::start_challenging_proxy`].
    Redirect(String),
}

/// How the API server responds to requests for projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projects {
    /// With what was asked for. Like real servers, this one ignores `limit`.
    Shown,
    /// With 500.
    Failing,
    /// With 200 and a web page, as a proxy in between does.
    Page,
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
    /// How the OAuth server asks programs for a password.
    pub challenge: Challenge,
    /// The number of wrong passwords in a row after which a user's account is locked; 0 for never.
    /// [`super::OpenShift::add_user`] unlocks it.
    pub lock_after: u32,
    /// Whether users see the project `default`. Most users of real clusters do not.
    pub sees_default: bool,
    /// Projects `project-0000`, ... beside the namespaces of the control plane.
    pub more_projects: usize,
    /// How the API server responds to requests for projects.
    pub projects: Projects,
    /// Whether the API server names the OAuth server. It does not if users come from elsewhere.
    pub discovery: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token_max_age: 86_400,
            inactivity_timeout: 0,
            flows: Flows::Pkce,
            challenge: Challenge::Basic,
            lock_after: 0,
            sees_default: true,
            more_projects: 0,
            projects: Projects::Shown,
            discovery: true,
        }
    }
}
