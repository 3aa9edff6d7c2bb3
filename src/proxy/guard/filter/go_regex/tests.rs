#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

/// Patterns, texts in which each is found, and texts in which it is not. What they mean in Go
/// is compared with kubectl in `tests/clients`.
const MEANINGS: &[(&str, &[&str], &[&str])] = &[
    (r"^\Qa.b\E$", &["a.b"], &["axb", r"\Qa.b\E"]),
    (r"\Q[*", &["x[*y"], &["x["]),
    (r"^\Qab\E+$", &["ab", "abbb"], &["abab"]),
    (r"^a\Q\E*$", &["", "aaa"], &["b"]),
    (r"^x(?i)\Qa(\E$", &["xA(", "xa("], &["XA("]),
    (r"^\d$", &["7"], &["\u{664}", "a"]),
    (r"^\w$", &["a", "_"], &["\u{e9}"]),
    (r"^\s$", &[" ", "\t"], &["\u{a0}", "\u{b}"]),
    (r"^[\D]$", &["a", "\u{664}"], &["7"]),
    (r"^[^\W]$", &["a"], &["-"]),
    (r"a\b", &["a", "a-", "a\u{e9}"], &["ab"]),
    (r"a\B", &["ab"], &["a", "a\u{e9}"]),
    (r"\Aa\z", &["a"], &["a\n", "ba"]),
    ("^a$", &["a"], &["a\n", "a\nb"]),
    ("(?m)^b$", &["a\nb\nc"], &["a b"]),
    ("^.$", &["a"], &["\n"]),
    ("(?s)^.$", &["\n"], &["ab"]),
    ("(?U)^a+$", &["aa"], &["b"]),
    ("(?i-s:A).", &["ab"], &["a\n", "b"]),
    ("(?i)k", &["K", "\u{212a}"], &["l"]),
    ("(a(?i)b)c", &["aBc"], &["aBC", "Abc"]),
    (r"^\pN$", &["7", "\u{664}"], &["a"]),
    (r"^\PN$", &["a"], &["7"]),
    (r"^\p{Greek}$", &["\u{3b1}"], &["a"]),
    (r"^\p{^Greek}$", &["a"], &["\u{3b1}"]),
    (r"^[\P{Lu}]$", &["a"], &["A"]),
    (r"^\101\x41\x{41}$", &["AAA"], &["A"]),
    (r"^\07\0$", &["\u{7}\0"], &["7"]),
    (r"^\a\f\n\r\t\v$", &["\u{7}\u{c}\n\r\t\u{b}"], &[""]),
    (r"^[[:word:]]+$", &["a_1"], &["-", "\u{e9}"]),
    (r"^[[:^alpha:]-]$", &["-", "\u{e9}", "1"], &["a"]),
    (r"^[]a]$", &["]", "a"], &["b"]),
    (r"^[^]a]$", &["b"], &["]", "a"]),
    (r"^[a-]$", &["-", "a"], &["b"]),
    (r"^[a&&b]$", &["&", "a", "b"], &["c"]),
    (r"^[a--b]+$", &[], &[]),
    (r"^[a~~b[x]+$", &["~[x"], &["]"]),
    (r"^[--/]$", &["-", ".", "/"], &["0"]),
    (r"^\<\>\_\-\/$", &["<>_-/"], &[""]),
    (r"\b{start}", &["a{start}"], &["a"]),
    ("^a{,2}$", &["a{,2}"], &["a", "aa"]),
    ("^a{x}{$", &["a{x}{"], &["a"]),
    ("^a{01}$", &["a{01}"], &["a"]),
    ("^a{2}$", &["aa"], &["a"]),
    ("^a{1,2}$", &["a", "aa"], &["aaa"]),
    ("^a{2,}?$", &["aaa"], &["a"]),
    ("^}]$", &["}]"], &[""]),
    ("^(?P<n>a)(?<m>b)$", &["ab"], &["a"]),
    ("^*a", &["a"], &["b"]),
    ("a(?i)*$", &["aa", ""], &[]),
    ("^(|a)$", &["", "a"], &["b"]),
    ("^(a|b|)c$", &["ac", "bc", "c"], &["abc"]),
    (r"^\x{D800}$", &[], &["\u{fffd}"]),
    (r"^[^\x{D800}]$", &["a"], &[]),
    (
        r"^[\x{D000}-\x{DFFF}x]$",
        &["\u{d000}", "\u{d7ff}"],
        &["\u{e000}"],
    ),
    ("^\u{e9}$", &["\u{e9}"], &["e"]),
    ("a #b", &["a #b"], &["a"]),
    (
        "^/api/.*/pods/.*/exec",
        &["/api/v1/namespaces/x/pods/p/exec"],
        &["/api/exec"],
    ),
];

#[test]
fn a_pattern_means_what_it_means_in_go() {
    for (pattern, found, missed) in MEANINGS {
        let regex = match compile(pattern) {
            Ok(regex) => regex,
            // A range that ends before it begins.
            Err(Error::ClassRange(range)) if *pattern == "^[a--b]+$" => {
                assert_eq!(range, "a--");
                continue;
            }
            Err(error) => panic!("{pattern}: {error}"),
        };
        for text in *found {
            assert!(regex.is_match(text), "{pattern} in {text:?}");
        }
        for text in *missed {
            assert!(!regex.is_match(text), "{pattern} not in {text:?}");
        }
    }
}

#[test]
fn what_go_refuses_is_refused_and_says_why() {
    for (pattern, why) in [
        ("a**", "nested repetition"),
        ("a+?*", "nested repetition"),
        ("a{2}{3}", "nested repetition"),
        ("*a", "missing argument"),
        ("(*a)", "missing argument"),
        ("a|*", "missing argument"),
        ("(?i)*", "missing argument"),
        ("a{1001}", "repeat count"),
        ("a{2,1}", "repeat count"),
        ("a{1,99999999999}", "repeat count"),
        ("(", "missing closing )"),
        ("a)", "unexpected )"),
        ("[a", "missing closing ]"),
        ("[", "missing closing ]"),
        ("[]", "missing closing ]"),
        ("[b-a]", "class range: b-a"),
        ("[[:foo:]]", "class range: [:foo:]"),
        (r"\p{", "class range"),
        (r"\p{}", "class range"),
        (r"\p{sc=Greek}", "class range"),
        (r"\p{NoSuchScript}", "Unicode"),
        (r"\", "trailing backslash"),
        (r"\C", "escape"),
        (r"\Z", "escape"),
        (r"\E", "escape"),
        (r"\1", "escape"),
        (r"\8", "escape"),
        (r"\x4", "escape"),
        (r"\x{}", "escape"),
        (r"\x{110000}", "escape"),
        (r"\x{+41}", "escape"),
        ("\\\u{e9}", "escape"),
        (r"[\b]", "escape"),
        (r"[\Qa\E]", "escape"),
        ("(?x)a", "Perl"),
        ("(?u)a", "Perl"),
        ("(?=a)", "Perl"),
        ("(?-)a", "Perl"),
        ("(?i--s)a", "Perl"),
        ("(?", "Perl"),
        ("(?P<>a)", "named capture"),
        ("(?P<a", "named capture"),
        ("(?<a-b>c)", "named capture"),
    ] {
        let error = compile(pattern).expect_err(pattern).to_string();
        assert!(error.contains(why), "{pattern}: {error}");
    }
    for (pattern, text) in [
        ("(?-i)a", "a"),
        ("(?i-)a", ""),
        ("(?:a)", "a"),
        ("(?)a", "a"),
    ] {
        match compile(pattern) {
            Ok(regex) => assert!(regex.is_match(text), "{pattern}"),
            Err(error) => assert!(
                matches!(error, Error::Perl(_)) && text.is_empty(),
                "{error}"
            ),
        }
    }
}

#[test]
fn groups_nest_as_deep_as_in_go() {
    let nested = |depth: usize| "(".repeat(depth) + "a" + &")".repeat(depth);
    assert!(compile(&nested(900)).unwrap().is_match("a"));
    assert_eq!(compile(&nested(1001)).unwrap_err(), Error::Depth);
    assert!(compile(r"^(\pL{200})?$").unwrap().is_match(""));
}

proptest! {
    /// What both syntaxes have, with the same meaning.
    #[test]
    fn common_patterns_mean_what_they_mean_in_rust(
        pattern in "(\\^|)([abc/.]|\\[\\^?[abc/]{1,3}\\]|\\(a\\|b?\\)|[ab][*+?]|[ab]\\{1,2\\}|\\\\\\.){0,6}(\\$|)",
        texts in proptest::collection::vec("[abc/.]{0,6}", 8),
    ) {
        let (ours, theirs) = (compile(&pattern).unwrap(), Regex::new(&pattern).unwrap());
        for text in texts {
            prop_assert_eq!(ours.is_match(&text), theirs.is_match(&text), "{} {}", pattern, text);
        }
    }

    #[test]
    fn any_text_is_compiled_or_refused(pattern in "([a-z0-9(){}\\[\\]\\\\^$.|?*+,:<>&~ -]|\\PC){0,30}") {
        // A translation that Rust does not read would be a fault of ours.
        if let Err(Error::Compile(error)) = compile(&pattern) {
            prop_assert!(pattern.contains("\\p") || pattern.contains("\\P"), "{}", error);
        }
    }
}
