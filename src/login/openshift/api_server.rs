//! The API server that a login is for, by the flags and by what the kubeconfig knows of it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use crate::{
    kubeconfig::{self, Cluster, Overrides, Pem, Target, edit::cluster_entry_name},
    login::{Error, confirm::confirm, trust},
    settings::{Login, OpenshiftFiles},
};

/// The flags that choose the API server.
pub(super) struct ServerChoice<'a> {
    pub(super) connection: &'a Overrides,
    pub(super) kubeconfig: Option<&'a Path>,
    pub(super) trust_fingerprint: Option<&'a str>,
}

impl ServerChoice<'_> {
    /// Returns the context that the flags name, or, as `oc` does, the current one once the user has
    /// confirmed it.
    pub(super) fn context(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Target, Error> {
        let given = self.connection;
        refuse_insecure(given)?;
        let choice = Overrides {
            context: given.context.clone(),
            cluster: given.cluster.clone(),
            ..Overrides::default()
        };
        let mut resolved = kubeconfig::resolve(self.kubeconfig, &choice, env);
        if let (
            Err(kubeconfig::Error::Missing {
                kind: "context", ..
            }),
            Some(_),
        ) = (&resolved, &given.cluster)
        {
            // A new context for an entry of the kubeconfig.
            let choice = Overrides {
                context: None,
                ..choice
            };
            resolved = kubeconfig::resolve(self.kubeconfig, &choice, env);
        }
        let target = match resolved {
            Ok(target) => target,
            Err(kubeconfig::Error::NothingFound { .. } | kubeconfig::Error::NoContext { .. }) => {
                return Err(Error::NoServer);
            }
            // A missing file is one that the login will create.
            Err(kubeconfig::Error::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Err(Error::NoServer);
            }
            Err(error) => return Err(error.into()),
        };
        if given.context.is_none() && given.cluster.is_none() {
            confirm(&target)?;
        }
        Ok(target)
    }

    /// Returns the API server as the flags describe it. What they leave out comes from the chosen
    /// context, or from the cluster entry that an earlier login at the same server wrote.
    pub(super) async fn cluster(
        &self,
        chosen: Option<&Target>,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Cluster, Error> {
        let given = self.connection;
        refuse_insecure(given)?;
        let server = match (&given.server, chosen) {
            (Some(server), _) if server.contains("://") => server.clone(),
            (Some(server), _) => format!("https://{server}"),
            (None, Some(chosen)) => chosen.cluster.url(),
            (None, None) => return Err(Error::NoServer),
        };
        let flags = Overrides {
            server: Some(server),
            certificate_authority: given.certificate_authority.clone(),
            tls_server_name: given.tls_server_name.clone(),
            proxy_url: given.proxy_url.clone(),
            ..Overrides::default()
        };
        let mut cluster = kubeconfig::resolve(None, &flags, &|_| None)?.cluster;
        if let Some(fingerprint) = self.trust_fingerprint {
            let pem = trust::certificate_with_fingerprint(&cluster, fingerprint).await?;
            cluster.certificate_authority = Some(Pem::Inline {
                data: pem.into_bytes().into(),
                origin: "flags: --trust-fingerprint".to_owned(),
            });
        }
        let chosen = chosen.map(|chosen| chosen.cluster.clone());
        let known = chosen
            .or_else(|| self.cluster_of_context(&cluster, env))
            .or_else(|| self.known_cluster(&cluster, env));
        if let Some(known) = known {
            let authority = &mut cluster.certificate_authority;
            *authority = authority.take().or(known.certificate_authority);
            cluster.tls_server_name = cluster.tls_server_name.or(known.tls_server_name);
            cluster.proxy_url = cluster.proxy_url.or(known.proxy_url);
        }
        Ok(cluster)
    }

    /// Returns the OAuth server's authority that an earlier login at the same API server was given.
    pub(super) fn known_oauth_authority(
        &self,
        cluster: &Cluster,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<PathBuf> {
        let contexts = kubeconfig::contexts(self.kubeconfig, env).ok()?;
        let targets = contexts.into_iter().filter_map(|one| one.target.ok());
        let mut same_server = targets.filter(|target| target.cluster.server == cluster.server);
        same_server.find_map(|target| login_files(&target)?.oauth_certificate_authority)
    }

    /// Returns the namespace of a context that an earlier login of the user at the same API server wrote:
    /// of the current one, else of the first.
    pub(super) fn earlier_namespace(
        &self,
        cluster: &Cluster,
        user: &str,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<String> {
        let mut contexts = kubeconfig::contexts(self.kubeconfig, env).ok()?;
        contexts.sort_by_key(|context| !context.is_current);
        let targets = contexts.into_iter().filter_map(|one| one.target.ok());
        let mut own = targets.filter(|target| {
            let entry = target.user.name.as_deref();
            target.cluster.server == cluster.server
                && entry.is_some_and(|entry| is_entry_of(entry, user))
        });
        own.find_map(|target| target.namespace)
    }

    /// Returns the cluster entry of the context that `--context` names, if that is at the same server.
    fn cluster_of_context(
        &self,
        cluster: &Cluster,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<Cluster> {
        let flags = Overrides {
            context: Some(self.connection.context.clone()?),
            ..Overrides::default()
        };
        let known = kubeconfig::resolve(self.kubeconfig, &flags, env).ok()?;
        (known.cluster.server == cluster.server).then_some(known.cluster)
    }

    /// Returns the cluster entry of the same server, by the name that a login gives it.
    fn known_cluster(
        &self,
        cluster: &Cluster,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<Cluster> {
        let flags = Overrides {
            cluster: Some(cluster_entry_name(&cluster.server)),
            ..Overrides::default()
        };
        // A kubeconfig that is missing or broken has no such entry.
        let known = kubeconfig::resolve(self.kubeconfig, &flags, env)
            .ok()?
            .cluster;
        (known.server == cluster.server).then_some(known)
    }
}

/// Whether a user entry, whose name is `USER/CLUSTER`, is that of `user`.
pub(super) fn is_entry_of(entry: &str, user: &str) -> bool {
    let rest = entry.strip_prefix(user);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a login of this kind wrote the context, which can then be renewed under its names.
pub(super) fn is_of_login(target: &Target) -> bool {
    target.context.is_some() && openshift_login(target).is_some()
}

/// The files of the login that wrote the context.
pub(super) fn login_files(target: &Target) -> Option<OpenshiftFiles> {
    match openshift_login(target)? {
        Login::Openshift(flags) => Some(flags.files),
        _ => None,
    }
}

fn openshift_login(target: &Target) -> Option<Login> {
    let kubeconfig::Login::Exec(entry) = &target.user.login else {
        return None;
    };
    Login::of_exec(entry).filter(|login| matches!(login, Login::Openshift(_)))
}

fn refuse_insecure(given: &Overrides) -> Result<(), Error> {
    match given.insecure_skip_tls_verify {
        Some(true) => Err(Error::Insecure),
        _ => Ok(()),
    }
}
