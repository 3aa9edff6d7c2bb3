//! The commands that errors name, run as they are.

use std::{
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::json;

use super::Home;
use crate::support::{Kubegate, Refused};

impl Home {
    /// Runs the command that an error names, in a shell. Only the browser and the port for it are
    /// added, which every user has a different one of.
    fn run_remedy(&self, error: &str) -> Refused {
        let mut quoted = error.split('`');
        let command = quoted.find(|part| part.starts_with("kubegate login "));
        let command = command.unwrap_or_else(|| panic!("no command in {error}"));
        let port = "--oidc-redirect-url http://127.0.0.1:0/callback";
        let like = self.log_in_with(&[]);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{command} {port}")]).env_clear();
        let envs = like
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        shell.envs(envs).stdin(Stdio::null());
        shell.env("PATH", self.path_with_kubegate());
        Kubegate::refused(shell)
    }

    /// A PATH that finds the program by its name.
    fn path_with_kubegate(&self) -> String {
        let tools = self.path("tools");
        if !tools.exists() {
            std::fs::create_dir(&tools).unwrap();
            symlink(env!("CARGO_BIN_EXE_kubegate"), tools.join("kubegate")).unwrap();
        }
        format!("{}:{}", tools.display(), std::env::var("PATH").unwrap())
    }

    fn revoke(&self) {
        self.issuer.revoke();
        self.expire_id_token();
    }
}

fn assert_works(command: Command) {
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_for_a_context_keeps_what_the_login_needs() {
    let home = Home::new(3600).await;
    let mut login = home.first_login();
    login.args(["--context", "it's mine", "--oidc-extra-scope", "groups"]);
    login.args(["--oidc-auth-request-extra-params", "audience=api"]);
    login.env("PATH", home.path_with_kubegate());
    assert_works(login);
    home.revoke();
    // The entry names its program by a path where PATH leads to another one.
    let config = || {
        let text = home.kubeconfig();
        let lines = text.lines().filter(|line| !line.contains("command: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = config();
    let ended = Kubegate::refused(home.command(&["token"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let again = home.run_remedy(&ended.stderr);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(config(), before);
    assert_works(home.command(&["token"]));
    let query = home.issuer.authorization_queries().pop().unwrap();
    for part in ["groups", "&audience=api"] {
        assert!(query.contains(part), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_names_the_kubeconfig_that_a_flag_named() {
    let home = Home::new(3600).await;
    let file = home.path("my config");
    let file = file.to_str().unwrap();
    let mut login = home.first_login();
    login.args(["--kubeconfig", file]);
    assert_works(login);
    home.revoke();
    let args = ["token", "--kubeconfig", file];
    let ended = Kubegate::refused(home.command(&args));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let again = home.run_remedy(&ended.stderr);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_works(home.command(&args));
}

/// The plugin of kubectl does not learn which context it runs for.
#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_finds_the_context_or_names_every_flag() {
    let home = Home::new(3600).await;
    let mut login = home.first_login();
    login.args(["--oidc-extra-scope", "groups", "--context", "mine"]);
    assert_works(login);
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": home.plane.url()}},
    });
    let path = home.path(".kube/config");
    let target = kubegate::kubeconfig::resolve(
        Some(&path),
        &kubegate::kubeconfig::Overrides::default(),
        &|_| None,
    );
    let kubegate::kubeconfig::Login::Exec(exec) = target.unwrap().user.login else {
        panic!("no exec entry");
    };
    let words: Vec<&str> = exec.args.iter().map(String::as_str).collect();
    for (kubeconfig, names) in [
        (path.clone(), "--context 'mine'"),
        (
            PathBuf::from("/nonexistent"),
            "--oidc-certificate-authority-data=",
        ),
    ] {
        home.revoke();
        let plugin = || {
            let mut command = home.command(&words);
            command.env("KUBERNETES_EXEC_INFO", info.to_string());
            command.env("KUBECONFIG", &kubeconfig);
            command
        };
        let ended = Kubegate::refused(plugin());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(names), "{ended:?}");
        let again = home.run_remedy(&ended.stderr);
        assert_eq!(again.code, Some(0), "{again:?}");
        assert_works(plugin());
        let query = home.issuer.authorization_queries().pop().unwrap();
        assert!(query.contains("groups"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_with_an_auth_provider_becomes_a_login_of_kubegate() {
    let home = Home::new(3600).await;
    let config = format!(
        "current-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: jane}}\n\
         clusters:\n- name: c\n  cluster: {{server: '{}', certificate-authority: {}}}\n\
         users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
         idp-issuer-url: {}\n        client-id: kubegate-demo\n        \
         idp-certificate-authority: {}\n        refresh-token: stolen-hunter2\n",
        home.plane.url(),
        home.path("api.pem").display(),
        home.issuer.url(),
        home.path("issuer.pem").display(),
    );
    std::fs::create_dir(home.path(".kube")).unwrap();
    std::fs::write(home.path(".kube/config"), config).unwrap();
    let ended = Kubegate::refused(home.command(&["token"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    let again = home.run_remedy(&ended.stderr);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_works(home.command(&["token"]));
    assert_eq!(home.out(&["contexts", "-o", "name"]), "c\n");
}
