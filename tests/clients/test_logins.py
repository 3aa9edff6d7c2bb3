"""kubectl with the contexts that `kubegate login` writes, as the demos' greetings tell: without
the proxy, where it runs kubegate as its plugin, and through it."""

import os
import re
import shlex
import shutil

import yaml

from case import Case
from kubegate import Kubegate


class Login(Case):
    limit = 120

    more_environment = {}
    """What kubegate needs besides, to find the issuer."""

    def setUp(self):
        programs = os.path.join(self.home, "bin")
        os.makedirs(programs, exist_ok=True)
        link = os.path.join(programs, "kubegate")
        if not os.path.exists(link):
            os.symlink(os.environ["KUBEGATE"], link)
        # Of the login before, nothing.
        for folder in (".kube", ".local"):
            shutil.rmtree(os.path.join(self.home, folder), ignore_errors=True)
        self.with_plugin = {"PATH": f"{programs}:{os.environ['PATH']}"}

    def commands(self, demo, last):
        """The commands of a demo's greeting, up to the one that contains `last`."""
        lines = []
        while not lines or last not in lines[-1]:
            lines.append(demo.line())
        text = "".join(lines).replace("\\\n", " ")
        told = [line.strip() for line in text.splitlines() if line.startswith("  ")]
        return [shlex.split(line) for line in told]

    def works_with_and_without_the_proxy(self, secret):
        """kubectl by the context as it stands, and through a kubegate for the same context."""
        self.assertIn("hello", self.output(self.command("kubectl", "get", "pods", **self.with_plugin)))
        refused = self.refusal(self.command("kubectl", "get", "pods"))
        self.assertIn("executable kubegate not found", refused)
        # Nothing is found by this PATH: what is not run cannot fail.
        environment = self.environment | {"PATH": "/nonexistent"}
        with Kubegate(environment=environment | self.more_environment) as gate:
            through = self.command("kubectl", f"--server={gate.url}", "--kubeconfig=/dev/null", "get", "pods")
            self.assertIn("hello", self.output(through))
            # With a context of its own, too: kubectl runs no plugin for plain http.
            beside = self.command("kubectl", f"--server={gate.url}", "get", "pods")
            self.assertIn("hello", self.output(beside))
        with open(os.path.join(self.home, ".kube/config")) as file:
            text = file.read()
        self.assertNotIn(secret, text)
        (user,) = yaml.safe_load(text)["users"]
        self.assertEqual(user["user"]["exec"]["command"], "kubegate")


class OpenShift(Login):
    def test_kubectl_works_with_a_context_of_login_openshift_with_and_without_the_proxy(self):
        with Kubegate("demo", "--flavor=openshift", "--token-ttl=1h") as demo:
            told = self.commands(demo, "signatures/")
            (login,) = [words for words in told if words[1:2] == ["login"]]
            done = self.command(*login, "--password-stdin", stdin=b"developer\n", **self.with_plugin)
            self.output(done)
            who = self.output(self.command("kubegate", "whoami", **self.with_plugin))
            self.assertIn("developer", who)
            token = self.output(self.command("kubegate", "whoami", "-t", **self.with_plugin)).strip()
            self.assertRegex(token, r"^sha256~[\w-]{43}$")
            self.works_with_and_without_the_proxy(token)
            self.signs(told)
            self.output(self.command("kubegate", "logout", **self.with_plugin))
            self.refusal(self.command("kubectl", "get", "pods", **self.with_plugin))

    def signs(self, told):
        """GET and PUT of an image's signature at the registry, with the session."""
        *_, gate, curl = told
        with Kubegate(*[word for word in gate[1:] if word not in ("--port", "8002")], environment=self.environment) as gate:
            url = re.sub(r"^http://[^/]*", gate.url, curl[-1])
            self.assertEqual(yaml.safe_load(self.output(self.command("curl", "-sS", url))), {"signatures": []})
            digest = url.rsplit("/", 1)[1]
            name = f"{digest}@" + "0" * 32
            signature = {"schemaVersion": 2, "name": name, "type": "atomic", "content": "c2lnbmVk"}
            path = self.file("signature", signature)
            put = self.command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-T", path, url)
            self.assertEqual(self.output(put), "201")
            stored = yaml.safe_load(self.output(self.command("curl", "-sS", url)))
            self.assertEqual([one["name"] for one in stored["signatures"]], [name])


class Ibm(Login):
    def test_kubectl_works_with_a_context_of_login_ibm_with_and_without_the_proxy(self):
        with Kubegate("demo", "--flavor=ibm") as demo:
            told = self.commands(demo, "login ibm --sso")
            (environment,) = {words[1] for words in told if words[0] == "."}
            with open(environment) as file:
                pairs = re.findall(r"^export (\w+)=(\S+)$", file.read(), re.MULTILINE)
            self.more_environment = dict(pairs)
            self.more_environment.pop("PATH", None)
            # The demo's own, in place of which this test has those of its home.
            for own in ("KUBECONFIG", "XDG_STATE_HOME"):
                self.assertTrue(self.more_environment.pop(own).startswith(os.path.dirname(environment)))
            self.with_plugin |= self.more_environment
            (key,) = {words[-1] for words in told if "--apikey-file" in words}
            login = ["kubegate", "login", "ibm", "--cluster=kubegate-iks", f"--apikey-file={key}"]
            self.output(self.command(*login, **self.with_plugin))
            who = self.output(self.command("kubegate", "whoami", **self.with_plugin))
            self.assertIn("IAM#user@example.com", who)
            token = self.output(self.command("kubegate", "token", **self.with_plugin)).strip()
            self.assertRegex(token, r"^eyJ")
            self.works_with_and_without_the_proxy(token)
            self.output(self.command("kubegate", "logout", **self.with_plugin))
            self.refusal(self.command("kubectl", "get", "pods", **self.with_plugin))
