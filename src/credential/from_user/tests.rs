#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use http::{HeaderValue, Uri};

use super::*;
use crate::{
    credential::{Credential, Fetch, cache},
    kubeconfig::{Cluster, ExecConfig, Impersonation, InteractiveMode, KeyPair, Pem, User},
    secret::Secret,
};

fn target(certificate: Option<KeyPair>, login: Login) -> Target {
    Target {
        context: None,
        context_ref: None,
        namespace: None,
        cluster: Cluster {
            name: None,
            server: Uri::from_static("https://10.0.0.1:6443"),
            certificate_authority: None,
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        },
        file_cluster: None,
        user: User {
            name: Some("admin".to_owned()),
            certificate,
            login,
            impersonation: Impersonation::default(),
        },
    }
}

fn file(path: impl Into<PathBuf>) -> Pem {
    let path = path.into();
    let origin = path.display().to_string();
    Pem::File { path, origin }
}

fn inline(name: &str) -> Pem {
    Pem::Inline {
        data: fs::read(Path::new("certs").join(name)).unwrap().into(),
        origin: name.to_owned(),
    }
}

fn pair(certificate: Pem, key: Pem) -> KeyPair {
    KeyPair { certificate, key }
}

async fn header(login: Login) -> Option<String> {
    let cache = from_user(&target(None, login), None).unwrap();
    assert!(cache.current().is_none());
    let got = cache.get().await.unwrap();
    let value = got.authorization.as_ref();
    value.map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_kind_of_login_has_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "from-file\n").unwrap();
    let basic = Login::Basic {
        username: "test".to_owned(),
        password: Secret::new("123£"),
    };
    let token_file = Login::TokenFile {
        path,
        fallback: None,
    };
    for (login, expected) in [
        (Login::None, None),
        (Login::Token(Secret::new("abc")), Some("Bearer abc")),
        (basic, Some("Basic dGVzdDoxMjPCow==")),
        (token_file, Some("Bearer from-file")),
    ] {
        assert_eq!(header(login).await.as_deref(), expected);
    }
}

#[test]
fn a_mistake_in_a_field_or_file_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nhunter2").unwrap();
    let certificate = |certificate, key| target(Some(pair(certificate, key)), Login::None);
    let missing = Login::TokenFile {
        path: "/no/such/token".into(),
        fallback: None,
    };
    for (target, subject) in [
        (
            certificate(inline("client.pem"), inline("other-ca.key")),
            "other-ca.key",
        ),
        (
            certificate(file(&broken), inline("client.key")),
            "broken.pem",
        ),
        (
            certificate(file("/no/such.pem"), inline("client.key")),
            "/no/such.pem",
        ),
        (target(None, missing), "/no/such/token"),
        (
            target(None, Login::Token(Secret::new("hunter2\n"))),
            "admin",
        ),
    ] {
        let error = from_user(&target, None).err().unwrap();
        let chain = format!("{:#} {error:?}", anyhow::Error::new(error.clone()));
        assert!(chain.contains(subject), "{chain}");
        assert!(!chain.contains("hunter2"), "{chain}");
    }
    assert!(
        from_user(
            &certificate(inline("client.pem"), inline("client.key")),
            None
        )
        .is_ok()
    );
}

#[test]
fn a_plugin_does_not_run_at_the_start() {
    let exec = Login::Exec(ExecConfig {
        api_version: "client.authentication.k8s.io/v1".to_owned(),
        command: "/no/such/plugin".into(),
        args: Vec::new(),
        env: Vec::new(),
        provide_cluster_info: false,
        interactive_mode: InteractiveMode::Never,
        install_hint: None,
    });
    assert!(from_user(&target(None, exec), None).is_ok());
}

#[tokio::test]
async fn a_certificate_and_a_login_are_combined() {
    let pair = pair(inline("client.pem"), inline("client.key"));
    let cache = from_user(&target(Some(pair), Login::Token(Secret::new("abc"))), None).unwrap();
    let got = cache.get().await.unwrap();
    assert!(got.certificate.is_some());
    assert_eq!(got.authorization.as_ref().unwrap(), "Bearer abc");
    let shown = format!("{got:?}");
    assert!(!shown.contains("abc"), "{shown}");
}

/// A clock that the test sets.
fn clock() -> (Arc<Mutex<SystemTime>>, cache::Clock) {
    let now = Arc::new(Mutex::new(SystemTime::now()));
    let reading = Arc::clone(&now);
    (now, Arc::new(move || *reading.lock().unwrap()))
}

#[tokio::test]
async fn a_changed_token_file_is_in_use_after_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first").unwrap();
    let source = TokenFile::new(path.clone(), None).unwrap();
    let (now, clock) = clock();
    let cache = Cache::with_clock(Arc::new(source), clock);
    for (content, in_force) in [
        ("first", "Bearer first"),
        ("second", "Bearer second"),
        ("", "Bearer second"),
        ("third\n", "Bearer third"),
    ] {
        fs::write(&path, content).unwrap();
        *now.lock().unwrap() += Duration::from_secs(2);
        let got = cache.get().await.unwrap();
        assert_eq!(got.authorization.as_ref().unwrap(), in_force);
    }
    // After a refusal the file is read at once.
    let used = cache.get().await.unwrap();
    assert!(cache.replace_refused(&used).await.is_none());
    *now.lock().unwrap() += Duration::from_secs(10);
    let used = cache.get().await.unwrap();
    fs::write(&path, "fourth").unwrap();
    let newer = cache.replace_refused(&used).await.unwrap();
    assert_eq!(newer.authorization.as_ref().unwrap(), "Bearer fourth");
}

/// A login that counts its calls.
struct Counting(Arc<AtomicUsize>);

impl Source for Counting {
    fn subject(&self) -> String {
        "counting".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        let call = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let authorization = Some(HeaderValue::from(call));
        Box::pin(async {
            Ok(Credential {
                authorization,
                expires_at: Some(SystemTime::now() + Duration::from_secs(100)),
                ..Credential::default()
            })
        })
    }
}

#[tokio::test]
async fn a_changed_certificate_is_used_without_a_new_login() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let install = |name: &str| {
        fs::copy(format!("certs/{name}.pem"), path("tls.crt")).unwrap();
        fs::copy(format!("certs/{name}.key"), path("tls.key")).unwrap();
    };
    install("client");
    let files = pair(file(path("tls.crt")), file(path("tls.key")));
    let calls = Arc::new(AtomicUsize::new(0));
    let login = Arc::new(Counting(Arc::clone(&calls)));
    let source = WithCertificate::new(ClientCert::new(files).unwrap(), login);
    let (now, clock) = clock();
    let pass = |seconds| *now.lock().unwrap() += Duration::from_secs(seconds);
    let cache = Cache::with_clock(Arc::new(source), clock);

    let first = cache.get().await.unwrap();
    pass(3);
    assert!(
        Arc::ptr_eq(&first, &cache.get().await.unwrap()),
        "unchanged"
    );

    // Only the new certificate is there yet.
    fs::copy("certs/localhost.pem", path("tls.crt")).unwrap();
    pass(3);
    assert!(
        Arc::ptr_eq(&first, &cache.get().await.unwrap()),
        "half-written"
    );

    install("localhost");
    pass(3);
    let second = cache.get().await.unwrap();
    assert_eq!(first.authorization, second.authorization);
    let certificate = |credential: &Credential| credential.certificate.clone().unwrap();
    assert!(!Arc::ptr_eq(&certificate(&first), &certificate(&second)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    // A broken pair does not prevent the renewal of the login.
    fs::write(path("tls.key"), "").unwrap();
    pass(100);
    let third = cache.get().await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_ne!(second.authorization, third.authorization);
    assert!(Arc::ptr_eq(&certificate(&second), &certificate(&third)));
}
