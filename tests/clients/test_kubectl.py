"""kubectl, as shipped."""

import fcntl
import json
import os
import pty
import random
import re
import select
import struct
import subprocess
import termios
import time

import yaml

from case import Case


class Kubectl(Case):
    def arguments(self, *arguments, url=None):
        return ["kubectl", f"--server={url or self.url}", f"--cache-dir={self.home}/cache", *arguments]

    def kubectl(self, *arguments, url=None, **options):
        return self.command(*self.arguments(*arguments, url=url), **options)

    def out(self, *arguments, **options):
        return self.output(self.kubectl(*arguments, **options))

    def object(self, kind, name):
        return json.loads(self.out("get", kind, name, "-o", "json"))

    def fresh(self, name, **data):
        """A config map that goes when the test ends."""
        self.out("create", "configmap", name, *(f"--from-literal={k}={v}" for k, v in data.items()))
        self.addCleanup(lambda: self.out("delete", "configmap", name))
        return name

    def pod(self):
        """A running pod of the demo."""
        return self.out("get", "pods", "-o", "name").split()[0].removeprefix("pod/")


class Reading(Kubectl):
    def test_version_names_the_server(self):
        self.assertIn("Server Version: v1.", self.out("version"))

    def test_get_prints_the_servers_columns(self):
        header, *rows = self.out("get", "pods").splitlines()
        self.assertEqual(header.split(), ["NAME", "READY", "STATUS", "RESTARTS", "AGE"])
        self.assertTrue(rows and all(len(row.split()) >= 5 for row in rows), rows)

    def test_get_of_nothing_says_so(self):
        text = self.refusal(self.kubectl("get", "pods", "no-such-pod"))
        self.assertIn('pods "no-such-pod" not found', text)

    def test_get_as_yaml_is_the_object(self):
        pods = yaml.safe_load(self.out("get", "pods", "-o", "yaml"))
        self.assertEqual(pods["kind"], "List")
        self.assertEqual({pod["kind"] for pod in pods["items"]}, {"Pod"})

    def test_get_all_namespaces_names_them(self):
        header, *rows = self.out("get", "pods", "--all-namespaces").splitlines()
        self.assertEqual(header.split()[:2], ["NAMESPACE", "NAME"])
        known = self.out("get", "namespaces", "-o", "name").split()
        self.assertTrue({f"namespace/{row.split()[0]}" for row in rows} <= set(known), rows)

    def test_selectors_choose(self):
        self.fresh("chosen", a="1")
        self.fresh("left", a="1")
        self.out("label", "configmap", "chosen", "kubegate-test=chosen")
        by_label = self.out("get", "configmaps", "-l", "kubegate-test=chosen", "-o", "name")
        self.assertEqual(by_label.split(), ["configmap/chosen"])
        by_field = self.out("get", "configmaps", "--field-selector=metadata.name=left", "-o", "name")
        self.assertEqual(by_field.split(), ["configmap/left"])

    def test_a_list_in_chunks_is_whole(self):
        for n in range(5):
            self.fresh(f"chunk-{n}", a="1")
        whole = self.out("get", "configmaps", "-o", "name").split()
        self.assertGreaterEqual(len(whole), 5)
        self.assertEqual(self.out("get", "configmaps", "--chunk-size=2", "-o", "name").split(), whole)

    def test_describe_puts_objects_and_events_together(self):
        self.assertIn(f"Name:             {self.pod()}", self.out("describe", "pod", self.pod()))

    def test_explain_reads_the_openapi_document(self):
        self.assertIn("replicas", self.out("explain", "deployment.spec"))
        self.assertIn("does not exist", self.refusal(self.kubectl("explain", "deployment.sepc")))

    def test_api_resources_lists_discovery(self):
        names = self.out("api-resources", "-o", "name").split()
        self.assertLessEqual({"pods", "configmaps", "deployments.apps"}, set(names))
        self.assertIn("apps/v1", self.out("api-versions").split())

    def test_whoami_names_the_user_that_kubegate_authenticates(self):
        review = json.loads(self.out("auth", "whoami", "-o", "json"))
        self.assertTrue(review["status"]["userInfo"]["username"])
        self.assertIn("system:authenticated", review["status"]["userInfo"]["groups"])

    def test_get_watch_shows_changes_as_they_come(self):
        watch = self.follow(*self.arguments("get", "configmaps", "--watch", "--output-watch-events"))
        self.fresh("watched-by-kubectl", a="1")
        self.assertIn("ADDED", watch.line("watched-by-kubectl"))
        self.out("label", "configmap", "watched-by-kubectl", "seen=yes")
        self.assertIn("MODIFIED", watch.line("watched-by-kubectl"))
        self.assertTrue(watch.runs())

    def test_logs_end_and_followed_logs_go_on(self):
        first = self.out("logs", self.pod(), "--limit-bytes=10000").splitlines()[0]
        follow = self.follow(*self.arguments("logs", "--follow", "--tail=1", self.pod()))
        last = follow.line()
        self.assertNotEqual(follow.line(), last, "no line came after the last one there was")
        self.assertTrue(first and follow.runs())


class Writing(Kubectl):
    def value(self, name, key):
        return self.object("configmap", name)["data"].get(key)

    def test_apply_creates_keeps_and_changes(self):
        path = self.file("applied.json", self.configmap("applied", a="1"))
        self.assertIn("configmap/applied created", self.out("apply", "-f", path))
        self.addCleanup(lambda: self.out("delete", "-f", path))
        self.assertIn("configmap/applied unchanged", self.out("apply", "-f", path))
        self.file("applied.json", self.configmap("applied", b="2"))
        self.assertIn("configmap/applied configured", self.out("apply", "-f", path))
        self.assertEqual(self.object("configmap", "applied")["data"], {"b": "2"})

    def test_a_kind_that_the_server_does_not_know_is_named(self):
        path = self.file("unknown.json", self.configmap("x") | {"apiVersion": "foo.example/v1", "kind": "Foo"})
        text = self.refusal(self.kubectl("apply", "-f", path))
        self.assertIn('no matches for kind "Foo" in version "foo.example/v1"', text)

    def test_server_side_apply_owns_its_fields(self):
        path = self.file("owned.json", self.configmap("owned", a="1"))
        apply = ["apply", "--server-side", "--field-manager=kubegate-test", "-f", path]
        self.assertIn("serverside-applied", self.out(*apply))
        self.addCleanup(lambda: self.out("delete", "-f", path))
        self.file("owned.json", self.configmap("owned", b="2"))
        self.out(*apply)
        owned = json.loads(self.out("get", "configmap", "owned", "-o", "json", "--show-managed-fields"))
        self.assertEqual(owned["data"], {"b": "2"})
        managers = {(f["manager"], f["operation"]) for f in owned["metadata"]["managedFields"]}
        self.assertIn(("kubegate-test", "Apply"), managers)

    def test_edit_sends_what_the_editor_changed(self):
        self.fresh("edited", a="before")
        self.out("edit", "configmap", "edited", KUBE_EDITOR="sed -i s/before/after/")
        self.assertEqual(self.value("edited", "a"), "after")

    def test_three_kinds_of_patches_patch(self):
        self.fresh("patched", a="1")
        for kind, patch, expected in [
            ("merge", {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
            ("strategic", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
            ("json", [{"op": "replace", "path": "/data/c", "value": "4"}], {"b": "2", "c": "4"}),
        ]:
            self.out("patch", "configmap", "patched", f"--type={kind}", "-p", json.dumps(patch))
            self.assertEqual(self.object("configmap", "patched")["data"], expected, kind)

    def test_replace_of_a_changed_object_conflicts(self):
        self.fresh("replaced", a="1")
        old = self.object("configmap", "replaced")
        self.out("label", "configmap", "replaced", "newer=yes")
        path = self.file("replaced.json", old)
        self.assertIn("the object has been modified", self.refusal(self.kubectl("replace", "-f", path)))
        del old["metadata"]["resourceVersion"]
        self.file("replaced.json", old)
        self.assertIn("replaced", self.out("replace", "-f", path))

    def test_label_and_annotate_are_kept(self):
        self.fresh("labelled", a="1")
        self.out("label", "configmap", "labelled", "tier=front")
        self.out("annotate", "configmap", "labelled", "note=two words")
        metadata = self.object("configmap", "labelled")["metadata"]
        self.assertEqual((metadata["labels"]["tier"], metadata["annotations"]["note"]), ("front", "two words"))

    def test_a_deployment_is_created_scaled_and_rolled_out(self):
        self.out("create", "deployment", "scaled", "--image=example/app:1", "--replicas=1")
        self.addCleanup(lambda: self.out("delete", "deployment", "scaled"))
        self.assertIn("scaled", self.out("scale", "deployment", "scaled", "--replicas=3"))
        self.assertEqual(self.object("deployment", "scaled")["spec"]["replicas"], 3)
        self.assertIn("successfully rolled out", self.out("rollout", "status", "deployment/scaled", "--timeout=20s"))

    def test_delete_deletes_once(self):
        self.out("create", "configmap", "deleted", "--from-literal=a=1")
        self.assertIn('configmap "deleted" deleted', self.out("delete", "configmap", "deleted"))
        self.assertIn("not found", self.refusal(self.kubectl("delete", "configmap", "deleted")))

    def test_a_namespace_holds_its_own(self):
        self.out("create", "namespace", "kubegate-test")
        self.addCleanup(lambda: self.out("delete", "namespace", "kubegate-test"))
        self.out("create", "configmap", "inside", "--namespace=kubegate-test")
        self.assertIn("inside", self.out("get", "configmaps", "--namespace=kubegate-test"))
        self.assertNotIn("inside", self.out("get", "configmaps", "--namespace=default"))


class Streams(Kubectl):
    def test_exec_gives_output_and_exit_code(self):
        done = self.kubectl("exec", self.pod(), "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout), (7, b"out\n"), done.stderr)
        self.assertTrue(done.stderr.startswith(b"err\n"), done.stderr)
        self.assertEqual(self.out("exec", self.pod(), "--", "echo", "a b", "c"), "a b c\n")

    def test_exec_carries_a_mebibyte_both_ways_unchanged(self):
        sent = random.Random(8001).randbytes(1 << 20)
        done = self.kubectl("exec", "-i", self.pod(), "--", "cat", stdin=sent)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout), len(sent))
        self.assertTrue(done.stdout == sent, "same length, other bytes")

    def test_exec_with_a_terminal_echoes_resizes_and_ends(self):
        with Terminal(self.arguments("exec", "-it", self.pod(), "--", "sh"), self.environment) as terminal:
            terminal.resize(rows=33, columns=101)
            terminal.type("echo hello-$USER_NOT_SET-there\n")
            terminal.expect(rb"\nhello--there\r")
            terminal.type_until("stty size\n", rb"\n33 101\r")
            terminal.resize(rows=44, columns=121)
            terminal.type_until("stty size\n", rb"\n44 121\r")
            terminal.type("exit 3\n")
            self.assertEqual(terminal.wait(), 3)

    def test_attach_shows_what_the_container_prints(self):
        attach = self.follow(*self.arguments("attach", self.pod()))
        first = attach.line("tick")
        self.assertNotEqual(attach.line("tick"), first)
        self.assertTrue(attach.runs())

    def test_exec_and_attach_are_refused_unless_allowed(self):
        for arguments in (["exec", self.pod(), "--", "echo", "hello"], ["attach", self.pod()]):
            text = self.refusal(self.kubectl(*arguments, url=self.guarded_url))
            self.assertIn("--allow-exec", text)
        self.assertEqual(self.out("exec", self.pod(), "--", "echo", "hello"), "hello\n")


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, arguments, environment):
        self._master, slave = pty.openpty()
        self._seen = b""
        self.resize(24, 80)
        self._process = subprocess.Popen(
            arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def resize(self, rows, columns):
        # The kernel tells the foreground process by SIGWINCH.
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self._master, text.encode())

    def expect(self, pattern, within=20):
        """Reads until the pattern has come; forgets what was read up to it."""
        if not self._read_until(pattern, within):
            raise AssertionError(f"no {pattern} in {within} s: {self._seen}")

    def type_until(self, text, pattern, within=20):
        """Types again until the answer fits: a new size arrives when it arrives."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self.type(text)
            if self._read_until(pattern, 0.5):
                return
        raise AssertionError(f"no {pattern} in {within} s: {self._seen}")

    def _read_until(self, pattern, within):
        deadline = time.monotonic() + within
        while True:
            found = re.search(pattern, self._seen)
            if found:
                self._seen = self._seen[found.end() :]
                return True
            ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                return False
            try:
                self._seen += os.read(self._master, 65536)
            except OSError:
                return False

    def wait(self, within=20):
        self._read_until(rb"\Z(?!)", 1)
        return self._process.wait(timeout=within)
