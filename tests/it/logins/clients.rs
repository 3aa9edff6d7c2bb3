//! The exec entry of a login, as clients of Kubernetes run it.

use std::{fs, os::unix::fs::symlink, process::Command};

use kubegate::kubeconfig::{ExecConfig, Login, Overrides, resolve};
use serde_json::{Value, json};

use super::Home;
use crate::support::{Kubegate, Refused};

const BINARY: &str = env!("CARGO_BIN_EXE_kubegate");
const GROUP: &str = "client.authentication.k8s.io";

impl Home {
    /// The entry of the current context.
    pub(super) fn entry(&self) -> ExecConfig {
        let path = self.path(".kube/config");
        let target = resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
        let Login::Exec(entry) = target.user.login else {
            panic!("{:?}", target.user.login);
        };
        entry
    }

    /// Runs the entry's command with `variables`, in a folder of a client's choice.
    fn run_entry(&self, more: &[&str], variables: &[(&str, &str)]) -> Refused {
        let entry = self.entry();
        let mut command = Command::new(&entry.command);
        command.args(&entry.args).args(more).env_clear();
        command.env("HOME", self.folder.path()).current_dir("/");
        command.envs(variables.iter().copied());
        Kubegate::refused(command)
    }

    fn log_in_as(&self, args: &[&str], path: Option<&std::path::Path>) {
        let mut command = self.first_login();
        command.args(args);
        if let Some(path) = path {
            let rest = std::env::var_os("PATH").unwrap();
            let folders = [path.to_owned()].into_iter();
            let folders = folders.chain(std::env::split_paths(&rest));
            command.env("PATH", std::env::join_paths(folders).unwrap());
        }
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

fn credential(ended: &Refused) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn info(kind: &str, cluster: Option<&str>) -> String {
    let mut info = json!({"kind": kind, "apiVersion": format!("{GROUP}/v1"),
        "spec": {"interactive": false}});
    if let Some(server) = cluster {
        info["spec"]["cluster"] = json!({"server": server});
    }
    info.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_works_in_clients_that_do_not_say_which_cluster_it_is_for() {
    let home = Home::new(3600).await;
    home.log_in();
    let context = home.out(&["contexts", "-o", "name"]);
    let (info_of_dotnet, server) = (info("ExecCredentials", None), home.plane.url());
    for (more, variables) in [
        // JavaScript and Java, with the kubeconfig in its place and as a file that only they know.
        (&[][..], &[][..]),
        (&[], &[("KUBERNETES_EXEC_INFO", "")]),
        (&[], &[("KUBECONFIG", "/nonexistent/config")]),
        // .NET.
        (&[], &[("KUBERNETES_EXEC_INFO", &*info_of_dotnet)]),
        // An entry that names the cluster itself.
        (
            &["--server", &*server],
            &[("KUBECONFIG", "/nonexistent/config")],
        ),
        (&["--context", context.trim_end()], &[]),
    ] {
        let ended = home.run_entry(more, variables);
        let credential = credential(&ended);
        assert_eq!(credential["apiVersion"], format!("{GROUP}/v1"), "{more:?}");
        let token = credential["status"]["token"].as_str().unwrap();
        assert_eq!(format!("{token}\n"), home.out(&["token"]), "{more:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_names_no_cluster_gets_nothing_for_a_foreign_server() {
    let home = Home::new(3600).await;
    home.log_in();
    // client-go names the cluster wherever the entry asks for it.
    let info = info("ExecCredential", None);
    let ended = home.run_entry(&[], &[("KUBERNETES_EXEC_INFO", &info)]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("provideClusterInfo"), "{ended:?}");
    let (own, foreign) = (home.plane.url(), "https://127.0.0.1:1");
    let ended = home.run_entry(&["--server", foreign], &[]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    let config = home.path(".kube/config");
    fs::write(&config, home.kubeconfig().replace(&own, foreign)).unwrap();
    let ended = home.run_entry(&[], &[]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("is for https://"), "{ended:?}");
    fs::remove_file(&config).unwrap();
    let entry = ["credential", "oidc", "--login", "nobody/x"];
    let issuer = ["--oidc-issuer-url=https://x", "--oidc-client-id=y"];
    let ended = Kubegate::refused(home.command(&[&entry[..], &issuer].concat()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("KUBERNETES_EXEC_INFO is not set")
            && ended.stderr.contains("--context"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_is_a_name_only_where_path_leads_to_this_program() {
    let home = Home::new(3600).await;
    let (own, other) = (home.path("own"), home.path("other"));
    for folder in [&own, &other] {
        fs::create_dir(folder).unwrap();
    }
    symlink(BINARY, own.join("kubegate")).unwrap();
    symlink("/bin/true", other.join("kubegate")).unwrap();
    for (path, command) in [
        (Some(&own), "kubegate"),
        (Some(&other), BINARY),
        (None, BINARY),
    ] {
        home.log_in_as(&[], path.map(std::path::PathBuf::as_path));
        let entry = home.entry();
        assert_eq!(entry.command.to_str(), Some(command));
        let hint = entry.install_hint.unwrap();
        assert!(hint.contains("Install kubegate"), "{hint}");
    }
    // The proxy and the other commands know the entry by its path too.
    let table = home.out(&["contexts"]);
    assert!(table.contains("kubegate oidc"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_for_the_java_client_is_and_stays_of_version_v1beta1() {
    let home = Home::new(3600).await;
    for args in [&["--exec-api-version", "v1beta1"][..], &[]] {
        home.log_in_as(args, None);
        let beta = format!("{GROUP}/v1beta1");
        assert_eq!(home.entry().api_version, beta, "{args:?}");
        let credential = credential(&home.run_entry(&[], &[]));
        assert_eq!(credential["apiVersion"], beta);
        // A client that says which version it expects gets that.
        let info = info("ExecCredential", Some(&home.plane.url()));
        let ended = home.run_entry(&[], &[("KUBERNETES_EXEC_INFO", &info)]);
        assert_eq!(
            self::credential(&ended)["apiVersion"],
            format!("{GROUP}/v1")
        );
        let who = home.out(&["whoami"]);
        assert!(who.contains("kubegate oidc"), "{who}");
    }
    home.log_in_as(&["--exec-api-version", "v1"], None);
    assert_eq!(home.entry().api_version, format!("{GROUP}/v1"));
    let mut command = home.first_login();
    command.args(["--exec-api-version", "v2"]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let args = [
        "token",
        "-o",
        "exec-credential",
        "--exec-api-version=v1beta1",
    ];
    let printed: Value = serde_json::from_str(&home.out(&args)).unwrap();
    assert_eq!(printed["apiVersion"], format!("{GROUP}/v1beta1"));
}
