//! Flags that replace fields of the file.

use std::collections::BTreeMap;

use super::{TWO_CONTEXTS, default_target, error_of, load, login, one_context, secret, some};
use crate::kubeconfig::{Login, Overrides, load::Kubeconfig, select::target};

#[test]
fn with_a_server_flag_logins_belong_to_the_files_cluster() {
    let config = one_context("certificate-authority: own.pem", "token: t");
    let flags = Overrides {
        server: some("https://registry"),
        certificate_authority: Some("registry.pem".into()),
        ..Overrides::default()
    };
    let elsewhere = target(&config, &flags).unwrap();
    assert_eq!(elsewhere.cluster.server, "https://registry/");
    assert_eq!(elsewhere.login_cluster().server, "https://api:6443/");
    let default = default_target(&config);
    assert_eq!(
        elsewhere.login_cluster().certificate_authority,
        default.cluster.certificate_authority
    );
    assert_eq!(*default.login_cluster(), default.cluster);
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

    let no_current = load(&TWO_CONTEXTS.replace("current-context: x", ""));
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

    let error = error_of(&no_current, &Overrides::default());
    assert!(
        error.contains("no context is chosen") && error.contains("\"x\", \"y\""),
        "{error}"
    );
}

#[test]
fn flags_decide_how_to_verify() {
    let with_authority = one_context("certificate-authority: ca.crt, tls-server-name: n", "");
    let insecure = one_context("insecure-skip-tls-verify: true", "");
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
    assert!(error_of(&insecure, &both).contains("flags: --certificate-authority contradicts"));
    let both = one_context(
        "insecure-skip-tls-verify: true, certificate-authority: ca.crt",
        "",
    );
    assert!(
        error_of(&both, &none()).contains("cluster \"c\": insecure-skip-tls-verify contradicts")
    );
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
        login => panic!("{login:?}"),
    }
    let both = Overrides {
        token: secret("t"),
        ..basic
    };
    assert!(
        error_of(&one_context("", ""), &both).contains("flags: --token contradicts --username")
    );
    assert!(
        error_of(&one_context("", ""), &password).contains("password is given without a username")
    );
}

#[test]
fn impersonation_flags_replace_the_files_one_by_one() {
    let config = one_context(
        "",
        "as: a, as-uid: '1', as-groups: [g, h], as-user-extra: {k: [v], j: [w]}",
    );
    let file = default_target(&config).user.impersonation;
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
    let config = one_context("", "client-certificate-data: YQ==, client-key-data: Yg==");
    let pair = default_target(&config).user.certificate.unwrap();
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
