// The official JavaScript client, on Node's test runner; `run` names the two proxies.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { PassThrough } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { test } from "node:test";

import * as k8s from "@kubernetes/client-node";

function configFor(server) {
  const config = new k8s.KubeConfig();
  config.loadFromOptions({
    // This client takes plain HTTP only where the cluster says that nothing is verified.
    clusters: [{ name: "kubegate", server, skipTLSVerify: true }],
    users: [{ name: "nobody" }],
    contexts: [{ name: "kubegate", cluster: "kubegate", user: "nobody" }],
    currentContext: "kubegate",
  });
  return config;
}

const open = configFor(process.env.KUBEGATE_URL);
const guarded = configFor(process.env.KUBEGATE_GUARDED_URL);
const core = open.makeApiClient(k8s.CoreV1Api);
const namespace = "default";

const create = (name, data) =>
  core.createNamespacedConfigMap({ namespace, body: { metadata: { name }, data } });
const remove = (name) => core.deleteNamespacedConfigMap({ namespace, name });

async function pod() {
  const { items } = await core.listNamespacedPod({ namespace, limit: 1 });
  return items[0];
}

/** Runs a command in the demo's pod until it ends: its output and its status. */
async function exec(config, command, input) {
  const { metadata, spec } = await pod();
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const outputs = Promise.all([buffer(stdout), text(stderr)]);
  let stdin = null;
  if (input) {
    stdin = new PassThrough();
  }
  const { promise: status, resolve } = Promise.withResolvers();
  const container = spec.containers[0].name;
  const client = new k8s.Exec(config);
  const socket = await client.exec(
    namespace, metadata.name, container, command, stdout, stderr, stdin, false, resolve,
  );
  stdin?.end(input);
  const ended = await status;
  stdout.end();
  stderr.end();
  const [out, err] = await outputs;
  socket.close();
  return { out, err, status: ended };
}

test("a list is typed", async () => {
  const { items } = await core.listNamespacedPod({ namespace });
  assert.ok(items.length > 0);
  assert.ok(items.every((item) => item.metadata.creationTimestamp instanceof Date));
});

test("what is not there is an error with the server's code", async () => {
  await assert.rejects(core.readNamespacedPod({ namespace, name: "no-such-pod" }), { code: 404 });
});

test("an object lives from create to delete", async () => {
  await create("js-life", { a: "1" });
  await assert.rejects(create("js-life", { a: "1" }), { code: 409 });
  const { data } = await core.readNamespacedConfigMap({ namespace, name: "js-life" });
  assert.deepEqual(data, { a: "1" });
  await remove("js-life");
  await assert.rejects(remove("js-life"), { code: 404 });
});

test("patches and server-side apply change it", async () => {
  const objects = k8s.KubernetesObjectApi.makeApiClient(open);
  const object = (data) => ({
    apiVersion: "v1", kind: "ConfigMap", metadata: { name: "js-patched", namespace }, data,
  });
  await create("js-patched", { a: "1" });
  try {
    const { MergePatch, StrategicMergePatch, ServerSideApply } = k8s.PatchStrategy;
    for (const [strategy, data, expected] of [
      [MergePatch, { b: "2" }, { a: "1", b: "2" }],
      [StrategicMergePatch, { a: null, c: "3" }, { b: "2", c: "3" }],
      [ServerSideApply, { c: "4" }, { b: "2", c: "4" }],
    ]) {
      const [manager, force] = strategy === ServerSideApply ? ["kubegate-test", true] : [];
      await objects.patch(object(data), undefined, undefined, manager, force, strategy);
      const patched = await core.readNamespacedConfigMap({ namespace, name: "js-patched" });
      assert.deepEqual(patched.data, expected, strategy);
    }
  } finally {
    await remove("js-patched");
  }
});

test("a watch carries changes as they come", async () => {
  const seen = [];
  const { promise: deleted, resolve, reject } = Promise.withResolvers();
  const list = await core.listNamespacedConfigMap({ namespace });
  const controller = await new k8s.Watch(open).watch(
    `/api/v1/namespaces/${namespace}/configmaps`,
    { fieldSelector: "metadata.name=js-watch", resourceVersion: list.metadata.resourceVersion },
    (type) => {
      seen.push(type);
      if (type === "DELETED") resolve();
    },
    (error) => reject(error ?? new Error(`ended after ${seen}`)),
  );
  await create("js-watch", { a: "1" });
  await remove("js-watch");
  await deleted;
  controller.abort();
  assert.deepEqual(seen, ["ADDED", "DELETED"]);
});

test("exec gives output, errors and the exit code", async () => {
  const done = await exec(open, ["sh", "-c", "echo out; echo err >&2; exit 5"]);
  assert.equal(done.out.toString(), "out\n");
  assert.equal(done.err, "err\n");
  assert.equal(done.status.status, "Failure");
  assert.deepEqual(done.status.details.causes, [{ reason: "ExitCode", message: "5" }]);
});

test("exec carries a mebibyte both ways unchanged", async () => {
  const sent = randomBytes(1 << 20);
  const done = await exec(open, ["cat"], sent);
  const digest = (data) => [data.length, createHash("sha256").update(data).digest("hex")];
  assert.deepEqual(digest(done.out), digest(sent));
  assert.equal(done.status.status, "Success");
});

test("exec is refused unless allowed", async () => {
  await assert.rejects(exec(guarded, ["echo", "hello"]), ({ message }) => /403/.test(message));
  const done = await exec(open, ["echo", "hello"]);
  assert.equal(done.out.toString(), "hello\n");
});

test("logs are followed", async () => {
  const { metadata, spec } = await pod();
  const lines = new PassThrough();
  // The last line, and what is written from then on until the limit.
  const options = { follow: true, tailLines: 1, limitBytes: 25 };
  await new k8s.Log(open).log(namespace, metadata.name, spec.containers[0].name, lines, options);
  const seen = await text(lines);
  assert.equal(seen.length, 25);
  assert.ok(seen.split("\n").length > 2, seen);
});
