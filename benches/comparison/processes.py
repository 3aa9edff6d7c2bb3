"""Processes that the comparison starts: their CPU time, memory and end."""

import os
import pathlib
import signal
import socket
import statistics
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = pathlib.Path("/proc")


class Processes:
    """All processes of a run. Leaving the context ends them and their descendants, by id."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        # Without the caller's kubeconfig and proxy variables.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self._running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave processes behind.
        signals = (signal.SIGINT, signal.SIGTERM)
        handlers = [signal.signal(number, signal.SIG_IGN) for number in signals]
        while self._running:
            self.stop(self._running[-1])
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)

    def start(self, name, *command):
        """Starts a command; its stderr goes to a file, which errors about it show."""
        process = Process(name, command, self.environment, self.folder / f"{name}.log")
        self._running.append(process)
        return process

    def run(self, *command, limit):
        """The output of a command that ends by itself within `limit` seconds."""
        process = self.start(pathlib.Path(command[0]).name, *command)
        try:
            return process.output(limit)
        finally:
            self.stop(process)

    def stop(self, process):
        process.stop()
        self._running.remove(process)


class Process:
    """One command and the processes that it started."""

    def __init__(self, name, command, environment, log):
        self.name = name
        self.log = log
        self.started = time.perf_counter()
        with open(log, "wb") as said:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                env=environment,
                cwd=log.parent,
                # Open until its end: some programs end when it closes.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                # Ctrl-C reaches this program only, which ends the others in order.
                start_new_session=True,
            )
        self.pid = self._child.pid

    def output(self, limit):
        """Waits for its end and returns its output."""
        try:
            printed, _ = self._child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise self.error(f"did not end within {limit} s") from None
        if self._child.returncode != 0:
            raise self.error(f"ended with status {self._child.returncode}")
        return printed.decode()

    def wait_for(self, condition, what, limit=20):
        """Polls until `condition` holds."""
        deadline = time.monotonic() + limit
        while not condition():
            if self._child.poll() is not None:
                raise self.error(f"ended with status {self._child.returncode} before {what}")
            if time.monotonic() > deadline:
                raise self.error(f"took longer than {limit} s: {what}")
            time.sleep(0.0002)

    def pids(self):
        """Its own id and those of its descendants."""
        return [self.pid, *descendants(self.pid)]

    def cpu_seconds(self):
        """User and system time so far."""
        stats = [read(pid, "stat") for pid in self.pids()]
        return sum(cpu_ticks(stat) for stat in stats if stat) / TICKS_PER_SECOND

    def memory_kb(self):
        """Resident memory of one process; of several the proportional set size, in which shared
        memory counts once."""
        pids = self.pids()
        if len(pids) == 1:
            return field_kb(read(self.pid, "status"), "VmRSS")
        return sum(field_kb(read(pid, "smaps_rollup"), "Pss") for pid in pids)

    def anonymous_kb(self):
        """Anonymous memory: pages of no file, which the system cannot drop and read again. Of
        several processes the proportional set size."""
        pids = self.pids()
        if len(pids) == 1:
            return field_kb(read(self.pid, "status"), "RssAnon")
        return sum(field_kb(read(pid, "smaps_rollup"), "Pss_Anon") for pid in pids)

    def settled_memory_kb(self):
        """(resident, anonymous) once it is at rest: the medians of five samples."""
        samples = []
        for _ in range(5):
            time.sleep(0.1)
            samples.append((self.memory_kb(), self.anonymous_kb()))
        return tuple(statistics.median(column) for column in zip(*samples, strict=True))

    def stop(self):
        """SIGTERM, then SIGKILL for processes that are left."""
        children = descendants(self.pid)
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        for pid in children:
            # Workers outlive a master that was killed; their ids are not in use again so soon.
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._child.stdin.close()
        self._child.stdout.close()

    def error(self, what):
        said = self.log.read_text(errors="replace").strip()[-2000:]
        return RuntimeError(f"{self.name} {what}\n{said}".rstrip())


def descendants(pid):
    """The ids of all descendants of a process."""
    children = {}
    for folder in PROC.glob("[0-9]*"):
        stat = read(folder.name, "stat")
        if stat:
            children.setdefault(parent(stat), []).append(int(folder.name))
    found = []
    unseen = [pid]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return found


def read(pid, name):
    """A file of /proc/PID; empty if the process has ended."""
    try:
        return (PROC / str(pid) / name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def after_name(stat):
    """The fields of /proc/PID/stat from the third on: the second, a name, may hold any character."""
    return stat.rpartition(")")[2].split()


def parent(stat):
    return int(after_name(stat)[1])


def cpu_ticks(stat):
    """utime and stime, fields 14 and 15."""
    fields = after_name(stat)
    return int(fields[11]) + int(fields[12])


def field_kb(text, name):
    """`VmRSS:     1234 kB` of /proc/PID/status, and the like."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
