#![allow(clippy::unwrap_used)]
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Value {
    parse_yaml(Path::new("/kube/config"), text).unwrap()
}

fn refused(text: &str) -> String {
    let error = parse_yaml(Path::new("/kube/config"), text).unwrap_err();
    error.to_string()
}

#[test]
fn the_first_document_is_the_one_that_counts() {
    for (text, end, rest) in [
        ("a: 1\n", 5, None),
        ("a: 1", 4, None),
        ("a: 1\n---\n", 9, None),
        ("a: 1\n...\n# more\n", 9, None),
        ("a: 1\n---\nb: 2\n", 5, Some(3)),
        ("a: 1\n---\n# b\n\n---\nb: 2\n", 5, Some(6)),
        ("---\na: 1\n---\nb: [\n", 9, Some(4)),
        ("# one\n---\na: 1\n---\nhello\n", 15, Some(5)),
        ("a: 1\n...\ngarbage: [\n", 5, Some(3)),
        ("a: 1\r\n---\r\nb: 2\r\n", 6, Some(3)),
        ("{\"a\": 1} garbage", 8, Some(1)),
        ("{\"a\": 1}\n{\"b\": 2}", 8, Some(2)),
        ("{\"a\": 1}\n---\n{\"b\": 2}", 8, Some(3)),
        ("%YAML 1.1\n---\na: 1\n---\nb: 2\n", 19, Some(5)),
    ] {
        let survey = survey(text);
        assert!(
            survey.rest.is_none() || survey.end == end,
            "{text:?}: {survey:?}"
        );
        assert_eq!(survey.rest, rest, "{text:?}: {survey:?}");
        assert_eq!(parsed(text), serde_json::json!({"a": 1}), "{text:?}");
    }
    for empty in ["---\n---\na: 1\n", "", "# a\n", "---\n", "---\n...\n"] {
        assert_eq!(parsed(empty), Value::Null, "{empty:?}");
    }
    assert_eq!(survey("---\n---\na: 1\n").rest, Some(3));
}

#[test]
fn the_last_value_of_a_repeated_key_counts_and_its_lines_are_reported() {
    for (text, value, key, lines) in [
        (
            "a: 1\nb: 2\na: 3\n",
            serde_json::json!({"a": 3, "b": 2}),
            Some("a"),
            [1, 3],
        ),
        (
            "x: {a: 1, a: [2]}",
            serde_json::json!({"x": {"a": [2]}}),
            Some("a"),
            [1, 1],
        ),
        (
            "- {x: {y: 1,\n \"y\": 2}}\n",
            serde_json::json!([{"x": {"y": 2}}]),
            Some("y"),
            [1, 2],
        ),
        (
            "hunter2 x: 1\nhunter2 x: 2",
            serde_json::json!({"hunter2 x": 2}),
            None,
            [1, 2],
        ),
    ] {
        assert_eq!(parsed(text), value, "{text}");
        let survey = survey(text);
        let key = key.map(str::to_owned);
        assert_eq!(
            survey.repeated,
            Some(survey::Repeated { key, lines }),
            "{text}"
        );
        assert_eq!(survey.more_repeated, 0);
    }
    let survey = survey("a: 1\na: 2\na: 3\nb: {c: 1, c: 2}");
    assert_eq!(survey.more_repeated, 2);
    for text in [
        "a: 1\nb: {a: 1}\n",
        "- a: 1\n- a: 2\n",
        "x: &x {a: 1}\ny: &y {b: 1}\nz: {<<: *x, <<: *y}",
        "a: a\n---\na: a\n",
    ] {
        assert_eq!(super::survey(text).repeated, None, "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_without_reading_all_of_it() {
    for deep in [
        "- ".repeat(1 << 17),
        "[".repeat(1 << 17),
        "? ".repeat(1 << 17),
    ] {
        let started = std::time::Instant::now();
        let error = refused(&deep);
        assert!(error.contains("is nested too deep"), "{error}");
        assert!(started.elapsed().as_secs() < 5);
    }
}

proptest! {
    /// The first document of any text ends on a character boundary.
    #[test]
    fn any_text_is_surveyed(pieces in proptest::collection::vec(piece(), 0..24)) {
        let text = pieces.concat();
        let survey = survey(&text);
        prop_assert!(text.is_char_boundary(survey.end), "{:?} {:?}", text, survey);
        let _ = parse(Path::new("/kube/config"), &text, &survey);
    }
}

fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 34] = [
        "\n",
        "\r\n",
        "\r",
        "---",
        "...",
        "--- ",
        "a: ",
        "é: ",
        "- ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "\"é\"",
        "# ü\n",
        "|\n",
        ">-\n",
        "  ",
        "\t",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "%YAML 1.2\n",
        "%",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "𝄞",
        "\0",
    ];
    proptest::sample::select(PIECES.to_vec()).prop_map(str::to_owned)
}

#[test]
fn an_alias_may_be_used_any_number_of_times() {
    let mut text = "x: &c {server: 'https://a'}\nclusters:\n".to_owned();
    for at in 0..5_000 {
        writeln!(text, "- {{name: c{at}, cluster: *c}}").unwrap();
    }
    let clusters = &parsed(&text)["clusters"];
    assert_eq!(clusters.as_array().unwrap().len(), 5_000);
    assert_eq!(clusters[4_999]["cluster"]["server"], "https://a");
}

#[test]
fn the_expansion_of_aliases_is_bounded_in_values_and_bytes() {
    let mut deep = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..=9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(deep, "a{level}: &a{level} [{below}]").unwrap();
    }
    let long = format!(
        "x: &x {}\ny: [{}]\n",
        "lol".repeat(300_000),
        vec!["*x"; 100].join(", ")
    );
    let merged = format!(
        "x: &x {{{}}}\ny: [{}]\n",
        (0..10_000)
            .map(|at| format!("k{at}: 1"))
            .collect::<Vec<_>>()
            .join(", "),
        vec!["{<<: *x}"; 1_000].join(", ")
    );
    for bomb in [deep, long, merged] {
        let started = std::time::Instant::now();
        let error = refused(&bomb);
        assert!(error.contains("its aliases expand to too much"), "{error}");
        assert!(started.elapsed().as_secs() < 5);
    }
    let within = format!(
        "x: &x {}\ny: [{}]\n",
        "lol".repeat(3_000),
        vec!["*x"; 1_000].join(", ")
    );
    assert_eq!(parsed(&within)["y"].as_array().unwrap().len(), 1_000);
    // An alias to a collection that contains it.
    assert!(refused("a: &a [*a]").contains("/kube/config"));
}
