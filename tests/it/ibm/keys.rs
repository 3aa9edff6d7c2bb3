//! API keys in every form in which people have them.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use kubegate::demo::ibm::{API_KEY, Grant};
use serde_json::json;

use super::{
    Cloud,
    cloud::{CLUSTER, PODS, assert_no_secret},
};
use crate::support::{Kubegate, Refused, command_like, get, status};

/// `kubegate login ibm`, which saves the key or refuses it.
fn login(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let args = [&["login", "ibm", "--cluster", CLUSTER], args].concat();
    let mut command = cloud.command(&args);
    command.envs(variables.iter().copied());
    command
}

fn logged_in(cloud: &Cloud, command: Command, how: &str) {
    let before = cloud.ibm.granted(Grant::ApiKey);
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{how}: {}", done.stderr);
    assert!(cloud.ibm.granted(Grant::ApiKey) > before, "{how}");
    assert_no_secret(&format!("{}{}", done.stdout, done.stderr));
}

fn refused(cloud: &Cloud, command: Command, parts: &[&str]) -> Refused {
    let before = cloud.count("/identity/token");
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    for part in parts {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    assert_no_secret(&format!("{}{}", done.stdout, done.stderr));
    assert_eq!(cloud.count("/identity/token"), before, "nothing was sent");
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_understood_as_it_comes() {
    let cloud = Cloud::start().await;
    let file = cloud.path("key");
    let path = file.to_str().unwrap();
    for text in [
        format!("\u{feff}\"{API_KEY}\"\r\n"),
        format!("# mine\nexport IBMCLOUD_API_KEY='{API_KEY}'\n"),
        json!({"iam_apikey": API_KEY, "iam_apikey_name": "n"}).to_string(),
        format!("\u{feff}{}", json!({"apiKey": API_KEY})),
        json!([{"credentials": {"api_key": API_KEY}}]).to_string(),
        format!("# mine\n[default]\nregion = eu-de\nkey = {API_KEY}\n"),
        format!("TF_VAR_ibmcloud_api_key={API_KEY}\n"),
        json!({"apikey": API_KEY, "credentials": null, "iam_apikey": null}).to_string(),
        format!("KUBERNETES_SERVICE_API_AUTH_TYPE=iam\nKUBERNETES_SERVICE_API_APIKEY={API_KEY}\n"),
    ] {
        fs::write(&file, &text).unwrap();
        logged_in(&cloud, login(&cloud, &["--apikey-file", path], &[]), &text);
        // The same text in a variable, as from a Secret of Kubernetes.
        let by_variable = login(&cloud, &[], &[("IBMCLOUD_API_KEY", &text)]);
        logged_in(&cloud, by_variable, &text);
    }
    let at = format!("@{path}");
    logged_in(&cloud, login(&cloud, &[], &[("IC_API_KEY", &at)]), &at);

    let utf16 = format!("\u{feff}IBMCLOUD_API_KEY={API_KEY}\r\n");
    let utf16: Vec<u8> = utf16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&file, utf16).unwrap();
    logged_in(
        &cloud,
        login(&cloud, &["--apikey-file", path], &[]),
        "UTF-16",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_from_standard_input_or_a_pipe() {
    let cloud = Cloud::start().await;
    let file = cloud.path("key");
    fs::write(&file, format!("IBMCLOUD_API_KEY={API_KEY}\n")).unwrap();
    let mut command = login(&cloud, &["--apikey-file", "-"], &[]);
    command.stdin(File::open(&file).unwrap());
    logged_in(&cloud, command, "-");

    // As `<(pass ibm)` of a shell.
    let own = login(&cloud, &[], &[]);
    let program = own.get_program().to_str().unwrap();
    let script = format!(
        "exec '{program}' login ibm --cluster {CLUSTER} --apikey-file <(cat '{}')",
        file.display()
    );
    logged_in(
        &cloud,
        command_like(&own, "bash", &["-c", &script]),
        "a pipe",
    );

    // The proxy reads it once, and keeps it: the cluster is found later.
    let mut command = cloud.command(&["--port", "0", "-v", "9"]);
    command.args(["--ibm-cluster", CLUSTER, "--apikey-file", "-"]);
    command.stdin(File::open(&file).unwrap());
    let kubegate = Kubegate::spawn(command);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    cloud.ibm.end_sessions();
    assert_no_secret(&kubegate.log());

    let mut command = login(&cloud, &["--apikey-file", "-"], &[]);
    command.stdin(Stdio::null());
    refused(&cloud, command, &["standard input is empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_key_is_refused_before_it_is_sent() {
    let cloud = Cloud::start().await;
    let file = cloud.path("key");
    let path = file.to_str().unwrap();
    for (text, says) in [
        ("\u{201c}sesame-ibm-1\u{201d}", "quotation mark"),
        ("sesame-ibm-1\u{200b}", "not ASCII"),
        ("<sesame-ibm-1>", "placeholder"),
        ("Bearer sesame-ibm-1", "more than an API key"),
        ("eyJ0.e30.sesame-ibm-1", "token (JWT)"),
        ("my_token=sesame-ibm-1", "`IBMCLOUD_API_KEY=KEY`"),
        ("https://iam.example/sesame-ibm-1", "a URL"),
        (
            "ApiKey-01234567-89ab-cdef-0123-456789abcdef",
            "the ID of one",
        ),
        ("apikey=old\napikey=sesame-ibm-1", "several API keys"),
    ] {
        fs::write(&file, text).unwrap();
        let by_file = login(&cloud, &["--apikey-file", path], &[]);
        refused(&cloud, by_file, &[path, says]);
        let by_variable = login(&cloud, &[], &[("IC_API_KEY", text)]);
        refused(&cloud, by_variable, &["IC_API_KEY", says]);
    }
    assert!(!cloud.path(".kube/config").exists());
}
