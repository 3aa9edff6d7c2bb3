//! [`ExecEntry`]: the `exec` section of a user whose plugin is kubegate.

use serde_json::{Map, Value, json};

use crate::kubeconfig::ExecApiVersion;

/// What client-go shows if the plugin is not found.
const INSTALL_HINT: &str = "The user of this context logs in with kubegate, which was not found. \
                            Install kubegate, or put it on PATH, and run the command again.";

/// An `exec` section that runs kubegate.
#[derive(Clone, Debug, Default)]
pub struct ExecEntry {
    /// `kubegate`, or the absolute path of another program.
    pub command: String,
    /// Its arguments: `credential openshift --login NAME ...`. They hold no secret.
    pub args: Vec<String>,
    /// The version; `None` keeps that of the user's entry, if it runs kubegate already.
    pub api_version: Option<ExecApiVersion>,
}

impl ExecEntry {
    /// The section, in place of that of `user` in the kubeconfig `config`. A section that runs kubegate
    /// already keeps its variables, and the arguments that say which cluster it is for.
    pub(super) fn to_json(&self, config: &Map<String, Value>, user: &str) -> Value {
        let former = section_of(config, user);
        let version = self.api_version.or_else(|| version_of(former?));
        let version = version.unwrap_or_default();
        let mut args = self.args.clone();
        args.extend(former.map(connection_args).unwrap_or_default());
        if version != ExecApiVersion::default() {
            // Clients that know only this version do not tell the plugin which one they expect.
            args.push(format!("--exec-api-version={}", version.version()));
        }
        let mut section = json!({
            "apiVersion": version.name(),
            "command": self.command,
            "args": args,
            "installHint": INSTALL_HINT,
            "interactiveMode": "Never",
            "provideClusterInfo": true,
        });
        if let Some(env) = former.and_then(|former| former.get("env")) {
            section["env"] = env.clone();
        }
        section
    }
}

/// A user's section that runs `kubegate credential`.
fn section_of<'a>(config: &'a Map<String, Value>, user: &str) -> Option<&'a Value> {
    let users = config.get("users")?.as_array()?;
    let user = users.iter().find(|item| item["name"] == user)?;
    let exec = &user["user"]["exec"];
    let is_login = exec["args"].as_array()?.contains(&json!("credential"));
    is_login.then_some(exec)
}

fn version_of(exec: &Value) -> Option<ExecApiVersion> {
    [ExecApiVersion::V1, ExecApiVersion::V1beta1]
        .into_iter()
        .find(|version| exec["apiVersion"] == version.name())
}

/// The arguments of a section that say which cluster it is for, where the client does not say that, and
/// how long the plugin may take. No login has flags of these names.
fn connection_args(exec: &Value) -> Vec<String> {
    const FLAGS: [&str; 7] = [
        "--context",
        "--kubeconfig",
        "--server",
        "-s",
        "--tls-server-name",
        "--proxy-url",
        "--request-timeout",
    ];
    let args = exec["args"].as_array().into_iter().flatten();
    let mut args = args.filter_map(Value::as_str);
    let mut kept = Vec::new();
    while let Some(arg) = args.next() {
        let flag = arg.split_once('=').map_or(arg, |(flag, _)| flag);
        if !FLAGS.contains(&flag) {
            continue;
        }
        kept.push(arg.to_owned());
        if flag == arg {
            kept.extend(args.next().map(str::to_owned));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(api_version: Option<ExecApiVersion>) -> ExecEntry {
        ExecEntry {
            command: "kubegate".to_owned(),
            args: vec!["credential".to_owned(), "oidc".to_owned()],
            api_version,
        }
    }

    fn config(version: &str, argument: &str) -> Map<String, Value> {
        let exec = json!({"apiVersion": format!("client.authentication.k8s.io/{version}"),
            "args": [argument]});
        let config = json!({"users": [{"name": "jane", "user": {"exec": exec}}]});
        config.as_object().unwrap().clone()
    }

    #[test]
    fn the_version_is_the_given_one_else_that_of_the_entry() {
        let (v1, beta) = (ExecApiVersion::V1, ExecApiVersion::V1beta1);
        for (given, config, version) in [
            (None, Map::new(), v1),
            (Some(beta), Map::new(), beta),
            (None, config("v1beta1", "credential"), beta),
            (None, config("v1", "credential"), v1),
            (Some(v1), config("v1beta1", "credential"), v1),
            (None, config("v1beta1", "get-token"), v1),
        ] {
            let exec = entry(given).to_json(&config, "jane");
            assert_eq!(exec["apiVersion"], version.name(), "{config:?}");
            let args = exec["args"].as_array().unwrap();
            let names_version = args.contains(&json!("--exec-api-version=v1beta1"));
            assert_eq!(names_version, version == beta, "{config:?}");
            assert!(exec["installHint"].as_str().unwrap().contains("PATH"));
        }
    }
}
