//! `--accept-paths`, `--reject-paths` and `--reject-methods`.

use super::{check, check_with, guard, patterns, status};

#[test]
fn path_patterns_match_every_reading_of_the_path() {
    let guard = guard(|rules| {
        rules.accept_paths = patterns("^/api/v1/,^/version$");
        rules.reject_paths = Some(patterns("/secrets(/|$)"));
    });
    for (target, expected) in [
        ("/api/v1/pods", 200),
        ("/%61pi/v1/pods", 200),
        ("/version", 200),
        ("/version?x=/secrets", 200),
        ("/api/v1/secretsauce", 200),
        ("/apis/apps/v1", 403),
        ("/version/", 403),
        ("//api/v1/pods", 403),
        ("/api/v1/secrets", 403),
        ("/api/v1/%73ecrets/x", 403),
        ("/api/v1/namespaces/d%2Fsecrets", 403),
        ("/api/v1/secrets/.", 403),
        ("/api/v1/secrets\\", 400),
    ] {
        assert_eq!(status(&check(&guard, "GET", target)), expected, "{target}");
    }
    let secrets = check(&guard, "GET", "/api/v1/secrets").unwrap_err().message;
    assert!(
        secrets.contains(r#"--reject-paths (pattern "/secrets(/|$)")"#),
        "{secrets}"
    );
    let outside = check(&guard, "GET", "/metrics").unwrap_err().message;
    assert!(outside.contains("--accept-paths"), "{outside}");
}

#[test]
fn a_rejected_path_is_rejected_in_every_form() {
    let guard = guard(|rules| {
        let patterns = [
            "^/api/v1/secrets$",
            "^/api/v1/namespaces/x/secrets/s$",
            "/services/[^/]+/proxy",
        ];
        rules.reject_paths = Some(patterns.map(String::from).to_vec());
    });
    for target in [
        "/api/v1/secrets",
        "/api/v1/secrets?watch=1",
        "/api/v1/secrets/",
        "/api/v1/secrets//",
        "/api/v1/secrets%2F",
        "/api/v1/secrets%2f%2F",
        "/api/v1/secrets/.",
        "/api/v1//secrets",
        "//api/v1/secrets",
        "/%2Fapi/v1/secrets/",
        "/api%2Fv1%2Fsecrets",
        "/%61pi/v1/%73ecrets/",
        "/api/./v1/secrets/",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces//secrets/",
        "/api/v1/namespaces%2F%2Fsecrets",
        "/api/v1/watch/secrets",
        "/api/v1/watch/secrets/",
        "/api/v1/%77atch/secrets",
        "/api/v1/watch%2Fsecrets",
        "/api/v1/watch/namespaces//secrets",
        "/api/v1/namespaces/x/secrets/s/",
        "/api/v1/watch/namespaces/x/secrets/s",
        "/api/v1/namespaces/x%2Fsecrets%2Fs%2F",
        "/api/v1/proxy/namespaces/x/services/a/b",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let checked = check(&guard, method, target);
            assert_eq!(status(&checked), 403, "{method} {target}");
            let refusal = checked.unwrap_err();
            assert!(refusal.message.contains("--reject-paths"), "{refusal}");
        }
    }
    // The most similar other requests.
    for target in [
        "/api/v1/secret",
        "/api/v1/secrets/s",
        "/api/v1/namespaces/x/secrets",
        "/api/v1/namespaces/x/secrets/",
        "/api/v1/namespaces/y/secrets/s",
        "/api/v1/namespaces/x/secrets/s/status",
        "/api/v1/watch/namespaces/x/secrets",
        "/api/v1/namespaces/secrets",
        "/api/v1/Secrets",
        "/api/v1/secrets%20",
        "/api/v1/pods/",
        "/api/v1/pods?x=/api/v1/secrets",
    ] {
        assert_eq!(check(&guard, "GET", target), Ok(()), "{target}");
    }
}

#[test]
fn a_slash_at_the_end_of_a_pattern_counts() {
    let below = guard(|rules| {
        rules.reject_paths = Some(patterns("^/api/v1/namespaces/[^/]+/secrets/,^/version/$"));
    });
    for (target, expected) in [
        ("/api/v1/namespaces/x/secrets", 200),
        ("/api/v1/namespaces/x/secrets/s", 403),
        ("/api/v1/watch/namespaces/x/secrets/s", 403),
        ("/version/", 403),
        ("/version", 200),
    ] {
        assert_eq!(status(&check(&below, "GET", target)), expected, "{target}");
    }
}

#[test]
fn no_spelling_of_another_path_is_accepted() {
    let guard = guard(|rules| {
        rules.accept_paths = patterns("^/api/v1/namespaces/,^/api/v1/watch/,^/version$");
    });
    for (target, expected) in [
        ("/api/v1/namespaces/x/secrets", 200),
        ("/api/v1/namespaces/x/secrets/", 200),
        ("/api/v1/namespaces/x/services/s/proxy/", 200),
        ("/api/v1/watch/secrets", 200),
        ("/version", 200),
        ("/api/v1/secrets", 403),
        ("/api/v1/namespaces//secrets", 403),
        ("/api/v1/namespaces%2F%2Fsecrets", 403),
        ("/api/v1//namespaces/x/secrets", 403),
    ] {
        assert_eq!(status(&check(&guard, "GET", target)), expected, "{target}");
    }
}

#[test]
fn no_header_names_another_method_where_a_rule_checks_it() {
    let without_rules = guard(|_| ());
    let read_only = guard(|rules| rules.read_only = true);
    let methods = guard(|rules| rules.reject_methods = patterns("^DELETE$"));
    let disabled = guard(|rules| {
        rules.reject_methods = patterns("^DELETE$");
        rules.disable_filter = true;
    });
    for name in [
        "x-http-method-override",
        "X-HTTP-Method",
        "x-method-override",
        "x_http_method_override",
        "X-HTTP_Method-Override",
    ] {
        let header = [(name, "DELETE")];
        for guard in [&read_only, &methods] {
            let refusal = check_with(guard, "GET", "/api/v1/pods", &header).unwrap_err();
            assert_eq!(refusal.status, 403);
            assert!(refusal.message.contains("method"), "{refusal}");
        }
        for guard in [&without_rules, &disabled] {
            assert_eq!(check_with(guard, "GET", "/api/v1/pods", &header), Ok(()));
        }
    }
    let other = [
        ("x-http-method-overridden", "DELETE"),
        ("x-http-methods", "x"),
    ];
    for guard in [&read_only, &methods] {
        assert_eq!(check_with(guard, "GET", "/api/v1/pods", &other), Ok(()));
    }
}
