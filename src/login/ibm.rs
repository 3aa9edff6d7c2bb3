//! The login to a cluster of IBM Cloud.

mod prompts;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Error,
    login_name::{NameRequest, SecretKind, choose_login_name_of_kind},
    new_context::{chosen_names, exec_entry, ibm_identity, warn_of_orphan},
    save::{handle_signals, save_login},
    uninterrupted::uninterrupted,
};
use crate::{
    credential::{
        self, Cache, CommandContext,
        ibm_iam::{self, CloudSession, Endpoints, RootCredential, RootOptions, UserProof},
        store::{SavedLogin, Store},
    },
    kubeconfig::{
        Cluster, ExecApiVersion, Overrides,
        edit::{self, Naming, NewCluster, NewContext, add_context},
    },
    secret::Secret,
    settings::{IbmEndpoint, IbmFlags, Login},
    signals::Signals,
};

/// The end of the name of a login that holds a session and no API key.
const SESSION: &str = "session";

/// What the command line asks for.
pub struct LoginRequest<'a> {
    /// How the user proves who they are.
    pub method: LoginMethod,
    /// Id or name of the account.
    pub account: Option<&'a str>,
    /// Name or id of the cluster.
    pub cluster: Option<&'a str>,
    /// Which of the cluster's endpoints to use.
    pub endpoint: Option<IbmEndpoint>,
    /// Whether secrets are stored in the keyring of the operating system.
    pub keyring: bool,
    /// `--kubeconfig`
    pub kubeconfig: Option<&'a Path>,
    /// The names of the entries, and the namespace.
    pub connection: &'a Overrides,
    /// `--exec-api-version`
    pub exec_api_version: Option<ExecApiVersion>,
}

/// How the user proves who they are.
pub enum LoginMethod {
    /// With the API key in this file; `-` is standard input.
    KeyFile(PathBuf),
    /// With the identity of this pod or virtual server.
    ComputeResource {
        /// Whether it is a virtual server in a VPC.
        vpc_cri: bool,
        /// Its trusted profile.
        profile: Option<String>,
    },
    /// With the API key or pod token of the environment; if there is none, asks for an API key.
    Environment,
    /// With a one-time passcode; asks for it if it is `None`.
    Passcode(Option<Secret>),
    /// With a user name and a password; asks for the password if it is `None`.
    Password(String, Option<Secret>),
}

/// A completed login, which the cluster has accepted.
pub struct LoggedIn {
    /// Name of the context, which is now the current one.
    pub context: String,
    /// The user's name in the cluster.
    pub user: String,
    /// Name of the cluster.
    pub cluster: String,
    /// The kubeconfig whose current context it is.
    pub file: PathBuf,
}

/// What a login begins with.
struct Begun {
    session: CloudSession,
    /// What to save for later renewals.
    saved: SavedLogin,
    /// The flags for the identity of a pod or virtual server, which is at hand and not saved.
    at_hand: Option<IbmFlags>,
}

/// Logs in, asks the cluster who the user is, saves what renewals need, and writes the context into
/// the kubeconfig. Changes nothing if any of that fails.
///
/// # Errors
/// What was refused or is missing, and what to do.
pub async fn log_in(
    request: LoginRequest<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<LoggedIn, Error> {
    let files = edit::files_to_edit(request.kubeconfig, env)?;
    let main_file = edit::file_to_edit(request.kubeconfig, env)?;
    edit::may_add_context(&files)?;
    let endpoints = ibm_iam::endpoints(None)?;
    let Begun {
        session,
        mut saved,
        at_hand,
    } = begin(&request, &endpoints).await?;
    saved.keyring = request.keyring;
    let cluster = match request.cluster {
        Some(name) => session.cluster(name).await?,
        None => prompts::choose_cluster(session.clusters().await?)?,
    };
    // A list has fewer fields of a cluster than the cluster's own entry.
    let cluster = session.cluster(&cluster.id).await?;
    let config = session.cluster_config(&cluster, request.endpoint).await?;
    let store = Store::of_user(env).map_err(credential::Error::store);
    // A session has a name of its own: an OpenShift cluster needs the key.
    let is_session = saved.api_key.is_none();
    let of_key = RootCredential::login_name(session.account(), session.user());
    let of_session = format!("{of_key}/{SESSION}");
    let name = NameRequest {
        kubeconfig: request.kubeconfig,
        kind: "ibm",
        user: None,
        is_shared: true,
        preferred: if is_session { &of_session } else { &of_key },
    };
    let secret = SecretKind {
        former: &of_key,
        is_same: if is_session {
            |saved| saved.api_key.is_none()
        } else {
            |saved| saved.api_key.is_some() || saved.refresh_token.is_none()
        },
    };
    let flags = IbmFlags {
        login: match (&at_hand, &store) {
            (None, Ok(store)) => Some(choose_login_name_of_kind(store, &name, &secret, env)),
            // Without a state folder the login fails below.
            (None, Err(_)) => Some(name.preferred.to_owned()),
            (Some(_), _) => None,
        },
        cluster: Some(cluster.id.clone()),
        openshift: cluster.is_openshift(),
        iam: endpoints.other_iam(),
        ..at_hand.unwrap_or_default()
    };
    let mut chosen = chosen_names(request.connection);
    // The flag --cluster is of IBM Cloud's cluster, not of an entry.
    chosen.cluster = None;
    let mut new = NewContext {
        chosen,
        naming: Naming::Ibm(format!("{}/{}", cluster.name, cluster.id)),
        username: String::new(),
        namespace: request.connection.namespace.clone(),
        default_namespace: None,
        cluster: NewCluster::of(&config, config.url(), None)?,
        exec: exec_entry(flags.to_args(), request.exec_api_version),
        identity: ibm_identity(&flags),
    };
    let mut user = String::new();
    let mut signals = handle_signals()?;
    let finish = async |signals: &mut Signals| {
        let username = signals.interrupting(verify(&flags, &config)).await;
        new.username = username.ok_or(Error::Interrupted)??;
        user.clone_from(&new.username);
        let written = uninterrupted(signals, move || add_context(&files, &new, true)).await?;
        Ok(Some(written))
    };
    let written = match &flags.login {
        Some(login) => {
            let store = store?;
            let binding = credential::saved_login::binding(&Login::Ibm(flags.clone()), &config)?;
            let saving = save_login(&store, binding, login, &saved, true, &mut signals, finish);
            Box::pin(saving).await?
        }
        None => finish(&mut signals).await?,
    };
    if let Some(written) = &written {
        warn_of_orphan(written, request.kubeconfig);
    }
    Ok(LoggedIn {
        context: written.map(|written| written.context).unwrap_or_default(),
        user,
        cluster: cluster.name,
        file: main_file,
    })
}

/// Begins a session in the account of the request.
async fn begin(request: &LoginRequest<'_>, endpoints: &Endpoints) -> Result<Begun, Error> {
    let find = |asked| RootCredential::from_environment(asked);
    let proof = match &request.method {
        LoginMethod::KeyFile(path) => {
            let root = find(RootOptions {
                apikey_file: Some(path),
                ..RootOptions::default()
            })?;
            return begin_with_root(request, endpoints, root).await;
        }
        LoginMethod::ComputeResource { vpc_cri, profile } => {
            let root = find(RootOptions {
                vpc_cri: *vpc_cri,
                profile: profile.as_deref(),
                ..RootOptions::default()
            })?;
            return begin_with_root(request, endpoints, root).await;
        }
        LoginMethod::Environment => {
            let root = find(RootOptions::default())?;
            return begin_with_root(request, endpoints, root).await;
        }
        LoginMethod::Passcode(Some(passcode)) => UserProof::Passcode(passcode.clone()),
        LoginMethod::Passcode(None) => UserProof::Passcode(prompts::ask_passcode(endpoints)?),
        LoginMethod::Password(user, password) => UserProof::Password {
            user: user.clone(),
            password: match password {
                Some(password) => password.clone(),
                None => prompts::ask_password()?,
            },
        },
    };
    let mut session = CloudSession::log_in(endpoints.clone(), &proof).await?;
    let accounts = session.accounts().await?;
    let account = match ibm_iam::choose_account(&accounts, request.account)? {
        Some(account) => account,
        None => prompts::choose_account(&accounts)?,
    };
    session.switch_account(account).await?;
    let saved = session.to_save();
    Ok(Begun {
        session,
        saved,
        at_hand: None,
    })
}

/// Begins a session with an API key, which is asked for if there is no root credential, or with the
/// identity of a pod or virtual server.
async fn begin_with_root(
    request: &LoginRequest<'_>,
    endpoints: &Endpoints,
    root: Option<RootCredential>,
) -> Result<Begun, Error> {
    let root = match root {
        Some(root) => root,
        None => RootCredential::typed(&prompts::ask_api_key()?)?,
    };
    let saved = SavedLogin {
        api_key: root.api_key()?,
        ..SavedLogin::default()
    };
    let at_hand = root.entry_flags();
    let account = request.account.map(str::to_owned);
    let login = ibm_iam::login_command(request.cluster);
    let chain = ibm_iam::Chain::new(ibm_iam::issuer(), endpoints, root, account, login)?;
    let session = CloudSession::from_chain(endpoints.clone(), &chain).await?;
    Ok(Begun {
        session,
        saved,
        at_hand,
    })
}

/// Asks the cluster who the user is, with the credential that the saved login will give.
async fn verify(flags: &IbmFlags, cluster: &Cluster) -> Result<String, Error> {
    let login = Login::Ibm(flags.clone());
    let source = credential::saved_login::source(&login, cluster, &CommandContext::Unknown)?;
    let identity = credential::whoami(cluster, Cache::new(source)).await?;
    Ok(identity.username)
}
