//! What the streams need to know of a pod, and the choice of its container.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::main_process::MainProcess;
use crate::demo::kubernetes::encoding::status::Status;

/// The fields of a stored pod that its pretend containers show.
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
    /// Absent where the value comes from elsewhere (`valueFrom`).
    value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    start_time: Option<String>,
}

/// One container, as its processes see it.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) pod: String,
    pub(super) name: String,
    /// The environment a new process starts with.
    pub(super) environment: BTreeMap<String, String>,
    /// The pretend files, by absolute path.
    pub(super) files: BTreeMap<String, String>,
    pub(super) main: MainProcess,
}

impl Pod {
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The container that `wanted` names, or the only one.
    ///
    /// # Errors
    /// The API server's own refusals (`validateContainer`) of a container that the pod
    /// does not have, and of a choice left open.
    pub(super) fn container(
        &self,
        wanted: Option<&str>,
        tick: Duration,
    ) -> Result<Container, Status> {
        let pod = self.name();
        let Some(wanted) = wanted else {
            let [only] = self.spec.containers.as_slice() else {
                return Err(self.no_choice());
            };
            return Ok(self.build(only, tick));
        };
        let found = self.all().find(|spec| spec.name == wanted);
        let spec = found.ok_or_else(|| {
            Status::bad_request(format!("container {wanted} is not valid for pod {pod}"))
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

    fn no_choice(&self) -> Status {
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
                "A pretend container of the kubegate demo.\n".to_owned(),
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

    fn refusal(pod: &Pod, wanted: Option<&str>) -> String {
        let refused = pod.container(wanted, Duration::from_secs(1));
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
    fn a_container_that_is_not_there_or_not_chosen_is_refused_in_the_servers_words() {
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
