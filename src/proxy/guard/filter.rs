//! kubectl's patterns: `--accept-paths`, `--reject-paths`, `--reject-methods`.

use http::Method;
use regex::Regex;

use super::{Error, Refusal, Rules};

/// The patterns of one flag, searched for unanchored.
#[derive(Debug)]
pub(super) struct Patterns {
    patterns: Vec<Regex>,
    /// One of them matches everything, as `--accept-paths`' default does.
    any: bool,
}

impl Patterns {
    pub(super) fn new(flag: &'static str, patterns: &[String]) -> Result<Self, Error> {
        let compile = |pattern: &String| {
            Regex::new(pattern).map_err(|source| Error::Pattern {
                flag,
                pattern: pattern.clone(),
                source: Box::new(source),
            })
        };
        Ok(Self {
            any: patterns
                .iter()
                .any(|pattern| matches!(&**pattern, "^.*" | ".*" | "^" | "")),
            // No host, path or method is empty, so kubectl's "nothing" need not be run.
            patterns: patterns
                .iter()
                .filter(|pattern| *pattern != "^$")
                .map(compile)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether any pattern is found in the text.
    pub(super) fn accept(&self, text: &str) -> bool {
        self.any || self.find(text).is_some()
    }

    /// The first pattern that is found in the text.
    fn find(&self, text: &str) -> Option<&str> {
        self.patterns
            .iter()
            .find(|pattern| pattern.is_match(text))
            .map(Regex::as_str)
    }
}

/// What `--disable-filter` turns off, apart from the Host.
#[derive(Debug)]
pub(super) struct Filter {
    accept_paths: Patterns,
    reject_paths: Patterns,
    reject_methods: Patterns,
}

impl Filter {
    /// kubectl's default for `--reject-paths` is not among the patterns: parsing the
    /// request finds what it is for, without its false alarms.
    pub(super) fn new(rules: &Rules) -> Result<Self, Error> {
        let reject_paths = rules.reject_paths.as_deref().unwrap_or_default();
        Ok(Self {
            accept_paths: Patterns::new("--accept-paths", &rules.accept_paths)?,
            reject_paths: Patterns::new("--reject-paths", reject_paths)?,
            reject_methods: Patterns::new("--reject-methods", &rules.reject_methods)?,
        })
    }

    pub(super) fn judge(&self, method: &Method, path: &str) -> Result<(), Refusal> {
        if let Some(pattern) = self.reject_paths.find(path) {
            return Err(Refusal::forbidden(format!(
                "the path {path:?} is refused by --reject-paths (pattern {pattern:?})"
            )));
        }
        if let Some(pattern) = self.reject_methods.find(method.as_str()) {
            return Err(Refusal::forbidden(format!(
                "the method {method} is refused by --reject-methods (pattern {pattern:?})"
            )));
        }
        if !self.accept_paths.accept(path) {
            return Err(Refusal::forbidden(format!(
                "the path {path:?} matches no pattern of --accept-paths"
            )));
        }
        Ok(())
    }
}
