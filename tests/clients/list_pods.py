"""Prints the names of the pods in the namespace of the current context."""

from kubernetes import client, config

config.load_kube_config()
_, current = config.list_kube_config_contexts()
namespace = current["context"].get("namespace", "default")
for pod in client.CoreV1Api().list_namespaced_pod(namespace, _request_timeout=20).items:
    print(pod.metadata.name)
