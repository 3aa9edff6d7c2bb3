//! Flags that choose a service account in place of the context's user.

use std::{fmt, str::FromStr, time::Duration};

use clap::Args;

use super::values::duration;

/// `--service-account` and related flags.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service account")]
pub struct ServiceAccountFlags {
    /// Act as this service account, with tokens that your own user requests from the API server
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        conflicts_with = "service_account_secret"
    )]
    pub service_account: Option<Namespaced>,
    /// Audience of its tokens; may be repeated [default: the API server's own]
    #[arg(long, value_name = "AUDIENCE", requires = "service_account")]
    pub service_account_audience: Vec<String>,
    /// Lifetime to ask for; API servers refuse less than 10m and may shorten a longer one
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub service_account_lifetime: Duration,
    /// Act as the service account whose token is stored in this Secret, and follow its changes
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub service_account_secret: Option<Namespaced>,
}

/// The name of an object in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaced {
    /// Namespace of the object.
    pub namespace: String,
    /// Its name in the namespace.
    pub name: String,
}

impl fmt::Display for Namespaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for Namespaced {
    type Err = &'static str;

    /// Accepts only names that Kubernetes accepts, which need no encoding in a URL.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text
            .split_once('/')
            .filter(|(namespace, name)| is_name(namespace) && is_name(name))
            .ok_or("give namespace and name, such as default/robot")?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Returns whether `text` is a lowercase RFC 1123 subdomain.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_kubernetes_accepts_are_parsed() {
        let robot: Result<Namespaced, _> = "team-a/robot.v1".parse();
        assert_eq!(
            robot.map(|robot| robot.to_string()),
            Ok("team-a/robot.v1".to_owned())
        );
        for text in [
            "", "robot", "/robot", "team/", "a/b/c", "a/..", "a/B", "a/-b", "a/b?x", "a/%2e",
        ] {
            assert!(text.parse::<Namespaced>().is_err(), "{text}");
        }
    }
}
