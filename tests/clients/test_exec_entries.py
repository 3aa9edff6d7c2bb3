"""The exec entry that `kubegate login` writes, in the official clients for other languages, which do
not tell it all that kubectl tells."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import yaml

from case import Case
from kubegate import Kubegate

HERE = pathlib.Path(__file__).resolve().parent
BETA = "client.authentication.k8s.io/v1beta1"


class ExecEntries(Case):
    limit = 120

    def log_in(self, demo, *more):
        """Logs in as the demo's greeting tells, into a kubeconfig that only the client knows, while
        no kubegate is on PATH."""
        line = ""
        while "login openshift" not in line:
            line = demo.line()
        while line.rstrip().endswith("\\"):
            line = line.rstrip()[:-1] + demo.line()
        config = os.path.join(self.home, "of-the-client")
        login = [*shlex.split(line), "--password-stdin", "--kubeconfig", config, *more]
        self.output(self.command(*login, stdin=b"developer\n"))
        return config

    def openshift(self):
        return Kubegate("demo", "--flavor=openshift", "--token-ttl=1h")

    def test_the_javascript_client_lists_pods(self):
        with self.openshift() as demo:
            config = self.log_in(demo)
            listed = self.command("node", str(HERE / "exec_entry.mjs"), config)
            self.assertIn("hello", self.output(listed))

    def test_the_python_client_lists_pods(self):
        with self.openshift() as demo:
            config = self.log_in(demo)
            listed = self.command(sys.executable, str(HERE / "exec_entry.py"), config)
            self.assertIn("hello", self.output(listed))

    def test_the_java_client_would_take_the_answer_of_an_entry_for_it(self):
        """As `KubeConfig.credentialsViaExecCredential` of the Java client judges entry and answer; it
        adds nothing to the environment."""
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
