//! [`RootCredential`]: what a session at IAM starts from: an API key, the identity of a pod or virtual
//! server, or a saved login.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use super::{api_key, error::ibm_error, key_file, pod_token, vpc::VpcIdentity};
use crate::{
    credential::{
        Error,
        store::{LoginBinding, Store},
    },
    secret::Secret,
    settings::IbmFlags,
};

/// The variable with a trusted profile.
pub(super) const PROFILE_VARIABLE: &str = "IBMCLOUD_CR_PROFILE";
/// The prefix of the names of saved logins; account and user follow.
const SAVED_PREFIX: &str = "ibm/";

/// See the module.
#[derive(Clone, Debug)]
pub enum RootCredential {
    /// An API key of the environment, or one that the user typed.
    ApiKey {
        /// The key.
        key: Secret,
        /// Where it was given.
        origin: Cow<'static, str>,
    },
    /// A file with an API key, read each time: the key alone, IBM's JSON, or a credentials file of
    /// IBM's SDKs.
    KeyFile(PathBuf),
    /// A pod's compute-resource token, read each time, with a trusted profile.
    Pod {
        /// `IBMCLOUD_CR_TOKEN`, if it is set.
        token: Option<Secret>,
        /// ID (`Profile-...`), CRN or name of the profile.
        profile: String,
    },
    /// The identity of a virtual server in a VPC, requested each time.
    Vpc(VpcIdentity),
    /// What `kubegate login ibm` saved, read each time.
    Saved {
        /// The state folder.
        store: Store,
        /// Name of the login.
        login: String,
    },
}

/// The current secret of a root credential.
pub(super) enum RootSecret {
    ApiKey(Secret),
    Pod {
        token: Secret,
        profile: (&'static str, String),
    },
    Vpc(VpcIdentity),
    /// The refresh token of a session that was started with a passcode or password.
    Session(Secret),
}

impl RootCredential {
    /// Binds a saved login to a cluster and an issuer: reading a login of another one fails.
    #[must_use]
    pub fn bound_to(self, binding: LoginBinding) -> Self {
        match self {
            Self::Saved { store, login } => Self::Saved {
                store: store.bound_to(binding),
                login,
            },
            other => other,
        }
    }

    /// Returns the root credential for a key that the user typed, in any form of a key file.
    ///
    /// # Errors
    /// It cannot be a key.
    pub fn typed(text: &Secret) -> Result<Self, Error> {
        let key = api_key::parse(text.expose());
        let key = key.map_err(|problem| ibm_error(format!("what was typed {problem}")))?;
        Ok(Self::ApiKey {
            key,
            origin: "your input".into(),
        })
    }

    /// Returns the API key, or `None` for another kind of root credential. Blocks.
    ///
    /// # Errors
    /// A file cannot be read, or holds no key.
    pub fn api_key(&self) -> Result<Option<Secret>, Error> {
        Ok(match self {
            Self::ApiKey { .. } | Self::KeyFile(_) | Self::Saved { .. } => match self.read()? {
                Some(RootSecret::ApiKey(key)) => Some(key),
                _ => None,
            },
            Self::Pod { .. } | Self::Vpc(_) => None,
        })
    }

    /// Returns the flags of an `exec` entry for the identity of a pod or virtual server; `None` for
    /// other root credentials, which are saved.
    #[must_use]
    pub fn entry_flags(&self) -> Option<IbmFlags> {
        let (profile, vpc_cri) = match self {
            Self::Pod { profile, .. } => (Some(profile.as_str()), false),
            Self::Vpc(identity) => (identity.profile(), true),
            _ => return None,
        };
        Some(IbmFlags {
            profile: profile.map(str::to_owned),
            vpc_cri,
            ..IbmFlags::default()
        })
    }

    /// Returns the only saved login at IBM Cloud, or at `account`. Returns `None` if there is none.
    ///
    /// # Errors
    /// There are several; the error lists them.
    pub fn only_saved(account: Option<&str>) -> Result<Option<Self>, Error> {
        let store = store()?;
        let mut logins = store.names().map_err(Error::store)?;
        logins.retain(|login| {
            let of = login
                .strip_prefix(SAVED_PREFIX)
                .and_then(|rest| rest.split('/').next());
            of.is_some_and(|of| account.is_none_or(|account| account == of))
        });
        // Of the logins of one user, any can be used; OpenShift clusters need one with a key.
        let has_key = |login: &String| {
            let saved = store.read_without_keyring(login).ok().flatten();
            saved.is_some_and(|saved| saved.api_key.is_some())
        };
        logins.sort_by_key(|login| !has_key(login));
        let mut users = Vec::new();
        logins.retain(|login| {
            let user: Vec<_> = login.split('/').take(3).map(str::to_owned).collect();
            let is_new = !users.contains(&user);
            users.push(user);
            is_new
        });
        if logins.len() > 1 {
            return Err(ibm_error(format!(
                "several logins are saved: {}; choose one by --ibm-account ID, or give \
                 --apikey-file",
                logins.join(", ")
            )));
        }
        let login = logins.pop();
        Ok(login.map(|login| Self::Saved { store, login }))
    }

    /// Returns the name under which a login of `user` at `account` is saved.
    #[must_use]
    pub fn login_name(account: Option<&str>, user: Option<&str>) -> String {
        let user = user.unwrap_or("user").to_lowercase();
        format!("{SAVED_PREFIX}{}/{user}", account.unwrap_or("account"))
    }

    /// Returns its name for errors.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::ApiKey { origin, .. } => format!("the API key in {origin}"),
            Self::KeyFile(path) => format!("the API key in {}", path.display()),
            Self::Pod { profile, .. } => {
                format!("the pod's token with trusted profile {profile:?}")
            }
            Self::Vpc(identity) => match identity.profile() {
                Some(profile) => {
                    format!("this virtual server's identity with trusted profile {profile:?}")
                }
                None => "this virtual server's identity".to_owned(),
            },
            Self::Saved { login, .. } => format!("the saved login {login:?}"),
        }
    }

    /// Returns the files whose change may bring another secret.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::KeyFile(path) => vec![path.clone()],
            Self::Saved { store, login } => vec![store.path(login)],
            Self::ApiKey { .. } | Self::Pod { .. } | Self::Vpc(_) => Vec::new(),
        }
    }

    /// Returns what to do if it is refused. `login` is the command that logs in again.
    pub(super) fn remedy(&self, login: &str) -> String {
        let make = "make a new API key (`ibmcloud iam api-key-create NAME`)";
        match self {
            Self::ApiKey { origin, .. } => format!("{make} and start again with it in {origin}"),
            Self::KeyFile(path) => format!("{make} and put it into {}", path.display()),
            Self::Pod { .. } | Self::Vpc(_) => format!(
                "check {PROFILE_VARIABLE} and the conditions of the trusted profile (Manage > \
                 Access (IAM) > Trusted profiles)"
            ),
            Self::Saved { .. } => format!("run `{login}`"),
        }
    }

    /// Returns its current secret, or `None` if a saved login was removed. Blocks.
    pub(super) fn read(&self) -> Result<Option<RootSecret>, Error> {
        Ok(Some(match self {
            Self::ApiKey { key, .. } => RootSecret::ApiKey(key.clone()),
            Self::KeyFile(path) => RootSecret::ApiKey(key_file::read(path)?),
            Self::Pod { token, profile } => RootSecret::Pod {
                token: pod_token::read(token.as_ref(), Path::new("/"))?,
                profile: (profile_field(profile), profile.clone()),
            },
            Self::Vpc(identity) => RootSecret::Vpc(identity.clone()),
            Self::Saved { store, login } => {
                let saved = store.read(login).map_err(Error::store)?.unwrap_or_default();
                match (saved.api_key, saved.refresh_token) {
                    (Some(key), _) => RootSecret::ApiKey(key),
                    (None, Some(token)) => RootSecret::Session(token),
                    (None, None) => return Ok(None),
                }
            }
        }))
    }
}

/// Returns the user's state folder.
pub(super) fn store() -> Result<Store, Error> {
    Store::of_user(&|name| std::env::var_os(name)).map_err(Error::store)
}

fn profile_field(profile: &str) -> &'static str {
    if profile.starts_with("crn:") {
        "profile_crn"
    } else if profile.starts_with("Profile-") {
        "profile_id"
    } else {
        "profile_name"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_profile_is_named_by_id_crn_or_name() {
        for (profile, field) in [
            ("Profile-30832720-26a0", "profile_id"),
            (
                "crn:v1:bluemix:public:iam-identity::a/1::profile:Profile-3",
                "profile_crn",
            ),
            ("proxy", "profile_name"),
        ] {
            assert_eq!(profile_field(profile), field);
        }
    }
}
