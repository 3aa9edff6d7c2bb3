//! The fields of a cluster and of a user.

use std::{fs, path::PathBuf};

use super::{default_target, login, one_context, secret};
use crate::{
    kubeconfig::{InteractiveMode, Login, Overrides, Pem, ProxyScheme},
    secret::Secret,
};

#[test]
fn every_field_of_a_cluster_is_read() {
    let extension = "extensions: [3, {name: other, extension: 1}, \
                     {name: client.authentication.k8s.io/exec, extension: {audience: a}}]";
    let cluster = default_target(&one_context(
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
        default_target(&one_context("insecure-skip-tls-verify: yes", ""))
            .cluster
            .insecure_skip_tls_verify
    );
    assert!(
        default_target(&one_context(
            "extensions: 3, insecure-skip-tls-verify: off",
            ""
        ))
        .cluster
        .exec_config
        .is_none()
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
        login => panic!("{login:?}"),
    }
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
