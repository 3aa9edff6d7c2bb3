#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;
use crate::kubeconfig::{Login, Overrides, Pem, Target, select};

const NONE: &dyn Fn(&str) -> Option<OsString> = &|_| None;

const FIRST: &str = r#"
current-context: ""
clusters:
- {name: c1, cluster: {server: "https://a:1"}}
users:
- {name: u1, user: {token: A}}
contexts:
- {name: x, context: {cluster: c1, user: u1}}
"#;

const SECOND: &str = r#"
current-context: x
clusters:
- {name: c1, cluster: {server: "https://b:1", insecure-skip-tls-verify: true}}
- {name: c2, cluster: {server: "https://b:2"}}
users:
- {name: u1, user: {username: B, password: P}}
contexts:
- {name: x, context: {cluster: c2, user: u1, namespace: nb}}
- {name: "y", context: {cluster: c2, user: u1, namespace: nb}}
"#;

struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Loads with `KUBECONFIG` listing these names in the folder, and the folder as `HOME`.
    fn load(&self, list: Option<&[&str]>) -> Result<Kubeconfig, Error> {
        let list = list.map(|names| {
            let full = |name: &&str| {
                if name.is_empty() {
                    PathBuf::new()
                } else {
                    self.path(name)
                }
            };
            std::env::join_paths(names.iter().map(full)).unwrap()
        });
        load(None, &|name| match name {
            "KUBECONFIG" => list.clone(),
            "HOME" => Some(self.0.path().into()),
            _ => None,
        })
    }
}

fn choose(config: &Kubeconfig, context: &str) -> Target {
    let flags = Overrides {
        context: Some(context.to_owned()),
        ..Overrides::default()
    };
    select::target(config, &flags).unwrap()
}

/// `kubectl config view --raw` prints the same for these two files.
#[test]
fn an_entry_is_taken_whole_from_the_first_file() {
    let home = Home::new(&[("a", FIRST), ("b", SECOND)]);

    let config = home.load(Some(&["a", "b"])).unwrap();
    assert_eq!(config.current_context.as_deref(), Some("x"));
    let x = choose(&config, "x");
    assert_eq!(x.cluster.server, "https://a:1/");
    assert!(!x.cluster.insecure_skip_tls_verify);
    assert_eq!(x.namespace, None);
    assert!(matches!(x.user.login, Login::Token(token) if token.expose() == "A"));
    assert_eq!(choose(&config, "y").cluster.server, "https://b:2/");

    let config = home.load(Some(&["b", "a"])).unwrap();
    let x = choose(&config, "x");
    assert_eq!(x.cluster.server, "https://b:2/");
    assert_eq!(x.namespace.as_deref(), Some("nb"));
    assert!(matches!(x.user.login, Login::Basic { username, .. } if username == "B"));
}

#[test]
fn the_first_nonempty_current_context_is_used() {
    let home = Home::new(&[("a", FIRST), ("b", SECOND), ("c", "current-context: z")]);
    for (list, stands) in [(["a", "b", "c"], "x"), (["c", "b", "a"], "z")] {
        let config = home.load(Some(&list)).unwrap();
        assert_eq!(config.current_context.as_deref(), Some(stands));
    }
}

#[test]
fn missing_empty_and_repeated_files_of_the_list_are_skipped() {
    let home = Home::new(&[("a", FIRST), ("b", SECOND), (".kube/config", SECOND)]);
    let config = home.load(Some(&["gone", "", "a", "b", "a"])).unwrap();
    assert_eq!(config.files(), [home.path("a"), home.path("b")]);
    assert_eq!(
        config.searched(),
        [home.path("gone"), home.path("a"), home.path("b")]
    );

    let config = home.load(Some(&["gone"])).unwrap();
    assert!(
        config.is_empty(),
        "KUBECONFIG does not fall back to ~/.kube/config"
    );
    assert_eq!(config.searched(), [home.path("gone")]);
}

#[test]
fn without_kubeconfig_variable_the_file_in_home_is_used() {
    let home = Home::new(&[(".kube/config", SECOND)]);
    for list in [None, Some(&[""][..])] {
        let config = home.load(list).unwrap();
        assert_eq!(config.files(), [home.path(".kube/config")]);
    }
    assert!(Home::new(&[]).load(None).unwrap().is_empty());
    assert!(load(None, NONE).unwrap().searched().is_empty());
}

#[test]
fn an_explicit_file_is_the_only_one_and_must_exist() {
    let home = Home::new(&[("a", FIRST), ("b", SECOND)]);
    let list: &dyn Fn(&str) -> Option<OsString> = &|_| Some(home.path("b").into());
    let config = load(Some(&home.path("a")), list).unwrap();
    assert_eq!(config.files(), [home.path("a")]);

    let error = load(Some(&home.path("gone")), list).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    assert!(
        matches!(error, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn a_broken_file_in_the_list_is_an_error() {
    let home = Home::new(&[("a", FIRST), ("b", "users: {")]);
    let error = home.load(Some(&["a", "b"])).unwrap_err().to_string();
    assert!(
        error.contains(&home.path("b").display().to_string()),
        "{error}"
    );
}

#[test]
fn relative_paths_are_resolved_against_the_files_folder() {
    let one = "clusters: [{name: c, cluster: {server: 'https://a', certificate-authority: pki/ca.crt}}]\n\
               contexts: [{name: x, context: {cluster: c, user: u}}, {name: e, context: {cluster: c, user: e}}, \
               {name: p, context: {cluster: c, user: p}}, {name: f, context: {cluster: c, user: f}}]";
    let two = "users: [{name: u, user: {client-certificate: ../c.crt, client-key: /abs/c.key, tokenFile: t}}, \
               {name: e, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./bin/login}}}, \
               {name: p, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: login}}}, \
               {name: f, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: /bin/login}}}]";
    let home = Home::new(&[("1/config", one), ("2/config", two)]);
    let config = home.load(Some(&["1/config", "2/config"])).unwrap();
    let file = |pem: &Pem| match pem {
        Pem::File { path, .. } => path.clone(),
        Pem::Inline { .. } => panic!("inline"),
    };
    let command = |context| match choose(&config, context).user.login {
        Login::Exec(exec) => exec.command,
        other => panic!("{other:?}"),
    };

    let x = choose(&config, "x");
    assert_eq!(
        file(&x.cluster.certificate_authority.unwrap()),
        home.path("1/pki/ca.crt")
    );
    let pair = x.user.certificate.unwrap();
    assert_eq!(file(&pair.certificate), home.path("2/../c.crt"));
    assert_eq!(file(&pair.key), Path::new("/abs/c.key"));
    assert!(matches!(x.user.login, Login::TokenFile { path, .. } if path == home.path("2/t")));
    assert_eq!(command("e"), home.path("2/./bin/login"));
    assert_eq!(command("p"), Path::new("login"));
    assert_eq!(command("f"), Path::new("/bin/login"));
}

#[test]
fn debug_shows_names_alone() {
    let home = Home::new(&[("b", SECOND)]);
    let shown = format!("{:?}", home.load(Some(&["b"])).unwrap());
    assert!(
        shown.contains("u1") && !shown.contains("password"),
        "{shown}"
    );
}
