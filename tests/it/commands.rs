//! The commands beside the proxy: what they print, keep and refuse.

use crate::support::{Kubegate, Refused};

fn run(args: &[&str], env: &[(&str, &str)]) -> Refused {
    let mut command = Kubegate::command(args);
    command.envs(env.iter().copied());
    Kubegate::refused(command)
}

#[test]
fn credential_says_what_it_needs_of_kubectl() {
    let args = ["credential", "oidc", "--login", "x"];
    let v1 = "client.authentication.k8s.io/v1";
    let bare = format!(r#"{{"kind":"ExecCredential","apiVersion":"{v1}","spec":{{}}}}"#);
    for (env, says) in [
        (None, "KUBERNETES_EXEC_INFO is not set"),
        (Some("sesame-cmd-1"), "is no JSON object"),
        (Some(bare.as_str()), "provideClusterInfo: true"),
    ] {
        let env: Vec<_> = env
            .map(|env| ("KUBERNETES_EXEC_INFO", env))
            .into_iter()
            .collect();
        let ended = run(&args, &env);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert_eq!(ended.stdout, "");
        assert!(!ended.stderr.contains("sesame"), "{ended:?}");
    }
}
