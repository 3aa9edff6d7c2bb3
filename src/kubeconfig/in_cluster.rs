//! Builds a [`Target`] from a pod's service account, as client-go's `rest.InClusterConfig` does.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::kubeconfig::{Error, Overrides, Pem, Target, cluster, read::read_bounded, text, user};

/// The folder in which the kubelet mounts the service account.
pub(super) const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The most bytes that a token or namespace file may have.
const LIMIT: u64 = 1 << 20;

/// Returns the API server and service account of the pod that this process runs in, with `flags`
/// applied. Returns `None` outside of a pod: `KUBERNETES_SERVICE_HOST` or `KUBERNETES_SERVICE_PORT`
/// is not set, or `folder` (normally [`FOLDER`]) holds no token. Without `ca.crt` in `folder`, the
/// system's CAs are trusted.
///
/// # Errors
/// Files that exist but cannot be read, and invalid values of the environment or flags.
pub(super) fn target(
    env: &dyn Fn(&str) -> Option<OsString>,
    folder: &Path,
    flags: &Overrides,
) -> Result<Option<Target>, Error> {
    let Some(server) = server(env) else {
        return Ok(None);
    };
    let token_file = folder.join("token");
    if read_if_present("service account token", &token_file)?.is_none() {
        return Ok(None);
    }
    let namespace = read_if_present("service account namespace", &folder.join("namespace"))?;
    let namespace = namespace.map(|text| text.to_string());

    let mut cluster = cluster::Draft {
        origin: "environment: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT".to_owned(),
        server: Some(server),
        certificate_authority: certificate_authority(folder),
        ..cluster::Draft::default()
    };
    cluster.apply(flags)?;
    let mut user = user::Draft {
        token_file: Some(token_file),
        ..user::Draft::empty("service account")
    };
    user.apply(flags)?;
    Ok(Some(Target {
        context: None,
        context_ref: None,
        namespace: flags.namespace.clone().or(namespace),
        cluster: cluster.finish()?,
        file_cluster: None,
        user: user.finish()?,
    }))
}

/// The files of the service account except the token, which is read at every use.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    vec![folder.join("ca.crt"), folder.join("namespace")]
}

/// Whether the environment is that of a pod.
pub(super) fn is_pod(env: &dyn Fn(&str) -> Option<OsString>) -> bool {
    server(env).is_some()
}

fn server(env: &dyn Fn(&str) -> Option<OsString>) -> Option<String> {
    let set = |name| {
        let value = env(name)?.to_string_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    let host = set("KUBERNETES_SERVICE_HOST")?;
    let port = set("KUBERNETES_SERVICE_PORT")?;
    Some(if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    })
}

/// Reads a file's text without surrounding white space; `None` if the file is absent or empty.
fn read_if_present(what: &str, path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    match read_bounded(what, path, LIMIT) {
        Ok(bytes) => {
            let text = text::decode(&bytes).map_err(|problem| Error::NotReadable {
                what: what.to_owned(),
                path: path.to_owned(),
                problem: format!("it {problem}"),
            })?;
            let text = text.trim();
            Ok(Some(text)
                .filter(|text| !text.is_empty())
                .map(|text| Zeroizing::new(text.to_owned())))
        }
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn certificate_authority(folder: &Path) -> Option<Pem> {
    let path = folder.join("ca.crt");
    if !path.exists() {
        tracing::warn!(path = %path.display(), "service account has no ca.crt: trusting the system's roots");
        return None;
    }
    Some(Pem::File {
        path,
        origin: "service account: ca.crt".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::{kubeconfig::Login, secret::Secret};

    fn pod(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn at(host: &'static str, port: &'static str) -> impl Fn(&str) -> Option<OsString> {
        move |name| match name {
            "KUBERNETES_SERVICE_HOST" => Some(host.into()),
            "KUBERNETES_SERVICE_PORT" => Some(port.into()),
            _ => None,
        }
    }

    const ALL: &[(&str, &str)] = &[("token", "t\n"), ("ca.crt", "pem"), ("namespace", "team\n")];

    #[test]
    fn a_pod_has_server_token_ca_and_namespace() {
        let folder = pod(ALL);
        let flags = Overrides::default();
        let target = target(&at("10.0.0.1", "443"), folder.path(), &flags)
            .unwrap()
            .unwrap();
        assert_eq!(target.cluster.server, "https://10.0.0.1:443/");
        assert_eq!(
            &*target
                .cluster
                .certificate_authority
                .unwrap()
                .read()
                .unwrap(),
            b"pem"
        );
        assert_eq!(target.namespace.as_deref(), Some("team"));
        match target.user.login {
            Login::TokenFile { path, fallback } => {
                assert_eq!(path, folder.path().join("token"));
                assert!(fallback.is_none(), "the file is read at every use");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ipv6_host_gets_brackets() {
        let folder = pod(ALL);
        let flags = Overrides::default();
        let target = target(&at("fd00::1", "6443"), folder.path(), &flags)
            .unwrap()
            .unwrap();
        assert_eq!(target.cluster.server, "https://[fd00::1]:6443/");
    }

    #[test]
    fn outside_of_a_pod_there_is_no_target() {
        let flags = Overrides::default();
        let full = pod(ALL);
        for env in [at("", "443"), at("10.0.0.1", "")] {
            assert!(target(&env, full.path(), &flags).unwrap().is_none());
        }
        assert!(target(&|_| None, full.path(), &flags).unwrap().is_none());
        for folder in [pod(&[]), pod(&[("token", " \n"), ("ca.crt", "pem")])] {
            assert!(
                target(&at("10.0.0.1", "443"), folder.path(), &flags)
                    .unwrap()
                    .is_none()
            );
        }
    }

    #[test]
    fn without_ca_crt_the_cas_of_the_system_are_trusted() {
        let folder = pod(&[("token", "t")]);
        let flags = Overrides::default();
        let target = target(&at("10.0.0.1", "443"), folder.path(), &flags)
            .unwrap()
            .unwrap();
        assert!(target.cluster.certificate_authority.is_none());
        assert!(!target.cluster.insecure_skip_tls_verify);
        assert_eq!(target.namespace, None);
    }

    #[test]
    fn flags_override_the_service_account() {
        let folder = pod(ALL);
        let flags = Overrides {
            token: Some(Secret::new("flag")),
            namespace: Some("other".to_owned()),
            impersonate_user: Some("a".to_owned()),
            ..Overrides::default()
        };
        let target = target(&at("10.0.0.1", "443"), folder.path(), &flags)
            .unwrap()
            .unwrap();
        assert!(matches!(target.user.login, Login::Token(token) if token.expose() == "flag"));
        assert_eq!(target.namespace.as_deref(), Some("other"));
        assert_eq!(target.user.impersonation.user.as_deref(), Some("a"));
    }

    #[test]
    fn an_invalid_variable_is_named() {
        let folder = pod(ALL);
        let flags = Overrides::default();
        let error = target(&at("10.0.0.1", "http"), folder.path(), &flags)
            .unwrap_err()
            .to_string();
        assert!(error.contains("KUBERNETES_SERVICE_PORT"), "{error}");
    }
}
