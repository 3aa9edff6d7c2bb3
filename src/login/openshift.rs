//! `kubegate login openshift`: a session begins, the kubeconfig gets a context by the names that
//! `oc` gives, and the session rests in the state folder.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Error, Naming, browser, cluster_name, confirm, keep, name_for, terminal, trust};
use crate::{
    credential::{
        self, exec_credential,
        openshift::{Access, Oauth, Session, SessionEnd, SessionExpiry},
        store::{LoginBinding, Saved, Store},
    },
    kubeconfig::{
        self, Cluster, Overrides, Pem, ProxyUrl, Target,
        edit::{NewContext, add_context, file_to_edit, may_add_context},
    },
    secret::Secret,
    settings::{Login, OpenshiftFiles, OpenshiftFlags},
};

/// What a human asks for.
pub struct Request {
    /// How to reach the API server; where it names no server, that of the kubeconfig's context.
    /// All about users is passed over.
    pub connection: Overrides,
    /// `--kubeconfig`
    pub kubeconfig: Option<PathBuf>,
    /// SHA-256 of a certificate that the server shows and that is to be trusted.
    pub trust_fingerprint: Option<String>,
    /// Authorities of the OAuth server; user name and password for a login without a human.
    pub files: OpenshiftFiles,
    /// How to log in.
    pub way: Way,
}

/// How to log in.
pub enum Way {
    /// Whatever is missing is asked for on the terminal.
    Password {
        /// The user name.
        user: Option<String>,
        /// The password.
        password: Option<Secret>,
    },
    /// In a browser.
    Web,
    /// With a session that is there already.
    Token(Secret),
}

/// What came of it.
pub struct LoggedIn {
    /// Who the API server says it is.
    pub user: String,
    /// Its URL.
    pub server: String,
    /// Name of the context that is current now.
    pub context: String,
    /// The file in which it stands.
    pub file: PathBuf,
    /// When the session ends, where that is known.
    pub ends_at: Option<SystemTime>,
}

/// Logs in.
///
/// # Errors
/// An authority that is not known; whatever the OAuth server refuses; a state folder or
/// kubeconfig that cannot be written. Nothing is changed then.
pub async fn login(
    mut request: Request,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<LoggedIn, Error> {
    let file = file_to_edit(request.kubeconfig.as_deref(), env)?;
    may_add_context(&file)?;
    let chosen = match request.connection.server {
        Some(_) => None,
        None => Some(chosen(&request, env)?),
    };
    let cluster = cluster(&request, chosen.as_ref(), env).await?;
    // With a cluster of the flags it is another context.
    let is_whole = request.connection.cluster.is_none();
    let chosen = chosen.filter(|chosen| is_whole && is_own(chosen));
    let files = &mut request.files;
    if files.oauth_certificate_authority.is_none() {
        let known = known_oauth_authority(&cluster, request.kubeconfig.as_deref(), env);
        files.oauth_certificate_authority = known;
    }
    let authority = request.files.oauth_certificate_authority.as_deref();
    let access = Access::new(&cluster, authority);
    let oauth = match access.discover().await {
        Ok(oauth) => oauth,
        Err(error) => return Err(trust::explained(&cluster, error).await),
    };
    let session = match request.way {
        _ if request.files.username_and_password().is_some() => {
            from_files(&request.files, &cluster).await
        }
        Way::Password { user, password } => {
            let user = user.or_else(|| {
                Some(
                    chosen
                        .as_ref()?
                        .user
                        .name
                        .as_ref()?
                        .split('/')
                        .next()?
                        .to_owned(),
                )
            });
            with_password(&oauth, user, password).await
        }
        Way::Web => in_browser(oauth, env).await,
        Way::Token(token) => found(&access, token).await,
    };
    let session = session.map_err(trust::of_oauth)?;
    let identity = credential::whoami(&cluster, credential::from_token(&session.token)?).await?;
    let namespace = match &request.connection.namespace {
        Some(namespace) => Some(namespace.clone()),
        None => match chosen.as_ref().and_then(|chosen| chosen.namespace.clone()) {
            Some(namespace) => Some(namespace),
            None => project(access.projects(&session.token).await?),
        },
    };
    let names = Names::of(
        &cluster,
        &identity.username,
        namespace.as_deref(),
        chosen.as_ref(),
    );
    let store = Store::of_user(env).map_err(credential::Error::store)?;
    let naming = Naming {
        kubeconfig: request.kubeconfig.as_deref(),
        kind: "openshift",
        user: Some(&names.user),
        wanted: &names.user,
    };
    let login = name_for(&store, &naming, env);
    let context = NewContext {
        context: names.context.clone(),
        cluster: names.cluster,
        user: names.user.clone(),
        namespace,
        server: access.server(),
        certificate_authority: cluster
            .certificate_authority
            .as_ref()
            .map(Pem::read)
            .transpose()?
            .map(|pem| pem.to_vec()),
        tls_server_name: cluster.tls_server_name.clone(),
        proxy_url: cluster.proxy_url.as_ref().map(ProxyUrl::to_text),
        credential_args: credential_args(&login, &request.files),
    };
    let saved = Saved {
        token: Some(session.token.clone()),
        issued_at: Some(session.issued_at),
        expires_at: session.ends.at(),
        ..Saved::default()
    };
    let write = async || Ok(add_context(&file, &context, true)?);
    let here = LoginBinding::of_cluster(&cluster);
    keep(&store, here, &login, &saved, Some(&file), write).await?;
    Ok(LoggedIn {
        user: identity.username,
        server: context.server,
        context: context.context,
        file,
        ends_at: session.ends.at(),
    })
}

/// The API server as flags describe it, and as the kubeconfig did when somebody logged in there
/// before.
async fn cluster(
    request: &Request,
    chosen: Option<&Target>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Cluster, Error> {
    let given = &request.connection;
    if given.insecure_skip_tls_verify == Some(true) {
        return Err(Error::Insecure);
    }
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
    if let Some(fingerprint) = &request.trust_fingerprint {
        let pem = trust::pinned(&cluster, fingerprint).await?;
        cluster.certificate_authority = Some(Pem::Inline {
            data: pem.into_bytes().into(),
            origin: "flags: --trust-fingerprint".to_owned(),
        });
    }
    let chosen = chosen.map(|chosen| chosen.cluster.clone());
    let known = chosen.or_else(|| known(&cluster, request.kubeconfig.as_deref(), env));
    if let Some(known) = known {
        let authority = &mut cluster.certificate_authority;
        *authority = authority.take().or(known.certificate_authority);
        cluster.tls_server_name = cluster.tls_server_name.or(known.tls_server_name);
        cluster.proxy_url = cluster.proxy_url.or(known.proxy_url);
    }
    Ok(cluster)
}

/// The context that flags name; or, as with `oc`, the current one, where somebody says that it is
/// meant.
fn chosen(request: &Request, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Target, Error> {
    let given = &request.connection;
    if given.insecure_skip_tls_verify == Some(true) {
        return Err(Error::Insecure);
    }
    let choice = Overrides {
        context: given.context.clone(),
        cluster: given.cluster.clone(),
        ..Overrides::default()
    };
    let target = match kubeconfig::resolve(request.kubeconfig.as_deref(), &choice, env) {
        Ok(target) => target,
        Err(kubeconfig::Error::NothingFound { .. } | kubeconfig::Error::NoContext { .. }) => {
            return Err(Error::NoServer);
        }
        // A file that the login is to make.
        Err(kubeconfig::Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoServer);
        }
        Err(error) => return Err(error.into()),
    };
    if given.context.is_none() && given.cluster.is_none() {
        confirm(&target)?;
    }
    Ok(target)
}

/// Whether a context is one that a login of this kind made, to be made anew under its names.
fn is_own(target: &Target) -> bool {
    let kubeconfig::Login::Exec(entry) = &target.user.login else {
        return false;
    };
    target.context.is_some() && matches!(Login::of_exec(entry), Some(Login::Openshift(_)))
}

/// What the kubeconfig says of the same server.
fn known(
    cluster: &Cluster,
    kubeconfig: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Cluster> {
    let flags = Overrides {
        cluster: Some(cluster_name(cluster)),
        ..Overrides::default()
    };
    // There may be none, or one that is broken: then it says nothing.
    let known = kubeconfig::resolve(kubeconfig, &flags, env).ok()?.cluster;
    (known.server == cluster.server).then_some(known)
}

/// The authorities of the OAuth server that a login at the same API server was told before.
fn known_oauth_authority(
    cluster: &Cluster,
    kubeconfig: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let contexts = kubeconfig::contexts(kubeconfig, env).ok()?;
    let targets = contexts.into_iter().filter_map(|one| one.target.ok());
    let there = targets.filter(|target| target.cluster.server == cluster.server);
    let mut authorities = there.filter_map(|target| {
        let kubeconfig::Login::Exec(entry) = &target.user.login else {
            return None;
        };
        match Login::of_exec(entry)? {
            Login::Openshift(flags) => flags.files.oauth_certificate_authority,
            _ => None,
        }
    });
    authorities.next()
}

async fn with_password(
    oauth: &Oauth,
    user: Option<String>,
    password: Option<Secret>,
) -> Result<Session, Error> {
    // Nobody types in vain where only a browser can log in.
    oauth.challenges().await?;
    let user = match user {
        Some(user) => user,
        None => terminal::ask("Username: ", "user name", "give it by -u")?.to_string(),
    };
    let password = if let Some(password) = password {
        password
    } else {
        let instead = "give it by --password-stdin, or log in with --web";
        let typed = terminal::ask_hidden("Password: ", "password", instead)?;
        Secret::new(typed.as_str())
    };
    Ok(oauth.challenge_login(&user, &password).await?)
}

async fn in_browser(
    oauth: Oauth,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Session, Error> {
    let callback = browser::Callback::listen().await?;
    let login = oauth.web_login(callback.redirect_uri(), callback.state())?;
    browser::open(&login.url, env);
    let redeem = async |code| Ok(login.redeem(&code).await?);
    callback.complete(browser::PATIENCE, redeem).await
}

/// A session that somebody else began.
async fn found(access: &Access, token: Secret) -> Result<Session, Error> {
    let ends = match access.expiry(&token).await? {
        SessionExpiry::Valid {
            ends_at: Some(end),
            by_inactivity: false,
            ..
        } => SessionEnd::At(end),
        SessionExpiry::Valid { .. } => SessionEnd::Never,
        SessionExpiry::Unknown => SessionEnd::Unknown,
        SessionExpiry::Ended(why) => {
            return Err(credential::Error::LoginNeeded {
                subject: format!("the token for {}", access.server()),
                problem: why.into(),
                remedy: "give another, or log in with a password or --web".to_owned(),
            }
            .into());
        }
    };
    Ok(Session {
        token,
        issued_at: SystemTime::now(),
        ends,
    })
}

/// The first session of a login that goes on without a human.
async fn from_files(files: &OpenshiftFiles, cluster: &Cluster) -> Result<Session, Error> {
    let login = Login::Openshift(OpenshiftFlags {
        login: None,
        files: files.clone(),
    });
    let source = credential::saved_login::source(&login, cluster)?;
    let begun = source.fetch().await?;
    Ok(Session {
        token: exec_credential::token(&begun, &source.subject())?,
        issued_at: begun.issued_at.unwrap_or_else(SystemTime::now),
        ends: begun.expires_at.map_or(SessionEnd::Unknown, SessionEnd::At),
    })
}

/// The project that `oc` begins in: `default` for who may see it, else the first.
fn project(projects: Vec<String>) -> Option<String> {
    let default = projects.iter().position(|project| project == "default");
    projects.into_iter().nth(default.unwrap_or(0))
}

/// The names that `oc` gives.
struct Names {
    cluster: String,
    user: String,
    context: String,
}

impl Names {
    /// Those of `chosen` where that is to be made anew, but a user's entry only for that user.
    fn of(cluster: &Cluster, user: &str, namespace: Option<&str>, chosen: Option<&Target>) -> Self {
        let own = cluster_name(cluster);
        let is_users = |entry: &String| {
            let rest = entry.strip_prefix(user);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let entry = chosen.and_then(|chosen| chosen.user.name.clone());
        Self {
            user: entry
                .filter(is_users)
                .unwrap_or_else(|| format!("{user}/{own}")),
            context: chosen
                .and_then(|chosen| chosen.context.clone())
                .unwrap_or_else(|| format!("{}/{own}/{user}", namespace.unwrap_or_default())),
            cluster: chosen
                .and_then(|chosen| chosen.cluster.name.clone())
                .unwrap_or(own),
        }
    }
}

fn credential_args(login: &str, files: &OpenshiftFiles) -> Vec<String> {
    let mut args = ["credential", "openshift", "--login", login]
        .map(str::to_owned)
        .to_vec();
    for (flag, file) in [
        ("--openshift-username-file", &files.openshift_username_file),
        ("--openshift-password-file", &files.openshift_password_file),
        (
            "--oauth-certificate-authority",
            &files.oauth_certificate_authority,
        ),
    ] {
        if let Some(file) = file {
            // kubectl runs the plugin in any folder.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            args.extend([flag.to_owned(), file.display().to_string()]);
        }
    }
    args
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cluster(server: &str) -> Cluster {
        let flags = Overrides {
            server: Some(server.to_owned()),
            ..Overrides::default()
        };
        kubeconfig::resolve(None, &flags, &|_| None)
            .unwrap()
            .cluster
    }

    #[test]
    fn names_are_those_that_oc_gives() {
        for (server, cluster_name) in [
            ("https://api.ocp.example:6443", "api-ocp-example:6443"),
            ("https://api.example", "api-example:443"),
            ("https://127.0.0.1:8443/", "127-0-0-1:8443"),
        ] {
            let names = Names::of(&cluster(server), "alice", Some("default"), None);
            assert_eq!(names.cluster, cluster_name);
            assert_eq!(names.user, format!("alice/{cluster_name}"));
            assert_eq!(names.context, format!("default/{cluster_name}/alice"));
        }
        let names = Names::of(&cluster("https://a:1"), "alice", None, None);
        assert_eq!(names.context, "/a:1/alice");
    }

    #[test]
    fn a_project_is_chosen_as_oc_does() {
        for (projects, chosen) in [
            (&["a", "default", "z"][..], Some("default")),
            (&["a", "z"], Some("a")),
            (&[], None),
        ] {
            let projects = projects.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(project(projects).as_deref(), chosen);
        }
    }
}
