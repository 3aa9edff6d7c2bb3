//! [`HeaderFiles`]: reads the values of headers for an API server, and reads them again when they change.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::file_watcher::FileWatcher;
use crate::{
    credential,
    error::with_causes,
    settings::{HeaderSource, UpstreamHeader},
    upstream::ExtraHeaders,
};

/// How often the files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a header cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum HeaderFileError {
    /// The file of its value cannot be read.
    #[error("header {name} for the API server")]
    Read {
        /// The header.
        name: HeaderName,
        /// Why.
        source: credential::Error,
    },
    /// The value has characters that no header may have.
    #[error("header {name} for the API server: the value has characters that no header may have")]
    Value {
        /// The header.
        name: HeaderName,
    },
}

/// Headers, and the values that were last read.
#[derive(Debug)]
pub struct HeaderFiles {
    sources: Vec<UpstreamHeader>,
    headers: ExtraHeaders,
}

impl HeaderFiles {
    /// Reads the values of headers.
    ///
    /// # Errors
    /// A file cannot be read, or has no value for a header.
    pub fn read(sources: Vec<UpstreamHeader>) -> Result<Self, HeaderFileError> {
        let headers = ExtraHeaders::new(read(&sources)?);
        Ok(Self { sources, headers })
    }

    /// Returns the headers, which [`HeaderFiles::watch`] keeps up to date.
    #[must_use]
    pub fn headers(&self) -> ExtraHeaders {
        self.headers.clone()
    }

    /// Reads the files again whenever one has changed, until the runtime ends. A file that cannot be used
    /// changes nothing.
    pub async fn watch(self) {
        let files: Vec<PathBuf> = self.sources.iter().filter_map(file_of).collect();
        if files.is_empty() {
            return;
        }
        let mut watcher = FileWatcher::default();
        watcher.watch(files);
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let sources = self.sources.clone();
            let checking = spawn_blocking(move || {
                let values = watcher.check().any.then(|| read(&sources));
                (watcher, values)
            });
            // Fails only while the runtime shuts down.
            let Ok((checked, values)) = checking.await else {
                return;
            };
            watcher = checked;
            let changed = values.map(|read| read.map(|values| self.headers.replace(values)));
            match changed {
                Some(Ok(true)) => {
                    tracing::info!("reloaded the values of headers for the API server");
                }
                Some(Err(error)) => {
                    let why = with_causes(&error);
                    tracing::warn!("not reloaded, the last good value stays in use: {why}");
                }
                Some(Ok(false)) | None => {}
            }
        }
    }
}

fn file_of(header: &UpstreamHeader) -> Option<PathBuf> {
    match &header.value {
        HeaderSource::File(file) => Some(file.clone()),
        HeaderSource::Words(_) => None,
    }
}

fn read(sources: &[UpstreamHeader]) -> Result<Vec<(HeaderName, HeaderValue)>, HeaderFileError> {
    let value = |header: &UpstreamHeader| {
        let name = header.name.clone();
        let secret = match &header.value {
            HeaderSource::Words(secret) => secret.clone(),
            HeaderSource::File(file) => credential::secret_file::read("value", file)
                .map_err(|source| HeaderFileError::Read { name, source })?,
        };
        let name = header.name.clone();
        let value = HeaderValue::from_str(secret.expose().trim());
        let value = value.ok().filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| HeaderFileError::Value { name: name.clone() })?;
        Ok((name, value))
    };
    sources.iter().map(value).collect()
}
