//! The login to an `OpenShift` cluster: begins a session, writes a context by the names that `oc`
//! gives, and saves the session in the state folder.

mod api_server;
mod project;
mod session;

use std::{ffi::OsString, io::IsTerminal as _, path::PathBuf, time::SystemTime};

use self::api_server::ServerChoice;
use super::{
    Error,
    new_context::{chosen_names, exec_entry, openshift_identity, planned_login, warn_of_orphan},
    save::{handle_signals, save_login},
    trust,
    uninterrupted::uninterrupted,
};
use crate::{
    credential::{
        self,
        openshift::{Access, Session, object_name, session_from_files},
        store::{LoginBinding, SavedLogin, Store},
    },
    kubeconfig::{
        Cluster, ExecApiVersion, Overrides, Target,
        edit::{
            ExecEntry, Naming, NewCluster, NewContext, add_context, files_to_edit, may_add_context,
        },
    },
    secret::Secret,
    settings::{BrowserFlags, OpenshiftFiles},
    signals::Signals,
};

/// What the command line asks for.
pub struct LoginRequest {
    /// How to reach the API server; without a server, that of a context. Its user is ignored.
    pub connection: Overrides,
    /// `--kubeconfig`
    pub kubeconfig: Option<PathBuf>,
    /// SHA-256 of the server's certificate that is to be trusted.
    pub trust_fingerprint: Option<String>,
    /// The OAuth server's authority, and user name and password for a login that needs no user.
    pub files: OpenshiftFiles,
    /// How to log in.
    pub method: LoginMethod,
    /// `--exec-api-version`
    pub exec_api_version: Option<ExecApiVersion>,
}

/// How to log in.
pub enum LoginMethod {
    /// With a user name and a password; asks for what is missing.
    Password {
        /// The user name.
        user: Option<String>,
        /// The password.
        password: Option<Secret>,
    },
    /// In a browser.
    Web {
        /// How the browser is used.
        browser: BrowserFlags,
        /// The port that the browser is sent back to; 0 for any.
        callback_port: u16,
    },
    /// With the token of an existing session.
    Token(Secret),
}

impl LoginMethod {
    /// Whether the command line says neither who logs in nor how, so that a context with files for that
    /// is logged in to by them.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Password {
                user: None,
                password: None
            }
        )
    }
}

/// A completed login, which the cluster has accepted.
pub struct LoggedIn {
    /// The user's name in the cluster.
    pub user: String,
    /// URL of the API server.
    pub server: String,
    /// Name of the context, which is now the current one.
    pub context: String,
    /// The kubeconfig that the context was written to.
    pub file: PathBuf,
    /// When the session ends, if that is known.
    pub ends_at: Option<SystemTime>,
}

/// Logs in, asks the cluster who the user is, saves the session, and writes the context. Changes
/// nothing if any of that fails.
///
/// # Errors
/// An authority that is not trusted; a refusal by the OAuth server; a state folder or kubeconfig that
/// cannot be written.
pub async fn log_in(
    mut request: LoginRequest,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<LoggedIn, Error> {
    let files = files_to_edit(request.kubeconfig.as_deref(), env)?;
    may_add_context(&files)?;
    let choice = ServerChoice {
        connection: &request.connection,
        kubeconfig: request.kubeconfig.as_deref(),
        trust_fingerprint: request.trust_fingerprint.as_deref(),
    };
    let chosen = match request.connection.server {
        Some(_) => None,
        None => Some(choice.context(env)?),
    };
    let cluster = choice.cluster(chosen.as_ref(), env).await?;
    // With --cluster it is another context than the current one.
    let has_own_cluster = request.connection.cluster.is_none();
    let is_named = request.connection.context.is_some();
    let renewed =
        chosen.filter(|chosen| has_own_cluster && (is_named || api_server::is_of_login(chosen)));
    if request.method.is_open() && request.files.username_and_password().is_none() {
        take_known_files(&mut request.files, renewed.as_ref());
    }
    let authority = &mut request.files.oauth_certificate_authority;
    *authority = authority
        .take()
        .or_else(|| choice.known_oauth_authority(&cluster, env));
    let access = Access::new(&cluster, authority.as_deref());
    let begun = begin(
        request.method,
        &request.files,
        &access,
        &cluster,
        renewed.as_ref(),
        env,
    );
    let begun = begun.await?;
    let session = &begun.session;

    let identity = credential::whoami(&cluster, credential::from_token(&session.token)?).await;
    let identity = match identity {
        Ok(identity) => identity,
        // Of a token that no OAuth server was asked about, this is the first request.
        Err(error) => return Err(trust::with_certificates(&cluster, error).await),
    };
    let user = &identity.username;
    let kept = renewed.as_ref().and_then(|one| one.namespace.clone());
    let namespace = if let Some(namespace) = request.connection.namespace.clone().or(kept) {
        Some(namespace)
    } else {
        let earlier = choice.earlier_namespace(&cluster, user, env);
        project::starting_project(&access, &session.token, earlier).await
    };
    let proxy = request.connection.proxy_url.as_ref();
    let new_cluster = NewCluster::of(&cluster, access.server(), proxy)?;
    let mut new = new_context(
        &request.connection,
        &request.files,
        renewed.as_ref(),
        user,
        namespace,
        new_cluster,
    );
    let store = Store::of_user(env).map_err(credential::Error::store)?;
    let kubeconfig = request.kubeconfig.as_deref();
    let login = planned_login(kubeconfig, "openshift", &new, &store, env)?;
    new.exec = exec_entry(
        credential_args(&login, &request.files),
        request.exec_api_version,
    );
    let saved = SavedLogin {
        token: Some(session.token.clone()),
        issued_at: Some(session.issued_at),
        expires_at: session.ends.at(),
        ..SavedLogin::default()
    };
    let server = new.cluster.server.clone();
    let write = async |signals: &mut Signals| {
        let written = uninterrupted(signals, move || add_context(&files, &new, true)).await?;
        Ok(Some(written))
    };
    let binding = LoginBinding::of_cluster(&cluster);
    let mut signals = handle_signals()?;
    let written = save_login(&store, binding, &login, &saved, false, &mut signals, write).await?;
    if let Some(written) = &written {
        warn_of_orphan(written, kubeconfig);
    }
    let (context, file) = written
        .map(|written| (written.context, written.current_in))
        .unwrap_or_default();
    begun.forget_refused_passwords(&store, user);
    Ok(LoggedIn {
        ends_at: session.ends.at(),
        user: identity.username,
        server,
        context,
        file,
    })
}

/// The context that the login of `user` writes, as yet without its plugin.
fn new_context(
    connection: &Overrides,
    files: &OpenshiftFiles,
    renewed: Option<&Target>,
    user: &str,
    namespace: Option<String>,
    cluster: NewCluster,
) -> NewContext {
    let mut chosen = chosen_names(connection);
    chosen.context = chosen.context.or_else(|| renewed?.context.clone());
    NewContext {
        chosen,
        naming: Naming::Oc {
            namespace: namespace.clone().unwrap_or_default(),
        },
        username: user.to_owned(),
        namespace: connection.namespace.clone(),
        default_namespace: namespace,
        cluster,
        exec: ExecEntry::default(),
        identity: openshift_identity(files),
    }
}

/// Takes the files that a renewed context's user names, but keeps an authority that was given.
fn take_known_files(files: &mut OpenshiftFiles, renewed: Option<&Target>) {
    let Some(known) = renewed.and_then(api_server::login_files) else {
        return;
    };
    let given = files.oauth_certificate_authority.take();
    *files = known;
    let authority = &mut files.oauth_certificate_authority;
    *authority = given.or(authority.take());
}

/// A session, and what is known of its account.
struct Begun {
    session: Session,
    /// The OAuth server; `None` for a token that is no session.
    issuer: Option<String>,
    /// The user name that was typed.
    typed: Option<String>,
}

impl Begun {
    /// Lets passwords of files be sent again that were refused: the account works again. `user` is its
    /// name in the cluster, which the name that was typed may differ from.
    fn forget_refused_passwords(&self, store: &Store, user: &str) {
        let Some(issuer) = &self.issuer else {
            return;
        };
        let typed = self.typed.as_deref().filter(|typed| *typed != user);
        for name in [user].into_iter().chain(typed) {
            if let Err(error) = store.forget_refused_passwords(issuer, name) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot forget which passwords were refused");
            }
        }
    }
}

/// Begins a session by the method of the request, or by its files.
async fn begin(
    method: LoginMethod,
    files: &OpenshiftFiles,
    access: &Access,
    cluster: &Cluster,
    renewed: Option<&Target>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Begun, Error> {
    let by_files = files.username_and_password();
    if by_files.is_none()
        && let LoginMethod::Token(token) = &method
        && object_name(token).is_none()
    {
        return Ok(Begun {
            session: session::of_token(access, token.clone()).await?,
            issuer: None,
            typed: None,
        });
    }
    let oauth = match access.discover().await {
        Ok(oauth) => oauth,
        Err(error) => return Err(trust::with_certificates(cluster, error).await),
    };
    let issuer = Some(oauth.issuer().to_owned());
    let mut typed = None;
    let session = match (by_files, method) {
        (Some((user, password)), _) => {
            // A person may try again what a script may not.
            let is_person = std::io::stdin().is_terminal();
            let session = session_from_files(access, user, password, is_person).await;
            session.map_err(Error::from)
        }
        (None, LoginMethod::Password { user, password }) => {
            let renewed = renewed.filter(|renewed| api_server::is_of_login(renewed));
            let user = user.or_else(|| user_of(renewed?));
            let begun = session::with_password(&oauth, user, password).await;
            begun.map(|(session, user)| {
                typed = Some(user);
                session
            })
        }
        (
            None,
            LoginMethod::Web {
                browser,
                callback_port,
            },
        ) => session::in_browser(oauth, &browser, callback_port, env).await,
        (None, LoginMethod::Token(token)) => session::of_token(access, token).await,
    };
    Ok(Begun {
        session: session.map_err(trust::of_oauth_server)?,
        issuer,
        typed,
    })
}

/// Returns the user name in the name of a user entry, if that is `USER/CLUSTER`.
fn user_of(target: &Target) -> Option<String> {
    let (user, _) = target.user.name.as_ref()?.split_once('/')?;
    Some(user.to_owned())
}

/// Returns the arguments of `kubegate credential` for the user entry.
fn credential_args(login: &str, files: &OpenshiftFiles) -> Vec<String> {
    let mut args = ["credential", "openshift", "--login", login]
        .map(str::to_owned)
        .to_vec();
    args.extend(files.to_args());
    args
}
