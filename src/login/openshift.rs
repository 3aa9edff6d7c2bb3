//! The login to an `OpenShift` cluster: begins a session, writes a context by the names that `oc`
//! gives, and saves the session in the state folder.

mod api_server;
mod session;

use std::{ffi::OsString, path::PathBuf, time::SystemTime};

use self::api_server::ServerChoice;
use super::{
    Error,
    login_name::{NameRequest, choose_login_name},
    new_context::{EntryNames, cluster_entry_name, new_context},
    save::save_login,
    trust,
};
use crate::{
    credential::{
        self,
        openshift::{Access, Session},
        store::{LoginBinding, SavedLogin, Store},
    },
    kubeconfig::{
        Cluster, ExecApiVersion, Overrides, Target,
        edit::{add_context, file_to_edit, may_add_context},
    },
    secret::Secret,
    settings::OpenshiftFiles,
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
    Web,
    /// With the token of an existing session.
    Token(Secret),
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
    let file = file_to_edit(request.kubeconfig.as_deref(), env)?;
    may_add_context(&file)?;
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
    // With --cluster it is another context than the one named.
    let has_own_cluster = request.connection.cluster.is_none();
    let renewed = chosen.filter(|chosen| has_own_cluster && api_server::is_of_login(chosen));
    let authority = &mut request.files.oauth_certificate_authority;
    *authority = authority
        .take()
        .or_else(|| choice.known_oauth_authority(&cluster, env));
    let access = Access::new(&cluster, authority.as_deref());
    let session = begin(
        request.method,
        &request.files,
        &access,
        &cluster,
        renewed.as_ref(),
        env,
    );
    let session = session.await?;

    let identity = credential::whoami(&cluster, credential::from_token(&session.token)?).await?;
    let namespace = match &request.connection.namespace {
        Some(namespace) => Some(namespace.clone()),
        None => match renewed.as_ref().and_then(|one| one.namespace.clone()) {
            Some(namespace) => Some(namespace),
            None => default_project(access.projects(&session.token).await?),
        },
    };
    let user = &identity.username;
    let names = entry_names(&cluster, user, namespace.as_deref(), renewed.as_ref());
    let store = Store::of_user(env).map_err(credential::Error::store)?;
    let name = NameRequest {
        kubeconfig: request.kubeconfig.as_deref(),
        kind: "openshift",
        user: Some(&names.user),
        preferred: &names.user,
    };
    let login = choose_login_name(&store, &name, env);
    let context = new_context(
        names,
        namespace,
        &cluster,
        access.server(),
        None,
        (
            credential_args(&login, &request.files),
            request.exec_api_version,
        ),
    )?;
    let saved = SavedLogin {
        token: Some(session.token.clone()),
        issued_at: Some(session.issued_at),
        expires_at: session.ends.at(),
        ..SavedLogin::default()
    };
    let write = async || Ok(add_context(&file, &context, true)?);
    let binding = LoginBinding::of_cluster(&cluster);
    save_login(&store, binding, &login, &saved, Some(&file), write).await?;
    Ok(LoggedIn {
        user: identity.username,
        server: context.server,
        context: context.context,
        file,
        ends_at: session.ends.at(),
    })
}

/// Begins a session by the method of the request, or by its files.
async fn begin(
    method: LoginMethod,
    files: &OpenshiftFiles,
    access: &Access,
    cluster: &Cluster,
    renewed: Option<&Target>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Session, Error> {
    let oauth = match access.discover().await {
        Ok(oauth) => oauth,
        Err(error) => return Err(trust::with_certificates(cluster, error).await),
    };
    let session = match method {
        _ if files.username_and_password().is_some() => session::from_files(files, cluster).await,
        LoginMethod::Password { user, password } => {
            let user = user.or_else(|| user_of(renewed?));
            session::with_password(&oauth, user, password).await
        }
        LoginMethod::Web => session::in_browser(oauth, env).await,
        LoginMethod::Token(token) => session::of_token(access, token).await,
    };
    session.map_err(trust::of_oauth_server)
}

/// Returns the user name in the name of a user entry, which is `USER/CLUSTER`.
fn user_of(target: &Target) -> Option<String> {
    let entry = target.user.name.as_ref()?;
    entry.split('/').next().map(str::to_owned)
}

/// Returns the project that `oc` starts in: `default` if the user may see it, else the first.
fn default_project(projects: Vec<String>) -> Option<String> {
    let default = projects.iter().position(|project| project == "default");
    projects.into_iter().nth(default.unwrap_or(0))
}

/// Returns the names that `oc` gives, or those of the context that is renewed. The user entry is kept
/// only for the same user.
fn entry_names(
    cluster: &Cluster,
    user: &str,
    namespace: Option<&str>,
    renewed: Option<&Target>,
) -> EntryNames {
    let own = cluster_entry_name(cluster);
    let is_of_user = |entry: &String| {
        let rest = entry.strip_prefix(user);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let entry = renewed.and_then(|renewed| renewed.user.name.clone());
    EntryNames {
        user: entry
            .filter(is_of_user)
            .unwrap_or_else(|| format!("{user}/{own}")),
        context: renewed
            .and_then(|renewed| renewed.context.clone())
            .unwrap_or_else(|| format!("{}/{own}/{user}", namespace.unwrap_or_default())),
        cluster: renewed
            .and_then(|renewed| renewed.cluster.name.clone())
            .unwrap_or(own),
    }
}

/// Returns the arguments of `kubegate credential` for the user entry.
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
            // Absolute, since kubectl runs the plugin in the user's working folder.
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
    use crate::kubeconfig;

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
            let names = entry_names(&cluster(server), "alice", Some("default"), None);
            assert_eq!(names.cluster, cluster_name);
            assert_eq!(names.user, format!("alice/{cluster_name}"));
            assert_eq!(names.context, format!("default/{cluster_name}/alice"));
        }
        let names = entry_names(&cluster("https://a:1"), "alice", None, None);
        assert_eq!(names.context, "/a:1/alice");
    }

    #[test]
    fn the_project_is_the_one_that_oc_starts_in() {
        for (projects, chosen) in [
            (&["a", "default", "z"][..], Some("default")),
            (&["a", "z"], Some("a")),
            (&[], None),
        ] {
            let projects = projects.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(default_project(projects).as_deref(), chosen);
        }
    }
}
