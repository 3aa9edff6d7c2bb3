#![allow(clippy::unwrap_used)]
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::{
    credential::store::{LoginBinding, SavedLogin, Store},
    login::oidc::previous_login,
};

const ISSUER: &str = "https://issuer.example";

/// A request without flags.
fn request(kubeconfig: &Path) -> LoginRequest {
    LoginRequest {
        connection: Overrides::default(),
        kubeconfig: Some(kubeconfig.to_owned()),
        login: None,
        issuer: IssuerRequest {
            url: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            extra_scopes: Vec::new(),
            extra_params: Vec::new(),
            certificate_authority: None,
            certificate_authority_data: None,
            grant: GrantFlags::default(),
        },
        username: None,
        password: None,
        browser: BrowserFlags::default(),
        keyring: false,
        exec_api_version: None,
    }
}

/// A kubeconfig with the clusters `c` and `other`, and with one context `c` of a user with `user`.
fn config(user: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let text = format!(
        "current-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'https://api.example'}}}},\n\
         \x20 {{name: other, cluster: {{server: 'https://other.example'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn auth_provider() -> (TempDir, PathBuf) {
    config(
        "auth-provider: {name: oidc, config: {\
         idp-issuer-url: 'https://issuer.example', client-id: kube, client-secret: s}}",
    )
}

/// A login that reads its files for every token.
fn machine_login() -> (TempDir, PathBuf) {
    config(
        "exec: {command: kubegate, apiVersion: client.authentication.k8s.io/v1, interactiveMode: \
         Never, args: [credential, oidc, --login, a, '--oidc-issuer-url=https://issuer.example', \
         --oidc-client-id=kube, --oidc-client-secret-file=/secret, --oidc-extra-scope=groups, \
         --oidc-auth-request-extra-params=audience=x, --certificate-authority-data=Y2E=, \
         --oidc-username-file=/user, --oidc-password-file=/password]}",
    )
}

fn target(request: &LoginRequest) -> Target {
    let target = request.target(&|_| None).unwrap();
    target.unwrap()
}

fn of_context(path: &Path) -> LoginRequest {
    let mut request = request(path);
    request.connection.context = Some("c".to_owned());
    request
}

#[test]
fn the_secret_of_another_client_or_issuer_is_not_used() {
    let (_folder, path) = auth_provider();
    let target = target(&of_context(&path));
    for (issuer, client, is_other) in [
        (ISSUER, "kube", false),
        (ISSUER, "other", true),
        ("https://other.example", "kube", true),
    ] {
        let flags = OidcFlags {
            oidc_issuer_url: issuer.to_owned(),
            oidc_client_id: client.to_owned(),
            ..OidcFlags::default()
        };
        let found = is_of_other_client(&target, &flags).unwrap();
        assert_eq!(found, is_other, "{issuer} {client}");
    }
}

#[test]
fn the_secret_file_of_another_client_is_not_used() {
    let (_folder, path) = machine_login();
    let mut request = of_context(&path);
    let target = target(&request);
    for (client, file) in [
        (None, Some("/secret")),
        (Some("kube"), Some("/secret")),
        (Some("other"), None),
    ] {
        request.issuer.client_id = client.map(str::to_owned);
        let flags = request.issuer_flags(Some(&target)).unwrap();
        assert_eq!(flags.oidc_client_secret_file, file.map(PathBuf::from));
        // The issuer is the same.
        assert_eq!(flags.oidc_extra_scope, ["groups"]);
    }
}

#[test]
fn nothing_of_a_former_issuer_is_kept() {
    let (_folder, path) = machine_login();
    let mut request = of_context(&path);
    let target = target(&request);
    request.issuer.url = Some("https://issuer.example/".to_owned());
    let same = request.issuer_flags(Some(&target)).unwrap();
    assert!(same.grant.machine().is_some() && same.certificate_authority_data.is_some());
    request.issuer.url = Some("https://other.example".to_owned());
    let refused = request.issuer_flags(Some(&target));
    assert!(matches!(refused, Err(Error::NoIssuer)), "{refused:?}");
    request.issuer.client_id = Some("kube".to_owned());
    let other = request.issuer_flags(Some(&target)).unwrap();
    let expected = OidcFlags {
        oidc_issuer_url: "https://other.example".to_owned(),
        oidc_client_id: "kube".to_owned(),
        ..OidcFlags::default()
    };
    assert_eq!(other, expected);
}

#[test]
fn a_cluster_alone_has_no_login_of_the_current_context() {
    let (_folder, path) = machine_login();
    for (context, cluster, has_login) in [
        (Some("c"), None, true),
        (None, Some("other"), false),
        (None, Some("c"), false),
        // A new context for the entry.
        (Some("new"), Some("other"), false),
    ] {
        let mut request = request(&path);
        request.connection.context = context.map(str::to_owned);
        request.connection.cluster = cluster.map(str::to_owned);
        let target = target(&request);
        let flags = request.issuer_flags(Some(&target));
        assert_eq!(flags.is_ok(), has_login, "{context:?} {cluster:?}");
        let cluster = cluster.or(context);
        assert_eq!(target.cluster.name.as_deref(), cluster);
    }
}

#[test]
fn a_typed_user_takes_the_place_of_an_earlier_logins_files() {
    let (_folder, path) = machine_login();
    let mut request = of_context(&path);
    let target = target(&request);
    let files = |request: &LoginRequest| {
        let flags = request.issuer_flags(Some(&target)).unwrap();
        (flags.grant.chosen(), flags.grant.machine().is_some())
    };
    assert_eq!(files(&request), (GrantType::Password, true));
    request.username = Some("jane".to_owned());
    assert_eq!(files(&request), (GrantType::Password, false));
    request.issuer.grant.grant_type = Some(GrantType::DeviceCode);
    assert_eq!(files(&request), (GrantType::DeviceCode, false));
    // Files of the same command line are meant, too.
    request.issuer.grant = GrantFlags {
        oidc_username_file: Some("/u".into()),
        oidc_password_file: Some("/p".into()),
        ..GrantFlags::default()
    };
    assert_eq!(files(&request), (GrantType::Password, true));
}

#[test]
fn a_saved_secret_is_that_of_the_same_client() {
    let (folder, path) = machine_login();
    let state = folder.path().as_os_str().to_owned();
    let env = |name: &str| (name == "XDG_STATE_HOME").then(|| state.clone());
    let store = Store::of_user(&env).unwrap();
    let saved = SavedLogin {
        client_secret: Some(Secret::new("hunter2")),
        ..SavedLogin::default()
    };
    let binding = LoginBinding::of_issuer(ISSUER);
    let of_kube = binding.clone().with_client("kube");
    store
        .bound_to(of_kube.clone())
        .write("new", &saved)
        .unwrap();
    // As an earlier version saved them. A user entry has the first.
    for name in ["a", "old"] {
        store.bound_to(binding.clone()).write(name, &saved).unwrap();
    }
    let mut request = request(&path);
    request.issuer.url = Some(ISSUER.to_owned());
    for (name, client, has_secret) in [
        ("new", "kube", true),
        ("new", "other", false),
        ("a", "kube", true),
        ("a", "other", false),
        ("old", "kube", false),
    ] {
        request.login = Some(name.to_owned());
        request.issuer.client_id = Some(client.to_owned());
        let flags = request.issuer_flags(None).unwrap();
        let previous = previous_login(&store, &request, &flags, &env).unwrap();
        let found = previous.client_secret.is_some();
        assert_eq!(found, has_secret, "{name} {client}");
    }
    // Nor is anything read for another client that is to use it.
    assert!(store.bound_to(of_kube).read("new").is_ok());
    let other = store.bound_to(binding.with_client("other"));
    let error = other.read("new").unwrap_err().to_string();
    assert!(error.contains("for the client \"kube\""), "{error}");
}
