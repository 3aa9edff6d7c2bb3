"""The official Python client."""

import http.client
import threading
from contextlib import closing

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream

from case import Case

REST = 20
"""Seconds that one call may take."""


class Python(Case):
    def api(self, url=None):
        configuration = client.Configuration(host=url or self.url)
        api_client = client.ApiClient(configuration)
        self.addCleanup(api_client.close)
        return client.CoreV1Api(api_client)

    def setUp(self):
        self.core = self.api()

    def create(self, name, **data):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)
        created = self.core.create_namespaced_config_map("default", body, _request_timeout=REST)
        self.addCleanup(self.delete, name)
        return created

    def delete(self, name):
        return self.core.delete_namespaced_config_map(name, "default", _request_timeout=REST)

    def pod(self):
        return self.core.list_namespaced_pod("default", limit=1, _request_timeout=REST).items[0]

    def test_lists_are_typed_and_come_in_pages(self):
        for n in range(3):
            self.create(f"python-page-{n}", a="1")
        names, token = [], None
        while token != "":
            page = self.core.list_namespaced_config_map(
                "default", limit=2, _continue=token, _request_timeout=REST
            )
            self.assertLessEqual(len(page.items), 2)
            names += [item.metadata.name for item in page.items]
            token = page.metadata._continue or ""
        self.assertLessEqual({f"python-page-{n}" for n in range(3)}, set(names))
        self.assertEqual(len(names), len(set(names)))

    def test_an_object_lives_from_create_to_delete(self):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python-life"), data={"a": "1"})
        self.core.create_namespaced_config_map("default", body, _request_timeout=REST)
        with self.assertRaises(ApiException) as refused:
            self.core.create_namespaced_config_map("default", body, _request_timeout=REST)
        self.assertEqual((refused.exception.status, refused.exception.reason), (409, "Conflict"))
        self.core.patch_namespaced_config_map(
            "python-life", "default", {"data": {"b": "2"}}, _request_timeout=REST
        )
        read = self.core.read_namespaced_config_map("python-life", "default", _request_timeout=REST)
        self.assertEqual(read.data, {"a": "1", "b": "2"})
        self.delete("python-life")
        with self.assertRaises(ApiException) as gone:
            self.delete("python-life")
        self.assertEqual(gone.exception.status, 404)

    def test_a_watch_ends_when_the_server_says_so(self):
        seen = list(
            watch.Watch().stream(
                self.core.list_namespaced_pod, "default", timeout_seconds=2, _request_timeout=REST
            )
        )
        self.assertIn(self.pod().metadata.name, [event["object"].metadata.name for event in seen])

    def test_a_watch_carries_changes_as_they_come(self):
        version = self.core.list_namespaced_config_map("default", _request_timeout=REST)
        begun = threading.Event()
        failures = []

        def change():
            try:
                begun.wait(REST)
                body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python-watch"))
                writer = self.api()
                writer.create_namespaced_config_map("default", body, _request_timeout=REST)
                writer.delete_namespaced_config_map("python-watch", "default", _request_timeout=REST)
            except Exception as error:
                failures.append(error)

        writer = threading.Thread(target=change)
        writer.start()
        watcher = watch.Watch()
        events = watcher.stream(
            self.core.list_namespaced_config_map,
            "default",
            field_selector="metadata.name=python-watch",
            resource_version=version.metadata.resource_version,
            timeout_seconds=REST,
            _request_timeout=REST,
        )
        begun.set()
        types = []
        for event in events:
            types.append(event["type"])
            if event["type"] == "DELETED":
                watcher.stop()
        writer.join(REST)
        self.assertEqual((types, failures), (["ADDED", "DELETED"], []))

    def test_exec_streams_input_output_and_status(self):
        pod = self.pod().metadata.name
        session = stream(
            self.core.connect_get_namespaced_pod_exec,
            pod,
            "default",
            command=["sh"],
            stdin=True,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
            _request_timeout=REST,
        )
        session.write_stdin("echo out; echo err >&2\n")
        self.assertEqual(session.readline_stdout(timeout=REST), "out")
        self.assertEqual(session.readline_stderr(timeout=REST), "err")
        session.write_stdin("exit 5\n")
        session.run_forever(timeout=REST)
        self.assertEqual(session.returncode, 5)
        session.close()

    def test_exec_is_refused_unless_allowed(self):
        arguments = dict(command=["echo", "hello"], stdout=True, stderr=True, _request_timeout=REST)
        pod = self.pod().metadata.name
        guarded = self.api(self.guarded_url)
        with self.assertRaises(ApiException) as refused:
            stream(guarded.connect_get_namespaced_pod_exec, pod, "default", **arguments)
        self.assertIn("403", str(refused.exception))
        allowed = stream(self.core.connect_get_namespaced_pod_exec, pod, "default", **arguments)
        self.assertEqual(allowed, "hello\n")

    def test_logs_are_text(self):
        pod = self.pod().metadata.name
        text = self.core.read_namespaced_pod_log(pod, "default", tail_lines=3, _request_timeout=REST)
        self.assertTrue(text.strip())

    def test_port_forward_needs_no_flag(self):
        guarded = self.api(self.guarded_url)
        pod = self.pod().metadata.name
        forward = portforward(
            guarded.connect_get_namespaced_pod_portforward, pod, "default", ports="8080"
        )
        with closing(forward.socket(8080)) as connection:
            connection.settimeout(REST)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            self.assertEqual((answer.status, answer.read()[-10:]), (200, b"port 8080\n"))
        self.assertIsNone(forward.error(8080))
