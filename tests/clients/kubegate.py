"""A running kubegate."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading


# What looks like a secret: a credential in a header, a JWT, a private key.
SECRETS = re.compile(
    r"(?i:authorization)\"?[:=] ?\"?(?i:bearer|basic) [^\s\"]+"
    r"|\beyJ[\w-]*\.[\w-]{4,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{16}"
)


class Kubegate:
    """Starts on a free port, or the one that is given, which `url` names, and logs at the highest
    verbosity. Stops with SIGTERM; anything else than a clean exit is an error that shows its output,
    and so is a secret in it."""

    def __init__(self, *arguments, environment=None, port=0):
        self._port = port
        self._arguments = arguments
        self._environment = environment

    def __enter__(self):
        self._process = subprocess.Popen(
            [os.environ["KUBEGATE"], "-v=9", *self._arguments, f"--port={self._port}"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        self.output = []
        self._readers = [
            threading.Thread(target=self._read, args=[stream], daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.greeting = self._lines.get(timeout=30)
        except queue.Empty:
            self.greeting = "nothing in 30 s"
        found = re.fullmatch(r"Starting to serve on (https://)?(127\.0\.0\.1:\d+)\n", self.greeting)
        if not found:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"kubegate printed {self.greeting!r}: {''.join(self.output)}")
        self.url = f"{found[1] or 'http://'}{found[2]}"
        return self

    def line(self):
        """The next line that it prints, behind the first."""
        return self._lines.get(timeout=30)

    def _read(self, stream):
        for line in stream:
            self.output.append(line)
            if stream is self._process.stdout:
                self._lines.put(line)
        if stream is self._process.stdout:
            self._lines.put("")

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = f"{self._process.wait()} after SIGKILL"
        if status != 0:
            sys.stdout.write("".join(self.output))
            raise RuntimeError(f"kubegate ended with status {status} after SIGTERM")
        for reader in self._readers:
            reader.join(timeout=5)
        secrets = SECRETS.findall("".join(self.output))
        if secrets:
            raise RuntimeError(f"kubegate printed secrets: {secrets}")
