"""What the suites of logins share: a demo for the whole suite, and the clients that use a context that
`kubegate login` wrote."""

import os
import shlex
import shutil
import sys

import yaml

from case import Case
from kubegate import Kubegate

HERE = os.path.dirname(os.path.abspath(__file__))

PODS_IN_PYTHON = [sys.executable, os.path.join(HERE, "list_pods.py")]
PODS_IN_JAVASCRIPT = ["node", os.path.join(HERE, "list_pods.mjs")]


class LoginCase(Case):
    limit = 120

    demo_arguments = []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo = Kubegate("demo", *cls.demo_arguments).__enter__()
        cls.addClassCleanup(cls.demo.__exit__)
        cls.greeting = []
        programs = os.path.join(cls.home, "bin")
        os.makedirs(programs)
        os.symlink(os.environ["KUBEGATE"], os.path.join(programs, "kubegate"))
        cls.with_plugin = {"PATH": f"{programs}:{os.environ['PATH']}"}
        cls.issuer_environment = {}
        """What kubegate needs in addition, to find the issuer."""

    def setUp(self):
        # Each test begins without a login.
        for folder in (".kube", ".local"):
            shutil.rmtree(os.path.join(self.home, folder), ignore_errors=True)

    @classmethod
    def commands(cls, last):
        """The commands of the demo's greeting, up to the one that contains `last`."""
        lines = cls.greeting
        while not lines or last not in lines[-1]:
            lines.append(cls.demo.line())
        text = "".join(lines).replace("\\\n", " ")
        return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]

    def kubegate(self, *arguments, **options):
        return self.output(self.command("kubegate", *arguments, **options, **self.with_plugin))

    def clients_work(self, secret):
        """kubectl, the Python and the JavaScript client use the context; kubectl also through a
        kubegate for the context."""
        kubectl = ["kubectl", "get", "pods", "-o", "name"]
        for client in (kubectl, PODS_IN_PYTHON, PODS_IN_JAVASCRIPT):
            with self.subTest(client=client[0]):
                self.assertIn("hello", self.output(self.command(*client, **self.with_plugin)))
        refusal = self.refusal(self.command("kubectl", "get", "pods"))
        self.assertIn("executable kubegate not found", refusal)
        # With this PATH no plugin can run.
        environment = self.environment | {"PATH": "/nonexistent"} | self.issuer_environment
        with Kubegate(environment=environment) as proxy:
            server = f"--server={proxy.url}"
            for kubeconfig in (["--kubeconfig=/dev/null"], []):
                # With a context of its own too: kubectl runs no plugin for plain http.
                through = self.command("kubectl", server, *kubeconfig, "get", "pods")
                self.assertIn("hello", self.output(through))
        with open(os.path.join(self.home, ".kube/config")) as file:
            text = file.read()
        self.assertNotIn(secret, text)
        (user,) = yaml.safe_load(text)["users"]
        self.assertEqual(user["user"]["exec"]["command"], "kubegate")

    def logs_out(self):
        self.kubegate("logout")
        self.refusal(self.command("kubectl", "get", "pods", **self.with_plugin))
