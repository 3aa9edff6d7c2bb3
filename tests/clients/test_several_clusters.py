"""kubectl and three demo clusters behind one door."""

import json
import os
import subprocess

from case import Case
from kubegate import Kubegate

LONG = "shop/host:6443/jane"


class SeveralClusters(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = ["one", "two", LONG]
        demos = {}
        for name in cls.names:
            demo = Kubegate("demo", "--allow-exec")
            demos[name] = demo.__enter__().url
            cls.addClassCleanup(demo.__exit__, None, None, None)
        cls.source = os.path.join(cls.home, "source")
        with open(cls.source, "w") as file:
            json.dump({
                "current-context": "two",
                "contexts": [
                    {"name": name, "context": {"cluster": name, "user": "u", "namespace": "default"}}
                    for name in demos
                ],
                "clusters": [{"name": name, "cluster": {"server": url}} for name, url in demos.items()],
                "users": [{"name": "u", "user": {}}],
            }, file)
        door = Kubegate("--kubeconfig", cls.source, "--all-contexts", "--allow-exec")
        cls.door = door.__enter__().url
        cls.addClassCleanup(door.__exit__, None, None, None)
        cls.kubegate = [
            os.environ["KUBEGATE"], "kubeconfig", "--kubeconfig", cls.source, "--server", cls.door,
        ]
        subprocess.run([*cls.kubegate, "--write", f"{cls.home}/door"], check=True, capture_output=True)

    def kubectl(self, *arguments, **options):
        cache = f"--cache-dir={self.home}/cache"
        return self.command("kubectl", f"--kubeconfig={self.home}/door", cache, *arguments, **options)

    def out(self, *arguments, **options):
        return self.output(self.kubectl(*arguments, **options))

    def test_each_context_has_its_own_objects(self):
        for name in self.names:
            self.out("--context", name, "create", "configmap", "which", f"--from-literal=name={name}")
        for name in self.names:
            found = json.loads(self.out("--context", name, "get", "configmap", "which", "-o", "json"))
            self.assertEqual(found["data"]["name"], name)
        current = json.loads(self.out("get", "configmap", "which", "-o", "json"))
        self.assertEqual(current["data"]["name"], "two")

    def test_exec_reaches_each_cluster(self):
        for name in self.names:
            pod = self.out("--context", name, "get", "pods", "-o", "name").split()[0]
            self.assertEqual(self.out("--context", name, "exec", pod, "--", "echo", name), f"{name}\n")

    def test_raw_keeps_to_its_cluster_or_is_refused(self):
        for name in self.names:
            self.out("--context", name, "create", "configmap", "raw", f"--from-literal=name={name}")
        path = "/api/v1/namespaces/default/configmaps/raw"
        for name in self.names:
            done = self.kubectl("--context", name, "get", "--raw", path)
            if done.returncode == 0:
                self.assertEqual(json.loads(done.stdout)["data"]["name"], name)
            else:
                # kubectl before 1.37 drops the path of the server's address.
                self.assertIn("/clusters/one/", done.stderr.decode())

    def test_the_printed_kubeconfig_works_as_a_pipe(self):
        script = f"KUBECONFIG=<({' '.join(self.kubegate)}) kubectl --cache-dir={self.home}/cache get pods"
        self.assertIn("Running", self.output(self.command("bash", "-c", script)))

    def test_a_full_name_in_the_servers_path_works(self):
        server = f"--server={self.door}/clusters/{LONG}"
        cache = f"--cache-dir={self.home}/cache"
        done = self.command("kubectl", "--kubeconfig=/dev/null", server, cache, "get", "pods", "-n", "default")
        self.assertIn("Running", self.output(done))
