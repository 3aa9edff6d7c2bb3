//! Refuses to run a plugin that leads back to itself, such as `kubegate token` as the plugin of its
//! own context. Each plugin gets a variable that lists the plugins above it, across the contexts that
//! they lead over.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use aws_lc_rs::digest::{Context, SHA256};

use crate::{
    hex,
    kubeconfig::{Cluster, ExecConfig},
};

/// The variable. Its value is a comma-separated list of [`fingerprint`]s.
pub(super) const VARIABLE: &str = "KUBEGATE_EXEC_PLUGINS";

/// The number of plugins that may run each other. Every one of them may be for another cluster, so
/// that none is equal to one above it.
const MAX_DEPTH: usize = 8;

/// Bytes of a digest that distinguish plugins.
const FINGERPRINT: usize = 8;

/// Returns the value of [`VARIABLE`] for a plugin, where `above` is the value of this process.
///
/// # Errors
/// What is wrong: the plugin runs already above this process, or too many run each other.
pub(super) fn plugins_with(
    above: Option<&OsStr>,
    config: &ExecConfig,
    cluster: &Cluster,
) -> Result<String, &'static str> {
    let own = fingerprint(config, cluster);
    let above = above.map(OsStr::to_string_lossy).unwrap_or_default();
    let mut plugins: Vec<&str> = above.split(',').filter(|one| !one.is_empty()).collect();
    if plugins.contains(&&*own) {
        return Err("it leads back to itself");
    }
    if plugins.len() >= MAX_DEPTH {
        return Err("too many plugins run each other");
    }
    plugins.push(&own);
    Ok(plugins.join(","))
}

/// Returns what distinguishes a plugin: a digest, since its arguments and variables may be secret.
fn fingerprint(config: &ExecConfig, cluster: &Cluster) -> String {
    let mut digest = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    };
    add(config.command.as_os_str().as_bytes());
    add(cluster.url().as_bytes());
    for argument in &config.args {
        add(argument.as_bytes());
    }
    for (name, value) in &config.env {
        add(name.as_bytes());
        add(value.expose().as_bytes());
    }
    let digest = digest.finish();
    hex::encode(digest.as_ref().get(..FINGERPRINT).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{kubeconfig::InteractiveMode, secret::Secret};

    fn plugin(command: &str, args: &[&str], value: &str) -> ExecConfig {
        ExecConfig {
            api_version: String::new(),
            command: command.into(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: vec![("TOKEN".to_owned(), Secret::new(value))],
            provide_cluster_info: false,
            interactive_mode: InteractiveMode::Never,
            install_hint: None,
        }
    }

    fn cluster(server: &str) -> Cluster {
        Cluster {
            name: None,
            server: server.parse().unwrap(),
            certificate_authority: None,
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        }
    }

    #[test]
    fn a_plugin_is_refused_below_itself_and_only_there() {
        let one = cluster("https://one");
        let own = plugin("kubegate", &["token", "--context", "a"], "hunter2");
        let plugins = plugins_with(None, &own, &one).unwrap();
        assert!(!plugins.contains("hunter2"), "{plugins}");
        let above = Some(OsStr::new(&plugins));
        assert!(plugins_with(above, &own, &one).is_err());
        for other in [
            plugin("kubegate", &["token", "--context", "b"], "hunter2"),
            plugin("kubegate", &["token", "--context a"], "hunter2"),
            plugin("other", &["token", "--context", "a"], "hunter2"),
            plugin("kubegate", &["token", "--context", "a"], "other"),
        ] {
            let below = plugins_with(above, &other, &one).unwrap();
            assert!(plugins_with(Some(OsStr::new(&below)), &own, &one).is_err());
        }
        assert!(plugins_with(above, &own, &cluster("https://two")).is_ok());
    }

    #[test]
    fn plugins_that_differ_each_time_end_too() {
        let one = cluster("https://one");
        let mut plugins = String::new();
        let mut depth = 0;
        loop {
            let next = plugin("kubegate", &[&depth.to_string()], "");
            match plugins_with(Some(OsStr::new(&plugins)), &next, &one) {
                Ok(with) => plugins = with,
                Err(_) => break,
            }
            depth += 1;
        }
        assert_eq!(depth, MAX_DEPTH);
    }
}
