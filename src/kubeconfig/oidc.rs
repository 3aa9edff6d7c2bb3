//! Reads the `auth-provider` section of a user as an [`OidcConfig`].

use std::path::{Path, PathBuf};

use crate::{
    kubeconfig::{Error, Pem, document::Document, fields::Fields},
    secret::Secret,
};

/// What an issuer's URL is followed by where its metadata are (`OpenID` Connect Discovery 1.0,
/// section 4).
pub const METADATA_PATH: &str = "/.well-known/openid-configuration";

/// Returns an issuer's URL as the issuer itself names it, but without a slash at its end: people
/// also paste the URL of its metadata.
#[must_use]
pub fn issuer_name(url: &str) -> &str {
    let url = url.trim().trim_end_matches('/');
    let url = url.strip_suffix(METADATA_PATH).unwrap_or(url);
    url.trim_end_matches('/')
}

/// An `auth-provider` named `oidc`, and the file that holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct OidcConfig {
    /// The file, as it was named by the caller.
    pub file: PathBuf,
    /// Name of the user entry.
    pub user: String,
    /// `idp-issuer-url`, as written.
    pub issuer: String,
    /// `client-id`
    pub client_id: String,
    /// `client-secret`; a public client has none.
    pub client_secret: Option<Secret>,
    /// `extra-scopes`, which client-go ignores; they are separated by commas.
    pub extra_scopes: Vec<String>,
    /// `idp-certificate-authority-data`, or else `idp-certificate-authority`.
    pub certificate_authority: Option<Pem>,
    /// The tokens that the file held when it was loaded.
    pub tokens: OidcTokens,
}

/// The tokens, which change with every renewal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidcTokens {
    /// `id-token`, sent to the API server.
    pub id_token: Option<Secret>,
    /// `refresh-token`, sent to the issuer.
    pub refresh_token: Option<Secret>,
}

impl OidcTokens {
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            id_token: fields.secret("id-token")?,
            refresh_token: fields.secret("refresh-token")?,
        })
    }

    /// Reads the present tokens of `user` from the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, or no longer has the entry with its `auth-provider`.
    pub fn read(path: &Path, user: &str) -> Result<Self, Error> {
        let document = Document::read_again(path)?;
        let gone = || {
            let location = format!("kubeconfig {}: user {user:?}", path.display());
            Error::field(location, "auth-provider.config", "is gone; log in again")
        };
        let fields = document.users.get(user).ok_or_else(gone)?.fields();
        let provider = fields.inner("auth-provider")?.ok_or_else(gone)?;
        let config = provider.inner("config")?.ok_or_else(gone)?;
        Self::from_fields(&config)
    }
}

/// Reads the section of client-go's `oidc` plugin.
pub(super) fn config(provider: &Fields<'_>, user: &str) -> Result<OidcConfig, Error> {
    let config = provider.inner("config")?;
    let config = config.ok_or_else(|| provider.error("config", "is missing"))?;
    let needed = |field| {
        let text = config.owned(field)?;
        text.ok_or_else(|| config.error(field, "is missing"))
    };
    let scopes = config
        .text("extra-scopes")
        .ok()
        .flatten()
        .unwrap_or_default();
    Ok(OidcConfig {
        file: config.file().to_owned(),
        user: user.to_owned(),
        issuer: needed("idp-issuer-url")?,
        client_id: needed("client-id")?,
        client_secret: config.secret("client-secret")?,
        extra_scopes: scopes
            .split([',', ' '])
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect(),
        certificate_authority: config.pem(
            "idp-certificate-authority-data",
            "idp-certificate-authority",
        )?,
        tokens: OidcTokens::from_fields(&config)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuers_name_has_no_path_of_its_metadata() {
        let metadata = "https://issuer.example/realms/a/.well-known/openid-configuration";
        for (typed, name) in [
            (metadata, "https://issuer.example/realms/a"),
            (
                &format!(" {metadata}/\n"),
                "https://issuer.example/realms/a",
            ),
            ("https://issuer.example//", "https://issuer.example"),
            ("https://issuer.example", "https://issuer.example"),
        ] {
            assert_eq!(issuer_name(typed), name, "{typed}");
        }
    }
}
