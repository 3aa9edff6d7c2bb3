//! A session at IBM Cloud to look around in: which accounts and clusters there are, and where a
//! cluster is reached.

use std::sync::Arc;

use super::error::ibm_error;
use super::{
    Account, Endpoints, IbmCluster, account,
    chain::{Access, Chain},
    container,
    iam::{Client, Failure, Grant, Holder, Iam, Tokens},
    issuer,
    refusal::{Reason, Refusal},
    services::{Services, patiently},
};
use crate::{
    credential::{Error, protocol::issuer::Issuer, store::Saved},
    kubeconfig::{Cluster, Pem},
    secret::Secret,
    settings::IbmEndpoint,
};

/// What a human shows to log in.
pub enum UserProof {
    /// A code that works once, from IAM's page in a browser.
    Passcode(Secret),
    /// Of an IBM id that is not federated.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
}

/// A session.
pub struct CloudSession {
    issuer: Arc<Issuer>,
    endpoints: Endpoints,
    token: Secret,
    /// `None` where the root can begin a session again.
    refresh: Option<Secret>,
    holder: Holder,
}

impl CloudSession {
    /// Logs in by what a human shows.
    ///
    /// # Errors
    /// Where IAM refuses it; the error says what to do.
    pub async fn log_in(endpoints: Endpoints, proof: &UserProof) -> Result<Self, Error> {
        let issuer = issuer();
        let iam = Iam::new(issuer.clone(), &endpoints)?;
        let grant = match proof {
            UserProof::Passcode(passcode) => Grant::Passcode(passcode),
            UserProof::Password { user, password } => Grant::Password { user, password },
        };
        let granted = iam.grant(Client::Bx, &grant).await;
        let tokens = granted.map_err(|failure| refused(&endpoints, proof, failure))?;
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
        session.take(tokens);
        Ok(session)
    }

    /// A session from what `chain` begins with.
    ///
    /// # Errors
    /// Where the root is refused.
    pub async fn from_chain(endpoints: Endpoints, chain: &Chain) -> Result<Self, Error> {
        let Access { token, holder } = patiently(|| chain.access()).await?;
        Ok(Self {
            issuer: issuer(),
            endpoints,
            token,
            refresh: None,
            holder,
        })
    }

    /// The accounts of the user.
    ///
    /// # Errors
    /// No list of them.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        account::list(&self.services()).await
    }

    /// Moves the session to an account. Only one that a human began can move.
    ///
    /// # Errors
    /// Where IAM refuses.
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
            Ok(tokens) => self.take(tokens),
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

    /// The id of the account that the session is in.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.holder.account.bss.as_deref()
    }

    /// The user's e-mail address, or what else names the user.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        let holder = &self.holder;
        let names = [&holder.email, &holder.sub, &holder.iam_id];
        names.into_iter().flatten().map(String::as_str).next()
    }

    /// What to save, so that the session can go on.
    #[must_use]
    pub fn to_save(&self) -> Saved {
        Saved {
            refresh_token: self.refresh.clone(),
            ..Saved::default()
        }
    }

    /// The clusters of the account.
    ///
    /// # Errors
    /// No list of them.
    pub async fn clusters(&self) -> Result<Vec<IbmCluster>, Error> {
        container::list(&self.services()).await
    }

    /// The cluster of that name or id.
    ///
    /// # Errors
    /// None of that name; the error lists close ones.
    pub async fn cluster(&self, asked: &str) -> Result<IbmCluster, Error> {
        container::cluster(&self.services(), asked).await
    }

    /// Where the cluster is reached, and whom to trust there, as a kubeconfig has it.
    ///
    /// # Errors
    /// A cluster that cannot serve, or has no such endpoint; no kubeconfig for its CA.
    pub async fn cluster_config(
        &self,
        cluster: &IbmCluster,
        end: Option<IbmEndpoint>,
    ) -> Result<Cluster, Error> {
        let server = cluster.endpoint(end)?;
        let authority = if cluster.is_openshift() {
            // Publicly trusted.
            None
        } else {
            container::authority(&self.services(), cluster, end).await?
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

    fn take(&mut self, tokens: Tokens) {
        self.holder = tokens.holder();
        self.token = tokens.access;
        if tokens.refresh.is_some() {
            self.refresh = tokens.refresh;
        }
    }
}

/// What a refusal means for what a human showed.
fn refused(endpoints: &Endpoints, proof: &UserProof, failure: Failure) -> Error {
    let refusal = match failure {
        Failure::Other(error) => return error,
        Failure::Refused(refusal) => refusal,
    };
    let (problem, remedy) = match proof {
        UserProof::Passcode(_) => of_passcode(endpoints, &refusal),
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

fn of_passcode(endpoints: &Endpoints, refusal: &Refusal) -> (String, String) {
    let problem = match refusal.reason {
        Reason::SessionOver | Reason::Other => {
            "the one-time passcode is wrong, was used already, or has expired".to_owned()
        }
        _ => refusal.problem("the one-time passcode"),
    };
    (
        problem,
        format!("get a new one at {}", endpoints.passcode()),
    )
}
