//! Parses the text of a kubeconfig as YAML, of which JSON is a subset.
//!
//! As in kubectl (`sigs.k8s.io/yaml`), the first of several documents counts, and the last value of a
//! repeated key. Both are most likely mistakes, so [`Survey`] reports their lines.

mod survey;

use std::path::Path;

use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

pub(super) use self::survey::{Survey, survey};
use super::Error;

/// The most nodes that a document may have with its aliases expanded.
const MAX_NODES: usize = 500_000;
/// The most bytes of text that a document may have with its aliases expanded.
const MAX_BYTES: usize = 32 << 20;

/// Parses the first document in `text`. Messages of the parser are dropped, since they quote the file.
pub(super) fn parse_yaml(path: &Path, text: &str) -> Result<Value, Error> {
    parse(path, text, &survey(text))
}

/// As [`parse_yaml`], with the survey of the text.
pub(super) fn parse(path: &Path, text: &str, survey: &Survey) -> Result<Value, Error> {
    if survey.nodes > MAX_NODES || survey.bytes > MAX_BYTES {
        let problem = if survey.has_aliases {
            "its aliases expand to too much"
        } else {
            "has too many values"
        };
        return Err(Error::Syntax {
            path: path.to_owned(),
            position: None,
            problem,
        });
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            // The scanner looks up to 1,024 characters ahead for a key. With a limit beyond that, deep
            // flow collections reach `max_depth` (64) first, whose error is the clearer one.
            flow_nesting_limit: survey::FLOW_NESTING,
            // The expanded size was checked above; the number of uses of an alias does not matter.
            enforce_alias_anchor_ratio: false,
            max_aliases: MAX_NODES,
            max_nodes: MAX_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 2 * MAX_NODES },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        // `yes` and `on` of YAML 1.1 may be text or booleans: `Fields::flag` decides.
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
    };
    let document = &text[..survey.end];
    serde_saphyr::from_str_with_options(document, options).map_err(|error| Error::Syntax {
        path: path.to_owned(),
        position: error
            .location()
            .map(|at| (at.line(), at.column()))
            .filter(|at| at.0 > 0),
        problem: problem(&error, document),
    })
}

fn problem(error: &serde_saphyr::Error, text: &str) -> &'static str {
    use serde_saphyr::{Error as E, budget::BudgetBreach as B};
    match error {
        E::Budget {
            breach: B::Depth { .. },
            ..
        } => "is nested too deep",
        E::Budget { .. } => "has too many values, anchors or aliases",
        E::AliasReplayCounterOverflow { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => "its aliases expand to too much",
        E::AliasError { error, .. } | E::WithSnippet { error, .. } => problem(error, text),
        E::UnknownAnchor { .. } => "an alias (*name) has no anchor (&name); put text in quotes",
        E::NonFiniteFloat { .. } => "a number is out of range; put text in quotes",
        E::Eof { .. } => "ends too early",
        _ if text.contains('\0') => {
            "holds NUL characters, as UTF-16 or UTF-32 without a byte order mark does; save it as UTF-8"
        }
        _ => "is not valid YAML or JSON here",
    }
}

#[cfg(test)]
mod tests;
