//! The whole against the demo's IBM Cloud, whose tokens are signed and checked.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use kubegate::demo::ibm::{
    ACCOUNT, API_KEY, Grant, IbmCloud, Options, PASSWORD, PROFILE_NAME, USER,
};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, get, status};

struct Pretended {
    ibm: IbmCloud,
    folder: TempDir,
}

impl Pretended {
    async fn start(options: Options) -> Self {
        let ibm = IbmCloud::start(options).await.unwrap();
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), ibm.ca_pem()).unwrap();
        Self { ibm, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command
            .args(["-v", "9"])
            .env("HOME", self.folder.path())
            .env("SSL_CERT_FILE", self.path("ca.pem"))
            .envs(self.ibm.environment());
        command
    }

    fn proxy(&self, args: &[&str], variables: &[(&str, &str)]) -> Kubegate {
        let mut command = self.command(args);
        command.args(["--port", "0"]);
        command.envs(variables.iter().copied());
        Kubegate::spawn(command)
    }
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test(flavor = "multi_thread")]
async fn twenty_signed_tokens_are_renewed_under_steady_load() {
    let options = Options {
        id_token: Duration::from_secs(3),
        ..Options::default()
    };
    let cloud = Pretended::start(options).await;
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "kubegate-iks"],
        &[("IBMCLOUD_API_KEY", API_KEY)],
    );
    let calls = || cloud.ibm.iam().0.count("/identity/token");
    let first = calls();
    let (mut asked, mut refused) = (0, 0);
    let started = Instant::now();
    while calls() < first + 22 {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "too few renewals"
        );
        asked += 1;
        refused += usize::from(status(&get(&kubegate.address, PODS).await) != 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refused, 0, "of {asked}");
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openshift_cluster_is_logged_in_to_with_the_api_key() {
    let options = Options {
        id_token: Duration::from_secs(4),
        ..Options::default()
    };
    let cloud = Pretended::start(options).await;
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "kubegate-roks"],
        &[("IBMCLOUD_API_KEY", API_KEY)],
    );
    let answer = get(&kubegate.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("IAM#user@example.com"), "{answer}");
    drop(kubegate);

    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let args = [
        "login",
        "ibm",
        "--cluster",
        "kubegate-roks",
        "--apikey-file",
    ];
    let done = Kubegate::refused(cloud.command(&[&args[..], &[key.to_str().unwrap()]].concat()));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    assert!(
        text.contains("--openshift") && !text.contains(API_KEY),
        "{text}"
    );
    let logins = cloud.ibm.roks().logins();
    let kubegate = cloud.proxy(&[], &[]);
    let answer = get(&kubegate.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&answer), 200, "{answer}");
    // The session of the login goes on.
    assert_eq!(cloud.ibm.roks().logins(), logins);
    cloud.ibm.revoke_api_key();
    let refused = cloud.path("refused");
    fs::write(&refused, API_KEY).unwrap();
    let by_file = ["--ibm-cluster", "kubegate-iks", "--apikey-file"];
    let by_file = [&by_file[..], &[refused.to_str().unwrap()]].concat();
    let answer = get(&cloud.proxy(&by_file, &[]).address, "/x").await;
    assert!(
        status(&answer) == 401 && answer.contains("was not found"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn passcode_password_and_pod_each_log_in_to_the_pretended_cloud() {
    let cloud = Pretended::start(Options::default()).await;
    let login = |args: &[&str], input: &str, variables: &[(&str, &str)]| {
        let file = cloud.path("input");
        fs::write(&file, input).unwrap();
        let all = [&["login", "ibm", "--cluster", "kubegate-iks"], args].concat();
        let mut command = cloud.command(&all);
        command.stdin(File::open(file).unwrap());
        command.envs(variables.iter().copied());
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    };
    let account = ["--account", ACCOUNT, "--password-stdin"];
    login(
        &[&["--sso"], &account[..]].concat(),
        &cloud.ibm.passcode(),
        &[],
    );
    login(&[&["-u", USER], &account[..]].concat(), PASSWORD, &[]);
    let kubegate = cloud.proxy(&[], &[]);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);

    let token = cloud.ibm.pod_token(Duration::from_secs(600)).unwrap();
    let pod = [
        ("IBMCLOUD_CR_PROFILE", PROFILE_NAME),
        ("IBMCLOUD_CR_TOKEN", token.as_str()),
    ];
    let kubegate = cloud.proxy(&["--ibm-cluster", "kubegate-iks"], &pod);
    let answer = get(&kubegate.address, PODS).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_the_context_says_which_cluster() {
    let cloud = Pretended::start(Options::default()).await;
    let run = |args: &[&str], input: &str| {
        let file = cloud.path("input");
        fs::write(&file, input).unwrap();
        let mut command = cloud.command(args);
        command.stdin(File::open(file).unwrap());
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        done.stdout
    };
    let how = ["--sso", "--account", ACCOUNT, "--password-stdin"];
    let first = [&["login", "ibm", "--cluster", "kubegate-iks"], &how[..]].concat();
    run(&first, &cloud.ibm.passcode());
    let name = run(&["contexts", "-o", "name"], "");
    let context = name.trim_end();
    let out = run(&["logout"], "");
    assert!(
        out.contains(&format!("kubegate login ibm --context '{context}'")),
        "{out}"
    );
    assert_eq!(Kubegate::refused(cloud.command(&["whoami"])).code, Some(1));
    let again = [&["login", "ibm", "--context", context], &how[..]].concat();
    run(&again, &cloud.ibm.passcode());
    assert_eq!(run(&["contexts", "-o", "name"], ""), name);
    run(&["whoami"], "");
    run(&["logout", "--forget"], "");
    assert_eq!(run(&["contexts", "-o", "name"], ""), "");
}
