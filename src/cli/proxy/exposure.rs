//! Whether other machines may reach a listener.

use anyhow::Result;

use crate::cli::usage::bail_usage;

/// What decides whether a listener may be used.
// Independent facts of one listener.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exposure {
    /// Only this machine can connect: a loopback address, or a unix socket.
    pub(super) is_loopback: bool,
    /// Connections are TLS.
    pub(super) has_tls: bool,
    /// `--require-token-file`
    pub(super) needs_token: bool,
    /// `--client-ca`
    pub(super) needs_client_certificate: bool,
    /// `--unsafe-listen`
    pub(super) unsafe_listen: bool,
}

impl Exposure {
    /// Whether other machines can connect and either read what is sent or need not prove who they are.
    pub(super) fn is_unsafe(self) -> bool {
        let proves_client = self.needs_token || self.needs_client_certificate;
        let is_protected = self.has_tls && proves_client;
        !self.is_loopback && !is_protected
    }

    /// Decides about a listener at `address`, before it is bound.
    ///
    /// # Errors
    /// It is unsafe, and `--unsafe-listen` does not allow that.
    pub(super) fn check(self, address: &str) -> Result<()> {
        if !self.is_unsafe() || self.unsafe_listen {
            return Ok(());
        }
        let problem = if self.has_tls {
            "could act in the cluster with your credential without proving who they are"
        } else if self.needs_token || self.needs_client_certificate {
            "could read on the network what is sent, the tokens of clients too"
        } else {
            "could act in the cluster with your credential"
        };
        bail_usage!(
            "listening on {address}, other machines {problem}; give TLS (--tls-self-signed, or --tls-cert \
             and --tls-key) and --require-token-file or --client-ca; where only trusted clients can reach \
             the port, such as in a container with `-p 127.0.0.1:8001:8001` or in a private network, \
             --unsafe-listen allows it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Exposure = Exposure {
        is_loopback: false,
        has_tls: false,
        needs_token: false,
        needs_client_certificate: false,
        unsafe_listen: false,
    };

    #[test]
    fn beyond_loopback_tls_and_a_proof_of_the_client_are_needed_together() {
        for (has_tls, needs_token, needs_client_certificate, is_allowed) in [
            (false, false, false, false),
            (false, true, false, false),
            (false, false, true, false),
            (false, true, true, false),
            (true, false, false, false),
            (true, true, false, true),
            (true, false, true, true),
            (true, true, true, true),
        ] {
            let open = Exposure {
                has_tls,
                needs_token,
                needs_client_certificate,
                ..OPEN
            };
            assert_eq!(open.check("0.0.0.0:1").is_ok(), is_allowed, "{open:?}");
            assert_eq!(open.is_unsafe(), !is_allowed, "{open:?}");
            let unsafe_listen = true;
            let overridden = Exposure {
                unsafe_listen,
                ..open
            };
            assert!(overridden.check("0.0.0.0:1").is_ok(), "{open:?}");
            assert_eq!(overridden.is_unsafe(), !is_allowed, "{open:?}");
            let is_loopback = true;
            let local = Exposure {
                is_loopback,
                ..open
            };
            assert!(local.check("127.0.0.1:1").is_ok() && !local.is_unsafe());
        }
    }

    #[test]
    fn the_error_names_tls_and_token_before_the_override() {
        let error = OPEN.check("[::]:8001").expect_err("unsafe").to_string();
        let place = |text: &str| error.find(text).expect(text);
        assert!(error.starts_with("listening on [::]:8001, "), "{error}");
        assert!(place("--tls-self-signed") < place("--require-token-file"));
        assert!(place("--require-token-file") < place("--unsafe-listen"));
    }
}
