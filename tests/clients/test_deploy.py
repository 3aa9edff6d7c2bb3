"""What deploy/ holds: it parses, its fields exist, and kubegate takes the flags it is given."""

import os
import pathlib
import plistlib
import re
import shlex
import shutil
import tempfile
import tomllib

import yaml
from kubernetes import client

from case import Case

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
KINDS = {
    "ServiceAccount": client.V1ServiceAccount,
    "Role": client.V1Role,
    "RoleBinding": client.V1RoleBinding,
    "Deployment": client.V1Deployment,
}
DRAIN = 25
"""Seconds that kubegate drains at most; whoever stops it has to wait longer."""


class Deploy(Case):
    def takes(self, *arguments):
        """kubegate knows these flags: `--help` after an unknown one is an error."""
        self.output(self.command(os.environ["KUBEGATE"], *arguments, "--help"))


class Flags(Deploy):
    def test_a_flag_that_kubegate_does_not_know_is_caught(self):
        with self.assertRaises(AssertionError):
            self.takes("--no-such-flag")
        self.takes("--port=0")


class Kubernetes(Deploy):
    def objects(self):
        rendered = self.output(self.command("kubectl", "kustomize", str(DEPLOY / "kubernetes")))
        return list(yaml.safe_load_all(rendered))

    def object(self, kind):
        (found,) = [object for object in self.objects() if object["kind"] == kind]
        return found

    def test_the_base_renders_objects_whose_fields_all_exist(self):
        objects = self.objects()
        self.assertEqual({object["kind"] for object in objects}, set(KINDS))
        for object in objects:
            KINDS[object["kind"]].model_validate(object)

    def test_a_field_that_does_not_exist_is_caught(self):
        deployment = self.object("Deployment")
        deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPollicy"] = "Always"
        with self.assertRaisesRegex(ValueError, "imagePullPollicy"):
            client.V1Deployment.model_validate(deployment)

    def test_kubegate_is_a_sidecar_that_starts_first_and_ends_last(self):
        pod = self.object("Deployment")["spec"]["template"]["spec"]
        (sidecar,) = pod["initContainers"]
        self.assertEqual((sidecar["name"], sidecar["restartPolicy"]), ("kubegate", "Always"))
        self.assertGreater(pod["terminationGracePeriodSeconds"], DRAIN)
        self.takes(*sidecar["args"])

    def test_every_container_is_locked_down(self):
        pod = self.object("Deployment")["spec"]["template"]["spec"]
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        for container in pod["initContainers"] + pod["containers"]:
            self.assertEqual(
                container["securityContext"],
                {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                container["name"],
            )
            self.assertRegex(container["image"], r":\d", container["name"])
            self.assertIn("memory", container["resources"]["limits"], container["name"])

    def test_the_role_only_looks_and_is_bound_to_the_pods_account(self):
        for rule in self.object("Role")["rules"]:
            self.assertLessEqual(set(rule["verbs"]), {"get", "list", "watch"})
            self.assertNotIn("secrets", rule["resources"])
        binding = self.object("RoleBinding")
        account = self.object("ServiceAccount")["metadata"]["name"]
        pod = self.object("Deployment")["spec"]["template"]["spec"]
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": account}])
        self.assertEqual(binding["roleRef"]["name"], self.object("Role")["metadata"]["name"])
        self.assertEqual(pod["serviceAccountName"], account)


class OnTheDemo(Deploy):
    def kubectl(self, *arguments):
        base = str(DEPLOY / "kubernetes")
        return self.output(self.command("kubectl", f"--server={self.url}", *arguments, "-k", base))

    def test_the_base_is_applied_applied_again_and_deleted(self):
        names = [
            "serviceaccount/kubegate-example",
            "role.rbac.authorization.k8s.io/kubegate-example",
            "rolebinding.rbac.authorization.k8s.io/kubegate-example",
            "deployment.apps/kubegate-example",
        ]
        for what in ("created", "unchanged"):
            lines = self.kubectl("apply").splitlines()
            self.assertEqual(lines, [f"{name} {what}" for name in names])
        found = self.kubectl("get", "-o", "name").splitlines()
        self.assertEqual(found, names)
        deleted = self.kubectl("delete").splitlines()
        self.assertEqual(len(deleted), len(names), deleted)
        missing = self.command("kubectl", f"--server={self.url}", "get", "role", "kubegate-example")
        self.assertIn("not found", self.refusal(missing))


class Image(Deploy):
    # It compiles kubegate once more.
    limit = 300

    def instructions(self):
        text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
        lines = (line.strip() for line in text.splitlines())
        return [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]

    def stages(self):
        stages = []
        for name, rest in self.instructions():
            if name == "FROM":
                stages.append([])
            stages[-1].append((name, rest))
        return stages

    def test_it_builds_on_pinned_images_with_a_toolchain_that_is_new_enough(self):
        images = [stage[0][1].split()[0] for stage in self.stages()]
        for image in images:
            self.assertRegex(image, r":(?!latest)\S+", image)
        toolchain = re.fullmatch(r"rust:(\d+)\.(\d+)-slim-bookworm", images[0])
        manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
        needed = manifest["package"]["rust-version"].split(".")
        self.assertGreaterEqual(tuple(map(int, toolchain.groups())), tuple(map(int, needed[:2])))
        # glibc of the build has to be the glibc of the run: both are Debian 12.
        self.assertIn("debian12", images[-1])

    def test_the_last_stage_runs_nothing_and_is_nobody(self):
        last = dict(self.stages()[-1])
        self.assertNotIn("RUN", last)
        self.assertRegex(last["USER"], r"^[1-9]\d*:[1-9]\d*$")
        entry = yaml.safe_load(last["ENTRYPOINT"])
        source, binary = re.match(r"--from=build (\S+) (\S+)", last["COPY"]).groups()
        self.assertEqual(entry, [binary])
        self.assertTrue(source.endswith("/target/release/kubegate"), source)

    def test_what_the_build_sees_is_no_more_than_it_needs_and_compiles(self):
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        hidden, *seen = [line for line in ignored if line and not line.startswith("#")]
        self.assertEqual(hidden, "*")
        seen = {rule.removeprefix("!") for rule in seen}
        self.assertFalse(seen & {"certs", "tests", "target", ".git", "."}, seen)
        (build,) = [rest for name, rest in self.instructions() if name == "RUN"]
        cargo, verb, *flags = shlex.split(build)
        self.assertEqual((cargo, verb), ("cargo", "build"))
        flags.remove("--release")
        context = TARGET / "clients/image-context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        for name in seen:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, context / name)
        arguments = ["cargo", "check", *flags, f"--manifest-path={context}/Cargo.toml"]
        environment = dict(os.environ) | {"CARGO_TARGET_DIR": str(TARGET)}
        self.output(self.command(*arguments, timeout=self.limit, **environment))


class Services(Deploy):
    def test_the_socket_unit_has_the_name_that_kubegate_knows(self):
        text = (DEPLOY / "systemd/kubegate.socket").read_text()
        self.assertEqual(self.verified(text, "kubegate.socket"), "")
        self.assertIn("FileDescriptorName=proxy\n", text)
        (address,) = re.findall(r"^ListenStream=(.*)$", text, re.MULTILINE)
        self.assertEqual(address, "127.0.0.1:8001")

    def test_the_sandbox_leaves_plugins_what_they_need(self):
        text = (DEPLOY / "systemd/kubegate.service").read_text()
        for line in ("NoNewPrivileges=yes", "SystemCallArchitectures=native", "UMask=0077"):
            self.assertIn(f"{line}\n", text)
        for key in ("MemoryDenyWriteExecute", "ProtectHome", "RestrictNamespaces", "PrivateUsers"):
            self.assertNotRegex(text, rf"(?m)^{key}=")

    def test_systemd_finds_no_fault_in_the_unit(self):
        text = (DEPLOY / "systemd/kubegate.service").read_text()
        (start,) = re.findall(r"^ExecStart=(\S+)(.*)$", text, re.MULTILINE)
        self.assertTrue(start[0].startswith("%h/"), start)
        self.takes(*shlex.split(start[1]))
        # What is checked is the unit, not whether this user has installed kubegate.
        text = text.replace(start[0], os.environ["KUBEGATE"])
        self.assertEqual(self.verified(text), "")
        self.assertIn("Unknown key", self.verified(text.replace("KillMode", "KilMode")))
        seconds = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
        self.assertGreater(int(seconds[1]), DRAIN)

    def verified(self, text, name="kubegate.service"):
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder, name)
            unit.write_text(text)
            if name.endswith(".socket"):
                service = (DEPLOY / "systemd/kubegate.service").read_text()
                service = re.sub(r"%h/\S+", os.environ["KUBEGATE"], service)
                pathlib.Path(folder, "kubegate.service").write_text(service)
            command = ["systemd-analyze", "--user", "verify", str(unit)]
            done = self.command(*command, XDG_RUNTIME_DIR=folder)
        return (done.stdout + done.stderr).decode()

    def test_the_launch_agent_is_a_property_list_of_known_keys(self):
        text = (DEPLOY / "launchd/io.kubegate.plist").read_text()
        agent = plistlib.loads(text.replace("HOME_FOLDER", "/Users/me").encode())
        # launchd.plist(5)
        known = {
            "Label": str,
            "ProgramArguments": list,
            "EnvironmentVariables": dict,
            "RunAtLoad": bool,
            "KeepAlive": dict,
            "ThrottleInterval": int,
            "ExitTimeOut": int,
            "Umask": int,
            "StandardErrorPath": str,
        }
        for key, value in agent.items():
            self.assertIs(type(value), known.get(key), key)
        self.assertEqual(agent["Label"], "io.kubegate")
        self.assertGreater(agent["ExitTimeOut"], DRAIN)
        self.assertEqual(agent["Umask"], 0o077)
        program, *arguments = agent["ProgramArguments"]
        self.assertTrue(os.path.isabs(program) and os.path.isabs(agent["StandardErrorPath"]))
        self.takes(*arguments)
