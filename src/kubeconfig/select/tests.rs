#![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::*;
use crate::{
    kubeconfig::{InteractiveMode, Login, Pem, ProxyScheme, document::Document, load},
    secret::Secret,
};

fn load(text: &str) -> Kubeconfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    load::load(Some(&path), &|_| None).unwrap()
}

/// A file with one context, whose cluster has these fields and a server, and whose user has these fields.
fn one(cluster: &str, user: &str) -> Kubeconfig {
    load(&format!(
        "current-context: x\n\
         contexts: [{{name: x, context: {{cluster: c, user: u, namespace: team}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://api:6443', {cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    ))
}

fn plain(config: &Kubeconfig) -> Target {
    target(config, &Overrides::default()).unwrap()
}

fn login(user: &str, flags: &Overrides) -> Login {
    target(&one("", user), flags).unwrap().user.login
}

fn refused(config: &Kubeconfig, flags: &Overrides) -> String {
    let error = target(config, flags).unwrap_err();
    format!("{error} {error:?}")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

const TWO: &str = "\
current-context: x
contexts:
- {name: x, context: {cluster: c, user: u, namespace: nx}}
- {name: y, context: {cluster: d, user: v, namespace: ny}}
clusters:
- {name: c, cluster: {server: 'https://c'}}
- {name: d, cluster: {server: 'https://d'}}
users:
- {name: u, user: {token: tu}}
- {name: v, user: {token: tv}}
";

fn picked(flags: &Overrides) -> (String, String, Option<String>) {
    let target = target(&load(TWO), flags).unwrap();
    let Login::Token(token) = target.user.login else {
        panic!("no token");
    };
    (
        target.cluster.server.to_string(),
        token.expose().to_owned(),
        target.namespace,
    )
}

#[test]
fn flags_pick_context_cluster_user_and_namespace() {
    let row = |server: &str, token: &str, namespace| {
        (server.to_owned(), token.to_owned(), some(namespace))
    };
    let none = Overrides::default;
    assert_eq!(picked(&none()), row("https://c/", "tu", "nx"));
    let context = Overrides {
        context: some("y"),
        ..none()
    };
    assert_eq!(picked(&context), row("https://d/", "tv", "ny"));
    let cluster = Overrides {
        cluster: some("d"),
        ..none()
    };
    assert_eq!(picked(&cluster), row("https://d/", "tu", "nx"));
    let user = Overrides {
        user: some("v"),
        ..none()
    };
    assert_eq!(picked(&user), row("https://c/", "tv", "nx"));
    let namespace = Overrides {
        namespace: some("z"),
        ..none()
    };
    assert_eq!(picked(&namespace), row("https://c/", "tu", "z"));
}

#[test]
fn with_a_server_flag_logins_belong_to_the_files_cluster() {
    let config = one("certificate-authority: own.pem", "token: t");
    let flags = Overrides {
        server: some("https://registry"),
        certificate_authority: Some("registry.pem".into()),
        ..Overrides::default()
    };
    let there = target(&config, &flags).unwrap();
    assert_eq!(there.cluster.server, "https://registry/");
    assert_eq!(there.login_cluster().server, "https://api:6443/");
    let here = plain(&config);
    assert_eq!(
        there.login_cluster().certificate_authority,
        here.cluster.certificate_authority
    );
    assert_eq!(*here.login_cluster(), here.cluster);
}

#[test]
fn a_server_flag_needs_no_file_and_no_context() {
    let flags = Overrides {
        server: some("https://a:1"),
        token: secret("t"),
        ..Overrides::default()
    };
    let alone = target(&Kubeconfig::default(), &flags).unwrap();
    assert_eq!(alone.cluster.server, "https://a:1/");
    assert!(matches!(alone.user.login, Login::Token(_)));
    assert_eq!(
        (alone.context, alone.cluster.name, alone.user.name),
        (None, None, None)
    );

    let no_current = load(&TWO.replace("current-context: x", ""));
    assert!(matches!(
        target(&no_current, &flags).unwrap().user.login,
        Login::Token(_)
    ));
    let by_names = Overrides {
        cluster: some("d"),
        user: some("v"),
        ..Overrides::default()
    };
    assert_eq!(
        target(&no_current, &by_names).unwrap().cluster.server,
        "https://d/"
    );

    let error = refused(&no_current, &Overrides::default());
    assert!(
        error.contains("no context is chosen") && error.contains("\"x\", \"y\""),
        "{error}"
    );
}

#[test]
fn a_name_without_an_entry_is_an_error_listing_the_entries() {
    let config = load(TWO);
    for (flags, says) in [
        (
            Overrides {
                context: some("z"),
                ..Overrides::default()
            },
            "context \"z\", named by --context, does not exist in",
        ),
        (
            Overrides {
                cluster: some("z"),
                ..Overrides::default()
            },
            "the clusters \"c\", \"d\"",
        ),
        (
            Overrides {
                user: some("z"),
                ..Overrides::default()
            },
            "the users \"u\", \"v\"",
        ),
    ] {
        let error = refused(&config, &flags);
        assert!(error.contains(says) && error.contains("/config"), "{error}");
    }
    for (from, to, says) in [
        (
            "current-context: x",
            "current-context: gone",
            "\"gone\", named by current-context",
        ),
        (
            "cluster: c, user: u",
            "cluster: gone, user: u",
            "cluster \"gone\", named by context \"x\"",
        ),
        (
            "cluster: c, user: u",
            "cluster: c, user: gone",
            "user \"gone\", named by context \"x\"",
        ),
        (
            "cluster: c, user: u",
            "user: u",
            "context \"x\": cluster is missing",
        ),
        (
            "server: 'https://c'",
            "",
            "cluster \"c\": server is missing",
        ),
    ] {
        let error = refused(&load(&TWO.replace(from, to)), &Overrides::default());
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn of_many_names_ten_are_shown() {
    let contexts: Vec<_> = (10..40).map(|n| format!("{{name: n{n}}}")).collect();
    let config = load(&format!("contexts: [{}]", contexts.join(", ")));
    let shown = target(&config, &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(
        shown.contains("\"n19\" and 20 more") && !shown.contains("n20"),
        "{shown}"
    );
}

#[test]
fn every_field_of_a_cluster_is_read() {
    let extension = "extensions: [3, {name: other, extension: 1}, \
                     {name: client.authentication.k8s.io/exec, extension: {audience: a}}]";
    let cluster = plain(&one(
        &format!(
            "certificate-authority-data: 'cGVt\n IQ==', certificate-authority: not/used, tls-server-name: n, \
             proxy-url: 'socks5://u:p@proxy', disable-compression: true, {extension}"
        ),
        "",
    ))
    .cluster;
    assert_eq!(cluster.name.as_deref(), Some("c"));
    let authority = cluster.certificate_authority.unwrap();
    assert_eq!(&*authority.read().unwrap(), b"pem!");
    assert!(
        authority
            .origin()
            .ends_with("cluster \"c\": certificate-authority-data")
    );
    assert_eq!(cluster.tls_server_name.as_deref(), Some("n"));
    assert_eq!(cluster.proxy_url.unwrap().scheme, ProxyScheme::Socks5);
    assert!(cluster.disable_compression && !cluster.insecure_skip_tls_verify);
    assert_eq!(
        cluster.exec_config,
        Some(serde_json::json!({"audience": "a"}))
    );
    assert!(
        plain(&one("insecure-skip-tls-verify: yes", ""))
            .cluster
            .insecure_skip_tls_verify
    );
    assert!(
        plain(&one("extensions: 3, insecure-skip-tls-verify: off", ""))
            .cluster
            .exec_config
            .is_none()
    );
}

#[test]
fn flags_decide_how_to_verify() {
    let with_authority = one("certificate-authority: ca.crt, tls-server-name: n", "");
    let insecure = one("insecure-skip-tls-verify: true", "");
    let none = Overrides::default;
    let cluster = |config, flags| target(config, &flags).unwrap().cluster;

    let skip = Overrides {
        insecure_skip_tls_verify: Some(true),
        ..none()
    };
    let skipped = cluster(&with_authority, skip.clone());
    assert!(skipped.insecure_skip_tls_verify && skipped.certificate_authority.is_none());

    let authority = Overrides {
        certificate_authority: Some("x.crt".into()),
        ..none()
    };
    let verified = cluster(&insecure, authority.clone());
    assert!(!verified.insecure_skip_tls_verify);
    assert_eq!(
        verified.certificate_authority.unwrap().origin(),
        "--certificate-authority"
    );

    let verify = Overrides {
        insecure_skip_tls_verify: Some(false),
        ..none()
    };
    assert!(!cluster(&insecure, verify).insecure_skip_tls_verify);
    assert!(cluster(&insecure, none()).insecure_skip_tls_verify);

    let server = Overrides {
        server: some("https://other"),
        ..none()
    };
    let moved = cluster(&with_authority, server);
    assert_eq!(moved.tls_server_name, None, "it named the file's server");
    assert!(moved.certificate_authority.is_some());
    let named = Overrides {
        tls_server_name: some("m"),
        ..none()
    };
    assert_eq!(
        cluster(&with_authority, named).tls_server_name.as_deref(),
        Some("m")
    );

    let both = Overrides {
        certificate_authority: authority.certificate_authority,
        ..skip
    };
    assert!(refused(&insecure, &both).contains("flags: --certificate-authority contradicts"));
    let both = one(
        "insecure-skip-tls-verify: true, certificate-authority: ca.crt",
        "",
    );
    assert!(
        refused(&both, &none()).contains("cluster \"c\": insecure-skip-tls-verify contradicts")
    );
}

#[test]
fn a_token_or_password_takes_precedence_over_a_plugin() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: login}";
    let none = Overrides::default();
    assert!(matches!(login(exec, &none), Login::Exec(_)));
    assert!(matches!(
        login(&format!("token: t, {exec}"), &none),
        Login::Token(_)
    ));
    assert!(matches!(
        login(&format!("tokenFile: t, {exec}"), &none),
        Login::TokenFile { fallback: None, .. }
    ));
    assert!(matches!(
        login(&format!("username: a, {exec}"), &none),
        Login::Basic { .. }
    ));
    assert!(matches!(
        login("token: t, auth-provider: {name: oidc}", &none),
        Login::Token(_)
    ));
    assert!(matches!(login("", &none), Login::None));
    match login("token: t, tokenFile: /f", &none) {
        Login::TokenFile { path, fallback } => {
            assert_eq!((path, fallback), (PathBuf::from("/f"), secret("t")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_login_by_flags_replaces_every_login_of_the_file() {
    let token = Overrides {
        token: secret("flag"),
        ..Overrides::default()
    };
    let basic = Overrides {
        username: some("flag"),
        ..Overrides::default()
    };
    for user in [
        "token: hunter2",
        "tokenFile: f",
        "username: a, password: b",
        "exec: {command: no version}",
        "auth-provider: {name: oidc}",
    ] {
        assert!(
            matches!(login(user, &token), Login::Token(token) if token.expose() == "flag"),
            "{user}"
        );
        assert!(
            matches!(login(user, &basic), Login::Basic { username, .. } if username == "flag"),
            "{user}"
        );
    }
    let password = Overrides {
        password: secret("new"),
        ..Overrides::default()
    };
    match login("username: a, password: b", &password) {
        Login::Basic { username, password } => {
            assert_eq!((username.as_str(), password.expose()), ("a", "new"));
        }
        other => panic!("{other:?}"),
    }
    let both = Overrides {
        token: secret("t"),
        ..basic
    };
    assert!(refused(&one("", ""), &both).contains("flags: --token contradicts --username"));
    assert!(refused(&one("", ""), &password).contains("password is given without a username"));
}

#[test]
fn every_field_of_a_plugin_is_read() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: [a, '1'], \
                env: [{name: K, value: hunter2}, {name: E}], provideClusterInfo: true, \
                interactiveMode: Always, installHint: \"get\\e[31m it\\n\"}";
    let Login::Exec(exec) = login(exec, &Overrides::default()) else {
        panic!("no plugin");
    };
    assert_eq!(exec.api_version, "client.authentication.k8s.io/v1");
    assert_eq!(exec.args, ["a", "1"]);
    assert_eq!(
        exec.env,
        [
            ("K".to_owned(), Secret::new("hunter2")),
            ("E".to_owned(), Secret::new(""))
        ]
    );
    assert!(exec.provide_cluster_info);
    assert_eq!(exec.interactive_mode, InteractiveMode::Always);
    assert_eq!(exec.install_hint.as_deref(), Some("get\u{fffd}[31m it "));
    assert!(!format!("{exec:?}").contains("hunter2"));
    let beta = "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: login}";
    let Login::Exec(beta) = login(beta, &Overrides::default()) else {
        panic!("no plugin");
    };
    assert_eq!(beta.interactive_mode, InteractiveMode::IfAvailable);
}

/// Each user is refused with this message, which does not show the values.
fn users_are_refused(cases: &[(&str, &str)]) {
    for (user, says) in cases {
        let error = refused(&one("", user), &Overrides::default());
        assert!(error.contains(says), "{user}: {error}");
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
    let whole = one(
        "",
        "client-certificate: c, client-key: k, as: a, as-groups: [g]",
    );
    assert!(plain(&whole).user.certificate.is_some());
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
    for (rest, says) in [
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
        users_are_refused(&[(&format!("exec: {{{v1}, {rest}}}"), says)]);
    }
}

#[test]
fn errors_in_a_cluster_name_file_entry_and_field() {
    for (cluster, says) in [
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
        let error = refused(&one(cluster, ""), &Overrides::default());
        assert!(
            error.contains(&format!("/config: cluster \"c\": {says}")),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
    let server = Overrides {
        server: some("https://u:hunter2@a"),
        ..Overrides::default()
    };
    let error = refused(&one("", ""), &server);
    assert!(
        error.contains("flags: --server must not hold") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn only_the_selected_entries_are_validated() {
    let broken = TWO
        .replace("token: tv", "token: 5")
        .replace("https://d", "ftp://d");
    assert_eq!(plain(&load(&broken)).cluster.server, "https://c/");
    let flags = Overrides {
        context: some("y"),
        ..Overrides::default()
    };
    refused(&load(&broken), &flags);
}

#[test]
fn impersonation_flags_replace_the_files_one_by_one() {
    let config = one(
        "",
        "as: a, as-uid: '1', as-groups: [g, h], as-user-extra: {k: [v], j: [w]}",
    );
    let file = plain(&config).user.impersonation;
    assert_eq!(
        (file.user.as_deref(), file.uid.as_deref()),
        (Some("a"), Some("1"))
    );
    assert_eq!(file.groups, ["g", "h"]);
    let flags = Overrides {
        impersonate_user: some("b"),
        impersonate_extra: BTreeMap::from([("k".to_owned(), vec!["new".to_owned()])]),
        ..Overrides::default()
    };
    let both = target(&config, &flags).unwrap().user.impersonation;
    assert_eq!(
        (both.user.as_deref(), both.uid.as_deref()),
        (Some("b"), Some("1"))
    );
    assert_eq!(both.groups, ["g", "h"]);
    assert_eq!(
        (&both.extra["k"][0], &both.extra["j"][0]),
        (&"new".to_owned(), &"w".to_owned())
    );
    let groups = Overrides {
        impersonate_groups: vec!["i".to_owned()],
        ..Overrides::default()
    };
    assert_eq!(
        target(&config, &groups).unwrap().user.impersonation.groups,
        ["i"]
    );
}

#[test]
fn certificate_flags_replace_the_files_data_too() {
    let config = one("", "client-certificate-data: YQ==, client-key-data: Yg==");
    let pair = plain(&config).user.certificate.unwrap();
    assert_eq!(
        (
            &pair.certificate.read().unwrap()[..],
            &pair.key.read().unwrap()[..]
        ),
        (&b"a"[..], &b"b"[..])
    );
    let flags = Overrides {
        client_certificate: Some("c".into()),
        client_key: Some("k".into()),
        ..Overrides::default()
    };
    let pair = target(&config, &flags).unwrap().user.certificate.unwrap();
    assert_eq!(pair.certificate.origin(), "--client-certificate");
    assert_eq!(pair.key.origin(), "--client-key");
}

#[test]
fn a_pem_file_is_read_within_bounds_and_named_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let pem = Pem::File {
        path: path.clone(),
        origin: "kubeconfig f: cluster \"c\"".to_owned(),
    };
    let error = pem.read().unwrap_err().to_string();
    assert!(
        error.contains("ca.crt") && error.contains("cluster \"c\""),
        "{error}"
    );
    fs::write(&path, "pem").unwrap();
    assert_eq!(&*pem.read().unwrap(), b"pem");
    fs::write(&path, vec![b'a'; (1 << 20) + 1]).unwrap();
    let error = pem.read().unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
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
