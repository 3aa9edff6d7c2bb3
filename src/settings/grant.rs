//! Flags for the grants of an OIDC issuer, with the names that kubelogin gives its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf, absolute},
};

use clap::{Args, ValueEnum, ValueHint};

use super::values::{any_path, go_bool, listen_address};

/// How tokens are obtained from an issuer (RFC 6749).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GrantType {
    /// authcode, or on a terminal without a browser device-code or authcode-keyboard
    Auto,
    /// A login in a browser on this machine
    Authcode,
    /// A login in any browser, whose code is typed here
    AuthcodeKeyboard,
    /// A user name and a password, which this program sends to the issuer
    Password,
    /// A login in a browser on any device (RFC 8628)
    DeviceCode,
    /// The client itself, for machines
    ClientCredentials,
    /// Another token in place of the user, for machines (RFC 8693)
    TokenExchange,
}

/// The grant of a login, and the files of a login without a person.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Grant")]
pub struct GrantFlags {
    /// How to log in [default: auto, or the grant of the files that are given]
    #[arg(long, value_name = "GRANT", value_enum)]
    pub grant_type: Option<GrantType>,
    /// URL that the issuer redirects the browser to [default: http://localhost:8000, else
    /// http://localhost:18000; with authcode-keyboard urn:ietf:wg:oauth:2.0:oob]
    #[arg(long, value_name = "URL")]
    pub oidc_redirect_url: Option<String>,
    /// Address and port to listen on for the browser; may be repeated: the first that is free is used
    /// [default: those of the redirect URL]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = listen_address)]
    pub listen_address: Vec<SocketAddr>,
    /// Send the access token to the API server in place of the ID token
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub oidc_use_access_token: Option<bool>,
    /// File with the user name for the grant password; it is read for every token
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path(),
          requires = "oidc_password_file")]
    pub oidc_username_file: Option<PathBuf>,
    /// File with the password of that user
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path(),
          requires = "oidc_username_file")]
    pub oidc_password_file: Option<PathBuf>,
    /// File with the token for the grant token-exchange; it is read for every token
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub oidc_subject_token_file: Option<PathBuf>,
    /// Type of the token in that file: id-token, access-token, jwt or a URN [default: id-token]
    #[arg(long, value_name = "TYPE")]
    pub token_exchange_subject_token_type: Option<String>,
    /// Type of the token to request: id-token, access-token, jwt or a URN
    #[arg(long, value_name = "TYPE")]
    pub token_exchange_requested_token_type: Option<String>,
    /// Audience of the token to request; may be repeated
    #[arg(long, value_name = "NAME")]
    pub token_exchange_audience: Vec<String>,
    /// URI of the service that the token to request is for; may be repeated
    #[arg(long, value_name = "URI")]
    pub token_exchange_resource: Vec<String>,
}

/// A grant that needs no person, with the files that are read for every token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineGrant<'a> {
    /// The client's ID and secret (RFC 6749, section 4.4).
    ClientCredentials,
    /// A user name and a password (RFC 6749, section 4.3).
    Password {
        /// The file with the user name.
        username_file: &'a Path,
        /// The file with the password.
        password_file: &'a Path,
    },
    /// Another token (RFC 8693).
    TokenExchange {
        /// The file with that token.
        subject_token_file: &'a Path,
    },
}

impl GrantFlags {
    /// Returns the grant that was chosen: by name, or by files that only one grant reads.
    #[must_use]
    pub fn chosen(&self) -> GrantType {
        match self.grant_type {
            Some(GrantType::Auto) | None if self.oidc_subject_token_file.is_some() => {
                GrantType::TokenExchange
            }
            Some(GrantType::Auto) | None if self.oidc_password_file.is_some() => {
                GrantType::Password
            }
            Some(grant) => grant,
            None => GrantType::Auto,
        }
    }

    /// Returns the chosen grant if it needs no person.
    #[must_use]
    pub fn machine(&self) -> Option<MachineGrant<'_>> {
        match self.chosen() {
            GrantType::ClientCredentials => Some(MachineGrant::ClientCredentials),
            GrantType::Password => Some(MachineGrant::Password {
                username_file: self.oidc_username_file.as_deref()?,
                password_file: self.oidc_password_file.as_deref()?,
            }),
            GrantType::TokenExchange => Some(MachineGrant::TokenExchange {
                subject_token_file: self.oidc_subject_token_file.as_deref()?,
            }),
            GrantType::Auto
            | GrantType::Authcode
            | GrantType::AuthcodeKeyboard
            | GrantType::DeviceCode => None,
        }
    }

    /// Returns whether the access token is sent to the API server.
    #[must_use]
    pub fn uses_access_token(&self) -> bool {
        self.oidc_use_access_token == Some(true)
    }

    /// Returns these flags over those of an earlier login. Another grant takes over neither files nor
    /// types of tokens of the earlier one.
    #[must_use]
    pub fn over(&self, earlier: &Self) -> Self {
        let mut flags = self.clone();
        flags.oidc_use_access_token = self.oidc_use_access_token.or(earlier.oidc_use_access_token);
        let names_grant = self.grant_type.is_some() || self.chosen() != GrantType::Auto;
        if names_grant && self.chosen() != earlier.chosen() {
            return flags;
        }
        flags.grant_type = self.grant_type.or(earlier.grant_type);
        for (own, before) in [
            (&mut flags.oidc_username_file, &earlier.oidc_username_file),
            (&mut flags.oidc_password_file, &earlier.oidc_password_file),
            (
                &mut flags.oidc_subject_token_file,
                &earlier.oidc_subject_token_file,
            ),
        ] {
            *own = own.take().or_else(|| before.clone());
        }
        if flags.listen_address.is_empty() {
            flags.listen_address.clone_from(&earlier.listen_address);
        }
        for (own, before) in [
            (&mut flags.oidc_redirect_url, &earlier.oidc_redirect_url),
            (
                &mut flags.token_exchange_subject_token_type,
                &earlier.token_exchange_subject_token_type,
            ),
            (
                &mut flags.token_exchange_requested_token_type,
                &earlier.token_exchange_requested_token_type,
            ),
        ] {
            *own = own.take().or_else(|| before.clone());
        }
        for (own, before) in [
            (
                &mut flags.token_exchange_audience,
                &earlier.token_exchange_audience,
            ),
            (
                &mut flags.token_exchange_resource,
                &earlier.token_exchange_resource,
            ),
        ] {
            if own.is_empty() {
                own.clone_from(before);
            }
        }
        flags
    }

    /// Returns the arguments of `kubegate` that mean these flags. Paths are absolute, since kubectl runs
    /// a plugin in the user's working folder.
    pub(super) fn to_args(&self) -> impl Iterator<Item = String> {
        let path = |path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            let path = absolute(path).unwrap_or_else(|_| path.clone());
            Some(path.display().to_string())
        };
        // `auto` chooses anew at the next login.
        let grant = self.grant_type.filter(|grant| *grant != GrantType::Auto);
        let grant = grant.and_then(|grant| grant.to_possible_value());
        let flags = [
            (
                "--grant-type",
                grant.map(|grant| grant.get_name().to_owned()),
            ),
            ("--oidc-redirect-url", self.oidc_redirect_url.clone()),
            (
                "--oidc-use-access-token",
                self.uses_access_token().then(|| "true".to_owned()),
            ),
            ("--oidc-username-file", path(&self.oidc_username_file)),
            ("--oidc-password-file", path(&self.oidc_password_file)),
            (
                "--oidc-subject-token-file",
                path(&self.oidc_subject_token_file),
            ),
            (
                "--token-exchange-subject-token-type",
                self.token_exchange_subject_token_type.clone(),
            ),
            (
                "--token-exchange-requested-token-type",
                self.token_exchange_requested_token_type.clone(),
            ),
        ];
        let lists = [
            ("--token-exchange-audience", &self.token_exchange_audience),
            ("--token-exchange-resource", &self.token_exchange_resource),
        ];
        let lists = lists
            .into_iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, Some(value.clone()))));
        let addresses = self.listen_address.iter();
        let addresses = addresses.map(|one| ("--listen-address", Some(one.to_string())));
        let args = flags.into_iter().chain(lists).chain(addresses);
        // Name and value in one argument, since a value may begin with a dash.
        args.filter_map(|(name, value)| Some(format!("{name}={}", value?)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn parsed(args: &[&str]) -> GrantFlags {
        let command = GrantFlags::augment_args(Command::new("login").no_binary_name(true));
        GrantFlags::from_arg_matches(&command.try_get_matches_from(args).unwrap()).unwrap()
    }

    #[test]
    fn files_choose_the_grant_that_reads_them() {
        let password = ["--oidc-username-file=/u", "--oidc-password-file=/p"];
        for (args, grant) in [
            (&[][..], GrantType::Auto),
            (&password, GrantType::Password),
            (&["--oidc-subject-token-file=/t"], GrantType::TokenExchange),
            (&["--grant-type=password"], GrantType::Password),
            (
                &["--grant-type", "client-credentials"],
                GrantType::ClientCredentials,
            ),
            (
                &["--grant-type=authcode-keyboard"],
                GrantType::AuthcodeKeyboard,
            ),
        ] {
            assert_eq!(parsed(args).chosen(), grant, "{args:?}");
        }
        assert!(parsed(&password).machine().is_some());
        assert_eq!(parsed(&["--grant-type=password"]).machine(), None);
        assert_eq!(parsed(&["--grant-type=device-code"]).machine(), None);
    }

    #[test]
    fn the_arguments_mean_the_same_flags() {
        for args in [
            &[][..],
            &["--grant-type=device-code", "--oidc-use-access-token=true"],
            &["--oidc-username-file=/u", "--oidc-password-file=/p"],
            &[
                "--oidc-subject-token-file=/t",
                "--token-exchange-subject-token-type=jwt",
                "--token-exchange-audience=a",
                "--token-exchange-audience=-b",
            ],
            &[
                "--grant-type=authcode",
                "--oidc-redirect-url=http://localhost:9000/cb",
                "--listen-address=0.0.0.0:9000",
                "--listen-address=[::1]:9000",
            ],
        ] {
            assert_eq!(parsed(args).to_args().collect::<Vec<_>>(), args);
        }
        let relative = parsed(&["--oidc-subject-token-file=t"]);
        let file = absolute("t").unwrap();
        let expected = format!("--oidc-subject-token-file={}", file.display());
        assert_eq!(relative.to_args().collect::<Vec<_>>(), [expected]);
        assert_eq!(parsed(&["--grant-type=auto"]).to_args().count(), 0);
    }

    #[test]
    fn another_grant_takes_nothing_of_the_earlier_one() {
        let earlier = parsed(&[
            "--oidc-username-file=/u",
            "--oidc-password-file=/p",
            "--oidc-use-access-token",
        ]);
        let same = parsed(&[]).over(&earlier);
        assert!(same.machine().is_some() && same.uses_access_token());
        let device = parsed(&["--grant-type=device-code"]).over(&earlier);
        assert_eq!(device.chosen(), GrantType::DeviceCode);
        assert!(device.oidc_password_file.is_none() && device.uses_access_token());
        let auto = parsed(&["--grant-type=auto", "--oidc-use-access-token=false"]).over(&earlier);
        assert_eq!(auto.chosen(), GrantType::Auto);
        assert!(!auto.uses_access_token());
    }
}
