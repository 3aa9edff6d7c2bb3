//! Kubeconfigs that cannot be replaced by a new file: mounts of their own, and files in folders where
//! nothing can be created. And the modes of those that can.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::{Command, Stdio},
};

use super::Home;
use crate::support::{Kubegate, command_like};

/// A mount of the file `data` over the kubeconfig.
const FILE_MOUNT: &str = "mount --bind \"$HOME/data\" \"$HOME/.kube/config\"";
/// The same, in a folder where nothing can be created.
const READ_ONLY_FOLDER: &str = "mount -t tmpfs none \"$HOME/.kube\" && touch \"$HOME/.kube/config\" && \
                                mount --bind \"$HOME/data\" \"$HOME/.kube/config\" && \
                                mount -o remount,ro \"$HOME/.kube\"";
/// A folder with a file, where nothing can be written.
pub(super) const READ_ONLY: &str = "mount --bind \"$HOME/.kube\" \"$HOME/.kube\" && \
                         mount -o remount,bind,ro \"$HOME/.kube\"";

/// Returns the command in a mount namespace of its own, after `setup`; `None` if this machine does
/// not allow that.
pub(super) fn mounted(setup: &str, command: &Command) -> Option<Command> {
    let allowed = Command::new("unshare").args(["-rm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("this machine allows no mount namespaces, so this test is skipped");
        return None;
    }
    let script = format!("{setup} && exec \"$0\" \"$@\"");
    let mut args = vec!["-rm", "sh", "-c", &script];
    args.push(command.get_program().to_str().unwrap());
    args.extend(command.get_args().map(|arg| arg.to_str().unwrap()));
    Some(command_like(command, "unshare", &args))
}

impl Home {
    /// Writes the file that is mounted, and the place of the mount.
    pub(super) fn write_data(&self, text: &str) {
        fs::create_dir_all(self.path(".kube")).unwrap();
        fs::write(self.path(".kube/config"), "").unwrap();
        fs::write(self.path("data"), text).unwrap();
    }

    fn data(&self) -> String {
        fs::read_to_string(self.path("data")).unwrap()
    }

    /// A kubeconfig whose user kubectl's own provider renews.
    pub(super) fn with_auth_provider(&self) -> String {
        let (_, refresh_token) = self.issuer.issue_login().unwrap();
        let ca = self.path("issuer.pem");
        format!(
            "current-context: c\ncontexts:\n- context: {{cluster: c, user: jane}}\n  name: c\n\
             clusters:\n- cluster: {{server: '{}', certificate-authority: '{}'}}\n  name: c\n\
             users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
             client-id: kubegate-demo\n        idp-certificate-authority: '{}'\n        \
             idp-issuer-url: '{}'\n        refresh-token: {refresh_token}\n",
            self.plane.url(),
            self.path("api.pem").display(),
            ca.display(),
            self.issuer.url(),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_is_a_mount_is_written_in_place() {
    let home = Home::new(3600).await;
    for setup in [FILE_MOUNT, READ_ONLY_FOLDER] {
        home.write_data("# mine\n");
        let before = fs::metadata(home.path("data")).unwrap();
        let Some(command) = mounted(setup, &home.first_login()) else {
            return;
        };
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{setup}: {ended:?}");
        assert!(ended.stderr.contains("is written in place"), "{ended:?}");
        let text = home.data();
        assert!(text.starts_with("# mine\napiVersion: v1\n"), "{text}");
        assert_eq!(fs::metadata(home.path("data")).unwrap().ino(), before.ino());
        let whoami = home.command(&["whoami", "-o", "name"]);
        let who = Kubegate::refused(mounted(setup, &whoami).unwrap());
        assert_eq!(who.stdout, "oidc:jane@example.com\n", "{who:?}");
        // A shorter text leaves nothing of the longer one.
        let forget = home.command(&["logout", "--forget"]);
        let ended = Kubegate::refused(mounted(setup, &forget).unwrap());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!home.data().contains("kubegate"), "{}", home.data());
        let left = fs::read_dir(home.path(".kube")).unwrap().count();
        assert_eq!(left, 1, "{setup}: something was left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_mounted_kubeconfig_spend_a_refresh_token_once() {
    let home = Home::new(3600).await;
    for (setup, refreshes) in [(FILE_MOUNT, 1), (READ_ONLY_FOLDER, 2)] {
        home.write_data(&home.with_auth_provider());
        fs::set_permissions(home.path("data"), fs::Permissions::from_mode(0o640)).unwrap();
        let token = home.command(&["token"]);
        if mounted(setup, &token).is_none() {
            return;
        }
        let children: Vec<_> = (0..6)
            .map(|_| {
                let mut command = mounted(setup, &token).unwrap();
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let mut tokens = Vec::new();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{setup}: {said}");
            assert!(!said.contains("in memory"), "{said}");
            tokens.push(output.stdout);
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "{setup}");
        assert_eq!(
            (home.issuer.refreshes(), home.issuer.refused()),
            (refreshes, 0),
            "{setup}"
        );
        let mode = fs::metadata(home.path("data")).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "tokens are for the owner alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_cannot_be_written_is_refused_before_the_login() {
    let home = Home::new(3600).await;
    home.write_data("");
    let Some(command) = mounted(READ_ONLY, &home.first_login()) else {
        return;
    };
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let says = [".kube/config", "Read-only file system", "--kubeconfig"];
    assert!(
        says.iter().all(|says| ended.stderr.contains(says)),
        "{ended:?}"
    );
    assert!(
        !ended.stderr.contains("/authorize"),
        "a browser was asked for: {ended:?}"
    );
    assert!(!home.path(".local").exists());
    assert_eq!(fs::read_dir(home.path(".kube")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_not_replaced() {
    let home = Home::new(3600).await;
    let mut command = home.first_login();
    command.env("KUBECONFIG", "/dev/null");
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not a regular file"), "{ended:?}");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_is_kept_that_lets_no_more_than_the_group_read() {
    let home = Home::new(3600).await;
    home.log_in();
    let path = home.path(".kube/config");
    for (before, after) in [
        (0o640, 0o640),
        (0o440, 0o440),
        (0o644, 0o600),
        (0o660, 0o600),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        let mut command = home.first_login();
        command.args(["-n", &format!("n{before:o}")]);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, after, "{before:o}");
        let says = format!("(mode {before:04o}); now they cannot (mode {after:04o})");
        assert_eq!(ended.stderr.contains(&says), before != after, "{ended:?}");
    }
}
