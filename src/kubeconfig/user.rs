//! Builds a [`User`] from a user's entry and the flags.

use std::path::PathBuf;

use crate::{
    kubeconfig::{
        Error, Impersonation, KeyPair, Login, Overrides, Pem, User, exec,
        fields::{Entry, Fields},
        oidc,
    },
    secret::Secret,
};

/// The fields of a user before validation: flags may still replace invalid values of the file.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) name: Option<String>,
    /// The source of the fields, for errors.
    pub(super) origin: String,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token: Option<Secret>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) certificate: Option<Pem>,
    pub(super) key: Option<Pem>,
    pub(super) exec: Option<Fields<'a>>,
    pub(super) auth_provider: Option<Fields<'a>>,
    pub(super) impersonation: Impersonation,
}

impl<'a> Draft<'a> {
    pub(super) fn from_entry(name: &str, entry: &'a Entry) -> Result<Self, Error> {
        let fields = entry.fields();
        Ok(Self {
            name: Some(name.to_owned()),
            origin: fields.origin(),
            token_file: fields.path("tokenFile")?,
            token: fields.secret("token")?,
            username: fields.owned("username")?,
            password: fields.secret("password")?,
            certificate: fields.pem("client-certificate-data", "client-certificate")?,
            key: fields.pem("client-key-data", "client-key")?,
            exec: fields.inner("exec")?,
            auth_provider: fields.inner("auth-provider")?,
            impersonation: Impersonation {
                user: fields.owned("as")?,
                uid: fields.owned("as-uid")?,
                groups: fields.texts("as-groups")?,
                extra: fields.texts_by_key("as-user-extra")?,
            },
        })
    }

    /// A user without an entry in any file.
    pub(super) fn empty(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            ..Self::default()
        }
    }

    /// Applies the flags. A login by flags replaces every login of the file. (kubectl refuses `--token`
    /// where the file has `username`, and prefers the file's `tokenFile` to it.)
    pub(super) fn apply(&mut self, flags: &Overrides) -> Result<(), Error> {
        let basic = flags.username.is_some() || flags.password.is_some();
        if flags.token.is_some() && basic {
            return Err(Error::field(
                "flags",
                "--token",
                "contradicts --username and --password; give one of them",
            ));
        }
        if flags.token.is_some() || basic {
            self.token.clone_from(&flags.token);
            self.token_file = None;
            self.exec = None;
            self.auth_provider = None;
        }
        if flags.token.is_some() {
            self.username = None;
            self.password = None;
        }
        replace(&mut self.username, flags.username.as_ref());
        replace(&mut self.password, flags.password.as_ref());
        if let Some(path) = &flags.client_certificate {
            self.certificate = Some(Pem::from_flag("--client-certificate", path));
        }
        if let Some(path) = &flags.client_key {
            self.key = Some(Pem::from_flag("--client-key", path));
        }
        self.impersonate(flags);
        Ok(())
    }

    fn impersonate(&mut self, flags: &Overrides) {
        let file = &mut self.impersonation;
        replace(&mut file.user, flags.impersonate_user.as_ref());
        replace(&mut file.uid, flags.impersonate_uid.as_ref());
        if !flags.impersonate_groups.is_empty() {
            file.groups.clone_from(&flags.impersonate_groups);
        }
        file.extra.extend(flags.impersonate_extra.clone());
    }

    /// Validates the fields.
    pub(super) fn finish(mut self) -> Result<User, Error> {
        let certificate = match (self.certificate.take(), self.key.take()) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(KeyPair { certificate, key }),
            (Some(certificate), None) => {
                return Err(unpaired(&certificate, "key", "client-key"));
            }
            (None, Some(key)) => {
                return Err(unpaired(&key, "certificate", "client-certificate"));
            }
        };
        let impersonation = std::mem::take(&mut self.impersonation);
        if impersonation.user.is_none() && impersonation != Impersonation::default() {
            return Err(Error::field(
                &self.origin,
                "as-uid, as-groups and as-user-extra",
                "need a user to act as; set as or give --as",
            ));
        }
        Ok(User {
            name: self.name.clone(),
            certificate,
            login: self.login()?,
            impersonation,
        })
    }

    /// Picks the login method with client-go's precedence: a plugin is run only where there is
    /// neither a token nor a password.
    fn login(self) -> Result<Login, Error> {
        let origin = self.origin;
        let has_token = self.token.is_some() || self.token_file.is_some();
        let has_basic = self.username.is_some() || self.password.is_some();
        if has_token && has_basic {
            let problem =
                "are given together with username or password; only one login method is allowed";
            return Err(Error::field(&origin, "token and tokenFile", problem));
        }
        if self.exec.is_some() && self.auth_provider.is_some() {
            return Err(Error::field(
                &origin,
                "auth-provider",
                "is given together with exec; remove one of them",
            ));
        }
        if let Some(path) = self.token_file {
            return Ok(Login::TokenFile {
                path,
                fallback: self.token,
            });
        }
        if let Some(token) = self.token {
            return Ok(Login::Token(token));
        }
        if has_basic {
            let missing = || Error::field(&origin, "password", "is given without a username");
            return Ok(Login::Basic {
                username: self.username.ok_or_else(missing)?,
                password: self.password.unwrap_or_else(|| Secret::new("")),
            });
        }
        if let Some(fields) = self.exec {
            return exec::config(&fields).map(Login::Exec);
        }
        let Some(provider) = self.auth_provider else {
            return Ok(Login::None);
        };
        match provider.text("name")?.unwrap_or_default() {
            "oidc" => {
                let user = self.name.as_deref().unwrap_or_default();
                oidc::config(&provider, user).map(Login::Oidc)
            }
            name => Err(Error::field(
                &origin,
                "auth-provider",
                format!("{name:?} is not supported; use an exec plugin or a token"),
            )),
        }
    }
}

fn replace<T: Clone>(field: &mut Option<T>, flag: Option<&T>) {
    if let Some(value) = flag {
        *field = Some(value.clone());
    }
}

fn unpaired(half: &Pem, missing: &str, field: &str) -> Error {
    let problem = format!("has no {missing}; add {field} or {field}-data, or give --{field}");
    // An origin is "location: field".
    let (location, half) = half
        .origin()
        .rsplit_once(": ")
        .unwrap_or(("flags", half.origin()));
    Error::field(location, half, &problem)
}
