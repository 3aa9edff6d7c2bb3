"""Clients with the contexts that `kubegate login openshift` writes."""

import re

import yaml

from kubegate import Kubegate
from login_case import LoginCase

SESSION = r"^sha256~[\w-]{43}$"


class OpenShift(LoginCase):
    demo_arguments = ["--flavor=openshift", "--token-ttl=1h"]

    def login(self):
        """The login of the greeting, without the user, and the commands for the registry."""
        commands = self.commands("signatures/")
        (login,) = [words for words in commands if words[1:2] == ["login"]]
        user = login.index("-u")
        return login[1:user] + login[user + 2 :], commands[-2:]

    def test_clients_use_a_context_of_login_openshift_by_password(self):
        login, registry = self.login()
        self.kubegate(*login, "-u", "developer", "--password-stdin", stdin=b"developer\n")
        self.assertIn("developer", self.kubegate("whoami"))
        token = self.kubegate("whoami", "-t").strip()
        self.assertRegex(token, SESSION)
        self.clients_work(token)
        self.signs(*registry)
        self.logs_out()

    def test_clients_use_a_context_of_login_openshift_by_token(self):
        login, _ = self.login()
        self.kubegate(*login, "-u", "developer", "--password-stdin", stdin=b"developer\n")
        token = self.kubegate("whoami", "-t")
        # The session goes on without the login that began it.
        self.setUp()
        self.kubegate(*login, "--token-stdin", stdin=token.encode())
        self.assertRegex(token.strip(), SESSION)
        self.clients_work(token.strip())
        self.logs_out()

    def signs(self, proxy, curl):
        """GET and PUT of an image's signature at the registry, with the session."""
        arguments = [word for word in proxy[1:] if word not in ("--port", "8002")]
        with Kubegate(*arguments, environment=self.environment) as registry:
            url = re.sub(r"^http://[^/]*", registry.url, curl[-1])
            signatures = yaml.safe_load(self.output(self.command("curl", "-sS", url)))
            self.assertEqual(signatures, {"signatures": []})
            digest = url.rsplit("/", 1)[1]
            name = f"{digest}@" + "0" * 32
            signature = {"schemaVersion": 2, "name": name, "type": "atomic", "content": "c2lnbmVk"}
            path = self.file("signature", signature)
            put = self.command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-T", path, url)
            self.assertEqual(self.output(put), "201")
            stored = yaml.safe_load(self.output(self.command("curl", "-sS", url)))
            self.assertEqual([each["name"] for each in stored["signatures"]], [name])
