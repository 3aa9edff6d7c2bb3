//! Writes values as YAML in block style, as kubectl does.

use serde_json::Value;
use zeroize::Zeroizing;

/// Returns `value` as YAML text.
#[must_use]
pub fn yaml(value: &Value) -> Zeroizing<String> {
    let mut text = block(value, "\n");
    text.push('\n');
    text
}

/// Returns `value` without the indent of its first line; `newline` is a line break and the indent.
pub(super) fn block(value: &Value, newline: &str) -> Zeroizing<String> {
    let deeper = format!("{newline}  ");
    let lines: Vec<Zeroizing<String>> = match value {
        Value::Object(map) if !map.is_empty() => {
            let line = |(key, value): (&String, &Value)| {
                let key = text(key);
                let inner = if value.is_array() { newline } else { &deeper };
                let gap = if is_leaf(value) { " " } else { inner };
                Zeroizing::new(format!("{key}:{gap}{}", *block(value, inner)))
            };
            map.iter().map(line).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            let line = |item| Zeroizing::new(format!("- {}", *block(item, &deeper)));
            items.iter().map(line).collect()
        }
        leaf => return Zeroizing::new(scalar(leaf)),
    };
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
    Zeroizing::new(lines.join(newline))
}

/// Whether a value takes one line in block style.
pub(super) fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// Writes a leaf: text as YAML, everything else as JSON, which is a subset of YAML.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// Writes text without quotes if it cannot be read as anything else, in YAML 1.1 either.
fn text(text: &str) -> String {
    const WORDS: [&str; 10] = [
        "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan",
    ];
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+=".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::kubeconfig::syntax::parse_yaml;

    #[test]
    fn the_layout_is_that_of_kubectl() {
        let value = json!({"b": [{"x": 1, "z": {"w": []}}, "yes"], "a": {"c:d": null}});
        let expected = "\
a:
  c:d: null
b:
- x: 1
  z:
    w: []
- \"yes\"
";
        assert_eq!(*yaml(&value), expected);
    }

    proptest! {
        #[test]
        fn written_values_are_read_back(text in any::<String>(), key in "[ -~]{0,8}") {
            let value = json!({ key: [text.clone(), {"a": text}] });
            let read = parse_yaml(Path::new("x"), &yaml(&value));
            prop_assert_eq!(read.unwrap(), value);
        }
    }
}
