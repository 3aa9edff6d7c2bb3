//! The lines `NAME=value` of a credentials file of IBM's SDKs, and of a shell's settings.

/// Returns name and value of each such line, without quotation marks. A comment is none.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(entry)
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_start_matches('\u{feff}').trim();
    let line = ["export ", "set ", "$env:"]
        .iter()
        .find_map(|start| line.strip_prefix(start))
        .unwrap_or(line);
    // YAML has a space after the colon, which no URL or key has.
    let (name, value) = line.split_once('=').or_else(|| line.split_once(": "))?;
    let name = name.trim();
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-' | '.');
    let value = unquoted(value.trim());
    (!name.is_empty() && name.chars().all(is_name) && !value.is_empty()).then_some((name, value))
}

/// Returns `text` without the quotation marks around it.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = ['"', '\''].iter().find_map(|mark| {
        let inner = text.strip_prefix(*mark)?.strip_suffix(*mark)?;
        Some(inner.trim())
    });
    inner.unwrap_or(text)
}

/// How the SDKs' `..._AUTH_TYPE` says to log in, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServiceSettings {
    /// `AUTH_TYPE` in lower case: `iam`, `vpc`, `container`.
    pub(super) auth_type: String,
    /// `IAM_PROFILE_ID`, else `IAM_PROFILE_CRN`, else `IAM_PROFILE_NAME`.
    pub(super) profile: Option<String>,
    /// `AUTH_URL`
    pub(super) auth_url: Option<String>,
    /// `CR_TOKEN_FILENAME`
    pub(super) token_file: Option<String>,
}

/// Returns the settings of the container service in `entries`, else of the first service with an
/// `AUTH_TYPE` of `vpc` or `container`.
pub(super) fn service(entries: &[(String, String)]) -> Option<ServiceSettings> {
    let prefix = |(name, kind): &(String, String)| {
        let prefix = name.strip_suffix("AUTH_TYPE")?;
        let known = ["vpc", "container"];
        let is_known = known.iter().any(|known| kind.eq_ignore_ascii_case(known));
        let ends = prefix.is_empty() || prefix.ends_with('_');
        (is_known && ends).then(|| prefix.to_owned())
    };
    let mut prefixes: Vec<String> = entries.iter().filter_map(prefix).collect();
    prefixes.sort_by_key(|prefix| prefix != "KUBERNETES_SERVICE_API_");
    let prefix = prefixes.first()?;
    let value = |name: &str| {
        let name = format!("{prefix}{name}");
        let found = entries.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    let profile = ["IAM_PROFILE_ID", "IAM_PROFILE_CRN", "IAM_PROFILE_NAME"]
        .iter()
        .find_map(|name| value(name));
    Some(ServiceSettings {
        auth_type: value("AUTH_TYPE")?.to_ascii_lowercase(),
        profile,
        auth_url: value("AUTH_URL"),
        token_file: value("CR_TOKEN_FILENAME"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(text: &str) -> Option<ServiceSettings> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        service(&entries(text).map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_service_says_by_its_auth_type_how_to_log_in() {
        let vpc = "A_AUTH_TYPE=VPC\nA_IAM_PROFILE_ID=Profile-1\nA_AUTH_URL=http://127.0.0.1\n";
        let found = settings(vpc).unwrap();
        assert_eq!(found.auth_type, "vpc");
        assert_eq!(found.profile.as_deref(), Some("Profile-1"));
        assert_eq!(found.auth_url.as_deref(), Some("http://127.0.0.1"));
        let own = "KUBERNETES_SERVICE_API_AUTH_TYPE=container\n\
                   KUBERNETES_SERVICE_API_IAM_PROFILE_NAME=pods\n\
                   KUBERNETES_SERVICE_API_CR_TOKEN_FILENAME=/token\n";
        let found = settings(&format!("{vpc}{own}")).unwrap();
        assert_eq!(found.auth_type, "container");
        assert_eq!(found.profile.as_deref(), Some("pods"));
        assert_eq!(found.token_file.as_deref(), Some("/token"));
        // The controls: a key, and no credentials file at all.
        assert_eq!(settings("A_AUTH_TYPE=iam\nA_APIKEY=x\n"), None);
        assert_eq!(settings("sesame-ibm-6"), None);
    }
}
