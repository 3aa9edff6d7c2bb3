//! [`TokenStorage`]: where a user's tokens are stored between renewals.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use super::MachineToken;
use crate::{
    credential::{
        Error,
        login_command::LoginCommand,
        secret_file,
        store::{self, SavedLogin, Store, TokenRefusal},
    },
    kubeconfig::{
        self, OidcTokens,
        edit::{self, RenewalLock},
    },
    secret::Secret,
};

/// See the module. All methods block.
pub(super) enum TokenStorage {
    /// The `auth-provider` of a user in a kubeconfig.
    Kubeconfig {
        file: PathBuf,
        user: String,
        client_secret: Option<Secret>,
        /// The scopes of the login, if the kubeconfig says.
        scope: Option<String>,
        /// The command that logs in again.
        command: LoginCommand,
        /// The state folder, which remembers a refused refresh token.
        refusals: Option<Store>,
    },
    /// A kubegate login.
    Saved {
        store: Store,
        login: String,
        /// A file with the client secret, in place of the saved one.
        secret_file: Option<PathBuf>,
        /// The command that logs in again.
        command: LoginCommand,
    },
}

/// How long a process needs a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// A command ends at once, and its memory with it.
    Command,
    /// A proxy goes on.
    Server,
}

/// The tokens and the client secret that are stored.
#[derive(Clone, Default)]
pub(super) struct StoredTokens {
    pub(super) tokens: OidcTokens,
    pub(super) client_secret: Option<Secret>,
    /// The scopes to send with the refresh token.
    pub(super) scope: Option<String>,
    /// When the token was obtained and expires, where a login without a person saved that.
    pub(super) times: Option<(SystemTime, SystemTime)>,
    /// What the token was obtained for, as [`MachineToken`] has it.
    pub(super) subject: Option<String>,
    /// The refusal of the refresh token by its issuer.
    pub(super) refusal: Option<RefusedToken>,
}

/// A refresh token that its issuer refused.
#[derive(Clone)]
pub(super) struct RefusedToken {
    pub(super) token: Secret,
    pub(super) at: SystemTime,
    /// The issuer's words after a colon, or nothing; or what is wrong with its answer.
    pub(super) words: String,
}

impl TokenStorage {
    /// Reads the tokens.
    pub(super) fn read(&self) -> Result<StoredTokens, Error> {
        match self {
            Self::Kubeconfig {
                file,
                user,
                client_secret,
                scope,
                refusals,
                ..
            } => {
                let tokens = OidcTokens::read(file, user).map_err(of_kubeconfig)?;
                let refusal = refusals.as_ref().zip(tokens.refresh_token.as_ref());
                let refusal = refusal.and_then(|(store, token)| {
                    // Without the state folder the token is only sent once more.
                    let found = store.refused_refresh_token(file, user, token).ok()??;
                    Some(RefusedToken {
                        token: token.clone(),
                        at: found.at,
                        words: found.words,
                    })
                });
                Ok(StoredTokens {
                    tokens,
                    client_secret: client_secret.clone(),
                    scope: scope.clone(),
                    refusal,
                    ..StoredTokens::default()
                })
            }
            Self::Saved {
                store,
                login,
                secret_file: file,
                ..
            } => {
                let saved = store.read(login).map_err(Error::store)?.unwrap_or_default();
                let secret = file.as_deref();
                let secret = secret.map(|file| secret_file::read("client secret", file));
                let secret = secret.transpose()?;
                let refused = saved.refused_at.zip(saved.refresh_token.clone());
                Ok(StoredTokens {
                    refusal: refused.map(|(at, token)| RefusedToken {
                        token,
                        at,
                        words: saved.refusal.unwrap_or_default(),
                    }),
                    tokens: OidcTokens {
                        id_token: saved.token,
                        refresh_token: saved.refresh_token,
                    },
                    client_secret: secret.or(saved.client_secret),
                    scope: saved.scope,
                    times: saved.issued_at.zip(saved.expires_at),
                    subject: saved.subject,
                })
            }
        }
    }

    /// Writes new tokens. One that is `None` is left unchanged.
    pub(super) fn write(&self, new: &OidcTokens) -> Result<(), Error> {
        match self {
            Self::Kubeconfig { file, user, .. } => {
                edit::write_tokens(file, user, new).map_err(of_kubeconfig)
            }
            Self::Saved { store, login, .. } => {
                // A login that was removed by a logout must not be created again.
                let Some(mut saved) = store.read(login).map_err(Error::store)? else {
                    return Ok(());
                };
                saved.take(new);
                store.write(login, &saved).map_err(Error::store)
            }
        }
    }

    /// Writes the token of a login without a person.
    pub(super) fn write_machine_token(&self, token: &MachineToken) -> Result<(), Error> {
        let Self::Saved { store, login, .. } = self else {
            return self.write(&OidcTokens {
                id_token: Some(token.token.clone()),
                refresh_token: None,
            });
        };
        let mut saved = store.read(login).map_err(Error::store)?.unwrap_or_default();
        token.note_in(&mut saved);
        store.write(login, &saved).map_err(Error::store)
    }

    /// Records that the issuer refused a refresh token, so that other processes do not send it again.
    pub(super) fn write_refusal(&self, refused: &RefusedToken) -> Result<(), Error> {
        let (store, login) = match self {
            Self::Saved { store, login, .. } => (store, login),
            Self::Kubeconfig {
                file,
                user,
                refusals: Some(store),
                ..
            } => {
                let refusal = TokenRefusal {
                    at: refused.at,
                    words: refused.words.clone(),
                };
                let noted = store.note_refused_refresh_token(file, user, &refused.token, &refusal);
                return noted.map_err(Error::store);
            }
            Self::Kubeconfig { .. } => return Ok(()),
        };
        let saved = store.read(login).map_err(Error::store)?;
        let saved = saved.filter(|saved| saved.refresh_token.as_ref() == Some(&refused.token));
        let Some(mut saved) = saved else {
            return Ok(());
        };
        saved.refused_at = Some(refused.at);
        saved.refusal = Some(refused.words.clone());
        store.write(login, &saved).map_err(Error::store)
    }

    /// Checks before a refresh token is used that [`TokenStorage::write`] can edit the file. A process that
    /// goes on keeps the tokens in memory where a file cannot be read or written, so that this is an error
    /// for a command alone.
    pub(super) fn check_editable(&self, lifetime: Lifetime) -> Result<(), Error> {
        let (file, user) = match self {
            Self::Kubeconfig { file, user, .. } => (file, user),
            Self::Saved { store, login, .. } => {
                return match lifetime {
                    Lifetime::Command => store.check_writable(login).map_err(Error::store),
                    Lifetime::Server => Ok(()),
                };
            }
        };
        match edit::may_write_tokens(file, user) {
            Err(error @ kubeconfig::Error::NotEditable { .. }) => Err(of_kubeconfig(error)),
            Err(error @ kubeconfig::Error::NotWritable { .. }) if lifetime == Lifetime::Command => {
                Err(of_kubeconfig(error))
            }
            _ => Ok(()),
        }
    }

    /// Locks the storage against other kubegates. Returns `None` if its folder cannot be written to, in
    /// which no process can store new tokens.
    pub(super) fn lock(&self) -> Result<Option<RenewalLock>, Error> {
        let lock = match self {
            Self::Kubeconfig { file, .. } => RenewalLock::of_file(file).map_err(of_kubeconfig),
            Self::Saved { store, login, .. } => store.lock_for_renewal(login).map_err(Error::store),
        };
        match lock {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if cannot_write(&error) => {
                // A warning follows when the tokens cannot be written either.
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "tokens are renewed without a lock");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the files to watch: that of a kubegate login. A kubeconfig is watched by the reloader.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Kubeconfig { .. } => Vec::new(),
            Self::Saved { store, login, .. } => vec![store.path(login)],
        }
    }

    /// Returns what the user must do for new tokens.
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Kubeconfig {
                file,
                user,
                command,
                ..
            } => {
                let file = file.display();
                match command.text() {
                    Some(command) => {
                        format!("run `{command}`, or log in again for user {user:?} of {file}")
                    }
                    None => format!("log in again for user {user:?} of {file}"),
                }
            }
            Self::Saved { command, .. } => {
                format!("run `{}`", command.text().unwrap_or_default())
            }
        }
    }

    /// Returns its name for the log.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Kubeconfig { file, .. } => file.display().to_string(),
            Self::Saved { store, login, .. } => store.path(login).display().to_string(),
        }
    }
}

impl SavedLogin {
    /// Sets new tokens of an OIDC issuer. One that is `None` is left unchanged.
    pub fn take(&mut self, new: &OidcTokens) {
        if let Some(token) = &new.id_token {
            let claims = crate::credential::protocol::jwt::claims(token.expose());
            self.expires_at = claims.map(|claims| claims.expires_at);
            self.token = Some(token.clone());
            (self.issued_at, self.subject) = (None, None);
        }
        if new.refresh_token.is_some() {
            self.refresh_token.clone_from(&new.refresh_token);
        }
        self.refused_at = None;
        self.refusal = None;
    }
}

fn cannot_write(error: &Error) -> bool {
    let error = match error {
        Error::Kubeconfig(error) => &**error,
        Error::Store(error) => match &**error {
            store::Error::Lock(error) => error,
            store::Error::Io { .. } => return true,
            _ => return false,
        },
        _ => return false,
    };
    matches!(error, kubeconfig::Error::Write { .. })
}

fn of_kubeconfig(error: kubeconfig::Error) -> Error {
    Error::Kubeconfig(Arc::new(error))
}
