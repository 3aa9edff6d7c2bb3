//! Headers for the servers in front of API servers, by the flags and the settings file.

use std::collections::BTreeMap;

use crate::{
    cli::usage::bail_usage,
    serve::HeaderFiles,
    settings::{ProxyFlags, UpstreamHeader},
    upstream::ExtraHeaders,
};

/// The headers of each context.
pub(super) struct UpstreamHeaders {
    /// `--upstream-header`, for the one target.
    of_flags: Option<ExtraHeaders>,
    by_context: BTreeMap<String, ExtraHeaders>,
}

impl UpstreamHeaders {
    /// Reads the values of all headers, and follows the changes of their files until the runtime ends.
    ///
    /// # Errors
    /// A value cannot be read, or a flag would send a header to more than one server.
    pub(super) fn watched(flags: &ProxyFlags) -> anyhow::Result<Self> {
        if flags.follow_current_context && !flags.upstream_header.is_empty() {
            bail_usage!(
                "--upstream-header and --follow-current-context exclude each other: the header would be \
                 sent to the server of every context; set it in the settings file, below \
                 [contexts.\"NAME\".upstream-headers]"
            );
        }
        let by_context = flags.contexts.iter().map(|(name, settings)| {
            let headers = watched(settings.upstream_headers.clone())?;
            Ok((name.clone(), headers))
        });
        Ok(Self {
            by_context: by_context.collect::<anyhow::Result<_>>()?,
            of_flags: if flags.upstream_header.is_empty() {
                None
            } else {
                Some(watched(flags.upstream_header.clone())?)
            },
        })
    }

    /// Returns the headers of a context; those of flags come last, and so replace others.
    pub(super) fn of_context(&self, name: Option<&str>) -> Vec<ExtraHeaders> {
        let of_context = name.and_then(|name| self.by_context.get(name));
        of_context
            .into_iter()
            .chain(&self.of_flags)
            .cloned()
            .collect()
    }
}

fn watched(headers: Vec<UpstreamHeader>) -> anyhow::Result<ExtraHeaders> {
    let files = HeaderFiles::read(headers)?;
    let headers = files.headers();
    tokio::spawn(files.watch());
    Ok(headers)
}
