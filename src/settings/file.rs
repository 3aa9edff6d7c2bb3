//! The settings file: the flags of the proxy as keys of TOML files.
//!
//! The keys are those of clap's command, so that no flag can lack one. What the files say becomes
//! arguments, which are parsed as if they stood on the command line.

mod contexts;
mod document;
mod error;
mod find;
mod keys;
mod reader;
mod routes;
mod setting;
mod source;

pub use error::FileError;
pub use find::{Locations, Variables};
pub use keys::{Key, Keys, Kind};
pub use setting::{ContextSettings, Place, Setting};

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::settings::Route;

/// What the settings files say.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The keys that are given, each once.
    pub values: Vec<Setting>,
    /// What is set for contexts, by their names.
    pub contexts: BTreeMap<String, ContextSettings>,
    /// The routes to other servers, each path once.
    pub routes: Vec<Route>,
    /// The files that were read, in that order.
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// Reads the files at `locations`. A key of a later file replaces that of an earlier one.
    ///
    /// # Errors
    /// A file cannot be read or may be written by other users, or says something that no flag means.
    pub fn read(locations: &Locations, keys: &Keys) -> Result<Self, FileError> {
        let mut settings = Self::default();
        for file in locations.files()? {
            let found = Self::read_file(&file, keys)?;
            settings.merge(found);
            settings.files.push(file);
        }
        Ok(settings)
    }

    fn read_file(file: &Path, keys: &Keys) -> Result<Self, FileError> {
        let text = reader::read(file)?;
        let found = document::parse(file, &text, keys)?;
        if let Some(place) = &found.secret {
            reader::require_private(file, place)?;
        }
        Ok(Self {
            values: found.values,
            contexts: found.contexts,
            routes: found.routes,
            files: Vec::new(),
        })
    }

    fn merge(&mut self, later: Self) {
        for setting in later.values {
            self.values.retain(|earlier| earlier.key != setting.key);
            self.values.push(setting);
        }
        for (name, context) in later.contexts {
            self.contexts.entry(name).or_default().merge(context);
        }
        for route in later.routes {
            self.routes.retain(|earlier| earlier.path != route.path);
            self.routes.push(route);
        }
    }
}

#[cfg(test)]
mod tests;
