"""Lists the pods with the official Python client, by the context of the kubeconfig that is named."""

import sys

from kubernetes import client, config

api_client = config.new_client_from_config(config_file=sys.argv[1])
for pod in client.CoreV1Api(api_client).list_namespaced_pod("default").items:
    print(pod.metadata.name)
