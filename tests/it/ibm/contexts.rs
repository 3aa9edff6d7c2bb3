//! The entries that `kubegate login ibm` writes beside others.

use std::fs::{self, File};

use kubegate::{
    demo::ibm::API_KEY,
    kubeconfig::{Overrides, Target, resolve},
};

use super::{
    Cloud,
    cloud::{CLUSTER, CLUSTER_ID},
};
use crate::support::Kubegate;

fn log_in(cloud: &Cloud, args: &[&str]) {
    fs::write(cloud.path("key"), API_KEY).unwrap();
    let key = cloud.path("key");
    let base = ["login", "ibm", "--apikey-file", key.to_str().unwrap()];
    let mut command = cloud.command(&[&base, args].concat());
    command.stdin(File::open("/dev/null").unwrap());
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
}

fn target(cloud: &Cloud, context: &str) -> Target {
    let flags = Overrides {
        context: Some(context.to_owned()),
        ..Overrides::default()
    };
    resolve(Some(&cloud.path(".kube/config")), &flags, &|_| None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_keeps_its_endpoint_when_another_takes_the_private_one() {
    let cloud = Cloud::start().await;
    let name = format!("{CLUSTER}/{CLUSTER_ID}");
    log_in(&cloud, &["--cluster", CLUSTER]);
    let public = target(&cloud, &name);
    log_in(
        &cloud,
        &[
            "--cluster",
            CLUSTER,
            "--endpoint",
            "private",
            "--context",
            "inside",
        ],
    );
    let inside = target(&cloud, "inside");
    assert_ne!(inside.cluster.server, public.cluster.server);
    assert_eq!(target(&cloud, &name).cluster, public.cluster);
    // The same login, so the same user.
    assert_eq!(inside.user, public.user);
    for context in ["inside", &name] {
        let who = Kubegate::refused(cloud.command(&["whoami", "--context", context]));
        assert_eq!(who.code, Some(0), "{context}: {who:?}");
    }
    // The context that no other shares its cluster entry with takes the other endpoint.
    log_in(&cloud, &["--cluster", CLUSTER, "--endpoint", "private"]);
    let now = target(&cloud, &name);
    assert_eq!(now.cluster.server, inside.cluster.server);
    assert_eq!(target(&cloud, "inside").cluster, inside.cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_context_is_renewed_under_its_names() {
    let cloud = Cloud::start().await;
    log_in(
        &cloud,
        &[
            "--cluster",
            CLUSTER,
            "--context",
            "mine",
            "--user",
            "me",
            "-n",
            "dev",
        ],
    );
    let path = cloud.path(".kube/config");
    let text = fs::read_to_string(&path).unwrap();
    let renamed = text
        .replace("name: mine", "name: live")
        .replace("context: mine", "context: live");
    assert_ne!(text, renamed);
    fs::write(&path, &renamed).unwrap();
    log_in(&cloud, &["--context", "live"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), renamed);
    let live = target(&cloud, "live");
    assert_eq!(
        (live.user.name.as_deref(), live.namespace.as_deref()),
        (Some("me"), Some("dev"))
    );
}
