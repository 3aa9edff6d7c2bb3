#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Document, Error> {
    Document::parse(Path::new("/kube/config"), text.as_bytes())
}

fn refused(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted: {text:.200}"),
        Err(error) => format!("{error} {error:?}"),
    }
}

#[test]
fn entries_are_found_in_yaml_and_in_json_with_tabs() {
    for text in [
        "current-context: x\nclusters:\n- name: a\n  cluster: {server: 'https://a'}\n",
        "{\t\"current-context\":\t\"x\",\n\t\"clusters\":\t[\n\t\t{\"name\":\"a\",\t\"cluster\":{\"server\":\"https://a\"}}\n\t]\n}",
        "\u{feff}---\ncurrent-context: x\nclusters: [{name: a, cluster: {server: 'https://a'}}]\n...\n",
    ] {
        let document = parse(text).unwrap();
        assert_eq!(document.current_context.as_deref(), Some("x"));
        let server = document.clusters["a"].fields().owned("server").unwrap();
        assert_eq!(server.as_deref(), Some("https://a"));
    }
}

#[test]
fn absent_null_and_nameless_parts_are_ignored() {
    for text in [
        "",
        "# only a comment\n",
        "null",
        "{}",
        "clusters: null\nusers: ~\ncontexts: []\ncurrent-context: ''",
        "clusters:\n- name: ''\n  cluster: {server: x}\n- cluster: {server: y}\n-\n",
    ] {
        let document = parse(text).unwrap();
        assert!(document.clusters.is_empty(), "{text}");
        assert_eq!(document.current_context, None);
    }
    let document = parse("users: [{name: a, user: null}, {name: b}]").unwrap();
    assert_eq!(document.users.len(), 2);
}

#[test]
fn unknown_fields_of_any_shape_are_kept() {
    let document = parse(
        "colour: [1, {a: 2}]\npreferences: text\nclusters:\n- name: a\n  extra: 1\n  cluster: {server: 'https://a', later: {x: [1.5, null, true]}}\n",
    )
    .unwrap();
    let later = document.clusters["a"].fields().value("later").cloned();
    assert_eq!(later, Some(serde_json::json!({"x": [1.5, null, true]})));
}

#[test]
fn a_name_given_twice_in_a_section_is_refused() {
    let error = refused("users:\n- {name: dev, user: {}}\n- {name: dev, user: {token: hunter2}}\n");
    assert!(error.contains("/kube/config"), "{error}");
    assert!(error.contains("two users named \"dev\""), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(parse("users: [{name: dev}]\nclusters: [{name: dev}]").is_ok());
}

#[test]
fn errors_name_file_and_field_and_never_show_a_value() {
    for (text, names) in [
        ("- hunter2", "is not a mapping"),
        ("hunter2", "is not a mapping"),
        (
            "current-context: [hunter2]",
            "current-context must be text, not a list",
        ),
        ("users: hunter2", "users must be a list, not text"),
        ("users: [hunter2]", "users[0] must be a mapping, not text"),
        (
            "users: [{name: 7}]",
            "users[0].name must be text, not a number; put it in quotes",
        ),
        (
            "users: [{name: dev, user: hunter2}]",
            "user \"dev\": user must be a mapping, not text",
        ),
        (
            "users:\n- name: dev\n  user:\n    token: hunter2\n   bad",
            "line 5",
        ),
        (
            "users:\n- name: dev\n  user:\n    token: \"hunter2\n",
            "line",
        ),
        (
            "users:\n- name: dev\n  user:\n    token: hunter2: hunter2",
            "line 4",
        ),
        (
            "users:\n- name: dev\n  user:\n    token: @hunter2",
            "line 4",
        ),
        (
            "users:\n- name: dev\n  user:\n    token: *hunter2",
            "line 4, column 12: an alias",
        ),
        ("a: {hunter2: [hunter2}", "line 1"),
        ("token: hunter2\na: !!int hunter2", "line 2"),
        ("token: hunter2\na: !!binary hunter2!", "line 2"),
        ("token: 1e999999", "out of range"),
        ("a: hunter2\0", "NUL characters"),
    ] {
        let error = refused(text);
        assert!(error.contains("/kube/config"), "{error}");
        assert!(error.contains(names), "{text}: {error}");
        assert!(
            !error.contains("hunter2") && !error.contains("1e99"),
            "{error}"
        );
    }
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let error = Document::parse(Path::new("/kube/config"), b"users: \xff\xfe")
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "kubeconfig /kube/config: is not UTF-8 text, nor UTF-16 with a byte order mark"
    );
}

#[test]
fn utf16_that_is_cut_off_is_refused_as_that() {
    let text = "\u{feff}users: []\n";
    let whole: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let path = Path::new("/kube/config");
    Document::parse(path, &whole).unwrap();
    let error = Document::parse(path, &whole[..9]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "kubeconfig /kube/config: is UTF-16 text that ends in the middle of a character; the file \
         seems to be cut off"
    );
}

#[test]
fn an_alias_bomb_is_refused_and_an_alias_is_not() {
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..=9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
    }
    let error = refused(&bomb);
    assert!(error.contains("its aliases expand to too much"), "{error}");

    let shared = "x: &c {server: 'https://a'}\nclusters: [{name: a, cluster: *c}, {name: b, cluster: {<<: *c}}]";
    let document = parse(shared).unwrap();
    for name in ["a", "b"] {
        let server = document.clusters[name].fields().owned("server").unwrap();
        assert_eq!(server.as_deref(), Some("https://a"));
    }
}

#[test]
fn nesting_that_could_exhaust_the_stack_is_refused() {
    let mut blocks = String::new();
    for depth in 0..2_000 {
        writeln!(blocks, "{}a:", " ".repeat(depth)).unwrap();
    }
    for deep in [
        "[".repeat(10_000),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        "{\"a\":".repeat(10_000),
        "- ".repeat(10_000),
        blocks,
    ] {
        let error = refused(&deep);
        assert!(error.contains("is nested too deep"), "{error}");
    }
    assert!(parse(&format!("a: {}{}", "[".repeat(30), "]".repeat(30))).is_ok());
}

#[test]
fn utf16_with_its_mark_is_text() {
    let text = "\u{feff}current-context: größe\r\n";
    for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(bytes_of).collect();
        let document = Document::parse(Path::new("f"), &bytes).ok().unwrap();
        assert_eq!(document.current_context.as_deref(), Some("größe"));
    }
}

#[test]
fn ignored_parts_are_warned_of_by_their_line() {
    let warnings = |text: &str| parse(text).ok().unwrap().warnings;
    for (text, says) in [
        (
            "current-context: a\n---\ncurrent-context: hunter2\n",
            &["only the first YAML document counts; what begins on line 3 is ignored"][..],
        ),
        ("---\n---\ncurrent-context: b\n", &["begins on line 3"]),
        (
            "users: []\ncontexts: []\nusers: []\n",
            &["line 3: the key \"users\" is given twice, first on line 1; the last one counts"],
        ),
        (
            "users: [{name: a, user: {token: b,\n token: c, token: d}}]\n---\n[",
            &[
                "begins on line 4",
                "line 2: the key \"token\"",
                "and 1 more",
            ],
        ),
        (
            "{hunter2 hunter2: 1, hunter2 hunter2: 2}",
            &["a key is given twice"],
        ),
        ("current-context: a\n---\n", &[]),
    ] {
        let warnings = warnings(text).join("\n");
        assert_eq!(warnings.is_empty(), says.is_empty(), "{text}: {warnings}");
        for says in says {
            assert!(warnings.contains(says), "{text}: {warnings}");
        }
        assert!(!warnings.contains("hunter2"), "{warnings}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Document::parse(Path::new("f"), &bytes);
    }

    #[test]
    fn any_yaml_like_text_is_parsed_or_refused(
        text in "((users|contexts|clusters|name|user|token|[a-z&*!|>'\"%@#]{1,3})(: |:\n  |\n|, |)[\\[\\]{}\\-? ]{0,2}){0,40}"
    ) {
        let _ = parse(&text);
    }
}
