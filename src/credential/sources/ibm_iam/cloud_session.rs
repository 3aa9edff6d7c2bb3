//! [`CloudSession`]: a session at IBM Cloud that lists accounts and clusters, and returns how a cluster
//! is reached.

use std::sync::Arc;

use super::{
    Account, Endpoints, IbmCluster, account,
    chain::{Access, Chain},
    container,
    error::ibm_error,
    iam::{Client, Failure, Grant, Holder, Iam, Tokens},
    issuer,
    refusal::{Reason, Refusal},
    services::{Services, with_retries},
};
use crate::{
    credential::{Error, protocol::issuer::Issuer, store::SavedLogin},
    kubeconfig::{Cluster, Pem},
    secret::Secret,
    settings::IbmEndpoint,
};

/// What a user logs in with.
pub enum UserProof {
    /// A one-time passcode of IAM's page in a browser.
    Passcode(Secret),
    /// User name and password of an `IBMid` that is not federated.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
}

/// See the module.
pub struct CloudSession {
    issuer: Arc<Issuer>,
    endpoints: Endpoints,
    token: Secret,
    /// `None` if the root credential can start another session.
    refresh: Option<Secret>,
    holder: Holder,
}

impl CloudSession {
    /// Logs in as a user.
    ///
    /// # Errors
    /// IAM refuses the login; the error says what to do.
    pub async fn log_in(endpoints: Endpoints, proof: &UserProof) -> Result<Self, Error> {
        let issuer = issuer();
        let iam = Iam::new(issuer.clone(), &endpoints)?;
        let grant = match proof {
            UserProof::Passcode(passcode) => Grant::Passcode(passcode),
            UserProof::Password { user, password } => Grant::Password { user, password },
        };
        let granted = iam.grant(Client::Bx, &grant).await;
        let tokens = granted.map_err(|failure| login_refused(&endpoints, proof, failure))?;
        if tokens.refresh.is_none() {
            return Err(ibm_error(
                "IAM gives this user no refresh token, so the login would end at once; use an \
                 API key"
                    .to_owned(),
            ));
        }
        let mut session = Self {
            issuer,
            endpoints,
            token: tokens.access.clone(),
            refresh: None,
            holder: Holder::default(),
        };
        session.set_tokens(tokens);
        Ok(session)
    }

    /// Starts a session from the root credential of `chain`.
    ///
    /// # Errors
    /// IAM refuses the root credential.
    pub async fn from_chain(endpoints: Endpoints, chain: &Chain) -> Result<Self, Error> {
        let Access { token, holder, .. } = with_retries(|| chain.access()).await?;
        Ok(Self {
            issuer: issuer(),
            endpoints,
            token,
            refresh: None,
            holder,
        })
    }

    /// Returns the accounts of the user.
    ///
    /// # Errors
    /// The request fails.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        account::list(&self.services()).await
    }

    /// Switches to another account. Only the session of a user can switch.
    ///
    /// # Errors
    /// IAM refuses the account.
    pub async fn switch_account(&mut self, account: &Account) -> Result<(), Error> {
        if self.account() == Some(&account.id) {
            return Ok(());
        }
        let Some(refresh) = &self.refresh else {
            return Err(ibm_error(format!(
                "the API key belongs to account {}, and API keys cannot switch to account {}; \
                 make an API key in that account",
                self.account().unwrap_or("of its own"),
                account.id
            )));
        };
        let iam = Iam::new(self.issuer.clone(), &self.endpoints)?;
        let grant = Grant::Refresh {
            token: refresh,
            account: Some(&account.id),
        };
        match iam.grant(Client::Bx, &grant).await {
            Ok(tokens) => self.set_tokens(tokens),
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Refused(refusal)) => {
                return Err(ibm_error(format!(
                    "account {:?} ({}) cannot be entered: {}",
                    account.name,
                    account.id,
                    refusal.problem("the session")
                )));
            }
        }
        Ok(())
    }

    /// Returns the ID of the account of the session.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.holder.account.bss.as_deref()
    }

    /// Returns the user's e-mail address, or another name of the user.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        let holder = &self.holder;
        let names = [&holder.email, &holder.sub, &holder.iam_id];
        names.into_iter().flatten().map(String::as_str).next()
    }

    /// Returns what must be saved to continue the session later.
    #[must_use]
    pub fn to_save(&self) -> SavedLogin {
        SavedLogin {
            refresh_token: self.refresh.clone(),
            ..SavedLogin::default()
        }
    }

    /// Returns the clusters of the account.
    ///
    /// # Errors
    /// The request fails.
    pub async fn clusters(&self) -> Result<Vec<IbmCluster>, Error> {
        container::list(&self.services()).await
    }

    /// Returns the cluster with the name or ID `asked`.
    ///
    /// # Errors
    /// There is no such cluster; the error names similar ones.
    pub async fn cluster(&self, asked: &str) -> Result<IbmCluster, Error> {
        container::cluster(&self.services(), asked).await
    }

    /// Returns the URL and the CA of a cluster, as they are in a kubeconfig.
    ///
    /// # Errors
    /// The cluster is in a state in which it cannot serve or has no such endpoint, or the request for
    /// its CA fails.
    pub async fn cluster_config(
        &self,
        cluster: &IbmCluster,
        end: Option<IbmEndpoint>,
    ) -> Result<Cluster, Error> {
        // Some endpoints are only in a kubeconfig that is made for them.
        let special = [IbmEndpoint::Vpe, IbmEndpoint::Link];
        let special = end.filter(|end| special.contains(end));
        let described = cluster.endpoint(end);
        let (server, authority) = match special {
            Some(special) if described.is_err() => {
                let found = container::kubeconfig(&self.services(), cluster, end).await?;
                let server = cluster.endpoint_of_kubeconfig(special, found.server.as_deref())?;
                (server, found.authority)
            }
            // Its certificate is publicly trusted.
            _ if cluster.is_openshift() => (described?, None),
            _ => {
                let server = described?;
                let found = container::kubeconfig(&self.services(), cluster, end).await?;
                (server, found.authority)
            }
        };
        Ok(Cluster {
            name: Some(format!("{}/{}", cluster.name, cluster.id)),
            server,
            certificate_authority: authority.map(|data| Pem::Inline {
                data: data.into(),
                origin: format!(
                    "IBM Cloud's kubeconfig of cluster {:?}: certificate-authority-data",
                    cluster.name
                ),
            }),
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        })
    }

    fn services(&self) -> Services {
        Services::new(
            self.issuer.clone(),
            self.endpoints.clone(),
            self.token.clone(),
        )
    }

    fn set_tokens(&mut self, tokens: Tokens) {
        self.holder = tokens.holder();
        self.token = tokens.access;
        if tokens.refresh.is_some() {
            self.refresh = tokens.refresh;
        }
    }
}

/// Returns the error for a refused login.
fn login_refused(endpoints: &Endpoints, proof: &UserProof, failure: Failure) -> Error {
    let refusal = match failure {
        Failure::Other(error) => return error,
        Failure::Refused(refusal) => refusal,
    };
    let (problem, remedy) = match proof {
        UserProof::Passcode(_) => passcode_refused(endpoints, &refusal),
        UserProof::Password { .. } => (
            refusal.problem("a user name and password"),
            "use `kubegate login ibm --sso` or an API key".to_owned(),
        ),
    };
    Error::LoginNeeded {
        subject: format!("IBM Cloud IAM {}", endpoints.iam()),
        problem: problem.into(),
        remedy: refusal.remedy().map_or(remedy, str::to_owned),
    }
}

fn passcode_refused(endpoints: &Endpoints, refusal: &Refusal) -> (String, String) {
    let problem = match refusal.reason {
        Reason::SessionEnded | Reason::Other => {
            "the one-time passcode is wrong, was used already, or has expired".to_owned()
        }
        _ => refusal.problem("the one-time passcode"),
    };
    (
        problem,
        format!("get a new one at {}", endpoints.passcode()),
    )
}
