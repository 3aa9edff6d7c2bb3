//! Which context's token an image registry gets. This file has no secrets.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Store, private_file};
use crate::kubeconfig::edit::RenewalLock;

/// The context whose token a registry gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Name of the context.
    pub context: String,
    /// The kubeconfig of the context, if it is not the one that kubectl finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
}

/// Registries by host and port.
pub type Registries = BTreeMap<String, Registry>;

impl Store {
    /// The registries that have a context.
    ///
    /// # Errors
    /// A file that cannot be read or parsed.
    pub fn registries(&self) -> Result<Registries, Error> {
        let path = self.registries_path();
        let Some(text) = private_file::read(&path)? else {
            return Ok(Registries::new());
        };
        let saved: Registries = serde_json::from_slice(&text).map_err(|_| Error::Broken {
            path,
            problem: "is no list of registries; remove it and add them again",
        })?;
        // Version 0.1.0 kept the port 443.
        let mut registries = Registries::new();
        for (host, registry) in saved {
            let host = registry_host(&host).unwrap_or(host);
            registries.entry(host).or_insert(registry);
        }
        Ok(registries)
    }

    /// Changes the registries under a lock, and returns the result of `change`. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read, parsed or written.
    pub fn change_registries<T>(
        &self,
        change: impl FnOnce(&mut Registries) -> T,
    ) -> Result<T, Error> {
        let path = self.registries_path();
        private_file::make_folder_of(self.folder(), &path)?;
        let _lock = RenewalLock::acquire(&path.with_extension("lock")).map_err(Error::Lock)?;
        let before = self.registries()?;
        let mut registries = before.clone();
        let outcome = change(&mut registries);
        if registries == before {
            return Ok(outcome);
        }
        let text = serde_json::to_string_pretty(&registries)
            .map_err(|error| Error::io("write", &path)(error.into()))?;
        private_file::write(self.folder(), &path, text.as_bytes())?;
        Ok(outcome)
    }

    fn registries_path(&self) -> PathBuf {
        self.folder().join("registries.json")
    }
}

/// The host of `text`, and its port unless that is 443. `text` is a registry's name, or a URL as
/// docker gives it.
///
/// # Errors
/// What is wrong with it.
pub fn registry_host(text: &str) -> Result<String, &'static str> {
    let named = registry_name(text)?;
    let host = named.strip_suffix(":443").map(str::to_owned);
    Ok(host.unwrap_or(named))
}

/// As [`registry_host`], with the port 443 if `text` has it.
fn registry_name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let rest = match text.split_once("://") {
        None => text,
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
        // A token would travel in plain text.
        Some(_) => return Err("must be reached over https"),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("has no host");
    }
    let is_good = |sign: char| sign.is_ascii_alphanumeric() || ".-_:[]".contains(sign);
    if !host.chars().all(is_good) {
        return Err("must be host or host:port, and hold no user name");
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_its_host_and_port() {
        for (text, host) in [
            ("registry.example", Ok("registry.example")),
            ("Registry.Example:5000\n", Ok("registry.example:5000")),
            ("https://registry.example/v2/", Ok("registry.example")),
            ("https://[::1]:5000/v2/", Ok("[::1]:5000")),
            ("HTTPS://registry.example", Ok("registry.example")),
            ("registry.example:443", Ok("registry.example")),
            (
                "https://Registry.Example:443/v2/?a#b",
                Ok("registry.example"),
            ),
            ("registry.example/demo/image", Ok("registry.example")),
            ("[::1]:443", Ok("[::1]")),
            ("registry.example:4430", Ok("registry.example:4430")),
            (":443", Err("has no host")),
            ("http://registry.example", Err("must be reached over https")),
            ("", Err("has no host")),
            ("https:///x", Err("has no host")),
        ] {
            assert_eq!(registry_host(text), host.map(str::to_owned), "{text}");
        }
        assert!(registry_host("https://jane:hunter2@registry.example").is_err());
        assert!(registry_host("a b").is_err());
    }
}
