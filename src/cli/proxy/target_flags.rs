//! The flags that choose one cluster and one user.

use crate::kubeconfig::Overrides;

/// Returns each of the flags, with whether it is given.
pub(super) fn target_flags(overrides: &Overrides) -> [(&'static str, bool); 8] {
    [
        ("--cluster", overrides.cluster.is_some()),
        ("--user", overrides.user.is_some()),
        ("--server", overrides.server.is_some()),
        ("--token", overrides.token.is_some()),
        ("--username", overrides.username.is_some()),
        ("--password", overrides.password.is_some()),
        (
            "--client-certificate",
            overrides.client_certificate.is_some(),
        ),
        ("--client-key", overrides.client_key.is_some()),
    ]
}
