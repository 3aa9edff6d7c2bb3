"""What the demos print to try: each line, pasted into a shell that does not know kubegate."""

import fcntl
import os
import re
import select
import socket
import subprocess
import termios
import time

from case import Case
from kubegate import Kubegate

STREAMS = ("watch=1", "logs -f")
"""In a line that goes on until it is stopped."""


class Demo(Case):
    limit = 120

    def setUp(self):
        # A blank in every path that the demo makes.
        self.temporary = os.path.join(self.home, f"{self.id().rsplit('.', 1)[1]} files")
        os.makedirs(self.temporary, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.second_port = str(probe.getsockname()[1])

    def demo(self, *arguments):
        environment = self.environment | {"TMPDIR": self.temporary}
        return Kubegate("demo", *arguments, environment=environment)

    def lines(self, demo, last):
        """The lines to paste, up to the one that contains `last`; each with those it goes on in."""
        lines, text = [], ""
        while last not in text or text.endswith("\\\n"):
            text = demo.line()
            if text.startswith("  "):
                lines.append(text)
        pasted = "".join(lines).replace("\\\n", "\\\n ").replace("8002", self.second_port)
        return re.findall(r"^  \S(?:.*\\\n)*.*$", pasted, re.MULTILINE)

    def paste(self, lines, answers=()):
        """Pastes lines into one shell on a terminal; gives what came of each.

        `answers` are pairs of the end of a question and what is typed then.
        """
        ours, theirs = os.openpty()
        shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self.environment | {"PS1": "", "PS2": "", "BASH_SILENCE_DEPRECATION_WARNING": "1"},
            cwd=self.home,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        terminal = Terminal(ours, dict(answers))
        try:
            terminal.type("stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; echo READY-$((6*7))\n")
            terminal.until("READY-42")
            return [self.one(terminal, line) for line in lines]
        finally:
            # What goes on in the background is in groups of its own.
            terminal.type("\x03\nkill $(jobs -p); wait; exit\n")
            try:
                shell.wait(timeout=10)
            except subprocess.TimeoutExpired:
                shell.kill()
                shell.wait()
            os.close(ours)

    def one(self, terminal, line):
        if any(stream in line for stream in STREAMS):
            terminal.type(f"timeout --foreground 5 {line}; echo ENDED=$?\n")
            output = terminal.until(r"ENDED=\d+")
            self.assertRegex(output, r"\w.*\nENDED=124", f"{line}\n{output}")
            return output
        if "--port" in line:
            # It goes on as well, beside the lines that follow.
            terminal.type(f"{line} &\n")
            return terminal.until("Starting to serve on")
        # In one, since what asks for a password throws away what was typed before.
        terminal.type(f"{line}; echo ENDED=$?\n")
        output = terminal.until(r"ENDED=\d+")
        self.assertRegex(output, r"ENDED=0\b", f"{line}\n{output}")
        return output

    def test_each_line_of_the_kubernetes_demo_works(self):
        with self.demo("--allow-exec") as demo:
            lines = self.lines(demo, "exec -it")
            output = self.paste(lines, [(r"[#$] $", "echo in-the-pod; exit\n")])
            self.assertEqual(len(lines), 6, lines)
            self.assertIn("PodList", output[0])
            self.assertIn("\nin-the-pod\n", output[-1])

    def test_each_line_of_the_oidc_demo_works(self):
        with self.demo("--flavor=oidc", "--token-ttl=1h") as demo:
            *first, pods = self.lines(demo, "kubectl get pods")
            output = self.paste([*first, pods])
            self.assertIn("oidc:jane@example.com", output[1])
            self.assertIn("hello", output[-1])
            self.assertFalse(os.path.exists(os.path.join(self.home, ".local")))

    def test_each_line_of_the_openshift_demo_works(self):
        with self.demo("--flavor=openshift", "--token-ttl=1h") as demo:
            lines = self.lines(demo, "signatures/")
            output = self.paste(lines, [(r"(?i)password.*: $", "developer\n")])
            self.assertIn("developer", output[0])
            self.assertIn("signatures", output[-1])
            (login,) = [line for line in lines if " login " in line]
            self.assertTrue(login.strip().startswith(os.environ["KUBEGATE"]), login)

    def test_each_line_of_the_ibm_demo_works(self):
        with self.demo("--flavor=ibm") as demo:
            *first, pods = self.lines(demo, "kubectl get pods")
            answers = [
                (r"(?i)passcode[^\n]*: $", lambda output: re.findall(r"\"passcode\": ?\"(\w+)\"", output)[-1] + "\n"),
                (r"(?i)password[^\n]*: $", "sesame-ibm-password\n"),
                (r"Number of the account: $", lambda output: re.findall(r"(\d+)  \"Example Production\" ", output)[-1] + "\n"),
                (r"Number of the \w+: $", "1\n"),
            ]
            output = self.paste([*first, pods], answers)
            self.assertIn("hello", output[-1])
            self.assertFalse(os.path.exists(os.path.join(self.home, ".kube/config")))
            self.assertFalse(os.path.exists(os.path.join(self.home, ".local")))


class Terminal:
    """The other side of a terminal."""

    def __init__(self, descriptor, answers):
        self._descriptor = descriptor
        self._answers = answers
        self._seen = ""
        self._asked = 0
        self._all = ""

    def type(self, text):
        os.write(self._descriptor, text.encode())

    def until(self, pattern, within=30):
        """What comes up to a pattern."""
        deadline = time.monotonic() + within
        while not (found := re.search(pattern, self._seen)):
            ready, _, _ = select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise AssertionError(f"no {pattern!r} in {within} s: {self._seen}")
            text = os.read(self._descriptor, 65536).decode(errors="replace").replace("\r\n", "\n")
            self._seen += text
            self._all += text
            self._answer()
        output, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        self._asked = 0
        return output

    def _answer(self):
        for question, answer in self._answers.items():
            rest = self._seen[self._asked :]
            if re.search(question, rest):
                self._asked = len(self._seen)
                self.type(answer(self._all) if callable(answer) else answer)
                return
