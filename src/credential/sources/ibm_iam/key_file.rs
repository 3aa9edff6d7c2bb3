//! Files with an API key, in the formats that IBM's tools write.

use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::ibm_error;
use crate::{
    credential::{Error, secret_file},
    kubeconfig::text,
    secret::Secret,
};

/// Reads the key in the file at `path`. Blocks.
pub(super) fn read(path: &Path) -> Result<Secret, Error> {
    /// The format of `ibmcloud iam api-key-create --file` and of the console's download.
    #[derive(Deserialize)]
    struct Downloaded {
        apikey: Secret,
    }
    let text = text(path)?;
    let bad = |problem: &str| ibm_error(format!("the API key file {} {problem}", path.display()));
    if text.trim_start().starts_with('{') {
        return match serde_json::from_str(&text) {
            Ok(Downloaded { apikey }) => Ok(apikey),
            Err(_) => Err(bad("is JSON without the text field `apikey`")),
        };
    }
    let mut keys = entries(&text, "_APIKEY");
    // The name of the service in IBM's own SDK for it.
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
    if key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad(
            "holds more than an API key; put the key alone into it, or IBM's JSON",
        ));
    }
    Ok(Secret::new(key))
}

/// Returns the IAM endpoint that a credentials file of IBM's SDKs names.
pub(super) fn auth_url(path: &Path) -> Option<String> {
    // A problem with the file is reported when its key is needed.
    let text = text(path).ok()?;
    let (_, url) = entries(&text, "_AUTH_URL").into_iter().next()?;
    Some(url.to_owned())
}

/// Returns name and value of each line `NAME_SUFFIX=value` of a credentials file.
fn entries<'a>(text: &'a str, suffix: &str) -> Vec<(&'a str, &'a str)> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            let name = name.trim().strip_suffix(suffix)?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let value = value.trim().trim_matches(['"', '\'']);
            (name.chars().all(is_name) && !value.is_empty()).then_some((name, value))
        })
        .collect()
}

fn text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bad = |problem: String| ibm_error(format!("cannot read {}: {problem}", path.display()));
    let bytes = secret_file::read_text(path).map_err(|error| bad(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| bad("it is not a file, or has more than 1 MiB".to_owned()))?;
    text::decode(&bytes).map_err(|_| bad("it is not UTF-8 text".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn a_key_is_read_in_each_format_of_ibms_tools() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in [
            "sesame-ibm-6\n",
            "\u{feff}sesame-ibm-6\r\n",
            "\u{feff}{\"apikey\": \"sesame-ibm-6\"}",
            r#"{"name": "n", "createdAt": "2026", "apikey": "sesame-ibm-6"}"#,
            "# mine\nSOME_SERVICE_AUTH_TYPE=iam\nSOME_SERVICE_APIKEY=sesame-ibm-6\n",
            "A_APIKEY=\"sesame-ibm-6\"\nB_APIKEY=sesame-ibm-6\n",
            "A_APIKEY=other\nKUBERNETES_SERVICE_API_APIKEY=sesame-ibm-6\n",
        ] {
            fs::write(file.path(), text).unwrap();
            assert_eq!(
                read(file.path()).unwrap().expose(),
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
            let error = read(file.path()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says), "{shown}");
            assert!(
                shown.contains(&file.path().display().to_string()),
                "{shown}"
            );
            assert!(!shown.contains("sesame-ibm-6"), "{shown}");
        }
        let missing = read(Path::new("/nonexistent/key")).unwrap_err();
        assert!(
            missing.to_string().contains("/nonexistent/key"),
            "{missing}"
        );
    }
}
