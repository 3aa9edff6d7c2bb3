//! Label selectors, parsed as by `k8s.io/apimachinery/pkg/labels`.

use serde_json::Value;

use crate::demo::kubernetes::encoding::status::Status;

/// Requirements that must all be met. An empty selector matches every object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl LabelSelector {
    /// Parses a selector such as `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        split(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| Status::bad_request(format!("unable to parse requirement: {text:?}")))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the labels of an object match.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|requirement| {
            let value = labels[&requirement.key].as_str();
            requirement.operator.matches(value)
        })
    }
}

impl Operator {
    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            // An object without the label matches `!=` and `notin`.
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Self::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Self::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Splits at commas that are outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<Requirement> {
    let build = |key: &str, operator| {
        let key = key.trim();
        is_name(key).then(|| Requirement {
            key: key.to_owned(),
            operator,
        })
    };
    let single = |value: &str| {
        let value = value.trim();
        (value.is_empty() || is_name(value)).then(|| vec![value.to_owned()])
    };
    if let Some(key) = text.strip_prefix('!') {
        return build(key, Operator::Absent);
    }
    if let Some((key, value)) = text.split_once("!=") {
        return build(key, Operator::NotIn(single(value)?));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return build(key, Operator::In(single(value)?));
    }
    if let Some((key, bound)) = text.split_once('>') {
        return build(key, Operator::GreaterThan(bound.trim().parse().ok()?));
    }
    if let Some((key, bound)) = text.split_once('<') {
        return build(key, Operator::LessThan(bound.trim().parse().ok()?));
    }
    if let Some((head, values)) = text.split_once('(') {
        let values = values.strip_suffix(')')?.split(',').map(str::trim);
        let values = values.map(str::to_owned).collect();
        let (key, operator) = head.trim().split_once(char::is_whitespace)?;
        return match operator.trim() {
            "in" => build(key, Operator::In(values)),
            "notin" => build(key, Operator::NotIn(values)),
            _ => None,
        };
    }
    build(text, Operator::Exists)
}

/// Whether a text has only letters, digits, `-`, `_`, `.` and the slash of a prefix.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let object = serde_json::json!({"metadata": {"labels": {
            "app": "web", "tier": "front", "example.com/weight": "7"
        }}});
        LabelSelector::parse(selector).unwrap().matches(&object)
    }

    #[test]
    fn every_operator_matches_what_it_should() {
        for selector in [
            "",
            "app=web",
            "app==web",
            "app = web , tier=front",
            "app!=api",
            "color!=red",
            "app in (api, web)",
            "app notin (api,db),tier in (front)",
            "color notin (red)",
            "app",
            "!color",
            "example.com/weight>6",
            "example.com/weight<8",
        ] {
            assert!(matches(selector), "{selector:?} should match");
        }
    }

    #[test]
    fn no_operator_matches_what_it_should_not() {
        for selector in [
            "app=api",
            "app=",
            "color",
            "!app",
            "app!=web",
            "app in (api)",
            "app notin (web)",
            "app=web,tier=back",
            "example.com/weight>7",
            "example.com/weight<7",
            "color>1",
        ] {
            assert!(!matches(selector), "{selector:?} should not match");
        }
    }

    #[test]
    fn invalid_selectors_are_refused() {
        for text in ["a in b", "a in (b", "a~b", "=b", "!", "a>x", "a within (b)"] {
            assert!(LabelSelector::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
