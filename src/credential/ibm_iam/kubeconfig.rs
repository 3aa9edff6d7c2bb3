//! Kubeconfigs that IBM's own tools wrote for IKS: `auth-provider: oidc` against IAM, as client
//! `kube`. Renewed as any other; where their refresh token is missing or dead, by whatever root
//! credential is at hand.

use std::{path::PathBuf, sync::Arc};

use super::{Chain, chain_at_hand, endpoints, printable};
use crate::{
    credential::{Credential, Error, Fetch, Source, oidc::Oidc},
    kubeconfig::{Cluster, OidcConfig},
};

/// A user of such a file.
pub(in crate::credential) struct WrittenByIbm {
    oidc: Oidc,
    cluster: Option<String>,
    /// From the root at hand, once it was needed.
    chain: tokio::sync::OnceCell<Arc<Chain>>,
}

impl WrittenByIbm {
    /// Whether it was IBM that wrote `config`.
    pub(in crate::credential) fn is(config: &OidcConfig) -> bool {
        // Endpoints that cannot be read are no reason to refuse other issuers' users.
        config.client_id == "kube"
            && endpoints(None).is_ok_and(|endpoints| endpoints.is_issuer(&config.issuer))
    }

    /// `cluster` is where the user logs in.
    pub(in crate::credential) fn new(config: OidcConfig, cluster: &Cluster) -> Result<Self, Error> {
        // IBM's tools name the entry NAME/ID.
        let name = cluster.name.as_deref().and_then(|n| n.split('/').next());
        Ok(Self {
            oidc: Oidc::new(config)?,
            cluster: name.filter(|name| !name.is_empty()).map(printable),
            chain: tokio::sync::OnceCell::new(),
        })
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        match self.oidc.fetch().await {
            Err(Error::LoginNeeded {
                subject, problem, ..
            }) => match self.chain().await {
                Ok(chain) => chain.fetch().await,
                Err(Error::LoginNeeded { remedy, .. }) => Err(Error::LoginNeeded {
                    subject,
                    problem,
                    remedy: format!(
                        "run `ibmcloud ks cluster config --cluster {}`, or {remedy}",
                        self.cluster.as_deref().unwrap_or("NAME")
                    ),
                }),
                Err(error) => Err(error),
            },
            other => other,
        }
    }

    async fn chain(&self) -> Result<&Arc<Chain>, Error> {
        let begin = async || {
            let (chain, _) = chain_at_hand(None, None, self.cluster.as_deref())?;
            Ok(Arc::new(chain))
        };
        self.chain.get_or_try_init(begin).await
    }
}

impl Source for WrittenByIbm {
    fn subject(&self) -> String {
        self.oidc.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        self.oidc.recheck(last)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.oidc.files()
    }
}
