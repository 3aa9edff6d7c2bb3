"""What the rows share: the servers, the proxies, and loads on them.

Figures are medians of short rounds in which the proxies take turns, so that whatever else the
machine does disturbs all of them alike.
"""

import dataclasses
import http.client
import statistics

from . import loads, servers
from .proxies import HAPROXY, HAPROXY_HTTP2, KUBEGATE, NGINX, PROXIES, Proxy

CONNECTIONS_FOR_SMALL = 32


@dataclasses.dataclass
class Plan:
    """How much of everything. Times are seconds."""

    warm_up: int = 1
    rounds: int = 5
    seconds: int = 2
    latency_rounds: int = 3
    latency_seconds: int = 4
    starts: int = 15
    tunnels: int = 2_000
    stuck: int = 50
    rest: int = 3


QUICK = Plan(
    warm_up=0,
    rounds=2,
    seconds=1,
    latency_rounds=1,
    latency_seconds=2,
    starts=5,
    tunnels=500,
    rest=1,
)


class Bench:
    """What the rows share."""

    def __init__(self, processes, programs, plan, cores, say):
        self.processes = processes
        self.programs = programs
        self.plan = plan
        self.cores = cores
        self.say = say
        self.notes = []
        self.over_size = {}
        self.over_watches = {}
        self.names = [name for name in PROXIES if name not in programs.missing]
        self._api = None
        self._cluster = None
        self._proxies = {}
        self._per_second = {}

    def api(self):
        """The API server of the GETs."""
        if self._api is None:
            self._api = servers.start_nginx(self.processes, self.cores)
        return self._api

    def cluster(self):
        """The API server of watches and tunnels."""
        if self._cluster is None:
            program = self.programs.demo_cluster
            self._cluster = servers.start_demo_cluster(self.processes, program)
        return self._cluster

    def start(self, name, server, cores=None):
        return Proxy(name, self.processes, self.programs, server, cores or self.cores)

    def start_layout_build(self):
        programs = dataclasses.replace(self.programs, kubegate=self.programs.layout)
        return Proxy(KUBEGATE, self.processes, programs, self.api(), self.cores)

    def proxy(self, name):
        """The proxy for all GETs."""
        if name not in self._proxies:
            self._proxies[name] = self.start(name, self.api()).wait()
        return self._proxies[name]

    def stop_proxies(self):
        """For rows that start proxies of their own."""
        while self._proxies:
            _, proxy = self._proxies.popitem()
            self.processes.stop(proxy.process)

    def streams(self, name, server, *flags):
        """What one load of streams costs a proxy that is started for it."""
        self.stop_proxies()
        # One worker, so that one process holds all streams.
        proxy = self.start(name, server, cores=1 if name == NGINX else None).wait()
        try:
            # What the first request sets up does not count for the streams.
            get(proxy, "/api/v1/namespaces/default/configmaps")
            flags = (*flags, f"--idle={self.plan.rest}")
            return loads.streams(self.processes, self.programs.watch_load, proxy, *flags)
        finally:
            self.processes.stop(proxy.process)

    def watches(self, name, count):
        """`count` watches through a proxy, and one event that reaches all of them."""
        self.say(f"{count:,} watches through {name}")
        report = self.streams(name, self.cluster(), f"--watches={count}")
        self.over_watches.setdefault(name, {})[count] = report["rss_with_kb"]
        return report

    def gets(self, size, connections, rounds, seconds):
        """Medians for GETs of `size` bytes, by proxy. HAProxy's upstream protocol is whichever
        costs it less."""
        names = list(self.names)
        if HAPROXY in names:
            names.append(HAPROXY_HTTP2)
        path = servers.PATHS[size]

        def measure(name, seconds):
            proxy = self.proxy(name)
            return loads.saturate(self.processes, proxy, path, connections, seconds)

        if self.plan.warm_up:
            for name in names:
                measure(name, self.plan.warm_up)
        reports = {name: [] for name in names}
        for turn in range(rounds):
            for name in rotated(names, turn):
                reports[name].append(measure(name, seconds))
        figures = {name: medians(of) for name, of in reports.items()}
        if HAPROXY in figures:
            self.choose_haproxy(figures, size)
        self.over_size[size] = {name: of["cpu_us"] for name, of in figures.items()}
        return figures

    def choose_haproxy(self, figures, size):
        http2 = figures.pop(HAPROXY_HTTP2)
        http1 = figures[HAPROXY]
        better, other = ("HTTP/2", "HTTP/1.1"), (http2, http1)
        if http1["cpu_us"] <= http2["cpu_us"]:
            better, other = ("HTTP/1.1", "HTTP/2"), (http1, http2)
        figures[HAPROXY] = other[0]
        self.notes.append(
            f"HAProxy, {size:,} bytes: over {better[0]} ({better[1]} takes "
            f"{other[1]['cpu_us'] / other[0]['cpu_us']:.2f} times the CPU)"
        )

    def per_second(self, name):
        """How many 1 KB GETs a second a proxy can do."""
        if not self._per_second:
            self.say("capacity, for half of it")
            figures = self.gets(1_000, CONNECTIONS_FOR_SMALL, 1, self.plan.seconds)
            self.set_per_second(figures)
        return self._per_second[name]

    def set_per_second(self, figures):
        self._per_second = {name: of["per_second"] for name, of in figures.items()}


def get(proxy, path):
    """One GET, which must succeed."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise proxy.process.error(f"answered {answer.status} to GET {path}: {content[:500]}")
    finally:
        connection.close()


def rotated(names, turn):
    turn %= len(names)
    return names[turn:] + names[:turn]


def medians(reports):
    """Of each figure over all rounds."""
    return {key: statistics.median(report[key] for report in reports) for key in reports[0]}
