// Prints the names of the pods in the namespace of the current context.

import * as k8s from "@kubernetes/client-node";

const config = new k8s.KubeConfig();
config.loadFromDefault();
const { namespace = "default" } = config.getContextObject(config.getCurrentContext());
const { items } = await config.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace });
for (const { metadata } of items) console.log(metadata.name);
