"""curl: what a person types first."""

import json
import time

from case import Case
from kubegate import Kubegate


class Curl(Case):
    def curl(self, *arguments, **options):
        return self.command("curl", "--silent", "--show-error", "--max-time", "20", *arguments, **options)

    def get(self, path, *arguments):
        """Status, headers (lower case) and body of an answer."""
        done = self.curl("--include", *arguments, self.url + path)
        head, _, body = self.output(done).partition("\r\n\r\n")
        status, *headers = head.split("\r\n")
        pairs = (header.split(": ", 1) for header in headers)
        return int(status.split()[1]), {name.lower(): value for name, value in pairs}, body

    def test_the_openapi_document_of_apps_v1_comes_whole(self):
        status, headers, body = self.get("/openapi/v3/apis/apps/v1")
        self.assertEqual((status, headers["content-type"]), (200, "application/json"))
        document = json.loads(body)
        self.assertTrue(document["openapi"].startswith("3.0"), document["openapi"])
        path = "/apis/apps/v1/namespaces/{namespace}/deployments"
        self.assertIn("post", document["paths"][path])

    def test_version_and_health_answer(self):
        self.assertEqual(json.loads(self.get("/version")[2])["major"], "1")
        for path in ("/healthz", "/livez", "/readyz"):
            self.assertEqual(self.get(path)[::2], (200, "ok"), path)

    def test_a_watch_shows_what_is_there_and_then_what_happens(self):
        watch = self.follow(
            "curl", "-sS", "--no-buffer", "--max-time", "50", self.url + "/api/v1/pods?watch=1"
        )
        event = json.loads(watch.line())
        self.assertEqual((event["type"], event["object"]["kind"]), ("ADDED", "Pod"))

        maps = "/api/v1/namespaces/default/configmaps"
        watch = self.follow(
            "curl", "-sS", "--no-buffer", "--max-time", "50", f"{self.url}{maps}?watch=1"
        )
        body = self.file("watched.json", self.configmap("watched-by-curl", a="1"))
        json_body = ["-H", "Content-Type: application/json", "--data-binary", f"@{body}"]
        self.output(self.curl("--fail", *json_body, self.url + maps))
        self.assertEqual(json.loads(watch.line("watched-by-curl"))["type"], "ADDED")
        self.output(self.curl("--fail", "-X", "DELETE", f"{self.url}{maps}/watched-by-curl"))
        self.assertEqual(json.loads(watch.line("watched-by-curl"))["type"], "DELETED")
        self.assertTrue(watch.runs())

    def test_a_body_that_waits_for_100_continue_arrives(self):
        maps = f"{self.url}/api/v1/namespaces/default/configmaps"
        text = "x" * 500_000
        body = self.file("large.json", self.configmap("large-from-curl", text=text))
        headers = ["-H", "Content-Type: application/json", "-H", "Expect: 100-continue"]
        done = self.curl("--fail", *headers, "--data-binary", f"@{body}", maps)
        self.assertEqual(json.loads(self.output(done))["data"]["text"], text)
        self.output(self.curl("--fail", "-X", "DELETE", f"{maps}/large-from-curl"))

    def test_what_is_not_there_is_a_kubernetes_status(self):
        status, headers, body = self.get("/api/v1/namespaces/default/configmaps/none")
        self.assertEqual((status, headers["content-type"]), (404, "application/json"))
        self.assertEqual(json.loads(body)["reason"], "NotFound")

    def test_nothing_is_compressed_unless_asked_for(self):
        path = "/openapi/v3/apis/apps/v1"
        self.assertNotIn("content-encoding", self.get(path)[1])
        self.assertEqual(json.loads(self.get(path, "--compressed")[2])["info"]["title"], "Kubernetes")

    def test_a_foreign_host_or_origin_is_refused_and_our_own_is_not(self):
        port = self.url.rsplit(":", 1)[1]
        for headers, expected in [
            ({"Host": "evil.example"}, 403),
            ({"Host": f"localhost:{port}"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": self.url}, 200),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "none"}, 200),
        ]:
            arguments = [text for pair in headers.items() for text in ("-H", ": ".join(pair))]
            status, _, body = self.get("/api/v1/pods", *arguments)
            self.assertEqual(status, expected, headers)
            if status == 403:
                self.assertEqual(json.loads(body)["kind"], "Status", headers)

    def test_requests_pass_while_tokens_expire_under_them(self):
        with Kubegate("demo", "--token-ttl=2s") as demo:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                done = self.curl("--fail", f"{demo.url}/api/v1/namespaces/default/pods")
                self.assertEqual(json.loads(self.output(done))["kind"], "PodList")
                time.sleep(0.1)
