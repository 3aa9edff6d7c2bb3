//! Kubeconfigs that IBM's tools wrote for IKS: `auth-provider: oidc` with IAM as the issuer and client
//! `kube`. Their tokens are renewed like those of any issuer. If the refresh token is missing or has
//! ended, the root credential of the environment or the saved login is used.

use std::{path::PathBuf, sync::Arc};

use super::{
    Chain, CloudSession, RootOptions, chain_from, default_root, endpoints, error::ibm_error,
    login_command,
};
use crate::{
    credential::{
        CommandContext, Credential, Error, Fetch, Need, Source, sources::oidc::Oidc,
        store::LoginBinding,
    },
    kubeconfig::{Cluster, OidcConfig},
    settings::IbmEndpoint,
    shell::quoted,
};

/// A user of such a kubeconfig.
pub(in crate::credential) struct IbmKubeconfigUser {
    oidc: Oidc,
    cluster: Option<String>,
    /// The API server.
    binding: LoginBinding,
    /// Created when it is needed first.
    chain: tokio::sync::OnceCell<Arc<Chain>>,
}

impl IbmKubeconfigUser {
    /// Returns whether IBM's tools wrote `config`.
    pub(in crate::credential) fn matches(config: &OidcConfig) -> bool {
        // Invalid endpoints must not affect users of other issuers.
        config.client_id == "kube"
            && endpoints(None).is_ok_and(|endpoints| endpoints.is_issuer(&config.issuer))
    }

    /// `cluster` is the cluster of the user's context.
    pub(in crate::credential) fn new(config: OidcConfig, cluster: &Cluster) -> Result<Self, Error> {
        // IBM's tools name the entry NAME/ID.
        let name = cluster.name.as_deref().and_then(|n| n.split('/').next());
        Ok(Self {
            oidc: Oidc::new(config, CommandContext::Unknown)?,
            binding: LoginBinding::of_cluster(cluster),
            cluster: name.filter(|name| !name.is_empty()).map(str::to_owned),
            chain: tokio::sync::OnceCell::new(),
        })
    }

    /// `of_tokens` is what the kubeconfig's own tokens give.
    async fn obtain(&self, of_tokens: Fetch<'_>) -> Result<Credential, Error> {
        match of_tokens.await {
            Err(Error::LoginNeeded {
                subject, problem, ..
            }) => match self.chain().await {
                Ok(chain) => chain.fetch().await,
                Err(Error::LoginNeeded { remedy, .. }) => Err(Error::LoginNeeded {
                    subject,
                    problem,
                    remedy: format!(
                        "run `ibmcloud ks cluster config --cluster {}`, or {remedy}",
                        quoted(self.cluster.as_deref().unwrap_or("NAME"))
                    ),
                }),
                Err(error) => Err(error),
            },
            other => other,
        }
    }

    async fn chain(&self) -> Result<&Arc<Chain>, Error> {
        let create = async || {
            let cluster = self.cluster.as_deref();
            let (root, endpoints) = default_root(RootOptions::default(), None, cluster)?;
            let chain = chain_from((root, &endpoints), None, cluster)?;
            let session = CloudSession::from_chain(endpoints, &chain).await?;
            // The root credential does not belong to this kubeconfig: its tokens are only sent to a
            // cluster of the user's account.
            let found = session.cluster(cluster.unwrap_or_default()).await?;
            let ends = [IbmEndpoint::Public, IbmEndpoint::Private, IbmEndpoint::Vpe];
            let mut bindings = std::iter::once(None)
                .chain(ends.map(Some))
                .filter_map(|end| Some(LoginBinding::of_server(&found.endpoint(end).ok()?)));
            if !bindings.any(|binding| binding == self.binding) {
                return Err(ibm_error(format!(
                    "the kubeconfig's server {} is not an endpoint of cluster {:?}, so it gets no \
                     token of your account; see where the kubeconfig came from, or run `{}`",
                    self.binding.server().unwrap_or_default(),
                    found.name,
                    login_command(cluster)
                )));
            }
            Ok(Arc::new(chain))
        };
        self.chain.get_or_try_init(create).await
    }
}

impl Source for IbmKubeconfigUser {
    fn subject(&self) -> String {
        self.oidc.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain(self.oidc.fetch()))
    }

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        Box::pin(self.obtain(self.oidc.fetch_once(need)))
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        self.oidc.recheck(last)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.oidc.files()
    }
}
