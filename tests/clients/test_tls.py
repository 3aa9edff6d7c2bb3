"""kubectl, Python and JavaScript through TLS, known by a token or by a client certificate."""

import glob
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from contextlib import closing

from kubernetes import client, config, watch
from kubernetes.stream import portforward, stream

from case import Case
from kubegate import Kubegate

HERE = pathlib.Path(__file__).resolve().parent
OPERATION = HERE.parents[1] / "docs/operation.md"
REST = 20
"""Seconds that one call may take."""
NAMES = ["one", "two"]
TOKEN = "sesame-of-the-tls-door-0123456789"


def kubectls():
    """The pinned kubectl, and older ones that are installed beside (`kubectl.1.28`), by their name."""
    folders = [*os.environ["PATH"].split(":"), "/usr/lib/google-cloud-sdk/bin"]
    older = [found for folder in folders for found in glob.glob(f"{folder}/kubectl.1.28")]
    return [shutil.which("kubectl"), *older[:1]]


class Tls(Case):
    limit = 120

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        home = pathlib.Path(cls.home)
        cls.environment["XDG_STATE_HOME"] = str(home / "state")
        cls.authority = home / "state/kubegate/local-ca/ca.pem"
        cls.source = home / "source"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            cls.port = probe.getsockname()[1]
        # The demos are kubegates themselves. WebSockets of the Python client have the Origin of the first.
        origin = f"--allow-origin=https://127.0.0.1:{cls.port}"
        urls = {name: cls.started("demo", "--allow-exec", origin).url for name in NAMES}
        cls.source.write_text(json.dumps({
            "current-context": "two",
            "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in NAMES],
            "clusters": [{"name": name, "cluster": {"server": url}} for name, url in urls.items()],
            "users": [{"name": "u", "user": {}}],
        }))
        # The Python client takes no newline at the end.
        (home / "token").write_text(TOKEN)
        hashed = hashlib.sha256(TOKEN.encode()).hexdigest()
        cls.tokens = home / "tokens"
        cls.tokens.write_text(f"ci sha256:{hashed}\n")
        # A certificate of the lines in the documentation, and one that kubegate issues.
        cls.made = cls.documented(home)
        cls.run_kubegate("kubeconfig", "--tls-self-signed", "--client-name=joe", "-o", "name")
        authorities = home / "client-ca.pem"
        authorities.write_text((cls.made / "ca.pem").read_text() + cls.authority.read_text())
        cls.door = cls.started(
            "--kubeconfig", str(cls.source), "--all-contexts", "--allow-exec", "--tls-self-signed",
            "--client-ca", str(authorities), "--require-token-file", str(cls.tokens),
            port=cls.port,
        )
        cls.files = {}
        for kind, flags in {
            "token": [f"--token-file={home}/token"],
            "certificate": [
                f"--client-certificate={cls.made}/jane.pem", f"--client-key={cls.made}/jane.key",
            ],
            "issued": ["--client-name=joe"],
            "nothing": [],
        }.items():
            cls.files[kind] = str(home / f"by-{kind}")
            cls.run_kubegate(
                "kubeconfig", "--tls-self-signed", f"--port={cls.port}", *flags, "--write", cls.files[kind],
            )

    @classmethod
    def started(cls, *arguments, port=0):
        # The Python client leaves its port-forward open.
        quick = "--drain-timeout=1s"
        kubegate = Kubegate(*arguments, quick, environment=cls.environment, port=port)
        cls.addClassCleanup(kubegate.__exit__, None, None, None)
        return kubegate.__enter__()

    @classmethod
    def run_kubegate(cls, command, *arguments):
        kubegate = [os.environ["KUBEGATE"], command, f"--kubeconfig={cls.source}", *arguments]
        subprocess.run(kubegate, check=True, capture_output=True, env=cls.environment)

    @classmethod
    def documented(cls, home):
        """Runs the lines of the documentation that make a CA and a client certificate."""
        (block,) = [
            block for block in re.findall(r"```sh\n(.*?)```", OPERATION.read_text(), re.DOTALL)
            if "openssl req -x509" in block
        ]
        commands = block.replace("\\\n", " ").splitlines()
        lines = "\n".join(line for line in commands if not line.startswith("kubegate "))
        folder = home / "made"
        folder.mkdir()
        subprocess.run(["sh", "-ec", lines], cwd=folder, check=True, capture_output=True)
        return folder

    def credentials(self):
        return [(kind, self.files[kind]) for kind in ("token", "certificate", "issued")]


class Kubectl(Tls):
    def arguments(self, kubectl, file, *arguments):
        cache = tempfile.mkdtemp(dir=self.home)
        return [kubectl, f"--kubeconfig={file}", f"--cache-dir={cache}", *arguments]

    def clients(self):
        """Each kubectl with each credential, as a function that gives the command."""
        for kubectl in kubectls():
            for _, file in self.credentials():
                yield lambda *arguments: self.arguments(kubectl, file, *arguments)

    def out(self, arguments, **options):
        return self.output(self.command(*arguments, **options))

    def test_each_context_has_its_own_objects_and_the_current_one_is_kept(self):
        for kubectl in self.clients():
            for name in NAMES:
                path = self.file(f"{name}.json", self.configmap("which", context=name))
                apply = kubectl("--context", name, "apply", "-f", path)
                self.assertIn("configmap/which created", self.out(apply))
            for name in [*NAMES, None]:
                context = ["--context", name] if name else []
                found = json.loads(self.out(kubectl(*context, "get", "configmap", "which", "-o", "json")))
                self.assertEqual(found["data"]["context"], name or "two")
            for name in NAMES:
                self.out(kubectl("--context", name, "delete", "configmap", "which"))

    def test_raw_keeps_to_its_cluster_or_is_refused(self):
        path = "/api/v1/namespaces/default/configmaps/raw"
        for kubectl in self.clients():
            for name in NAMES:
                self.out(kubectl("--context", name, "create", "configmap", "raw", f"--from-literal=name={name}"))
            for name in NAMES:
                done = self.command(*kubectl("--context", name, "get", "--raw", path))
                if done.returncode == 0:
                    self.assertEqual(json.loads(done.stdout)["data"]["name"], name)
                else:
                    # kubectl before 1.37 drops the path of the server's address.
                    self.assertIn("/clusters/one/", done.stderr.decode())
            for name in NAMES:
                self.out(kubectl("--context", name, "delete", "configmap", "raw"))

    def test_watches_and_logs_are_followed(self):
        for kubectl in self.clients():
            watching = self.follow(*kubectl("get", "configmaps", "--watch", "--output-watch-events"))
            self.out(kubectl("create", "configmap", "watched"))
            self.assertIn("ADDED", watching.line("watched"))
            self.out(kubectl("delete", "configmap", "watched"))
            self.assertIn("DELETED", watching.line("DELETED"))
            logs = self.follow(*kubectl("logs", "--follow", "--tail=1", "hello"))
            first = logs.line()
            self.assertNotEqual(logs.line(), first)
            self.assertTrue(watching.runs() and logs.runs())
            watching.stop()
            logs.stop()

    def test_exec_and_port_forward_reach_the_pod(self):
        # kubectl's port-forward, and exec of old ones, speak SPDY, which the demo does not: it says so.
        spdy = "SPDY/3.1 is not offered by the demo"
        for kubectl in self.clients():
            for name in NAMES:
                run = kubectl("--context", name, "exec", "-i", "hello", "--", "cat")
                done = self.command(*run, stdin=name.encode())
                if run[0].endswith("1.28"):
                    self.assertIn(spdy, self.refusal(done))
                else:
                    self.assertEqual(self.output(done), name)
                forward = self.command(*kubectl("--context", name, "port-forward", "pod/hello", ":8080"))
                self.assertIn(spdy, self.refusal(forward))

    def test_requests_go_over_http_2(self):
        for kubectl in self.clients():
            done = self.command(*kubectl("get", "pods"), GODEBUG="http2debug=1")
            self.assertIn("hello", self.output(done))
            self.assertIn("http2: ", done.stderr.decode())
            self.assertIn("HEADERS", done.stderr.decode())

    def test_the_log_names_who_was_let_in(self):
        kubectl = kubectls()[0]
        for kind, name in [("token", "ci"), ("certificate", "jane"), ("issued", "joe")]:
            self.out(self.arguments(kubectl, self.files[kind], "get", "namespaces"))
            self.assertIn(f", client {name}", "".join(self.door.output))

    def test_without_a_credential_nothing_is_answered(self):
        for kubectl in kubectls():
            for more in ([f"--token={TOKEN}x"], ["--username=jane", "--password=jane"]):
                refused = self.command(*self.arguments(kubectl, self.files["nothing"], *more, "get", "pods"))
                self.assertRegex(self.refusal(refused), "(?i)unauthorized|must be logged in|credentials")

    def test_the_local_ca_is_good_for_no_other_name(self):
        name = "kubernetes.example"
        door = self.other_name(name)
        flags = [f"--server={door.url}", f"--certificate-authority={self.authority}", f"--tls-server-name={name}"]
        for kubectl in kubectls():
            get = [kubectl, "--kubeconfig=/dev/null", *flags, f"--token={TOKEN}", "get", "pods"]
            self.assertIn("not permitted by any constraint", self.refusal(self.command(*get)))
        context = ssl.create_default_context(cafile=self.authority)
        address = ("127.0.0.1", int(door.url.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=REST) as plain:
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, "permitted subtree violation"):
                context.wrap_socket(plain, server_hostname=name)
        script = (
            "const [, port, name, ca] = process.argv;"
            "require('tls').connect({ port, host: '127.0.0.1', servername: name, ca: require('fs').readFileSync(ca) })"
            ".on('secureConnect', () => process.exit(3)).on('error', (error) => { console.log(error.message); process.exit(); });"
        )
        said = self.command("node", "-e", script, str(address[1]), name, str(self.authority))
        self.assertIn("permitted subtree violation", self.output(said))

    def other_name(self, name):
        """A kubegate with a certificate for a foreign name that the local CA has signed."""
        authority = self.authority.parent
        extensions = self.file("other.ext", f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
        for line in (
            f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout other.key -out other.csr",
            f"x509 -req -in other.csr -CA {authority}/ca.pem -CAkey {authority}/key.pem -CAcreateserial"
            f" -CAserial other.srl -days 2 -extfile {extensions} -out other.pem",
        ):
            self.output(self.command("openssl", *line.split()))
        certificate = [f"--tls-cert={self.home}/other.pem", f"--tls-key={self.home}/other.key"]
        return self.started("demo", *certificate, f"--require-token-file={self.tokens}")


class Python(Tls):
    def test_it_lists_watches_runs_commands_and_forwards(self):
        for kind, file in self.credentials():
            for name in NAMES:
                api = config.new_client_from_config(config_file=file, context=name)
                with closing(api):
                    self.everything(client.CoreV1Api(api), name)

    def everything(self, core, name):
        (pod,) = core.list_namespaced_pod("default", limit=1, _request_timeout=REST).items
        pod = pod.metadata.name
        version = core.list_namespaced_config_map("default", _request_timeout=REST).metadata.resource_version
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python-tls"))
        core.create_namespaced_config_map("default", body, _request_timeout=REST)
        core.delete_namespaced_config_map("python-tls", "default", _request_timeout=REST)
        watcher, types = watch.Watch(), []
        for event in watcher.stream(
            core.list_namespaced_config_map, "default", field_selector="metadata.name=python-tls",
            resource_version=version, timeout_seconds=REST, _request_timeout=REST,
        ):
            types.append(event["type"])
            if event["type"] == "DELETED":
                watcher.stop()
        self.assertEqual(types, ["ADDED", "DELETED"])
        said = stream(
            core.connect_get_namespaced_pod_exec, pod, "default", command=["echo", name],
            stdout=True, stderr=True, _request_timeout=REST,
        )
        self.assertEqual(said, f"{name}\n")
        text = core.read_namespaced_pod_log(pod, "default", tail_lines=3, _request_timeout=REST)
        self.assertTrue(text.strip())
        forward = portforward(core.connect_get_namespaced_pod_portforward, pod, "default", ports="8080")
        with closing(forward.socket(8080)) as connection:
            connection.settimeout(REST)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            self.assertEqual(answer.status, 200)


class JavaScript(Tls):
    def test_it_lists_watches_runs_commands_and_reads_logs(self):
        for kind, file in self.credentials():
            token = [f"{self.home}/token"] if kind == "token" else []
            for name in NAMES:
                done = self.command("node", str(HERE / "through_tls.mjs"), file, name, *token)
                told = json.loads(self.output(done))
                expected = {"pod": "hello", "types": ["ADDED", "DELETED"], "output": f"{name}\n", "logs": 25}
                self.assertEqual(told, expected)
