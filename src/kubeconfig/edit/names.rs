//! The names that a login gives to entries: those that `oc` gives, with a number behind one that is
//! taken.

use http::Uri;

use crate::kubeconfig::server_url::{self, host, port};

/// Returns the name that `oc` gives a cluster's entry, `api-example:6443` for `api.example:6443`, with
/// the path of the server behind it: one host may serve many clusters.
#[must_use]
pub fn cluster_entry_name(server: &Uri) -> String {
    let path = server.path().trim_matches('/');
    let path = path.replace(
        |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_',
        "-",
    );
    let name = host_name(server);
    if path.is_empty() {
        name
    } else {
        format!("{name}-{path}")
    }
}

/// The names of a cluster's entry: the one to take, and the one that `oc` gives.
pub(super) fn cluster_base_names(server: &str) -> Vec<String> {
    let Ok(server) = server_url::parse(server) else {
        return vec![server.to_owned()];
    };
    let mut names = vec![cluster_entry_name(&server), host_name(&server)];
    names.dedup();
    names
}

/// `NAME`, `NAME-2`, `NAME-3` and so on.
pub(super) fn numbered(base: &str, separator: char) -> impl Iterator<Item = String> {
    let first = std::iter::once(base.to_owned());
    first.chain((2_u64..).map(move |number| format!("{base}{separator}{number}")))
}

/// The user in the name of an entry, `USER/CLUSTER` or `USER/CLUSTER/2`.
pub(super) fn user_in_name<'a>(entry: &'a str, cluster: &str) -> Option<&'a str> {
    let without_number = entry
        .rsplit_once('/')
        .filter(|(_, end)| end.parse::<u64>().is_ok())
        .map(|(rest, _)| rest);
    let mut names = [Some(entry), without_number].into_iter().flatten();
    names.find_map(|name| name.strip_suffix(cluster)?.strip_suffix('/'))
}

fn host_name(server: &Uri) -> String {
    let host = host(server).replace(['.', ':'], "-");
    format!("{host}:{}", port(server))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn clusters_of_one_host_have_different_names() {
        for (server, name) in [
            ("https://api.ocp.example:6443", "api-ocp-example:6443"),
            ("https://api.example/", "api-example:443"),
            ("https://h/k8s/clusters/c-abc", "h:443-k8s-clusters-c-abc"),
            ("https://[::1]:1/a//b/", "--1:1-a--b"),
        ] {
            let server = server_url::parse(server).unwrap();
            assert_eq!(cluster_entry_name(&server), name);
        }
    }

    #[test]
    fn the_user_of_an_entry_is_what_stands_before_the_cluster() {
        for (entry, user) in [
            ("jane/c:1", Some("jane")),
            ("jane/c:1/2", Some("jane")),
            ("oidc:a/b/c:1", Some("oidc:a/b")),
            ("me", None),
            ("c:1", None),
        ] {
            assert_eq!(user_in_name(entry, "c:1"), user, "{entry}");
        }
    }
}
