//! The fields of a pod that streams need, and the selection of its container.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::main_process::MainProcess;
use crate::demo::kubernetes::encoding::status::Status;

/// The fields of a stored pod that its containers show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    creation_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Vec<ContainerSpec>,
    init_containers: Vec<ContainerSpec>,
    ephemeral_containers: Vec<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerSpec {
    name: String,
    image: String,
    env: Vec<Variable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    /// `None` if the value comes from another object (`valueFrom`).
    value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    start_time: Option<String>,
}

/// A container as its processes see it.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) pod: String,
    pub(super) name: String,
    /// The environment of a new process.
    pub(super) environment: BTreeMap<String, String>,
    /// The content of the files, by absolute path.
    pub(super) files: BTreeMap<String, String>,
    pub(super) main: MainProcess,
}

impl Pod {
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The container with this name. If there is no name, the only container.
    ///
    /// # Errors
    /// There is no such container, or no name and several containers. The messages are those of API
    /// servers (`validateContainer`).
    pub(super) fn container(
        &self,
        name: Option<&str>,
        tick: Duration,
    ) -> Result<Container, Status> {
        let pod = self.name();
        let Some(name) = name else {
            let [only] = self.spec.containers.as_slice() else {
                return Err(self.missing_name());
            };
            return Ok(self.build(only, tick));
        };
        let found = self.all().find(|spec| spec.name == name);
        let spec = found.ok_or_else(|| {
            Status::bad_request(format!("container {name} is not valid for pod {pod}"))
        })?;
        Ok(self.build(spec, tick))
    }

    fn all(&self) -> impl Iterator<Item = &ContainerSpec> {
        let Spec {
            containers,
            init_containers,
            ephemeral_containers,
        } = &self.spec;
        init_containers
            .iter()
            .chain(containers)
            .chain(ephemeral_containers)
    }

    fn missing_name(&self) -> Status {
        let pod = self.name();
        let mut message = format!("a container name must be specified for pod {pod}");
        if !self.spec.containers.is_empty() {
            let names: Vec<_> = self.all().map(|spec| spec.name.as_str()).collect();
            message = format!("{message}, choose one of: [{}]", names.join(" "));
        }
        Status::bad_request(message)
    }

    fn build(&self, spec: &ContainerSpec, tick: Duration) -> Container {
        let started = self.status.start_time.as_ref();
        let started = started.or(self.metadata.creation_timestamp.as_ref());
        let started = started.and_then(|time| time.parse().ok());
        Container {
            pod: self.name().to_owned(),
            name: spec.name.clone(),
            environment: self.environment(spec),
            files: self.files(),
            main: MainProcess::new(&spec.name, &spec.image, started, tick),
        }
    }

    fn environment(&self, spec: &ContainerSpec) -> BTreeMap<String, String> {
        let fixed = [
            ("HOME", "/root"),
            ("HOSTNAME", self.name()),
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = spec.env.iter().map(|variable| {
            let value = variable.value.clone().unwrap_or_default();
            (variable.name.clone(), value)
        });
        fixed.into_iter().chain(own).collect()
    }

    fn files(&self) -> BTreeMap<String, String> {
        let Metadata {
            name, namespace, ..
        } = &self.metadata;
        [
            (
                "/app/README",
                "A simulated container of the kubegate demo.\n".to_owned(),
            ),
            ("/etc/hostname", format!("{name}\n")),
            (
                "/etc/hosts",
                format!("127.0.0.1\tlocalhost\n10.244.0.2\t{name}\n"),
            ),
            (
                "/etc/os-release",
                "NAME=\"kubegate demo\"\nID=demo\n".to_owned(),
            ),
            (
                "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
                namespace.clone(),
            ),
        ]
        .map(|(path, text)| (path.to_owned(), text))
        .into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::json;

    use super::Pod;

    fn pod(spec: &serde_json::Value) -> Pod {
        let pod = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
        serde_json::from_value(pod).unwrap()
    }

    fn refusal(pod: &Pod, name: Option<&str>) -> String {
        let refused = pod.container(name, Duration::from_secs(1));
        refused.unwrap_err().message
    }

    #[test]
    fn the_only_container_needs_no_name() {
        let pod = pod(&json!({
            "initContainers": [{"name": "setup"}],
            "containers": [{"name": "app", "env": [{"name": "COLOR", "value": "blue"}]}],
        }));
        let container = pod.container(None, Duration::from_secs(1)).unwrap();
        assert_eq!(container.name, "app");
        assert_eq!(container.environment["COLOR"], "blue");
        assert_eq!(container.environment["HOSTNAME"], "web");
        let init = pod.container(Some("setup"), Duration::from_secs(1));
        assert_eq!(init.unwrap().name, "setup");
    }

    #[test]
    fn a_missing_or_unnamed_container_is_refused_with_the_servers_message() {
        let two = pod(&json!({"containers": [{"name": "a"}, {"name": "b"}]}));
        assert_eq!(
            refusal(&two, Some("x")),
            "container x is not valid for pod web"
        );
        assert_eq!(
            refusal(&two, None),
            "a container name must be specified for pod web, choose one of: [a b]"
        );
        let none = pod(&json!({}));
        assert_eq!(
            refusal(&none, None),
            "a container name must be specified for pod web"
        );
    }
}
