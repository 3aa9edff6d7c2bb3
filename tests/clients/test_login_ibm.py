"""Clients with the context that `kubegate login ibm` writes."""

import os
import re

from login_case import LoginCase


class Ibm(LoginCase):
    demo_arguments = ["--flavor=ibm"]

    def test_clients_use_a_context_of_login_ibm_by_key(self):
        commands = self.commands("login ibm --sso")
        (environment,) = {words[1] for words in commands if words[0] == "."}
        with open(environment) as file:
            variables = dict(re.findall(r"^export (\w+)=(\S+)$", file.read(), re.MULTILINE))
        variables.pop("PATH", None)
        # The demo's own, in place of which this test uses those of its home.
        for name in ("KUBECONFIG", "XDG_STATE_HOME"):
            self.assertTrue(variables.pop(name).startswith(os.path.dirname(environment)))
        self.issuer_environment = variables
        self.with_plugin = self.with_plugin | variables
        (key,) = {words[-1] for words in commands if "--apikey-file" in words}
        self.kubegate("login", "ibm", "--cluster=kubegate-iks", f"--apikey-file={key}")
        self.assertIn("IAM#user@example.com", self.kubegate("whoami"))
        token = self.kubegate("token").strip()
        self.assertRegex(token, r"^eyJ")
        self.clients_work(token)
        self.logs_out()
