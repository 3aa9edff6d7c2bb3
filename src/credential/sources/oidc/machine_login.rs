//! [`MachineLogin`]: the source of a login without a person. It reads its files for every token, so that
//! they may change.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{
    Client, Metadata,
    issuer_config::IssuerConfig,
    machine_grant::{MachineAnswer, MachineRequest, MachineSecret},
    machine_password::{Account, RefusedHere, RefusedPasswords},
    machine_token::MachineToken,
    token_storage::TokenStorage,
};
use crate::{
    credential::{
        CommandContext, Credential, Error, Fetch, Need, Source,
        blocking::blocking,
        login_command::LoginCommand,
        protocol::{
            authorization,
            jwt::{self, Claims},
        },
        secret_file,
        store::{LoginBinding, Store},
    },
    kubeconfig::Cluster,
    secret::Secret,
    settings::{MachineGrant, OidcFlags},
};

/// See the module.
pub(in crate::credential) struct MachineLogin {
    config: IssuerConfig,
    flags: OidcFlags,
    storage: Arc<TokenStorage>,
    /// The state folder, in which refused passwords are remembered.
    store: Store,
    refused_here: RefusedHere,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The token that was returned last. A further fetch means that it is no longer accepted.
    returned: Option<Secret>,
    /// What it was obtained for, as [`MachineToken`] has it.
    subject: Option<String>,
    /// Whether the file has the name of another user now.
    has_other_user: bool,
    /// Whether the last token could not be stored.
    unsaved: bool,
}

impl MachineLogin {
    /// Creates the source for a kubegate login.
    pub(in crate::credential) fn of_login(
        flags: &OidcFlags,
        cluster: &Cluster,
    ) -> Result<Self, Error> {
        let store = Store::of_user(&|name| std::env::var_os(name));
        let store = store.map_err(Error::store)?;
        let binding = LoginBinding::of_cluster(cluster)
            .with_issuer(&flags.oidc_issuer_url)
            .with_client(&flags.oidc_client_id);
        let storage = TokenStorage::Saved {
            store: store.bound_to(binding),
            login: flags.login.clone(),
            secret_file: flags.oidc_client_secret_file.clone(),
            // The files are to be corrected, and no command is to be run.
            command: LoginCommand {
                kind: "oidc",
                context: CommandContext::Unknown,
                otherwise: None,
            },
        };
        Ok(Self {
            config: IssuerConfig::of_flags(flags)?,
            flags: flags.clone(),
            storage: Arc::new(storage),
            store,
            refused_here: RefusedHere::default(),
            state: Mutex::default(),
        })
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        if let Some(credential) = self.stored().await?.0 {
            return Ok(credential);
        }
        let _lock = self.blocking(TokenStorage::lock).await?;
        // Another kubegate may have obtained a token while this one waited for the lock.
        let (credential, client_secret) = self.stored().await?;
        if let Some(credential) = credential {
            return Ok(credential);
        }
        let config = self.config.clone();
        let client = blocking(|| self.subject(), move || config.client()).await??;
        let metadata = client.metadata().await?;
        let request = MachineRequest {
            client: &client,
            metadata: &metadata,
            client_secret: client_secret.as_ref(),
            flags: &self.flags,
        };
        let refused = RefusedPasswords::Withheld(&self.refused_here);
        let token = obtain(&request, &self.store, refused).await?;
        let token = self.store(token).await;
        self.credential(token)
    }

    /// Obtains a new token, even if the stored one is valid.
    async fn obtain_new(&self) -> Result<Credential, Error> {
        let stored = self.blocking(TokenStorage::read).await?;
        self.state().returned = stored.tokens.id_token;
        self.obtain().await
    }

    /// Returns the stored token if it is valid, was obtained for what the files have now, and was not
    /// returned before; and the client's secret.
    async fn stored(&self) -> Result<(Option<Credential>, Option<Secret>), Error> {
        let subject = self.current_subject().await;
        let stored = self.blocking(TokenStorage::read).await?;
        let times = stored.times.map(|(issued_at, expires_at)| Claims {
            expires_at,
            issued_at: Some(issued_at),
            warn_after: None,
        });
        let is_current = is_unchanged(subject.as_ref(), stored.subject.as_ref());
        let token = stored
            .tokens
            .id_token
            .filter(|token| is_current && self.state().returned.as_ref() != Some(token));
        let token = token.and_then(|token| {
            let claims = jwt::claims(token.expose()).or(times)?;
            claims.is_valid(SystemTime::now(), true).then_some(())?;
            Some(MachineToken {
                token,
                issued_at: claims.issued_at,
                expires_at: Some(claims.expires_at),
                subject: stored.subject.or(subject),
            })
        });
        let credential = token.map(|token| self.credential(token));
        Ok((credential.transpose()?, stored.client_secret))
    }

    /// Returns what the next token will be for; `None` if that is the client itself, or the file cannot be
    /// read.
    async fn current_subject(&self) -> Option<String> {
        let flags = self.flags.clone();
        let read = move || match flags.grant.machine()? {
            MachineGrant::ClientCredentials => None,
            MachineGrant::Password { username_file, .. } => MachineSecret::Password {
                username: secret_file::read("user name", username_file).ok()?,
                password: Secret::new(""),
            }
            .subject(),
            MachineGrant::TokenExchange { subject_token_file } => {
                let token = secret_file::read("subject token", subject_token_file).ok()?;
                MachineSecret::Subject(token).subject()
            }
        };
        blocking(|| self.subject(), read).await.ok()?
    }

    /// Returns the last credential, unless the file with the user name or the other token has changed.
    async fn check_subject(&self, last: &Credential) -> Result<Credential, Error> {
        let subject = self.current_subject().await;
        let is_other = !is_unchanged(subject.as_ref(), self.state().subject.as_ref());
        // Another token to exchange may be for the same user.
        let names_user = matches!(
            self.flags.grant.machine(),
            Some(MachineGrant::Password { .. })
        );
        {
            let mut state = self.state();
            state.has_other_user = is_other && names_user;
            if is_other {
                // It was accepted, and is used again if the file has the former user again.
                state.returned = None;
            }
        }
        if is_other {
            return self.obtain().await;
        }
        Ok(last.clone())
    }

    /// Stores a token for other processes. It is used even if that fails.
    async fn store(&self, token: MachineToken) -> MachineToken {
        let token = Arc::new(token);
        let written = Arc::clone(&token);
        let write = move |storage: &TokenStorage| storage.write_machine_token(&written);
        let saved = self.blocking(write).await;
        let was_unsaved = std::mem::replace(&mut self.state().unsaved, saved.is_err());
        if let Err(error) = &saved
            && !was_unsaved
        {
            let (file, error) = (self.storage.name(), error as &dyn std::error::Error);
            tracing::warn!(error, file, "the token is kept in memory only");
        }
        Arc::unwrap_or_clone(token)
    }

    fn credential(&self, token: MachineToken) -> Result<Credential, Error> {
        let authorization = authorization::bearer_of(token.token.expose(), || {
            format!("the token of {}", self.subject())
        })?;
        let mut state = self.state();
        state.returned = Some(token.token);
        state.subject = token.subject;
        state.has_other_user = false;
        Ok(Credential {
            authorization: Some(authorization),
            expires_at: token.expires_at,
            ..Credential::default()
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&TokenStorage) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let storage = Arc::clone(&self.storage);
        blocking(|| self.subject(), move || work(&storage)).await?
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for MachineLogin {
    fn subject(&self) -> String {
        format!("OIDC issuer {}", self.config.issuer)
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        match need {
            Need::Current | Need::WithExpiry => Box::pin(self.obtain()),
            Need::Renewed => Box::pin(self.obtain_new()),
        }
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        Box::pin(self.check_subject(last))
    }

    fn has_other_user(&self) -> bool {
        self.state().has_other_user
    }

    fn files(&self) -> Vec<PathBuf> {
        let own = match self.flags.grant.machine() {
            Some(MachineGrant::Password {
                username_file,
                password_file,
            }) => vec![username_file.to_owned(), password_file.to_owned()],
            Some(MachineGrant::TokenExchange { subject_token_file }) => {
                vec![subject_token_file.to_owned()]
            }
            Some(MachineGrant::ClientCredentials) | None => Vec::new(),
        };
        let secret = self.flags.oidc_client_secret_file.clone();
        own.into_iter()
            .chain(secret)
            .chain(self.storage.files())
            .collect()
    }
}

/// Obtains a token by the machine grant of `flags`, for `kubegate login`. A password that was refused
/// before is sent, since the user asks for that.
///
/// # Errors
/// A file that cannot be read; a refusal by the issuer; a request that fails.
pub async fn machine_token(
    client: &Client,
    metadata: &Metadata,
    client_secret: Option<&Secret>,
    flags: &OidcFlags,
    store: &Store,
) -> Result<MachineToken, Error> {
    let request = MachineRequest {
        client,
        metadata,
        client_secret,
        flags,
    };
    obtain(&request, store, RefusedPasswords::Sent).await
}

/// Whether a token is for what the files have now. Where that is not known, a token is used as long as it is
/// valid.
fn is_unchanged(now: Option<&String>, before: Option<&String>) -> bool {
    now.zip(before).is_none_or(|(now, before)| now == before)
}

/// Reads the files of the grant and requests a token.
async fn obtain(
    request: &MachineRequest<'_>,
    store: &Store,
    refused: RefusedPasswords<'_>,
) -> Result<MachineToken, Error> {
    let subject = format!("OIDC issuer {}", request.client.issuer());
    let read = |what: &'static str, path: &std::path::Path| {
        let path = path.to_owned();
        blocking(|| subject.clone(), move || secret_file::read(what, &path))
    };
    let (secret, answer) = match request.flags.grant.machine() {
        Some(MachineGrant::Password {
            username_file,
            password_file,
        }) => {
            let username = read("user name", username_file).await??;
            let password = read("password", password_file).await??;
            let remedy = format!(
                "correct the user name in {} or the password in {}",
                username_file.display(),
                password_file.display()
            );
            let account = Account {
                request,
                subject,
                username,
                password,
                remedy,
            };
            return account.obtain(store, refused).await;
        }
        Some(MachineGrant::TokenExchange { subject_token_file }) => {
            let token = read("subject token", subject_token_file).await??;
            let secret = MachineSecret::Subject(token);
            let answer = request.send(&secret).await?;
            (Some(subject_token_file), answer)
        }
        Some(MachineGrant::ClientCredentials) | None => {
            (None, request.send(&MachineSecret::Client).await?)
        }
    };
    match answer {
        MachineAnswer::Token(token) => Ok(token),
        MachineAnswer::Refused(words) => Err(Error::LoginNeeded {
            subject,
            problem: format!("the issuer refused the token to exchange{words}").into(),
            remedy: match secret {
                Some(file) => format!(
                    "have a token written to {} that the issuer accepts, or correct \
                     --token-exchange-subject-token-type",
                    file.display()
                ),
                None => "correct the client at the issuer".to_owned(),
            },
        }),
    }
}
