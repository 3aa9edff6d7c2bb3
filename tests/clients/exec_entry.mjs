// Lists the pods with the official JavaScript client, by the context of the kubeconfig that is named.

import * as k8s from "@kubernetes/client-node";

const config = new k8s.KubeConfig();
config.loadFromFile(process.argv[2]);
const { items } = await config.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace: "default" });
console.log(items.map(({ metadata }) => metadata.name).join("\n"));
