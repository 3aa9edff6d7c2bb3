//! Errors name the file, the entry and the field.

use std::path::Path;

use proptest::prelude::*;

use super::{TWO_CONTEXTS, default_target, error_of, load, one_context, some};
use crate::kubeconfig::{Overrides, document::Document, load::Kubeconfig, select::target};

/// Each user is refused with this message, which does not show the values.
fn users_are_refused(cases: &[(&str, &str)]) {
    for (user, expected) in cases {
        let error = error_of(&one_context("", user), &Overrides::default());
        assert!(error.contains(expected), "{user}: {error}");
        assert!(error.contains("/config: user \"u\": "), "{error}");
        for value in ["hunter2", "aHVu", "12345"] {
            assert!(!error.contains(value), "{error}");
        }
    }
}

#[test]
fn errors_in_a_user_name_file_entry_and_field() {
    users_are_refused(&[
        (
            "token: 12345",
            "token must be text, not a number; put it in quotes",
        ),
        ("password: [hunter2]", "password must be text, not a list"),
        (
            "token: hunter2, username: a",
            "token and tokenFile are given together with",
        ),
        (
            "tokenFile: f, username: a",
            "token and tokenFile are given together with",
        ),
        ("password: hunter2", "password is given without a username"),
        (
            "client-certificate: c",
            "client-certificate has no key; add client-key or client-key-data, or give --client-key",
        ),
        (
            "client-key-data: aHVudGVyMg==",
            "client-key-data has no certificate",
        ),
        (
            "client-key-data: hunter2!, client-certificate: c",
            "client-key-data is not valid base64",
        ),
        (
            "auth-provider: {name: gcp}",
            "auth-provider \"gcp\" is not supported",
        ),
        (
            "auth-provider: {name: oidc}",
            "auth-provider.config is missing",
        ),
        (
            "auth-provider: {name: oidc, config: {client-id: c}}",
            "auth-provider.config.idp-issuer-url is missing",
        ),
        (
            "auth-provider: {name: oidc}, exec: {}",
            "auth-provider is given together with exec",
        ),
        ("as-groups: [g]", "need a user to act as"),
        ("as-uid: '1'", "need a user to act as"),
        ("as-user-extra: {k: [v]}", "need a user to act as"),
        (
            "as: a, as-user-extra: {k: v}",
            "as-user-extra.k must be a list, not text",
        ),
    ]);
    let whole = one_context(
        "",
        "client-certificate: c, client-key: k, as: a, as-groups: [g]",
    );
    assert!(default_target(&whole).user.certificate.is_some());
}

#[test]
fn errors_in_a_plugin_name_file_entry_and_field() {
    users_are_refused(&[
        ("exec: [l]", "exec must be a mapping, not a list"),
        ("exec: {command: l}", "exec.apiVersion is missing"),
        (
            "exec: {apiVersion: hunter2, command: l}",
            "exec.apiVersion must be",
        ),
        (
            "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: l}",
            "exec.apiVersion is \"client.authentication.k8s.io/v1alpha1\"; update",
        ),
        (
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: l}",
            "exec.interactiveMode is missing",
        ),
    ]);
    let v1 = "apiVersion: client.authentication.k8s.io/v1";
    for (rest, expected) in [
        ("interactiveMode: Never", "exec.command is missing"),
        (
            "command: l, interactiveMode: Maybe",
            "exec.interactiveMode must be",
        ),
        (
            "command: l, interactiveMode: Never, args: [a, 1]",
            "exec.args[1] must be text",
        ),
        (
            "command: l, interactiveMode: Never, env: [{value: hunter2}]",
            "exec.env[0].name is missing",
        ),
        (
            "command: l, interactiveMode: Never, env: [{name: A=B}]",
            "exec.env[0].name must not contain",
        ),
        (
            "command: l, interactiveMode: Never, provideClusterInfo: 'true'",
            "exec.provideClusterInfo must be true or false",
        ),
    ] {
        users_are_refused(&[(&format!("exec: {{{v1}, {rest}}}"), expected)]);
    }
}

#[test]
fn errors_in_a_cluster_name_file_entry_and_field() {
    for (cluster, expected) in [
        (
            "proxy-url: 'http://u:hunter2@p:x'",
            "proxy-url has a port that is not a number",
        ),
        ("proxy-url: 'ftp://u:hunter2@p'", "proxy-url has a scheme"),
        (
            "certificate-authority-data: hunter2!",
            "certificate-authority-data is not valid base64",
        ),
        (
            "insecure-skip-tls-verify: 'true'",
            "insecure-skip-tls-verify must be true or false",
        ),
        (
            "insecure-skip-tls-verify: 1",
            "insecure-skip-tls-verify must be true or false, not a number",
        ),
        ("tls-server-name: 1", "tls-server-name must be text"),
    ] {
        let error = error_of(&one_context(cluster, ""), &Overrides::default());
        assert!(
            error.contains(&format!("/config: cluster \"c\": {expected}")),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
    let server = Overrides {
        server: some("https://u:hunter2@a"),
        ..Overrides::default()
    };
    let error = error_of(&one_context("", ""), &server);
    assert!(
        error.contains("flags: --server must not hold") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn only_the_selected_entries_are_validated() {
    let broken = TWO_CONTEXTS
        .replace("token: tv", "token: 5")
        .replace("https://d", "ftp://d");
    assert_eq!(default_target(&load(&broken)).cluster.server, "https://c/");
    let flags = Overrides {
        context: some("y"),
        ..Overrides::default()
    };
    error_of(&load(&broken), &flags);
}

proptest! {
    #[test]
    fn any_text_in_any_field_is_taken_or_refused(
        field in "server|proxy-url|token|client-key-data|exec|as-user-extra|certificate-authority",
        value in r"[ -~]{0,40}|(https?|socks5)://[\[\]:@/%?#a-f0-9.]{0,20}|\{[a-z]{1,3}: [\[{]?[0-9~]",
    ) {
        let quoted = serde_json::to_string(&value).unwrap();
        for text in [&quoted, &value] {
            let text = format!(
                "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: c}}}}]\n\
                 clusters:\n- name: c\n  cluster: &e\n    {field}: {text}\nusers: [{{name: c, user: *e}}]\n"
            );
            let path = Path::new("/kube/config");
            if let Ok(document) = Document::parse(path, text.as_bytes()) {
                let _ = target(&Kubeconfig::of(document), &Overrides::default());
            }
        }
    }
}
