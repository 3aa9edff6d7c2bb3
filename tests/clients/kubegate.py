"""A running kubegate."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading


class Kubegate:
    """Starts on a port of its own, which `url` names. Stops with SIGTERM; anything else than a
    clean exit is an error that shows what it said."""

    def __init__(self, *arguments, environment=None):
        self._arguments = arguments
        self._environment = environment

    def __enter__(self):
        self._process = subprocess.Popen(
            [os.environ["KUBEGATE"], *self._arguments, "--port=0"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        self.said = []
        for stream in (self._process.stdout, self._process.stderr):
            threading.Thread(target=self._read, args=[stream], daemon=True).start()
        try:
            self.greeting = self._lines.get(timeout=30)
        except queue.Empty:
            self.greeting = "nothing in 30 s"
        found = re.fullmatch(r"Starting to serve on (127\.0\.0\.1:\d+)\n", self.greeting)
        if not found:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"kubegate said {self.greeting!r}: {''.join(self.said)}")
        self.url = f"http://{found[1]}"
        return self

    def _read(self, stream):
        for line in stream:
            self.said.append(line)
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
            sys.stdout.write("".join(self.said))
            raise RuntimeError(f"kubegate ended with status {status} after SIGTERM")
