//! An IBM Cloud in miniature: IAM, the account service, the container service and the metadata
//! service of a virtual server, each an HTTPS server, and clusters whose API servers accept the ID tokens that IAM issues for `kube`.
//!
//! The users, keys and clusters are fixed (`fixtures`, `clusters`). A request for a token takes
//! the path `iam` -> `token_endpoint` -> `iam_state` (sessions and refresh tokens) -> `claims`.

mod accounts;
mod claims;
mod client;
mod clusters;
mod containers;
mod fixtures;
mod iam;
mod iam_error;
mod iam_state;
mod iks;
mod kubeconfig;
mod metadata;
mod options;
mod roks;
mod token_endpoint;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use self::{
    client::Client,
    clusters::{ApiServer, Cluster},
    iam_state::IamState,
    iks::IksAuthenticator,
};
pub use self::{
    fixtures::{
        ACCOUNT, API_KEY, IAM_USER, PASSWORD, PROFILE_ID, PROFILE_NAME, STAGING_ACCOUNT,
        STAGING_API_KEY, USER,
    },
    iam_state::Grant,
    options::Options,
};
use crate::demo::{
    certificates::Authority,
    error::Error,
    https::{Faults, HttpsServer},
    jwt::Signer,
    kubernetes::{ControlPlane, listener::Listener},
    openshift::OpenShift,
};

/// A running cloud. Dropping it stops it.
#[derive(Debug)]
pub struct IbmCloud {
    iam: HttpsServer,
    accounts: HttpsServer,
    containers: HttpsServer,
    metadata: HttpsServer,
    iam_faults: Faults,
    accounts_faults: Faults,
    containers_faults: Faults,
    metadata_faults: Faults,
    cloud: Arc<Cloud>,
    iks: ControlPlane,
    iks_private: Listener,
    roks: OpenShift,
    roks_private: Listener,
}

/// The state that the services share.
#[derive(Debug)]
struct Cloud {
    options: Mutex<Options>,
    signer: Arc<Signer>,
    /// Signs the tokens that identify pods.
    pod_signer: Signer,
    iam: Arc<IamState>,
    clusters: Vec<Cluster>,
    /// Set once IAM has started.
    iam_url: OnceLock<String>,
}

impl Cloud {
    fn options(&self) -> MutexGuard<'_, Options> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The URL of a server by its name, which tells it from the one by its address.
fn by_name(url: &str) -> String {
    url.replace("127.0.0.1", "localhost")
}

type Handler = fn(&Cloud, &Request<Bytes>, SystemTime) -> Response<Bytes>;

impl IbmCloud {
    /// Starts the cloud on random ports of 127.0.0.1.
    ///
    /// # Errors
    /// A port, a certificate or a key could not be had.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let signer = Arc::new(Signer::generate()?);
        let authority = Arc::new(Authority::generate().map_err(Error::Certificates)?);
        let iam_state = Arc::<IamState>::default();
        let iam_faults = Faults::default();
        let authenticator = Arc::new(IksAuthenticator::new(signer.clone()));
        let iks = ControlPlane::start_for_vendor(options.id_token, Some(authenticator)).await?;
        let iks_private = iks.add_listener().await?;
        let users = Arc::new(roks::CloudUsers::new(iam_state.clone(), iam_faults.clone()));
        let roks = roks::start(&authority, options.roks_session, users).await?;
        let roks_private = roks.api().add_listener().await?;
        let clusters = clusters::all(
            ApiServer {
                public: iks.url(),
                private: iks_private.url(),
                vpe: by_name(&iks_private.url()),
                link: by_name(&iks.url()),
                ca_pem: Some(iks.ca_pem().to_owned()),
            },
            ApiServer {
                public: roks.api().url(),
                private: roks_private.url(),
                vpe: by_name(&roks_private.url()),
                link: by_name(&roks.api().url()),
                ca_pem: None,
            },
        );
        let cloud = Arc::new(Cloud {
            options: Mutex::new(options),
            signer,
            pod_signer: Signer::generate()?,
            iam: iam_state,
            clusters,
            iam_url: OnceLock::new(),
        });

        let start = async |name: &str, faults: &Faults, handler: Handler| {
            let cloud = cloud.clone();
            let names = [&format!("{name}.cloud.ibm.com")[..]];
            let handler = move |request: Request<Bytes>, now| handler(&cloud, &request, now);
            HttpsServer::start_with_authority(&authority, &names, faults.clone(), handler).await
        };
        let (accounts_faults, containers_faults) = (Faults::default(), Faults::default());
        let metadata_faults = Faults::default();
        let iam = start("iam", &iam_faults, Cloud::handle_iam).await?;
        cloud.iam_url.get_or_init(|| iam.url());
        let accounts = start("accounts", &accounts_faults, Cloud::handle_accounts).await?;
        let containers = start("containers", &containers_faults, Cloud::handle_containers).await?;
        let metadata = start("api.metadata", &metadata_faults, Cloud::handle_metadata).await?;
        Ok(Self {
            iam,
            accounts,
            containers,
            metadata,
            iam_faults,
            accounts_faults,
            containers_faults,
            metadata_faults,
            cloud,
            iks,
            iks_private,
            roks,
            roks_private,
        })
    }

    /// The environment variables that point IBM's tools, and kubegate, to this cloud. Its CA must
    /// be trusted like a system root: `SSL_CERT_FILE` names a file with [`Self::ca_pem`].
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

    /// The CA of the services, in PEM. Clusters have CAs of their own.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.iam.ca_pem()
    }

    /// IAM, which issues tokens.
    #[must_use]
    pub fn iam(&self) -> (&HttpsServer, &Faults) {
        (&self.iam, &self.iam_faults)
    }

    /// The account service, which lists the user's accounts.
    #[must_use]
    pub fn accounts(&self) -> (&HttpsServer, &Faults) {
        (&self.accounts, &self.accounts_faults)
    }

    /// The container service, which lists clusters and provides their kubeconfigs.
    #[must_use]
    pub fn containers(&self) -> (&HttpsServer, &Faults) {
        (&self.containers, &self.containers_faults)
    }

    /// The metadata service of a virtual server, which issues its identity. A client finds it by the
    /// variable `IBMCLOUD_CR_VPC_URL`, which [`Self::environment`] does not have.
    #[must_use]
    pub fn metadata(&self) -> (&HttpsServer, &Faults) {
        (&self.metadata, &self.metadata_faults)
    }

    /// The control plane of the clusters of type `kubernetes`.
    #[must_use]
    pub fn iks(&self) -> &ControlPlane {
        &self.iks
    }

    /// The cluster of type `openshift`. Its servers have certificates of [`Self::ca_pem`], and its
    /// OAuth server accepts the users `apikey` and `passcode`.
    #[must_use]
    pub fn roks(&self) -> &OpenShift {
        &self.roks
    }

    /// How many connections the private endpoints of the clusters accepted so far.
    #[must_use]
    pub fn private_connections(&self) -> usize {
        self.iks_private.connections() + self.roks_private.connections()
    }

    /// A new one-time passcode, such as a browser shows after a login.
    #[must_use]
    pub fn passcode(&self) -> String {
        let expires_at = self.iam_faults.now() + self.cloud.options().passcode;
        self.cloud.iam.new_passcode(expires_at)
    }

    /// A token that identifies a pod, with which it can assume the trusted profile
    /// [`PROFILE_NAME`].
    ///
    /// # Errors
    /// The token could not be signed.
    pub fn pod_token(&self, lifetime: Duration) -> Result<String, Error> {
        let claims = claims::pod(SystemTime::now(), lifetime);
        self.cloud.pod_signer.sign(&claims)
    }

    /// The ID token and the refresh token that IBM's own tools write into the kubeconfig of a
    /// cluster, issued to the client `kube`.
    ///
    /// # Errors
    /// A token could not be signed.
    pub fn kube_login(&self) -> Result<(String, String), Error> {
        let login = self.log_in(Client::Kube)?;
        let text = |field: &str| login[field].as_str().unwrap_or_default().to_owned();
        Ok((text("id_token"), text("refresh_token")))
    }

    /// The refresh token of a new session of the client `bx`, IBM's command line.
    ///
    /// # Errors
    /// A token could not be signed.
    pub fn cli_login(&self) -> Result<String, Error> {
        let login = self.log_in(Client::Bx)?;
        Ok(login["refresh_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    fn log_in(&self, client: Client) -> Result<Value, Error> {
        let now = self.iam_faults.now();
        self.cloud.issue_login(client, &self.iam.url(), now)
    }

    /// The `idp-issuer-url` of the kubeconfigs that IBM's own tools write.
    #[must_use]
    pub fn issuer_url(&self) -> String {
        format!("{}/identity", self.iam.url())
    }

    /// Whether IAM would accept this refresh token now.
    #[must_use]
    pub fn accepts_refresh_token(&self, token: &str) -> bool {
        self.cloud.iam.accepts(token, self.iam_faults.now())
    }

    /// Changes the options. Tokens that were issued before keep their lifetimes.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.cloud.options());
    }

    /// Revokes [`API_KEY`]. The sessions that it began stay valid.
    pub fn revoke_api_key(&self) {
        self.cloud.iam.revoke_api_key();
    }

    /// Refuses every grant to [`USER`], or stops doing so.
    pub fn suspend_user(&self, suspended: bool) {
        self.cloud.iam.suspend_user(suspended);
    }

    /// Refuses a password without a second factor, or accepts it again.
    pub fn require_mfa(&self, required: bool) {
        self.cloud.iam.require_mfa(required);
    }

    /// Makes every refresh token and delegated refresh token invalid.
    pub fn end_sessions(&self) {
        self.cloud.iam.end_sessions();
    }

    /// Refuses a grant with an HTTP status and an error code of IAM's; `None` ends that.
    pub fn refuse(&self, grant: Grant, error: Option<(u16, &'static str)>) {
        self.cloud.iam.refuse(grant, error);
    }

    /// Replaces a field of the tokens that IAM issues, such as `expires_in` or `id_token`;
    /// `None` ends that.
    pub fn replace_token_field(&self, field: &'static str, value: Option<Value>) {
        self.cloud.iam.replace_token_field(field, value);
    }

    /// How many tokens were issued for this kind of grant.
    #[must_use]
    pub fn granted(&self, grant: Grant) -> usize {
        self.cloud.iam.granted(grant)
    }

    /// How many requests for tokens were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.cloud.iam.refused()
    }
}

#[cfg(test)]
mod tests;
