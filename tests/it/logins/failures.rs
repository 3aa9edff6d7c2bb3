//! Logins that fail at their last step, after the issuer has done its part.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::Home;
use crate::support::{Kubegate, Refused};

impl Home {
    /// Runs a login whose kubeconfig is locked for good while the browser is open.
    fn log_in_with_lock(&self, mut command: Command) -> Refused {
        let lock = self.path(".kube/config.lock");
        let browser = self.path("browser");
        let script = format!(
            "#!/bin/sh\nmkdir -p '{0}' && touch '{1}'\nexec curl --silent --location --cacert '{2}' \
             --output /dev/null \"$1\"\n",
            self.path(".kube").display(),
            lock.display(),
            self.path("issuer.pem").display()
        );
        fs::write(&browser, script).unwrap();
        fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
        command.env("BROWSER", browser);
        let ended = Kubegate::refused(command);
        fs::remove_file(lock).unwrap();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("config.lock"), "{ended:?}");
        ended
    }

    /// The files of the state folder without locks, and what is in them.
    fn state(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        collect(&self.path(".local/state"), &mut found);
        found
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_none_or(|end| end != "lock") {
            found.insert(path.clone(), fs::read_to_string(path).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_login_that_cannot_write_its_context_leaves_nothing() {
    let home = Home::new(3600).await;
    let ended = home.log_in_with_lock(home.first_login());
    assert!(home.issuer.logins() > 0, "{ended:?}");
    assert!(!home.path(".kube/config").exists());
    assert_eq!(home.state(), BTreeMap::new());
    // The control.
    home.log_in();
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_cannot_write_its_context_keeps_the_new_tokens() {
    let home = Home::new(3600).await;
    home.log_in();
    let (config, state) = (home.kubeconfig(), home.state());
    let context = home.out(&["contexts", "-o", "name"]);
    let renewal = home.log_in_with(&["--context", context.trim_end(), "-n", "elsewhere"]);
    let ended = home.log_in_with_lock(renewal);
    assert!(
        ended.stderr.contains("the new tokens are saved"),
        "{ended:?}"
    );
    assert_eq!(home.kubeconfig(), config);
    assert_ne!(home.state(), state);
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
    // Another login, whose context would be new, leaves the others alone.
    let state = home.state();
    let mut other = home.first_login();
    other.args(["--context", "other", "--user", "other"]);
    home.log_in_with_lock(other);
    assert_eq!((home.kubeconfig(), home.state()), (config, state));
}
