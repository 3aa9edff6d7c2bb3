// The official JavaScript client with a kubeconfig of `kubegate kubeconfig`: a list, a change, a watch, exec
// and logs in one context. Prints one line of JSON. Arguments: kubeconfig, context and, for a kubeconfig with
// a `tokenFile`, which this client does not read, that file.

import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";

import * as k8s from "@kubernetes/client-node";

const [file, context, tokenFile] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(file);
config.setCurrentContext(context);
if (tokenFile) {
  const [user] = config.users;
  config.users = [{ ...user, token: readFileSync(tokenFile, "utf8").trim() }];
}
const core = config.makeApiClient(k8s.CoreV1Api);
const namespace = "default";

const { items } = await core.listNamespacedPod({ namespace, limit: 1 });
const [pod] = items;

const { metadata } = await core.listNamespacedConfigMap({ namespace });
const types = [];
const { promise: deleted, resolve, reject } = Promise.withResolvers();
const controller = await new k8s.Watch(config).watch(
  `/api/v1/namespaces/${namespace}/configmaps`,
  { fieldSelector: "metadata.name=js-tls", resourceVersion: metadata.resourceVersion },
  (type) => {
    types.push(type);
    if (type === "DELETED") resolve();
  },
  (error) => reject(error ?? new Error(`ended after ${types}`)),
);
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "js-tls" } } });
await core.deleteNamespacedConfigMap({ namespace, name: "js-tls" });
await deleted;
controller.abort();

const stdout = new PassThrough();
const { promise: status, resolve: ended } = Promise.withResolvers();
const [container] = pod.spec.containers;
const socket = await new k8s.Exec(config).exec(
  namespace, pod.metadata.name, container.name, ["echo", context], stdout, null, null, false, ended,
);
await status;
stdout.end();
const output = await text(stdout);
socket.close();

const lines = new PassThrough();
const options = { follow: true, tailLines: 1, limitBytes: 25 };
await new k8s.Log(config).log(namespace, pod.metadata.name, container.name, lines, options);
const logs = (await text(lines)).length;

console.log(JSON.stringify({ pod: pod.metadata.name, types, output, logs }));
