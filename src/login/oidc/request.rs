//! The request of the command line: which cluster, and which issuer.

use std::{ffi::OsString, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    kubeconfig::{self, ExecApiVersion, Overrides, Pem, Target, User, issuer_name},
    login::{Error, confirm::confirm, login_name::is_same_client},
    secret::Secret,
    settings::{BrowserFlags, GrantFlags, GrantType, Login, OidcFlags},
};

/// What the command line asks for.
pub struct LoginRequest {
    /// How to reach the API server.
    pub connection: Overrides,
    /// `--kubeconfig`
    pub kubeconfig: Option<PathBuf>,
    /// The name of the saved login, if the user chooses one.
    pub login: Option<String>,
    /// The issuer; what is not given is taken from the context's earlier login.
    pub issuer: IssuerRequest,
    /// `--username`, for the grant `password`.
    pub username: Option<String>,
    /// `--password`, for the grant `password`.
    pub password: Option<Secret>,
    /// How the browser is opened, and how long to wait for it.
    pub browser: BrowserFlags,
    /// Whether tokens are stored in the keyring of the operating system.
    pub keyring: bool,
    /// `--exec-api-version`
    pub exec_api_version: Option<ExecApiVersion>,
}

/// The flags of the issuer.
pub struct IssuerRequest {
    /// `--oidc-issuer-url`
    pub url: Option<String>,
    /// `--oidc-client-id`
    pub client_id: Option<String>,
    /// `--oidc-client-secret`
    pub client_secret: Option<Secret>,
    /// `--oidc-client-secret-file`
    pub client_secret_file: Option<PathBuf>,
    /// `--oidc-extra-scope`
    pub extra_scopes: Vec<String>,
    /// `--oidc-auth-request-extra-params`, each `KEY=VALUE`
    pub extra_params: Vec<String>,
    /// `--oidc-certificate-authority`
    pub certificate_authority: Option<PathBuf>,
    /// `--oidc-certificate-authority-data`: PEM in base64
    pub certificate_authority_data: Option<String>,
    /// How to log in.
    pub grant: GrantFlags,
}

impl LoginRequest {
    /// Returns the cluster that the flags choose: a new one by its URL or one of the kubeconfig, else
    /// the current context's, once the user has confirmed it. Returns `None` if the flags name only a
    /// login to renew.
    pub(super) fn target(
        &self,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Target>, Error> {
        let mut overrides = self.connection.clone();
        // It names the entry to write.
        overrides.user = None;
        if overrides.server.is_some() {
            if let Some(target) = self.context_of_server(&overrides, env) {
                return Ok(Some(target));
            }
            // A new cluster takes nothing from entries of the kubeconfig, not even of these names.
            let cluster = overrides.cluster.take();
            let context = overrides.context.take();
            let mut target = kubeconfig::resolve(None, &overrides, &|_| None)?;
            target.cluster.name = cluster;
            target.context = context;
            return Ok(Some(target));
        }
        let file = self.kubeconfig.as_deref();
        if overrides.context.is_some() || overrides.cluster.is_some() {
            let mut resolved = kubeconfig::resolve(file, &overrides, env);
            let context = overrides.context.take();
            let mut has_user = context.is_some();
            if let (
                Err(kubeconfig::Error::Missing {
                    kind: "context", ..
                }),
                Some(_),
            ) = (&resolved, &overrides.cluster)
            {
                // A new context for an entry of the kubeconfig.
                resolved = kubeconfig::resolve(file, &overrides, env);
                has_user = false;
            }
            let mut target = resolved?;
            // With --cluster alone, neither the current context nor its user is meant.
            target.context = context;
            if !has_user {
                target.user = User::default();
            }
            return Ok(Some(target));
        }
        if self.login.is_some() {
            return Ok(None);
        }
        match kubeconfig::resolve(file, &overrides, env) {
            Ok(target) if target.context.is_some() => {
                confirm(&target)?;
                Ok(Some(target))
            }
            _ => Err(Error::NoCluster),
        }
    }

    /// Returns the context that `--context` names, if that is at the server that `--server` names: its
    /// cluster entry says how to reach it.
    fn context_of_server(
        &self,
        flags: &Overrides,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<Target> {
        flags.context.as_ref()?;
        if flags.cluster.is_some() {
            return None;
        }
        let given = kubeconfig::resolve(None, &of_server(flags), &|_| None).ok()?;
        let by_context = Overrides {
            server: None,
            ..flags.clone()
        };
        let target = kubeconfig::resolve(self.kubeconfig.as_deref(), &by_context, env).ok()?;
        (target.cluster.server == given.cluster.server).then_some(target)
    }

    /// Returns the flags of the saved login: the issuer of this request, over that of the login that
    /// the target has already.
    pub(super) fn issuer_flags(&self, target: Option<&Target>) -> Result<OidcFlags, Error> {
        let given = &self.issuer;
        let previous = target.map(previous_flags).transpose()?.flatten();
        let mut flags = self.kept_of(previous.unwrap_or_default());
        if let Some(url) = &given.url {
            issuer_name(url).clone_into(&mut flags.oidc_issuer_url);
        }
        if let Some(id) = &given.client_id {
            flags.oidc_client_id.clone_from(id);
        }
        if !given.extra_scopes.is_empty() {
            flags.oidc_extra_scope.clone_from(&given.extra_scopes);
        }
        if !given.extra_params.is_empty() {
            flags
                .oidc_auth_request_extra_params
                .clone_from(&given.extra_params);
        }
        if let Some(data) = &given.certificate_authority_data {
            flags.certificate_authority = None;
            flags.certificate_authority_data = Some(data.clone());
        }
        if let Some(path) = &given.certificate_authority {
            let pem = Pem::from_flag("--oidc-certificate-authority", path).read()?;
            flags.certificate_authority = None;
            flags.certificate_authority_data = Some(BASE64_STANDARD.encode(&*pem));
        }
        flags.grant = given.grant.over(&flags.grant);
        self.put_typed_over_files(&mut flags.grant);
        if given.client_secret_file.is_some() || given.client_secret.is_some() {
            // A login without a person reads the file for every token, since its secret may change.
            let file = given.client_secret_file.clone();
            let is_read_again = flags.grant.machine().is_some();
            flags.oidc_client_secret_file = file.filter(|_| is_read_again);
        }
        if let Some(name) = &self.login {
            flags.login.clone_from(name);
        }
        if flags.oidc_issuer_url.is_empty() || flags.oidc_client_id.is_empty() {
            return Err(Error::NoIssuer);
        }
        Ok(flags)
    }

    /// Returns what this login keeps of an earlier one: nothing if that has another issuer, to which its
    /// client, authorities, scopes, parameters and files belong, and no secret of another client.
    fn kept_of(&self, mut earlier: OidcFlags) -> OidcFlags {
        let issuer = self.issuer.url.as_deref().map(issuer_name);
        if issuer.is_some_and(|url| url != issuer_name(&earlier.oidc_issuer_url)) {
            return OidcFlags::default();
        }
        let client = self.issuer.client_id.as_ref();
        if client.is_some_and(|id| *id != earlier.oidc_client_id) {
            earlier.oidc_client_secret_file = None;
        }
        earlier
    }

    /// Lets a user name and a password of the command line take the place of the files of an earlier
    /// login. Warns if they have no effect.
    fn put_typed_over_files(&self, grant: &mut GrantFlags) {
        if self.username.is_none() && self.password.is_none() {
            return;
        }
        if grant.chosen() != GrantType::Password {
            tracing::warn!(
                "--username and --password are not used by this login; they are for --grant-type \
                 password"
            );
        } else if self.issuer.grant.oidc_password_file.is_some() {
            tracing::warn!(
                "--username and --password are not used: --oidc-username-file and \
                 --oidc-password-file are given too"
            );
        } else {
            grant.grant_type = Some(GrantType::Password);
            grant.oidc_username_file = None;
            grant.oidc_password_file = None;
        }
    }
}

/// The URL of the server alone.
fn of_server(flags: &Overrides) -> Overrides {
    Overrides {
        server: flags.server.clone(),
        ..Overrides::default()
    }
}

/// Whether the context has a login of another client or issuer than `flags`. The secret of that client
/// must not be sent.
pub(super) fn is_of_other_client(target: &Target, flags: &OidcFlags) -> Result<bool, Error> {
    Ok(previous_flags(target)?.is_some_and(|previous| !is_same_client(&previous, flags)))
}

/// Returns the client's secret that the context's `auth-provider` has.
pub(super) fn secret_of_kubeconfig(target: &Target) -> Option<Secret> {
    match &target.user.login {
        kubeconfig::Login::Oidc(config) => config.client_secret.clone(),
        _ => None,
    }
}

/// Returns the flags of the OIDC login that a context has already: one of kubegate, or an
/// `auth-provider`.
fn previous_flags(target: &Target) -> Result<Option<OidcFlags>, Error> {
    Ok(match &target.user.login {
        kubeconfig::Login::Exec(entry) => match Login::of_exec(entry) {
            Some(Login::Oidc(flags)) => Some(*flags),
            _ => None,
        },
        kubeconfig::Login::Oidc(config) => {
            let authority = config.certificate_authority.as_ref();
            let authority = authority.map(Pem::read).transpose()?;
            Some(OidcFlags {
                oidc_issuer_url: issuer_name(&config.issuer).to_owned(),
                oidc_client_id: config.client_id.clone(),
                oidc_extra_scope: config.extra_scopes.clone(),
                certificate_authority_data: authority.map(|pem| BASE64_STANDARD.encode(&*pem)),
                ..OidcFlags::default()
            })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
