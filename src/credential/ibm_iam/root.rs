//! What a session at IAM begins with, and can begin with again: an API key, a pod's token, or a
//! saved login.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    credential::{
        Error,
        store::{Place, Store},
    },
    secret::Secret,
};

/// The variables that hold an API key, in the order in which they count.
const KEY_VARIABLES: [&str; 2] = ["IC_API_KEY", "IBMCLOUD_API_KEY"];
/// Names a file such as IBM's SDKs read.
const CREDENTIALS_VARIABLE: &str = "IBM_CREDENTIALS_FILE";
/// A pod's token, or `@` and its file.
const POD_TOKEN_VARIABLE: &str = "IBMCLOUD_CR_TOKEN";
const PROFILE_VARIABLE: &str = "IBMCLOUD_CR_PROFILE";
/// Where IBM Cloud puts a pod's token; the first one that is there counts.
const POD_TOKENS: [&str; 3] = [
    "/var/run/secrets/tokens/vault-token",
    "/var/run/secrets/tokens/sa-token",
    "/var/run/secrets/codeengine.cloud.ibm.com/compute-resource-token/token",
];
/// What names of saved logins begin with; account and user follow.
const SAVED_PREFIX: &str = "ibm/";
/// Bytes that such a file may have.
const LIMIT: u64 = 64 << 10;

/// What a session begins with.
#[derive(Clone, Debug)]
pub enum Root {
    /// An API key out of the environment, or typed.
    ApiKey {
        /// The key.
        key: Secret,
        /// Where it comes from.
        origin: &'static str,
    },
    /// A file with an API key, read anew each time: the key alone, IBM's JSON, or a credentials
    /// file of IBM's SDKs.
    KeyFile(PathBuf),
    /// A pod's compute-resource token, read anew each time, with a trusted profile.
    Pod {
        /// `IBMCLOUD_CR_TOKEN`, where it is set.
        token: Option<Secret>,
        /// Id (`Profile-...`), CRN or name of the profile.
        profile: String,
    },
    /// What `kubegate login ibm` saved, read anew each time.
    Saved {
        /// The state folder.
        store: Store,
        /// Name of the login.
        login: String,
    },
}

/// What flags say of the root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// `--apikey-file`
    pub apikey_file: Option<&'a Path>,
    /// `--profile`
    pub profile: Option<&'a str>,
    /// `--login`
    pub login: Option<&'a str>,
}

/// What a root holds at the moment.
pub(super) enum Held {
    ApiKey(Secret),
    Pod {
        token: Secret,
        profile: (&'static str, String),
    },
    /// The refresh token of a session that was begun by passcode or password.
    Session(Secret),
}

impl Root {
    /// The root that flags name, else the environment: an API key before a pod's token. Reads
    /// nothing yet.
    ///
    /// # Errors
    /// Where the state folder of a saved login is not known.
    pub fn find(
        asked: Asked<'_>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        if let Some(path) = asked.apikey_file {
            return Ok(Some(Self::KeyFile(path.to_owned())));
        }
        if let Some(login) = asked.login {
            let login = login.to_owned();
            return Ok(Some(Self::Saved {
                store: store()?,
                login,
            }));
        }
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let pod = |profile: &str| Self::Pod {
            token: set(POD_TOKEN_VARIABLE).map(Secret::new),
            profile: profile.to_owned(),
        };
        if let Some(profile) = asked.profile {
            return Ok(Some(pod(profile)));
        }
        for variable in KEY_VARIABLES {
            if let Some(key) = set(variable) {
                let key = Secret::new(key.trim());
                return Ok(Some(Self::ApiKey {
                    key,
                    origin: variable,
                }));
            }
        }
        if let Some(path) = set(CREDENTIALS_VARIABLE) {
            return Ok(Some(Self::KeyFile(path.into())));
        }
        Ok(set(PROFILE_VARIABLE).as_deref().map(pod))
    }

    /// The same for one place, where it is a saved login: one that belongs elsewhere is refused.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        match self {
            Self::Saved { store, login } => Self::Saved {
                store: store.at(place),
                login,
            },
            other => other,
        }
    }

    /// What the environment has.
    ///
    /// # Errors
    /// As for [`Root::find`].
    pub fn at_hand() -> Result<Option<Self>, Error> {
        Self::find(Asked::default(), &super::variable)
    }

    /// A key that somebody typed.
    #[must_use]
    pub fn typed(key: Secret) -> Self {
        Self::ApiKey {
            key,
            origin: "your answer",
        }
    }

    /// The API key; `None` where this is another root. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no key.
    pub fn api_key(&self) -> Result<Option<Secret>, Error> {
        Ok(match self {
            Self::ApiKey { .. } | Self::KeyFile(_) | Self::Saved { .. } => match self.read()? {
                Some(Held::ApiKey(key)) => Some(key),
                _ => None,
            },
            Self::Pod { .. } => None,
        })
    }

    /// The trusted profile of a pod.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        match self {
            Self::Pod { profile, .. } => Some(profile),
            _ => None,
        }
    }

    /// The one login at IBM Cloud that is saved, of `account` where that is given; `None` where
    /// there is none.
    ///
    /// # Errors
    /// Where there are several; the error lists their accounts.
    pub fn saved(account: Option<&str>) -> Result<Option<Self>, Error> {
        let store = store()?;
        let mut logins = store.names().map_err(Error::store)?;
        logins.retain(|login| {
            let of = login
                .strip_prefix(SAVED_PREFIX)
                .and_then(|rest| rest.split('/').next());
            of.is_some_and(|of| account.is_none_or(|account| account == of))
        });
        if logins.len() > 1 {
            return Err(Error::ibm(format!(
                "several logins are saved: {}; choose one by --ibm-account ID, or give \
                 --apikey-file",
                logins.join(", ")
            )));
        }
        let login = logins.pop();
        Ok(login.map(|login| Self::Saved { store, login }))
    }

    /// The name under which a login of `user` in `account` is saved.
    #[must_use]
    pub fn login_name(account: Option<&str>, user: Option<&str>) -> String {
        let user = user.unwrap_or("user").to_lowercase();
        format!("{SAVED_PREFIX}{}/{user}", account.unwrap_or("account"))
    }

    /// The IAM endpoint that the environment's credentials file names, and the variable.
    #[must_use]
    pub fn auth_url(env: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
        let path = env(CREDENTIALS_VARIABLE).filter(|path| !path.is_empty())?;
        let text = read_text(Path::new(&path)).ok()?;
        let (_, url) = entries(&text, "_AUTH_URL").into_iter().next()?;
        Some((CREDENTIALS_VARIABLE, url.to_owned()))
    }

    /// Names it in errors.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::ApiKey { origin, .. } => format!("the API key in {origin}"),
            Self::KeyFile(path) => format!("the API key in {}", path.display()),
            Self::Pod { profile, .. } => {
                format!("the pod's token with trusted profile {profile:?}")
            }
            Self::Saved { login, .. } => format!("the saved login {login:?}"),
        }
    }

    /// The files in which another may appear.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::KeyFile(path) => vec![path.clone()],
            Self::Saved { store, login } => vec![store.path(login)],
            Self::ApiKey { .. } | Self::Pod { .. } => Vec::new(),
        }
    }

    /// What to do where it is refused. `login` is the command that logs in again.
    pub(super) fn remedy(&self, login: &str) -> String {
        let make = "make a new API key (`ibmcloud iam api-key-create NAME`)";
        match self {
            Self::ApiKey { origin, .. } => format!("{make} and start again with it in {origin}"),
            Self::KeyFile(path) => format!("{make} and put it into {}", path.display()),
            Self::Pod { .. } => format!(
                "check {PROFILE_VARIABLE} and the conditions of the trusted profile (Manage > \
                 Access (IAM) > Trusted profiles)"
            ),
            Self::Saved { .. } => format!("run `{login}`"),
        }
    }

    /// What it holds now; `None` where a saved login is gone. Blocks.
    pub(super) fn read(&self) -> Result<Option<Held>, Error> {
        Ok(Some(match self {
            Self::ApiKey { key, .. } => Held::ApiKey(key.clone()),
            Self::KeyFile(path) => Held::ApiKey(key_in(path)?),
            Self::Pod { token, profile } => Held::Pod {
                token: pod_token(token.as_ref(), Path::new("/"))?,
                profile: (profile_field(profile), profile.clone()),
            },
            Self::Saved { store, login } => {
                let saved = store.read(login).map_err(Error::store)?.unwrap_or_default();
                match (saved.api_key, saved.refresh_token) {
                    (Some(key), _) => Held::ApiKey(key),
                    (None, Some(token)) => Held::Session(token),
                    (None, None) => return Ok(None),
                }
            }
        }))
    }
}

/// The user's state folder.
fn store() -> Result<Store, Error> {
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

/// The API key in a file, in any of the forms in which IBM's tools write one.
fn key_in(path: &Path) -> Result<Secret, Error> {
    /// What `ibmcloud iam api-key-create --file` writes, and the console's download.
    #[derive(Deserialize)]
    struct Downloaded {
        apikey: Secret,
    }
    let text = read_text(path)?;
    let bad = |problem: &str| Error::ibm(format!("the API key file {} {problem}", path.display()));
    if text.trim_start().starts_with('{') {
        return match serde_json::from_str(&text) {
            Ok(Downloaded { apikey }) => Ok(apikey),
            Err(_) => Err(bad("is JSON without the text field `apikey`")),
        };
    }
    let mut keys = entries(&text, "_APIKEY");
    // The service by the name that IBM's own SDK for it has.
    if let Some(own) = keys
        .iter()
        .find(|(name, _)| *name == "KUBERNETES_SERVICE_API")
    {
        keys = vec![*own];
    }
    keys.dedup_by(|one, other| one.1 == other.1);
    match keys[..] {
        [] => {}
        [(_, key)] => return Ok(Secret::new(key)),
        _ => {
            return Err(bad(
                "has the API keys of several services; add KUBERNETES_SERVICE_API_APIKEY to say \
                 which counts",
            ));
        }
    }
    let key = text.trim();
    if key.is_empty() {
        return Err(bad("is empty; put an API key into it"));
    }
    if key.contains(|sign: char| sign.is_whitespace() || sign.is_control()) {
        return Err(bad(
            "holds more than an API key; put the key alone into it, or IBM's JSON",
        ));
    }
    Ok(Secret::new(key))
}

/// `NAME_SUFFIX=value` of a credentials file: each name and value.
fn entries<'a>(text: &'a str, suffix: &str) -> Vec<(&'a str, &'a str)> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            let name = name.trim().strip_suffix(suffix)?;
            let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
            let value = value.trim().trim_matches(['"', '\'']);
            (name.chars().all(is_name) && !value.is_empty()).then_some((name, value))
        })
        .collect()
}

/// The token given, in the file given, or in the first of IBM's files that is there below `root`.
fn pod_token(given: Option<&Secret>, root: &Path) -> Result<Secret, Error> {
    if let Some(given) = given {
        return match given.expose().strip_prefix('@') {
            Some(path) => token_in(Path::new(path)),
            None => Ok(Secret::new(given.expose().trim())),
        };
    }
    for path in POD_TOKENS {
        let path = root.join(path.trim_start_matches('/'));
        if path.exists() {
            return token_in(&path);
        }
    }
    Err(Error::ibm(format!(
        "there is no compute-resource token: {POD_TOKEN_VARIABLE} is not set, and none of {} is \
         there; mount a service account token with the audience `iam`, or use an API key",
        POD_TOKENS.join(", ")
    )))
}

fn token_in(path: &Path) -> Result<Secret, Error> {
    let text = read_text(path)?;
    match text.trim() {
        "" => Err(Error::ibm(format!(
            "the token file {} is empty",
            path.display()
        ))),
        token => Ok(Secret::new(token)),
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| {
        // Room for all of it at once: growing would leave unwiped copies behind.
        let size = file.metadata()?.len().min(LIMIT) + 1;
        text.reserve(usize::try_from(size).unwrap_or_default());
        if file.take(LIMIT + 1).read_to_string(&mut text)? as u64 > LIMIT {
            return Err(io::Error::other("it is too large"));
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(text),
        Err(error) => Err(Error::ibm(format!(
            "cannot read {}: {error}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn found(asked: Asked<'_>, variables: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| {
            let set = variables.iter().find(|(variable, _)| *variable == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        Root::find(asked, &env).unwrap().map(|root| root.subject())
    }

    #[test]
    fn flags_go_before_the_environment_and_keys_before_a_pod() {
        let all = [
            ("IC_API_KEY", "sesame-ibm-4"),
            ("IBMCLOUD_API_KEY", "sesame-ibm-5"),
            ("IBM_CREDENTIALS_FILE", "/c.env"),
            ("IBMCLOUD_CR_PROFILE", "proxy"),
        ];
        let by_env = |from: usize| found(Asked::default(), &all[from..]).unwrap();
        assert_eq!(by_env(0), "the API key in IC_API_KEY");
        assert_eq!(by_env(1), "the API key in IBMCLOUD_API_KEY");
        assert_eq!(by_env(2), "the API key in /c.env");
        assert_eq!(by_env(3), "the pod's token with trusted profile \"proxy\"");
        assert_eq!(found(Asked::default(), &[("IC_API_KEY", "")]), None);
        let by_file = Asked {
            apikey_file: Some(Path::new("/k")),
            ..Asked::default()
        };
        assert_eq!(found(by_file, &all).unwrap(), "the API key in /k");
        let by_profile = Asked {
            profile: Some("other"),
            ..Asked::default()
        };
        assert!(found(by_profile, &all).unwrap().contains("other"));
    }

    #[test]
    fn a_key_is_read_in_each_form_that_tools_of_ibm_write() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in [
            "sesame-ibm-6\n",
            r#"{"name": "n", "createdAt": "2026", "apikey": "sesame-ibm-6"}"#,
            "# mine\nSOME_SERVICE_AUTH_TYPE=iam\nSOME_SERVICE_APIKEY=sesame-ibm-6\n",
            "A_APIKEY=\"sesame-ibm-6\"\nB_APIKEY=sesame-ibm-6\n",
            "A_APIKEY=other\nKUBERNETES_SERVICE_API_APIKEY=sesame-ibm-6\n",
        ] {
            fs::write(file.path(), text).unwrap();
            assert_eq!(
                key_in(file.path()).unwrap().expose(),
                "sesame-ibm-6",
                "{text}"
            );
        }
        for (text, says) in [
            (" \n", "is empty"),
            ("sesame-ibm-6 and more", "more than an API key"),
            (r#"{"key": "sesame-ibm-6"}"#, "`apikey`"),
            ("A_APIKEY=sesame-ibm-6\nB_APIKEY=x\n", "several services"),
        ] {
            fs::write(file.path(), text).unwrap();
            let error = key_in(file.path()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says), "{shown}");
            assert!(
                shown.contains(&file.path().display().to_string()),
                "{shown}"
            );
            assert!(!shown.contains("sesame-ibm-6"), "{shown}");
        }
        let missing = key_in(Path::new("/nonexistent/key")).unwrap_err();
        assert!(
            missing.to_string().contains("/nonexistent/key"),
            "{missing}"
        );
    }

    #[test]
    fn the_first_token_file_that_is_there_counts() {
        let root = tempfile::tempdir().unwrap();
        let none = pod_token(None, root.path()).unwrap_err().to_string();
        assert!(POD_TOKENS.iter().all(|path| none.contains(path)), "{none}");
        for (path, token) in POD_TOKENS.iter().zip(["first", "second", "third"]).rev() {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(pod_token(None, root.path()).unwrap().expose(), token);
            // Read anew each time.
            fs::write(&path, "rotated").unwrap();
            assert_eq!(pod_token(None, root.path()).unwrap().expose(), "rotated");
            fs::write(&path, token).unwrap();
        }
        let first = root.path().join(&POD_TOKENS[0][1..]);
        let given = Secret::new(format!("@{}", first.display()));
        assert_eq!(
            pod_token(Some(&given), root.path()).unwrap().expose(),
            "first"
        );
        let given = Secret::new("itself");
        assert_eq!(
            pod_token(Some(&given), root.path()).unwrap().expose(),
            "itself"
        );
    }

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
