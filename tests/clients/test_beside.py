"""Compares kubegate with kubectl and `kubectl proxy`: each test runs both with the same input.

Where they differ on purpose, a row of docs/differences.md names the test."""

import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from case import Case

ROOT = pathlib.Path(__file__).resolve().parents[2]
CERTS = ROOT / "certs"
PROXIES = ("kubectl", "kubegate")


class Beside(Case):
    def serve(self, tls=False, **options):
        server = Server(tls, **options)
        self.addCleanup(server.stop)
        return server

    def start(self, proxy, *flags, serves=True, **environment):
        program = "kubectl" if proxy == "kubectl" else os.environ["KUBEGATE"]
        process = subprocess.Popen(
            [program, "proxy", "--port=0", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environment | environment,
            text=True,
        )

        def stop():
            process.kill()
            process.wait()
            process.stdout.close()

        self.addCleanup(stop)
        process.port = 0
        line = process.stdout.readline()
        self.assertEqual(line.startswith("Starting to serve on 127.0.0.1:"), serves, f"{proxy}: {line}")
        if serves:
            process.port = int(line.rsplit(":", 1)[1])
        return process

    def ask(self, proxy, path, method="GET", **headers):
        """Sends a request and returns the status and the body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            # After a 101 the connection belongs to another protocol.
            return answer.status, b"" if answer.status == 101 else answer.read()
        finally:
            connection.close()

    def websocket(self, proxy, **headers):
        path = "/api/v1/pods?watch=1"
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
        return self.ask(proxy, path, Sec_WebSocket_Key=key, **upgrade, **headers)[0]

    def kubeconfig(self, server, *, name="config", **user):
        return self.file(
            name,
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": server}],
                "users": [{"name": "u", "user": user}],
            },
        )

    def differs(self, *subjects):
        """Checks that docs/differences.md has a row about each subject that names this test."""
        lines = (ROOT / "docs" / "differences.md").read_text().splitlines()
        rows = [line for line in lines if self._testMethodName in line]
        for subject in subjects:
            self.assertTrue(any(subject in row for row in rows), f"no row about {subject}: {rows}")

    def plugin(self, script):
        """Returns the `exec` section of a plugin that runs `script`. Each run adds a line to `runs`."""
        path = self.file("plugin", f"#!/bin/sh\necho run >>{self.home}/runs\n{script}\n")
        os.chmod(path, 0o700)
        return {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": path,
            "interactiveMode": "Never",
        }

    def runs(self):
        return len(pathlib.Path(self.home, "runs").read_text().splitlines())


class Requests(Beside):
    def test_a_web_page_gets_a_websocket_watch_from_kubectl_alone(self):
        server = self.serve()
        statuses = {}
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}")
            self.assertEqual(self.websocket(proxy), 101, name)
            statuses[name] = self.websocket(proxy, Origin="https://evil.example")
        self.assertEqual(statuses, {"kubectl": 101, "kubegate": 403})

    def test_an_upgrade_to_an_unknown_ca_sends_the_token_of_kubectl_alone(self):
        server = self.serve(tls=True)
        config = self.kubeconfig({"server": server.url}, token="sesame")
        statuses, sent = {}, {}
        for name in PROXIES:
            proxy = self.start(name, f"--kubeconfig={config}")
            self.assertIn(self.ask(proxy, "/version")[0], (500, 502), name)
            self.assertEqual(server.seen, [], name)
            statuses[name] = self.websocket(proxy)
            sent[name] = [authorization for _, authorization in server.take()]
        self.assertEqual(statuses, {"kubectl": 101, "kubegate": 502})
        self.assertEqual(sent, {"kubectl": ["Bearer sesame"], "kubegate": []})

    def test_other_ways_to_run_commands_pass_the_filter_of_kubectl_alone(self):
        server = self.serve()
        pod = "/api/v1/namespaces/default/pods/web"
        ways = [
            f"{pod}/ephemeralcontainers",
            "/api/v1/nodes/n/proxy/run/default/web/shell",
            "/api/v1/proxy/nodes/n/run/default/web/shell",
        ]
        statuses = {}
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}")
            for exec_ in ("exec", "%65xec"):
                self.assertEqual(self.ask(proxy, f"{pod}/{exec_}", "POST")[0], 403, name)
            statuses[name] = [self.ask(proxy, way, "PATCH")[0] for way in ways]
        self.assertEqual(statuses, {"kubectl": [200] * 3, "kubegate": [403] * 3})

    def test_patterns_match_the_same_paths_in_both(self):
        # Each pattern with paths that it matches, and paths that it does not match.
        cases = [
            (r"\Qa.b(\E$", ["a.b("], ["axb("]),
            (r"\d$", ["7"], ["%D9%A4", "a"]),
            (r"\w$", ["a"], ["%C3%A9"]),
            (r"\s$", ["%20"], ["%C2%A0"]),
            (r"[\D]$", ["a"], ["7"]),
            (r"a\b", ["a", "a%C3%A9"], ["ab"]),
            (r"a\B", ["ab"], ["a%C3%A9"]),
            (r"\101\x41\x{41}\z", ["AAA"], ["A"]),
            (r"\pN$", ["7", "%D9%A4"], ["a"]),
            (r"[\P{Lu}]$", ["a"], ["A"]),
            ("[[:word:]]+$", ["a_1"], ["-"]),
            ("[]a]$", ["%5D", "a"], ["b"]),
            ("[a&&b]$", ["&", "a"], ["c"]),
            ("[--/]$", ["-"], ["0"]),
            (r"\<\_$", ["%3C_"], ["_"]),
            ("a{x}{$", ["a{x}{"], ["a"]),
            ("a{01}$", ["a{01}"], ["a"]),
            ("(?i)k$", ["K", "%E2%84%AA"], ["l"]),
            ("(?U)a+$", ["aa"], ["b"]),
            ("(?P<n>a)(?<m>b)$", ["ab"], ["a"]),
            ("a(?i)*$", ["aa"], ["b"]),
        ]
        patterns = ",".join(f"^/{n}/{pattern}" for n, (pattern, _, _) in enumerate(cases))
        server = self.serve()
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}", f"--reject-paths={patterns}")
            for n, (pattern, found, missed) in enumerate(cases):
                for status, paths in ((403, found), (200, missed)):
                    for path in paths:
                        got = self.ask(proxy, f"/{n}/{path}")[0]
                        self.assertEqual(got, status, f"{name}: {pattern} in {path}")
        for pattern in ("a**", "*a", r"\C", r"\Z", r"\1", "(?=a)", "(?x)a", "a{1001}", "[b-a]", r"\p{}"):
            for name in PROXIES:
                self.start(name, f"--server={server.url}", f"--reject-paths={pattern}", serves=False)

    def test_a_comma_within_a_pattern_splits_it_in_kubectl_alone(self):
        server = self.serve()
        flags = (f"--server={server.url}", "--reject-paths=^/a{1,3}$")
        statuses = {}
        for name in PROXIES:
            proxy = self.start(name, *flags)
            statuses[name] = [self.ask(proxy, path)[0] for path in ("/aa", "/a{1")]
        self.assertEqual(statuses, {"kubectl": [200, 403], "kubegate": [403, 200]})

    def test_a_page_is_served_beside_the_api_by_both(self):
        server = self.serve()
        www = pathlib.Path(self.home, "www")
        www.mkdir()
        (www / "index.html").write_text("front")
        answers = {}
        for name in PROXIES:
            flags = (f"--www={www}", "--www-prefix=/", "--api-prefix=/api/")
            proxy = self.start(name, f"--server={server.url}", *flags)
            answers[name] = [self.ask(proxy, path) for path in ("/", "/api/v1/pods", "/apis/apps/v1")]
            answers[name][2] = answers[name][2][0]
        self.assertEqual(answers["kubectl"], [(200, b"front"), (200, b"ok"), 404])
        self.assertEqual(answers["kubegate"], answers["kubectl"])

    def test_a_raw_target_arrives_from_both(self):
        server = self.serve()
        arrived = {}
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}")
            for target in ('/q?query=up{job="a"}>0', "/p?labelSelector=rank>5&a=<`^"):
                with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
                    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                    client.sendall(head.encode())
                    self.assertIn(b" 200 ", client.recv(4096), name)
            # Some builds of kubectl request the server's version on their own.
            arrived[name] = [urllib.parse.unquote(path) for path, _ in server.take()[-2:]]
        self.assertEqual(arrived["kubegate"], arrived["kubectl"])
        self.assertEqual(arrived["kubegate"][0], '/q?query=up{job="a"}>0')

    def test_encoded_and_double_slashes_arrive_from_kubegate_alone(self):
        server = self.serve()
        arrived = {}
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}", "--api-prefix=/k8s")
            for path in ("/k8s/a%2Fb", "/k8s/a//b"):
                self.ask(proxy, path)
            arrived[name] = [path for path, _ in server.take()]
        self.assertEqual(arrived, {"kubectl": ["/a/b"], "kubegate": ["/a%2Fb", "/a//b"]})

    def test_a_first_401_reaches_the_client_of_kubectl_alone(self):
        # The token of the first run is not accepted, that of each later run is.
        token = "$([ $(wc -l <runs) = 1 ] && echo first || echo second)"
        exec_ = self.plugin(
            f"cd {self.home}\n"
            'printf \'{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",'
            f'"status":{{"token":"%s"}}}}\' {token}'
        )
        # Over plain HTTP neither would send the token.
        server = self.serve(tls=True)
        server.accepted = "Bearer second"
        cluster = {"server": server.url, "certificate-authority": str(CERTS / "ca.pem")}
        config = self.kubeconfig(cluster, exec=exec_)
        statuses = {}
        for name in PROXIES:
            pathlib.Path(self.home, "runs").write_text("")
            proxy = self.start(name, f"--kubeconfig={config}")
            statuses[name] = [self.ask(proxy, "/version")[0] for _ in range(2)]
        self.assertEqual(statuses, {"kubectl": [401, 200], "kubegate": [200, 200]})

    def test_fifty_requests_run_a_plugin_fifty_times_in_kubectl_alone(self):
        server = self.serve(tls=True)
        exec_ = self.plugin("sleep 0.1; exit 1")
        cluster = {"server": server.url, "certificate-authority": str(CERTS / "ca.pem")}
        config = self.kubeconfig(cluster, exec=exec_)
        runs = {}
        for name in PROXIES:
            pathlib.Path(self.home, "runs").write_text("")
            proxy = self.start(name, f"--kubeconfig={config}")
            threads = [threading.Thread(target=self.ask, args=(proxy, "/version")) for _ in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            runs[name] = self.runs()
        self.assertEqual(runs["kubectl"], 50)
        self.assertLess(runs["kubegate"], 5)

    def test_an_ipv6_host_is_refused_by_kubectl_alone(self):
        server = self.serve()
        statuses = {}
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}")
            statuses[name] = self.ask(proxy, "/version", Host="[::1]:8001")[0]
        self.assertEqual(statuses, {"kubectl": 403, "kubegate": 200})

    def test_without_a_kubeconfig_kubectl_alone_starts(self):
        proxy = self.start("kubectl")
        status, body = self.ask(proxy, "/no-such-path")
        self.assertTrue(status >= 400 and (b":8080" in body or status != 502), body)
        proxy = self.start("kubegate", serves=False)
        self.assertEqual(proxy.wait(timeout=10), 1)

    def test_a_request_in_flight_survives_sigterm_of_kubegate_alone(self):
        server = self.serve()
        survived = {}
        for name in PROXIES:
            proxy = self.start(name, f"--server={server.url}")
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
            self.addCleanup(connection.close)
            connection.request("GET", "/slow")
            self.assertTrue(server.slow.acquire(timeout=20))
            proxy.send_signal(signal.SIGTERM)
            if name == "kubectl":
                proxy.wait(timeout=20)
            server.go_on.release()
            try:
                survived[name] = connection.getresponse().read() == b"ok"
            except (http.client.HTTPException, ConnectionError):
                survived[name] = False
        self.assertEqual(survived, {"kubectl": False, "kubegate": True})

    def get_pods(self, proxy):
        """Runs `kubectl get pods` with an empty cache three times. Returns the shortest duration and the
        last line of its output."""
        best = None
        for _ in range(3):
            cache = tempfile.mkdtemp(dir=self.home)
            began = time.monotonic()
            done = subprocess.run(
                ["kubectl", f"--server=http://127.0.0.1:{proxy.port}", f"--cache-dir={cache}", "get", "pods"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self.environment,
                text=True,
                timeout=60,
            )
            took = time.monotonic() - began
            self.assertEqual(done.returncode, 1, done.stderr)
            best = min(best or took, took)
        return best, done.stderr.splitlines()[-1]

    def test_kubectl_shows_at_once_why_a_server_cannot_be_reached(self):
        stranger = self.serve(tls=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            refusing = f"https://127.0.0.1:{free.getsockname()[1]}"
        stopped = {name: self.serve() for name in PROXIES}
        # The server's URL, and the causes that kubectl proxy and kubegate name.
        for url, *causes in [
            (refusing, "connection refused", "Connection refused"),
            ("https://no-such-host.invalid:6443", "no-such-host.invalid", "no-such-host.invalid"),
            (stranger.url, "unknown authority", "was not issued by a CA trusted here"),
            (None, "connection refused", "Connection refused"),
        ]:
            took = {}
            for name, cause in zip(PROXIES, causes):
                server = url or stopped[name].url
                proxy = self.start(name, f"--server={server}", "--token=sesame")
                if not url:
                    self.assertEqual(self.ask(proxy, "/version")[0], 200)
                    stopped[name].stop()
                    # Longer than the second in which a server may restart.
                    time.sleep(1.2)
                took[name], last = self.get_pods(proxy)
                self.assertIn(cause, last, name)
                self.assertNotIn("unknown)", last)
            # 0.5 s is for a busy machine; client-go's retries would take 10 s each.
            self.assertLess(took["kubegate"], 1.2 * took["kubectl"] + 0.5, server)


class KubeconfigFiles(Case):
    """kubectl and kubegate accept the same kubeconfigs and read the same content."""

    TEXT = (
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        "contexts:\n- name: a\n  context: {cluster: a, user: a}\n"
        "clusters:\n- name: a\n  cluster: {server: 'https://a.example'}\n"
        "users:\n- name: a\n  user: {token: one}\n"
    )

    def read(self, content):
        """Returns the server of the current context as kubectl and kubegate read it; None if refused."""
        path = os.path.join(self.home, "kubeconfig")
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        view = ["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]
        kubectl = self.command("kubectl", *view, "--kubeconfig", path)
        kubegate = self.command(os.environ["KUBEGATE"], "contexts", "--kubeconfig", path)
        rows = [line.split() for line in kubegate.stdout.decode().splitlines()]
        current = [row[2] for row in rows if row and row[0] == "*"]
        by_kubegate = current[0] if kubegate.returncode == 0 and current else None
        return kubectl.stdout.decode() if kubectl.returncode == 0 else None, by_kubegate

    def test_kubeconfigs_that_both_read_alike(self):
        text = self.TEXT
        other = text.replace("a.example", "b.example")
        server = "https://a.example"
        for content in (
            text,
            "\ufeff" + text,
            text.replace("\n", "\r\n"),
            b"\xff\xfe" + text.encode("utf-16-le"),
            b"\xfe\xff" + text.encode("utf-16-be"),
            b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
            text + "---\n" + other,
            "---\n" + text + "---\n[[[",
            "# one\n---\n" + text + "...\nmore: [\n",
            text.replace("{server:", "{server: 'https://b.example', server:"),
            text + "users: [{name: a, user: {token: two}}]\n",
            text + "x: &x y\nz: [" + ", ".join(["*x"] * 300) + "]\n",
            text + "unknown: {a: [1, null]}\npreferences: {}\n",
            text.replace("current-context: a", "current-context:\ta"),
            json.dumps({"current-context": "a", "kind": "Config", "apiVersion": "v1",
                        "contexts": [{"name": "a", "context": {"cluster": "a"}}],
                        "clusters": [{"name": "a", "cluster": {"server": server}}]}, indent="\t"),
        ):
            self.assertEqual(self.read(content), (server, server), content)

    def test_kubeconfigs_that_neither_reads(self):
        text = self.TEXT
        for content in (
            b"\xff\xfe" + text.encode("utf-16-le") + b"a",
            text.encode("utf-16-le"),
            text.encode() + b"# caf\xe9\n",
            text.replace("name: a\n  context", "name: 1\n  context"),
            text + "- name: a\n  user: {token: two}\n",
            text.replace("server:", "server: *"),
            "[]\n",
        ):
            self.assertEqual(self.read(content), (None, None), content)


class Certificates(Beside):
    """One kubeconfig for kubectl and for kubegate: both accept the certificates, or both refuse them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = Certs(pathlib.Path(cls.home))
        cls.messages = {}

    def judge(self, cases):
        """Returns for each case, by name, whether kubectl accepts it and whether kubegate does. A case is
        a server, further fields of its cluster, and the fields of the user."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return dict(zip(cases, pool.map(self.judge_one, cases, cases.values())))

    def judge_one(self, name, case):
        server, cluster, user = case
        cluster = {"server": server.url} | cluster
        config = self.kubeconfig(cluster, name=re.sub(r"\W", "-", name), **user or {"token": "sesame"})
        direct = self.command("kubectl", "--kubeconfig", config, "get", "--raw", "/version")
        if direct.returncode:
            self.assertRegex(direct.stderr.decode(), "tls: |x509: |root certificates|certificate required", name)
        process = subprocess.Popen(
            [os.environ["KUBEGATE"], "proxy", "--port=0", f"--kubeconfig={config}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )
        try:
            line = process.stdout.readline()
            if line:
                process.port = int(line.rsplit(":", 1)[1])
                status, message = self.ask(process, "/version")
            else:
                status, message = 0, process.stderr.read().encode()
        finally:
            process.kill()
            process.communicate()
        if status != 200:
            self.assertIn(status, (0, 502), name)
            self.assertRegex(message.decode(), "certificate|private key", name)
            self.messages[name] = message.decode()
        return direct.returncode == 0, status == 200

    def leaf(self, ca, leaf, folder=CERTS, **cluster):
        server = self.serve(tls=(folder / f"{leaf}.pem", folder / f"{leaf}.key"))
        return server, {"certificate-authority": str(folder / f"{ca}.pem")} | cluster, {}

    def test_servers_certificates_are_accepted_by_both_or_by_neither(self):
        accepted = [
            ("ca", "ca-true"),
            ("ca", "any-purpose"),
            ("ca", "any-purpose-chain"),
            ("ca", "chain"),
            ("ca", "deep-6"),
            ("intermediate-ca", "chain"),
            ("self-signed", "self-signed"),
            ("localhost", "localhost"),
            ("v1-ca", "v1-ca-leaf"),
            ("short-ca", "short-ca-leaf"),
            ("constrained-ca", "constrained-ca-leaf"),
        ]
        refused = [
            ("ca", "no-sign-chain"),
            ("no-sign-ca", "no-sign-ca-leaf"),
            ("client-ca", "client-ca-leaf"),
            ("short-ca", "short-chain"),
            ("critical-ca", "critical-ca-leaf"),
            ("ca", "critical-chain"),
            ("ca", "ca-true-client"),
            ("ca", "client-purpose-chain"),
            ("ca", "wildcard-lan"),
            ("ca", "cn-only"),
            ("localhost", "signed-by-leaf"),
            ("same-name-ca", "localhost"),
            ("rsa-ca", "sha1-leaf"),
            ("dsa-ca", "dsa-ca-leaf"),
            ("constrained-ca", "constrained-ca-otherexample"),
        ]
        cases = {f"{leaf} under {ca}": self.leaf(ca, leaf) for ca, leaf in accepted + refused}
        expected = {f"{leaf} under {ca}": ((ca, leaf) in accepted,) * 2 for ca, leaf in accepted + refused}
        for name, fits in (("k8s.lan", True), ("lan", False), ("a.k8s.lan", False)):
            cases[name] = self.leaf("ca", "wildcard-lan", **{"tls-server-name": name})
            expected[name] = (fits, fits)
        self.assertEqual(self.judge(cases), expected)

    def test_a_trusted_issuer_that_is_not_a_ca_is_refused_by_both_and_named(self):
        cases = {
            "its basic constraints say CA:FALSE": self.leaf("localhost", "signed-by-leaf"),
            "it has no basic constraints with CA:TRUE": self.leaf("ca", "leaf", self.made.without_basic_constraints()),
        }
        self.assertEqual(self.judge(cases), {name: (False, False) for name in cases})
        for why in cases:
            self.assertIn(f"is not a CA certificate: {why}", self.messages[why])

    def test_certificates_that_kubectl_alone_accepts(self):
        cases = {
            "six intermediates": self.leaf("ca", "deep-7"),
            "RSA keys": self.leaf("ca", "rsa-1024"),
            "key of the CA": self.leaf("rsa-1024-ca", "rsa-1024-ca-leaf"),
            "P-224": self.leaf("p224-ca", "p224-ca-leaf"),
            "CA:TRUE": self.leaf("ca", "ca-true", self.made.behind_an_intermediate()),
            "name constraints": self.leaf("ca", "ca-true", self.made.under_name_constraints()),
            "certificate policies": self.leaf("ca", "leaf", self.made.critical_policies()),
            "directory names": self.leaf("ca", "leaf", self.made.constrained_directory_names()),
        }
        self.assertEqual(self.judge(cases), {name: (True, False) for name in cases})
        self.differs("six intermediates", "RSA keys", "P-224", "CA:TRUE", "name constraints")
        self.differs("certificate policies", "directory names")

    def bundle(self, server, text):
        data = text if isinstance(text, bytes) else text.encode()
        return server, {"certificate-authority-data": base64.b64encode(data).decode()}, {}

    def test_ca_bundles_are_read_by_both_or_by_neither(self):
        server = self.serve(tls=True)
        ca, other = ((CERTS / f"{name}.pem").read_text() for name in ("ca", "other-ca"))
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        bad = f"{begin}\n!!\n{end}\n"
        texts = {
            "bad base64 first": bad + ca,
            "bad base64 last": ca + bad,
            "no END": other.replace(f"{end}\n", "") + ca,
            "a stray BEGIN": f"{begin}\n{ca}",
            "no X.509": f"{begin}\naHVudGVyMg==\n{end}\n{ca}",
            "a tab behind BEGIN": ca.replace(begin, f"{begin}\t"),
            "blanks behind END": ca.replace(end, f"{end}  "),
            "CRLF": ca.replace("\n", "\r\n"),
            "an indented body": ca.replace("\nMII", "\n  MII"),
            "text around it": f"subject=/CN=a\n{ca}more",
            "a key before it": (CERTS / "client.key").read_text() + ca,
        }
        unreadable = {
            "only bad base64": bad,
            "an indented BEGIN": ca.replace("-----BEGIN", "  -----BEGIN"),
            "another label": ca.replace(" CERTIFICATE", " TRUSTED CERTIFICATE"),
            "all on one line": ca.replace("\n", ""),
            "DER": base64.b64decode("".join(ca.splitlines()[1:-1])),
            "only a key": (CERTS / "client.key").read_text(),
        }
        cases = {name: self.bundle(server, text) for name, text in (texts | unreadable).items()}
        self.assertEqual(self.judge(cases), {name: (name in texts,) * 2 for name in cases})

    def client(self, server, certificate, key):
        encode = lambda text: base64.b64encode(text.encode()).decode()
        user = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
        return server, {"certificate-authority": str(CERTS / "ca.pem")}, user

    def test_client_certificates_and_keys_are_read_by_both_or_by_neither(self):
        server = self.serve(tls=True, client_ca=CERTS / "ca.pem")
        certificate, pkcs8, sec1 = (
            (CERTS / name).read_text() for name in ("client.pem", "client.key", "client-sec1.key")
        )
        relabelled = lambda text, label: re.sub("(BEGIN|END)( EC)? PRIVATE", rf"\1 {label}PRIVATE", text)
        bad = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"
        pairs = {
            "PKCS#8": (certificate, pkcs8),
            "SEC 1": (certificate, sec1),
            "SEC 1 as RSA": (certificate, relabelled(sec1, "RSA ")),
            "SEC 1 as PKCS#8": (certificate, relabelled(sec1, "")),
            "PKCS#8 as EC": (certificate, relabelled(pkcs8, "EC ")),
            "PKCS#8 as OPENSSH": (certificate, relabelled(pkcs8, "OPENSSH ")),
            "one file": (certificate + pkcs8, certificate + pkcs8),
            "a bad section": (bad + certificate, bad + pkcs8),
            "headers": (
                certificate.replace("CERTIFICATE-----\n", "CERTIFICATE-----\na: b\n", 1),
                pkcs8.replace("KEY-----\n", "KEY-----\na: b\n\n", 1),
            ),
        }
        unusable = {
            "another key": (certificate, (CERTS / "localhost.key").read_text()),
            "another key first": (certificate, (CERTS / "localhost.key").read_text() + pkcs8),
            "a passphrase": (certificate, (CERTS / "client-encrypted.key").read_text()),
            "a label without PRIVATE": (certificate, pkcs8.replace("PRIVATE ", "")),
            "swapped": (pkcs8, certificate),
        }
        cases = {name: self.client(server, *pair) for name, pair in (pairs | unusable).items()}
        self.assertEqual(self.judge(cases), {name: (name in pairs,) * 2 for name in cases})

    def test_certificates_that_kubegate_alone_reads(self):
        server, mutual = self.serve(tls=True), self.serve(tls=True, client_ca=CERTS / "ca.pem")
        ca, other = ((CERTS / f"{name}.pem").read_text() for name in ("ca", "other-ca"))
        certificate, key = ((CERTS / f"client.{end}").read_text() for end in ("pem", "key"))
        no_x509 = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n"
        encrypted = (CERTS / "client-encrypted.key").read_text()
        cases = {
            "byte order mark": self.bundle(server, f"\ufeff{ca}"),
            "UTF-16": self.bundle(server, b"\xff\xfe" + ca.encode("utf-16-le")),
            "lone CR": self.bundle(server, ca.replace("\n", "\r")),
            "joined": self.bundle(server, other.strip() + ca),
            "headers": self.bundle(server, ca.replace("CERTIFICATE-----\n", "CERTIFICATE-----\na: b\n", 1)),
            "a client certificate behind what is no X.509": self.client(mutual, no_x509 + certificate, key),
            "a key behind an encrypted one": self.client(mutual, certificate, encrypted + key),
            "negative serial number": self.leaf("ca", "leaf", self.made.negative_serial_number()),
        }
        self.assertEqual(self.judge(cases), {name: (False, True) for name in cases})
        self.differs("byte order mark", "UTF-16", "lone CR", "joined", "headers", "negative serial number")
        self.differs("passphrase")


class Certs:
    """Creates certificates that certs/ does not have, each set in a folder of its own."""

    CA = "basicConstraints=critical,CA:TRUE"
    SERVER = "subjectAltName=DNS:localhost"

    def __init__(self, home):
        self._home = home

    def behind_an_intermediate(self):
        folder = self._folder("behind")
        self._make(folder, "ca", self.CA)
        self._make(folder, "intermediate", self.CA, "ca")
        self._make(folder, "ca-true", f"{self.SERVER}\n{self.CA}", "intermediate")
        with open(folder / "ca-true.pem", "a") as chain:
            chain.write((folder / "intermediate.pem").read_text())
        return folder

    def under_name_constraints(self):
        folder = self._folder("constraints")
        self._make(folder, "ca", f"{self.CA}\nnameConstraints=critical,permitted;DNS:localhost")
        self._make(folder, "ca-true", f"{self.SERVER}\n{self.CA}", "ca")
        return folder

    def constrained_directory_names(self):
        folder = self._folder("directory")
        self._make(folder, "ca", f"{self.CA}\nnameConstraints=permitted;dirName:subtree\n[subtree]\nCN=leaf")
        self._make(folder, "leaf", self.SERVER, "ca")
        return folder

    def critical_policies(self):
        folder = self._folder("policies")
        self._make(folder, "ca", self.CA)
        self._make(folder, "leaf", f"{self.SERVER}\ncertificatePolicies=critical,1.2.3.4", "ca")
        return folder

    def without_basic_constraints(self):
        folder = self._folder("basic")
        self._make(folder, "ca", "subjectKeyIdentifier=hash")
        self._make(folder, "leaf", self.SERVER, "ca")
        return folder

    def negative_serial_number(self):
        folder = self._folder("serial")
        self._make(folder, "ca", self.CA)
        self._make(folder, "leaf", self.SERVER, "ca", serial=-5)
        return folder

    def _folder(self, name):
        folder = self._home / name
        folder.mkdir(exist_ok=True)
        return folder

    def _make(self, folder, name, extensions, issuer=None, serial=None):
        (folder / f"{name}.ext").write_text(f"[all]\n{extensions}\n")
        self._openssl(
            folder, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr",
        )
        signer = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"] if issuer else ["-signkey", f"{name}.key"]
        self._openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-out", f"{name}.pem", "-days", "2",
            "-set_serial", str(serial or int.from_bytes(os.urandom(8)) | 1),
            "-extfile", f"{name}.ext", "-extensions", "all",
        )

    def _openssl(self, folder, *arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


class Server(http.server.ThreadingHTTPServer):
    """An API server that responds with 200, or 101 to a WebSocket, and records path and credential of
    each request. `tls` is `True`, or the files of its certificate chain and key."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tls, client_ca=None):
        self.seen = []
        self.connections = []
        self.stopped = False
        self.accepted = None
        self.slow = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # Allows old keys and signatures.
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.load_cert_chain(*((CERTS / "localhost.pem", CERTS / "localhost.key") if tls is True else tls))
            if client_ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client_ca)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if tls else 'http'}://localhost:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def take(self):
        seen, self.seen = self.seen, []
        return seen

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        """Ignores handshakes that the client aborts."""

    def stop(self):
        if self.stopped:
            return
        self.stopped = True
        self.go_on.release()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, self.headers["Authorization"]))
        if self.path == "/slow":
            self.server.slow.release()
            self.server.go_on.acquire()
        if self.headers["Upgrade"] == "websocket":
            accept = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
            digest = hashlib.sha1(accept.encode()).digest()
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
            self.end_headers()
            self.close_connection = True
            return
        accepted = self.server.accepted in (None, self.headers["Authorization"])
        self.send_response(200 if accepted else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_PATCH = do_GET

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    unittest.main()
