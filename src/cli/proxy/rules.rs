//! What clients may ask for, by the flags.

use std::path::Path;

use anyhow::bail;

use crate::{
    cli::usage::bail_usage,
    proxy::{Prefix, StaticFileOptions, StaticFiles, guard::Rules},
    settings::{Patterns, ProxyFlags},
};

/// Returns the rules of the guard.
pub(super) fn of_flags(flags: &ProxyFlags) -> Rules {
    let defaults = Rules::default();
    let given = |patterns: &Option<Patterns>| patterns.clone().map(|p| p.0);
    Rules {
        accept_hosts: given(&flags.accept_hosts).unwrap_or(defaults.accept_hosts),
        accept_paths: given(&flags.accept_paths).unwrap_or(defaults.accept_paths),
        reject_paths: given(&flags.reject_paths),
        reject_methods: given(&flags.reject_methods).unwrap_or(defaults.reject_methods),
        disable_filter: flags.disable_filter,
        allow_origins: flags.allow_origin.clone(),
        allow_exec: flags.allow_exec,
        read_only: flags.read_only,
        allow_proxy: flags.allow_proxy,
        trust_proxied_pages: flags.trust_proxied_pages,
    }
}

/// Returns the static files of `--www`.
pub(super) fn static_files(flags: &ProxyFlags, folder: &Path) -> anyhow::Result<StaticFiles> {
    if !folder.is_dir() {
        let problem = if folder.exists() {
            "not a folder"
        } else {
            "no such folder"
        };
        bail!("--www {}: {problem}", folder.display());
    }
    if Prefix::new(&flags.www_prefix) == Prefix::new(&flags.api_prefix) {
        bail_usage!(
            "--www-prefix and --api-prefix are both {}; the files of --www would hide the API, so \
             give one of them another path",
            flags.api_prefix
        );
    }
    let options = StaticFileOptions {
        follow_symlinks: flags.www_follow_symlinks,
        dotfiles: flags.www_dotfiles,
    };
    Ok(StaticFiles::new(&flags.www_prefix, folder, options))
}
