//! kubectl's filter: `--accept-paths`, `--reject-paths`, `--reject-methods`.

mod go_regex;

pub use go_regex::Error as PatternError;

use http::Method;
use regex::Regex;

use super::{error::Error, rules::Rules};
use crate::proxy::{refusal::Refusal, request_info::Reading};

/// The patterns of one flag, which are not anchored.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    source: String,
    matcher: Matcher,
}

/// A compiled pattern. The defaults need no regular expression, which would take time and memory at
/// the start.
#[derive(Debug)]
enum Matcher {
    Anything,
    Exactly(String),
    Regex(Regex),
}

impl Patterns {
    pub(super) fn new(flag: &'static str, patterns: &[String]) -> Result<Self, Error> {
        let compile = |source: &String| {
            let matcher = Matcher::new(source).map_err(|error| Error::Pattern {
                flag,
                pattern: source.clone(),
                source: error,
            })?;
            let source = source.clone();
            Ok(Pattern { source, matcher })
        };
        patterns
            .iter()
            .map(compile)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether any pattern matches the text.
    pub(super) fn accept(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// Whether every pattern matches exactly one text, and `holds` is true for each of them.
    pub(super) fn are_all(&self, holds: impl Fn(&str) -> bool) -> bool {
        let mut patterns = self.0.iter();
        patterns.all(|pattern| match &pattern.matcher {
            Matcher::Exactly(text) => holds(text),
            _ => false,
        })
    }

    /// Returns the first pattern that matches the text.
    fn find(&self, text: &str) -> Option<&str> {
        let found = self.0.iter().find(|pattern| pattern.matcher.finds(text))?;
        Some(&found.source)
    }
}

impl Matcher {
    fn new(pattern: &str) -> Result<Self, PatternError> {
        Ok(match pattern {
            "^.*" | ".*" | "^" | "" => Self::Anything,
            _ => match exactly(pattern) {
                Some(text) => Self::Exactly(text),
                None => Self::Regex(go_regex::compile(pattern)?),
            },
        })
    }

    fn finds(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(wanted) => text == wanted,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Returns the only text that a pattern matches, such as `localhost` for `^localhost$`; `None` where
/// only a regular expression can tell.
fn exactly(pattern: &str) -> Option<String> {
    let mut rest = pattern.strip_prefix('^')?.strip_suffix('$')?.chars();
    let mut text = String::new();
    while let Some(char) = rest.next() {
        match char {
            '\\' => text.push(
                rest.next()
                    .filter(|next| "\\.+*?()|[]{}^$".contains(*next))?,
            ),
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' | '/' | ':' => text.push(char),
            _ => return None,
        }
    }
    Some(text)
}

/// The filter that `--disable-filter` turns off, apart from that of hosts.
#[derive(Debug)]
pub(super) struct Filter {
    accept_paths: Patterns,
    reject_paths: Patterns,
    reject_methods: Patterns,
}

impl Filter {
    /// Compiles the patterns. kubectl's default for `--reject-paths` is not among them: the
    /// capabilities of a request show what it is meant to find, without false alarms.
    pub(super) fn new(rules: &Rules) -> Result<Self, Error> {
        let reject_paths = rules.reject_paths.as_deref().unwrap_or_default();
        Ok(Self {
            accept_paths: Patterns::new("--accept-paths", &rules.accept_paths)?,
            reject_paths: Patterns::new("--reject-paths", reject_paths)?,
            reject_methods: Patterns::new("--reject-methods", &rules.reject_methods)?,
        })
    }

    /// Whether a method can be refused; then no header may name another.
    pub(super) fn refuses_methods(&self) -> bool {
        !self.reject_methods.are_all(str::is_empty)
    }

    /// Checks one reading of a request.
    pub(super) fn check(&self, method: &Method, reading: Reading<'_>) -> Result<(), Refusal> {
        let path = reading.path();
        if let Some(pattern) = self.rejected(reading) {
            return Err(Refusal::forbidden(
                "--reject-paths",
                format!("the path {path:?} is refused by --reject-paths (pattern {pattern:?})"),
            ));
        }
        if let Some(pattern) = self.reject_methods.find(method.as_str()) {
            return Err(Refusal::forbidden(
                "--reject-methods",
                format!("the method {method} is refused by --reject-methods (pattern {pattern:?})"),
            ));
        }
        if !self.accept_paths.accept(path) {
            return Err(Refusal::forbidden(
                "--accept-paths",
                format!("the path {path:?} matches no pattern of --accept-paths"),
            ));
        }
        Ok(())
    }

    /// Returns the pattern of `--reject-paths` that matches the path or another form of the same
    /// request: the API server ignores slashes at the end, and still serves the legacy forms.
    fn rejected(&self, reading: Reading<'_>) -> Option<&str> {
        if self.reject_paths.0.is_empty() {
            return None;
        }
        let path = reading.path();
        let mut forms = [path, path.trim_end_matches('/')].into_iter();
        forms
            .find_map(|form| self.reject_paths.find(form))
            .or_else(|| {
                let mut legacy = reading.resources().filter(|asked| asked.has_verb_in_path);
                legacy.find_map(|asked| self.reject_paths.find(&asked.canonical_path()))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 8] = [
        "",
        "localhost",
        "localhost.",
        "xlocalhost",
        "127.0.0.1",
        "127x0.0.1",
        "[::1]",
        "/api/v1",
    ];

    #[test]
    fn a_simple_pattern_matches_as_its_regular_expression_would() {
        for pattern in [
            "^.*",
            ".*",
            "^",
            "",
            "^$",
            "^localhost$",
            r"^127\.0\.0\.1$",
            r"^\[::1\]$",
            "^/api/v1$",
        ] {
            let matcher = Matcher::new(pattern).expect(pattern);
            assert!(!matches!(matcher, Matcher::Regex(_)), "{pattern}");
            let regex = Regex::new(pattern).expect(pattern);
            for text in TEXTS {
                assert_eq!(
                    matcher.finds(text),
                    regex.is_match(text),
                    "{pattern} {text:?}"
                );
            }
        }
    }

    #[test]
    fn a_pattern_of_several_texts_is_a_regular_expression() {
        for pattern in [
            "localhost",
            "^localhost",
            "localhost$",
            "^127.0.0.1$",
            "^a|b$",
            "^(?i)a$",
            "^ab?$",
            "^a*$",
            "^[ab]$",
            r"^\d$",
            r"^a\b$",
            r"^a\<$",
            r"^a\$",
            "^a{2}$",
            "^a$b$",
            "^ü$",
        ] {
            let matcher = Matcher::new(pattern).expect(pattern);
            assert!(matches!(matcher, Matcher::Regex(_)), "{pattern}");
        }
        assert!(Matcher::new("(").is_err());
        assert!(Matcher::new("^($").is_err());
    }
}
