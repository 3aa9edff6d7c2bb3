//! A stand-in for IBM Cloud: IAM, accounts and the container service, each a host of its own,
//! and clusters behind them which take IAM's ID tokens for `kube`.
//!
//! Its people, keys and clusters are always the same (`people`, `clusters`). A request for a
//! token: `iam` -> `grant` -> `book` (what may still be redeemed) -> `claims`.

mod accounts;
mod book;
mod claims;
mod clusters;
mod containers;
mod grant;
mod iam;
mod kube;
mod kubeconfig;
mod people;
mod refusal;
mod roks;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};

use self::{
    book::Book,
    clusters::{Cluster, Server},
    grant::Client,
    kube::Kube,
};
pub use self::{
    book::Grant,
    people::{
        ACCOUNT, API_KEY, IAM_USER, PASSWORD, PROFILE_ID, PROFILE_NAME, STAGING_ACCOUNT,
        STAGING_API_KEY, USER,
    },
};
use super::{Error, certificates::Authority, jwt::Signer, openshift::OpenShift};
use crate::demo::{
    https::{Faults, Host},
    kubernetes::{ControlPlane, additional_listener::Door},
};

/// What the cloud is like. Lifetimes are in whole seconds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lifetime of IAM access tokens.
    pub access_token: Duration,
    /// Lifetime of the ID tokens that clusters take.
    pub id_token: Duration,
    /// Lifetime of refresh tokens.
    pub refresh_token: Duration,
    /// The longest lifetime of delegated refresh tokens, whatever is asked for.
    pub delegated_token: Duration,
    /// Lifetime of one-time passcodes.
    pub passcode: Duration,
    /// How long a session may be left alone before its refresh tokens are worth nothing.
    pub inactivity: Duration,
    /// Lifetime of sessions in clusters of type `openshift`.
    pub roks_session: Duration,
    /// Whether a refresh token works more than once. A new one comes with each answer.
    pub reusable: bool,
    /// Whether the endpoints of a cluster stand at the top level, not under `serviceEndpoints`.
    pub flat_endpoints: bool,
    /// Whether the container service knows the lists and clusters of its second version.
    pub version_2: bool,
    /// How often a cluster says that it does not know the caller's role yet.
    pub unsynchronized: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access_token: Duration::from_secs(3600),
            id_token: Duration::from_secs(1200),
            refresh_token: Duration::from_secs(72 * 3600),
            delegated_token: Duration::from_secs(600),
            passcode: Duration::from_secs(300),
            inactivity: Duration::from_secs(2 * 3600),
            roks_session: Duration::from_secs(86_400),
            reusable: false,
            flat_endpoints: false,
            version_2: true,
            unsynchronized: 1,
        }
    }
}

/// A running cloud. It stops when dropped.
#[derive(Debug)]
pub struct Ibm {
    iam: Host,
    accounts: Host,
    containers: Host,
    iam_faults: Faults,
    accounts_faults: Faults,
    containers_faults: Faults,
    cloud: Arc<Cloud>,
    iks: ControlPlane,
    private_door: Door,
    roks: OpenShift,
    roks_private_door: Door,
}

/// What the hosts share.
#[derive(Debug)]
struct Cloud {
    options: Options,
    signer: Arc<Signer>,
    /// Signs the tokens by which pods prove what they are.
    pods: Signer,
    book: Arc<Book>,
    clusters: Vec<Cluster>,
    /// Known once IAM has started.
    iam_url: OnceLock<String>,
}

impl Ibm {
    /// Starts the cloud on random ports of 127.0.0.1.
    ///
    /// # Errors
    /// No port, or no key.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let signer = Arc::new(Signer::generate()?);
        let authority = Arc::new(Authority::generate().map_err(Error::Certificates)?);
        let book = Arc::<Book>::default();
        let iam_faults = Faults::default();
        let kube = Arc::new(Kube::new(signer.clone()));
        let iks = ControlPlane::start_as(options.id_token, Some(kube)).await?;
        let private_door = iks.another_door().await?;
        let users = Arc::new(roks::Users::new(book.clone(), iam_faults.clone()));
        let roks = roks::start(&authority, options.roks_session, users).await?;
        let roks_private_door = roks.api().another_door().await?;
        let clusters = clusters::all(
            Server {
                public: iks.url(),
                private: private_door.url(),
                ca_pem: Some(iks.ca_pem().to_owned()),
            },
            Server {
                public: roks.api().url(),
                private: roks_private_door.url(),
                ca_pem: None,
            },
        );
        let cloud = Arc::new(Cloud {
            options,
            signer,
            pods: Signer::generate()?,
            book,
            clusters,
            iam_url: OnceLock::new(),
        });

        let start = async |name: &str, faults: &Faults, answer: Answer| {
            let cloud = cloud.clone();
            let names = [&format!("{name}.cloud.ibm.com")[..]];
            let handler = move |request: Request<Bytes>, now| answer(&cloud, &request, now);
            Host::start_under(&authority, &names, faults.clone(), handler).await
        };
        let (accounts_faults, containers_faults) = (Faults::default(), Faults::default());
        let iam = start("iam", &iam_faults, Cloud::answer_iam).await?;
        cloud.iam_url.get_or_init(|| iam.url());
        let accounts = start("accounts", &accounts_faults, Cloud::answer_accounts).await?;
        let containers = start("containers", &containers_faults, Cloud::answer_containers).await?;
        Ok(Self {
            iam,
            accounts,
            containers,
            iam_faults,
            accounts_faults,
            containers_faults,
            cloud,
            iks,
            private_door,
            roks,
            roks_private_door,
        })
    }

    /// The environment variables by which IBM's tools, and kubegate, find this cloud. Its CA is
    /// to be trusted as a system's: `SSL_CERT_FILE` names a file with [`Self::ca_pem`].
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let containers = format!("{}/global", self.containers.url());
        [
            ("IBMCLOUD_IAM_API_ENDPOINT", self.iam.url()),
            ("IBMCLOUD_CS_API_ENDPOINT", containers),
            (
                "IBMCLOUD_ACCOUNT_MANAGEMENT_API_ENDPOINT",
                self.accounts.url(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The one CA of the cloud's hosts, PEM. Clusters have their own.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.iam.ca_pem()
    }

    /// IAM: tokens.
    #[must_use]
    pub fn iam(&self) -> (&Host, &Faults) {
        (&self.iam, &self.iam_faults)
    }

    /// The list of accounts.
    #[must_use]
    pub fn accounts(&self) -> (&Host, &Faults) {
        (&self.accounts, &self.accounts_faults)
    }

    /// The container service: lists of clusters, and their kubeconfigs.
    #[must_use]
    pub fn containers(&self) -> (&Host, &Faults) {
        (&self.containers, &self.containers_faults)
    }

    /// The control plane behind the clusters of type `kubernetes`.
    #[must_use]
    pub fn iks(&self) -> &ControlPlane {
        &self.iks
    }

    /// The cluster of type `openshift`. Its hosts have certificates of [`Self::ca_pem`], and its
    /// OAuth server takes `apikey` and `passcode` for users.
    #[must_use]
    pub fn roks(&self) -> &OpenShift {
        &self.roks
    }

    /// How many connections came to the private endpoints of the clusters.
    #[must_use]
    pub fn private_connections(&self) -> usize {
        self.private_door.connections() + self.roks_private_door.connections()
    }

    /// A new one-time passcode, as a browser shows it after login.
    #[must_use]
    pub fn passcode(&self) -> String {
        let ends = self.iam_faults.now() + self.cloud.options.passcode;
        self.cloud.book.new_passcode(ends)
    }

    /// The token of a pod that may become the trusted profile [`PROFILE_NAME`], for so long.
    ///
    /// # Errors
    /// No signature.
    pub fn pod_token(&self, lifetime: Duration) -> Result<String, Error> {
        let claims = claims::pod(SystemTime::now(), lifetime);
        self.cloud.pods.sign(&claims)
    }

    /// The ID token and the refresh token that IBM's own tools write into the kubeconfig of a
    /// cluster, for the client `kube`.
    ///
    /// # Errors
    /// No signature.
    pub fn kube_login(&self) -> Result<(String, String), Error> {
        let issuer = self.iam.url();
        let now = self.iam_faults.now();
        let login = self.cloud.issue_login(Client::Kube, &issuer, now)?;
        let text = |field: &str| login[field].as_str().unwrap_or_default().to_owned();
        Ok((text("id_token"), text("refresh_token")))
    }

    /// `idp-issuer-url` of those kubeconfigs.
    #[must_use]
    pub fn issuer_url(&self) -> String {
        format!("{}/identity", self.iam.url())
    }

    /// Makes [`API_KEY`] unknown. Its sessions live on.
    pub fn revoke_api_key(&self) {
        self.cloud.book.revoke_api_key();
    }

    /// Refuses [`USER`] in every grant, or no more.
    pub fn suspend_user(&self, suspended: bool) {
        self.cloud.book.suspend_user(suspended);
    }

    /// Refuses to take the password alone, or takes it again.
    pub fn require_mfa(&self, required: bool) {
        self.cloud.book.require_mfa(required);
    }

    /// Makes every refresh token and delegated token invalid.
    pub fn end_sessions(&self) {
        self.cloud.book.end_sessions();
    }

    /// How many tokens were granted that way.
    #[must_use]
    pub fn granted(&self, grant: Grant) -> usize {
        self.cloud.book.granted(grant)
    }

    /// How many requests for tokens were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.cloud.book.refused()
    }
}

type Answer = fn(&Cloud, &Request<Bytes>, SystemTime) -> Response<Bytes>;

#[cfg(test)]
mod tests;
