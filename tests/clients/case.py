"""What the suites share: the two proxies, and commands that cannot hang."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import unittest

class Case(unittest.TestCase):
    maxDiff = None
    limit = 60
    """Seconds that one test may take."""

    @classmethod
    def setUpClass(cls):
        cls.url = os.environ["KUBEGATE_URL"]
        cls.guarded_url = os.environ["KUBEGATE_GUARDED_URL"]
        home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.home = home.name
        # Nothing of the caller's: no kubeconfig, no proxy, no editor.
        cls.environment = {
            "PATH": os.environ["PATH"],
            "HOME": cls.home,
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, result=None):
        def late(*_):
            raise TimeoutError(f"not done in {self.limit} s")

        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(self.limit)
        try:
            return super().run(result)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def command(self, *arguments, stdin=b"", timeout=30, **environment):
        """Runs a command to its end: an object with returncode, stdout and stderr."""
        done = subprocess.run(
            arguments,
            input=stdin,
            capture_output=True,
            env=self.environment | environment,
            cwd=self.home,
            timeout=timeout,
        )
        done.command = " ".join(arguments)
        return done

    def output(self, done):
        """What a command that went well printed, as text."""
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0, f"{done.command}\n{text}\n{done.stderr.decode()}")
        return text

    def refusal(self, done):
        """What a command that failed printed to stderr."""
        text = done.stderr.decode()
        self.assertNotEqual(done.returncode, 0, f"{done.command}\n{done.stdout.decode()}\n{text}")
        return text

    def follow(self, *arguments):
        """Starts a command and gives its lines as they come."""
        follower = Follower(arguments, self.environment, self.home)
        self.addCleanup(follower.stop)
        return follower

    def configmap(self, name, **data):
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": data,
        }

    def file(self, name, content):
        path = os.path.join(self.home, name)
        with open(path, "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path


class Follower:
    """A command that goes on until it is stopped."""

    def __init__(self, arguments, environment, folder):
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.decode())
        self._lines.put(None)

    def line(self, containing="", within=20):
        """The next line that contains a text."""
        deadline = time.monotonic() + within
        seen = []
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {containing!r} in {within} s: {seen}") from None
            if line is None:
                raise AssertionError(f"ended without {containing!r}: {seen}")
            seen.append(line)
            if containing in line:
                return line

    def runs(self):
        return self._process.poll() is None

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=10)
        self._process.stdout.close()
