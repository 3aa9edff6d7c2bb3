"""An upstream that is not ours: nginx with TLS, with HTTP/2 and without."""

import json
import os
import pathlib
import socket
import subprocess
import time

from case import Case
from kubegate import Kubegate

TOKEN = "token-for-nginx"
LARGE = 10_000_000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Nginx(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for authority in ("ca", "other-ca"):
            cls.openssl("-subj", f"/CN=nginx {authority}", "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        cls.openssl(
            "-subj", "/CN=nginx", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "leaf.key", "-out", "leaf.pem",
        )
        cls.large = os.urandom(LARGE)
        pathlib.Path(cls.home, "large").write_bytes(cls.large)
        cls.start_nginx()

    @classmethod
    def openssl(cls, *arguments):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-noenc", "-days", "2", *arguments],
            cwd=cls.home, check=True, capture_output=True,
        )

    @classmethod
    def start_nginx(cls):
        cls.ports = {"HTTP/2.0": free_port(), "HTTP/1.1": free_port()}
        servers = "".join(
            f"""
            server {{
                listen 127.0.0.1:{port} ssl{' http2' if protocol == 'HTTP/2.0' else ''};
                ssl_certificate leaf.pem;
                ssl_certificate_key leaf.key;
                root {cls.home};
                location / {{
                    default_type application/json;
                    return 200 '{{"protocol": "$server_protocol", "host": "$http_host",
                        "authorization": "$http_authorization", "uri": "$request_uri"}}';
                }}
                location = /large {{ }}
            }}"""
            for protocol, port in cls.ports.items()
        )
        temporary = "".join(
            f"{kind}_temp_path {cls.home}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        pathlib.Path(cls.home, "nginx.conf").write_text(
            f"daemon off; master_process off; pid {cls.home}/nginx.pid; error_log stderr;"
            f"events {{}} http {{ access_log off; {temporary} {servers} }}"
        )
        process = subprocess.Popen(
            ["nginx", "-p", cls.home, "-c", f"{cls.home}/nginx.conf"], stdin=subprocess.DEVNULL
        )
        cls.addClassCleanup(lambda: (process.terminate(), process.wait(timeout=20)))
        for port in cls.ports.values():
            deadline = time.monotonic() + 20
            while not cls.listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nginx does not listen on port {port}")
                time.sleep(0.02)

    @staticmethod
    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def proxy(self, protocol, authority="ca"):
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "nginx",
            "contexts": [{"name": "nginx", "context": {"cluster": "nginx", "user": "somebody"}}],
            "clusters": [
                {
                    "name": "nginx",
                    "cluster": {
                        "server": f"https://127.0.0.1:{self.ports[protocol]}",
                        "certificate-authority": f"{authority}.pem",
                    },
                }
            ],
            "users": [{"name": "somebody", "user": {"token": TOKEN}}],
        }
        path = self.file(f"{authority}.kubeconfig", kubeconfig)
        proxy = Kubegate(f"--kubeconfig={path}", environment=self.environment)
        self.addCleanup(proxy.__exit__)
        return proxy.__enter__()

    def test_it_is_reached_verified_and_authenticated_over_either_protocol(self):
        for protocol, port in self.ports.items():
            proxy = self.proxy(protocol)
            done = self.command("curl", "-sS", "--max-time", "20", f"{proxy.url}/a%2Fb//c?d=%20e")
            self.assertEqual(
                json.loads(self.output(done)),
                {
                    "protocol": protocol,
                    "host": f"127.0.0.1:{port}",
                    "authorization": f"Bearer {TOKEN}",
                    "uri": "/a%2Fb//c?d=%20e",
                },
            )

    def test_a_large_body_comes_unchanged_over_either_protocol(self):
        for protocol in self.ports:
            proxy = self.proxy(protocol)
            done = self.command("curl", "-sS", "--max-time", "30", f"{proxy.url}/large")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(done.stdout), LARGE, protocol)
            self.assertTrue(done.stdout == self.large, protocol)

    def test_with_another_authority_nothing_is_sent(self):
        proxy = self.proxy("HTTP/2.0", authority="other-ca")
        done = self.command("curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", proxy.url)
        body, _, status = self.output(done).rpartition("\n")
        self.assertEqual((status, json.loads(body)["kind"]), ("502", "Status"))
        self.assertNotIn(TOKEN, body)
