//! Finds the [`RootCredential`] that flags and environment choose.

use std::path::Path;

use super::{
    RootCredential, api_key,
    error::ibm_error,
    key_file, pod_token,
    root_credential::{PROFILE_VARIABLE, store},
    settings_file::{self, ServiceSettings},
    vpc::{self, VpcIdentity},
};
use crate::{credential::Error, secret::Secret};

/// The variables with an API key, in order of precedence.
const KEY_VARIABLES: [&str; 2] = ["IC_API_KEY", "IBMCLOUD_API_KEY"];
/// The variable with the path of a credentials file of IBM's SDKs.
const CREDENTIALS_VARIABLE: &str = "IBM_CREDENTIALS_FILE";
/// The ends of the variables of IBM's SDKs that [`settings_file::service`] reads.
const SERVICE_VARIABLES: [&str; 6] = [
    "_AUTH_TYPE",
    "_IAM_PROFILE_ID",
    "_IAM_PROFILE_CRN",
    "_IAM_PROFILE_NAME",
    "_AUTH_URL",
    "_CR_TOKEN_FILENAME",
];

/// The flags that choose the root credential.
#[derive(Clone, Copy, Debug, Default)]
pub struct RootOptions<'a> {
    /// `--apikey-file`
    pub apikey_file: Option<&'a Path>,
    /// `--profile`
    pub profile: Option<&'a str>,
    /// `--vpc-cri`
    pub vpc_cri: bool,
    /// `--login`
    pub login: Option<&'a str>,
}

impl RootCredential {
    /// Returns the root credential of the flags, else of the environment, where an API key takes
    /// precedence over the identity of a pod or virtual server. Reads an API key from a pipe, and from
    /// files only how to log in.
    ///
    /// # Errors
    /// The state folder of a saved login is not known; a variable or pipe holds no API key; a trusted
    /// profile or URL cannot be used.
    pub fn find(
        asked: RootOptions<'_>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        if let Some(path) = asked.apikey_file {
            return Self::of_file(path).map(Some);
        }
        if let Some(login) = asked.login {
            let login = login.to_owned();
            return Ok(Some(Self::Saved {
                store: store()?,
                login,
            }));
        }
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let named = asked.profile.map(str::to_owned);
        let profile = named.clone().or_else(|| set(PROFILE_VARIABLE));
        let vpc = || {
            let url = set(vpc::URL_VARIABLE);
            let url = url.as_deref().map(|url| (vpc::URL_VARIABLE, url));
            VpcIdentity::new(profile.as_deref(), url).map(Self::Vpc)
        };
        let pod = |profile: String| Self::Pod {
            token: set(pod_token::VARIABLE).map(Secret::new),
            profile,
        };
        if asked.vpc_cri {
            return vpc().map(Some);
        }
        if let Some(profile) = named {
            return Ok(Some(pod(profile)));
        }
        if let Some(root) = Self::of_key_variable(&set)? {
            return Ok(Some(root));
        }
        if let Some(path) = set(CREDENTIALS_VARIABLE) {
            let path = Path::new(&path);
            return match key_file::service(path) {
                Some(service) => Self::of_service(service, CREDENTIALS_VARIABLE).map(Some),
                None => Self::of_file(path).map(Some),
            };
        }
        if set(vpc::URL_VARIABLE).is_some() && set(pod_token::VARIABLE).is_none() {
            return vpc().map(Some);
        }
        Ok(profile.map(pod))
    }

    /// Returns the API key of a variable, or of the file that it names by `@`, as for IBM's tools.
    fn of_key_variable(set: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        for variable in KEY_VARIABLES {
            let Some(text) = set(variable).map(Secret::new) else {
                continue;
            };
            if let Some(path) = text.expose().trim().strip_prefix('@') {
                return Self::of_file(Path::new(path)).map(Some);
            }
            let key = api_key::parse(text.expose());
            return Ok(Some(Self::ApiKey {
                key: key.map_err(|problem| ibm_error(format!("{variable} {problem}")))?,
                origin: variable.into(),
            }));
        }
        Ok(None)
    }

    /// The API key in a file, which is read at once if it can be read only once.
    fn of_file(path: &Path) -> Result<Self, Error> {
        Ok(match key_file::read_once(path)? {
            Some(key) => Self::ApiKey {
                key,
                origin: if path == Path::new("-") {
                    "standard input".into()
                } else {
                    format!("the pipe {}", path.display()).into()
                },
            },
            None => Self::KeyFile(path.to_owned()),
        })
    }

    /// What the settings of IBM's SDKs for a service say, which are given in `origin`.
    fn of_service(service: ServiceSettings, origin: &str) -> Result<Self, Error> {
        if service.auth_type == "vpc" {
            let url = service.auth_url.as_deref().map(|url| (origin, url));
            return VpcIdentity::new(service.profile.as_deref(), url).map(Self::Vpc);
        }
        let profile = service.profile.ok_or_else(|| {
            ibm_error(format!(
                "{origin} has AUTH_TYPE container without a trusted profile; add IAM_PROFILE_NAME or \
                 IAM_PROFILE_ID of the same service"
            ))
        })?;
        Ok(Self::Pod {
            token: service
                .token_file
                .map(|file| Secret::new(format!("@{file}"))),
            profile,
        })
    }

    /// Returns the root credential of the flags, else of the environment, with the settings of any
    /// service of IBM's SDKs (`SERVICE_AUTH_TYPE` and so on) as the last.
    ///
    /// # Errors
    /// As for [`RootCredential::find`].
    pub fn from_environment(asked: RootOptions<'_>) -> Result<Option<Self>, Error> {
        if let Some(root) = Self::find(asked, &super::endpoints::variable)? {
            return Ok(Some(root));
        }
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name
                .into_string()
                .ok()
                .filter(|name| SERVICE_VARIABLES.iter().any(|end| name.ends_with(end)))?;
            Some((name, value.into_string().ok()?))
        });
        let variables: Vec<_> = variables.collect();
        settings_file::service(&variables)
            .map(|service| Self::of_service(service, "the environment"))
            .transpose()
    }

    /// Returns the IAM endpoint of the environment's credentials file, and the variable that names the
    /// file.
    #[must_use]
    pub fn auth_url(env: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
        let path = env(CREDENTIALS_VARIABLE).filter(|path| !path.is_empty())?;
        Some((CREDENTIALS_VARIABLE, key_file::auth_url(Path::new(&path))?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(asked: RootOptions<'_>, variables: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| {
            let set = variables.iter().find(|(variable, _)| *variable == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        RootCredential::find(asked, &env)
            .unwrap()
            .map(|root| root.subject())
    }

    fn refused(variables: &[(&str, &str)]) -> String {
        let env = |name: &str| {
            let set = variables.iter().find(|(variable, _)| *variable == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        let found = RootCredential::find(RootOptions::default(), &env);
        found.err().unwrap().to_string()
    }

    #[test]
    fn flags_precede_the_environment_and_keys_a_pod() {
        let all = [
            ("IC_API_KEY", "sesame-ibm-4"),
            ("IBMCLOUD_API_KEY", "sesame-ibm-5"),
            ("IBM_CREDENTIALS_FILE", "/c.env"),
            ("IBMCLOUD_CR_PROFILE", "proxy"),
        ];
        let by_env = |from: usize| found(RootOptions::default(), &all[from..]).unwrap();
        assert_eq!(by_env(0), "the API key in IC_API_KEY");
        assert_eq!(by_env(1), "the API key in IBMCLOUD_API_KEY");
        assert_eq!(by_env(2), "the API key in /c.env");
        assert_eq!(by_env(3), "the pod's token with trusted profile \"proxy\"");
        assert_eq!(found(RootOptions::default(), &[("IC_API_KEY", "")]), None);
        let by_file = RootOptions {
            apikey_file: Some(Path::new("/k")),
            ..RootOptions::default()
        };
        assert_eq!(found(by_file, &all).unwrap(), "the API key in /k");
        let by_profile = RootOptions {
            profile: Some("other"),
            ..RootOptions::default()
        };
        assert!(found(by_profile, &all).unwrap().contains("other"));
    }

    #[test]
    fn a_virtual_server_is_chosen_by_its_url_or_by_a_service() {
        let url = ("IBMCLOUD_CR_VPC_URL", "http://169.254.169.254");
        let by_default = found(RootOptions::default(), &[url]).unwrap();
        assert_eq!(by_default, "this virtual server's identity");
        let profile = ("IBMCLOUD_CR_PROFILE", "Profile-1");
        let by_profile = found(RootOptions::default(), &[url, profile]).unwrap();
        assert!(by_profile.contains("\"Profile-1\""), "{by_profile}");
        let asked = RootOptions {
            vpc_cri: true,
            ..RootOptions::default()
        };
        assert_eq!(found(asked, &[]).unwrap(), by_default);
        // A pod's token says that this is a pod.
        let token = ("IBMCLOUD_CR_TOKEN", "sesame-ibm-7");
        let pod = found(RootOptions::default(), &[url, profile, token]).unwrap();
        assert!(pod.contains("the pod's token"), "{pod}");
        let named = refused(&[url, ("IBMCLOUD_CR_PROFILE", "pods")]);
        assert!(named.contains("its ID"), "{named}");

        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let by_file = |text: &str| {
            std::fs::write(path, text).unwrap();
            found(RootOptions::default(), &[("IBM_CREDENTIALS_FILE", path)]).unwrap()
        };
        let vpc = by_file("A_AUTH_TYPE=vpc\nA_IAM_PROFILE_ID=Profile-2\n");
        assert!(vpc.contains("virtual server's identity with trusted profile \"Profile-2\""));
        let pod = by_file("A_AUTH_TYPE=container\nA_IAM_PROFILE_NAME=pods\n");
        assert!(pod.contains("the pod's token with trusted profile \"pods\""));
        assert!(by_file("A_AUTH_TYPE=iam\nA_APIKEY=x\n").contains("the API key in"));
    }

    #[test]
    fn a_variable_holds_a_key_or_names_its_file() {
        let by = |value| found(RootOptions::default(), &[("IBMCLOUD_API_KEY", value)]);
        let shown = Some("the API key in IBMCLOUD_API_KEY".to_owned());
        for value in [
            "'sesame-ibm-8'",
            "IBMCLOUD_API_KEY=sesame-ibm-8",
            "{\"apikey\": \"x\"}",
        ] {
            assert_eq!(by(value), shown, "{value}");
        }
        assert_eq!(by("@/k").unwrap(), "the API key in /k");
        assert_eq!(by(" "), None);
        let error = refused(&[("IC_API_KEY", "sesame ibm-8")]);
        assert!(error.contains("IC_API_KEY holds more"), "{error}");
        assert!(!error.contains("ibm-8"), "{error}");
    }
}
