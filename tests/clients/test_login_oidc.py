"""Clients with the context that `kubegate login oidc` writes."""

from login_case import LoginCase


class Oidc(LoginCase):
    demo_arguments = ["--flavor=oidc", "--token-ttl=1h"]

    def test_clients_use_a_context_of_login_oidc(self):
        commands = self.commands("kubectl get pods")
        (variables,) = {word for words in commands for word in words if word.startswith("CURL_CA_BUNDLE=")}
        name, ca = variables.split("=", 1)
        (login,) = [words for words in commands if words[1:3] == ["login", "oidc"]]
        redirect = "--oidc-redirect-url=http://127.0.0.1:0/callback"
        self.kubegate(*login[1:], redirect, **{name: ca})
        self.assertIn("oidc:jane@example.com", self.kubegate("whoami"))
        token = self.kubegate("token").strip()
        self.assertRegex(token, r"^eyJ")
        self.clients_work(token)
        self.logs_out()
