"""The exec entry that `kubegate login` writes, in the official clients for other languages, which do
not tell it all that kubectl tells."""

import json
import os
import shlex
import subprocess

import yaml

from case import Case
from kubegate import Kubegate
from login_case import PODS_IN_JAVASCRIPT, PODS_IN_PYTHON

BETA = "client.authentication.k8s.io/v1beta1"


class ExecEntries(Case):
    limit = 120

    def log_in(self, demo, *more):
        """Logs in by the command of the demo's greeting, into a kubeconfig of the client's own. No
        kubegate is on PATH."""
        line = ""
        while "login openshift" not in line:
            line = demo.line()
        while line.rstrip().endswith("\\"):
            line = line.rstrip()[:-1] + demo.line()
        config = os.path.join(self.home, self._testMethodName)
        login = [*shlex.split(line), "--password-stdin", "--kubeconfig", config, *more]
        self.output(self.command(*login, stdin=b"developer\n"))
        return config

    def openshift(self):
        return Kubegate("demo", "--flavor=openshift", "--token-ttl=1h")

    def test_clients_run_a_kubegate_that_is_not_on_path(self):
        for version in ("v1", "v1beta1"):
            with self.openshift() as demo:
                config = self.log_in(demo, f"--exec-api-version={version}")
                for client in (["kubectl", "get", "pods"], PODS_IN_PYTHON, PODS_IN_JAVASCRIPT):
                    with self.subTest(client=client[0], version=version):
                        listed = self.command(*client, KUBECONFIG=config)
                        self.assertIn("hello", self.output(listed))

    def test_the_java_client_would_take_the_answer_of_an_entry_for_it(self):
        """By the rules of `KubeConfig.credentialsViaExecCredential` of the Java client, which adds no
        variables and passes no kubeconfig to the plugin."""
        with self.openshift() as demo:
            config = self.log_in(demo, "--exec-api-version=v1beta1")
            with open(config) as file:
                (user,) = yaml.safe_load(file)["users"]
            entry = user["user"]["exec"]
            self.assertEqual(entry["apiVersion"], BETA)
            done = subprocess.run(
                [entry["command"], *entry["args"]],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertEqual((answer["kind"], answer["apiVersion"]), ("ExecCredential", BETA))
            self.assertRegex(answer["status"]["token"], r"^sha256~[\w-]{43}$")
