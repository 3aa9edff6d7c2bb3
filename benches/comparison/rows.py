"""What is measured: a function a row of the table."""

import statistics
import time

from . import loads, servers
from .bench import CONNECTIONS_FOR_SMALL, get, medians, rotated
from .proxies import HAPROXY, KUBECTL, KUBEGATE, NGINX
from .table import Line, Target

WATCHES = 3_000
MANY_WATCHES = 10_000
MEMORY_SAMPLES = 3
IDLE = "idle, after one request"


def get_lines(work, figures, target):
    """The lines of one kind of GET."""
    return [
        Line(work, "CPU per request", "us", column(figures, "cpu_us"), target),
        Line(work, "requests", "per_second", column(figures, "per_second"), more_is_better=True),
        Line(work, "latency p50", "us", column(figures, "p50_us")),
        Line(work, "latency p99", "us", column(figures, "p99_us")),
        Line(work, "memory after", "kib", column(figures, "memory_kb")),
    ]


def small(bench):
    figures = bench.gets(1_000, CONNECTIONS_FOR_SMALL, bench.plan.rounds, bench.plan.seconds)
    bench.set_per_second(figures)
    return get_lines("1 KB GET, 32 connections", figures, Target(0.75, (NGINX, HAPROXY)))


def list_(bench):
    figures = bench.gets(100_000, 8, bench.plan.rounds, bench.plan.seconds)
    return get_lines("100 KB GET, 8 connections", figures, Target(0.6, (HAPROXY,)))


def huge(bench):
    figures = bench.gets(10_000_000, 8, bench.plan.rounds, bench.plan.seconds)
    return get_lines("10 MB GET, 8 connections", figures, Target(0.55, (HAPROXY,)))


def latency(bench):
    """At half of capacity: one rate for all, half of what the slowest can do of those that the
    target is about; kubectl proxy, which may not even reach that, at half of its own."""
    compared = [name for name in bench.names if name != KUBECTL]
    rate = min(bench.per_second(name) for name in compared) / 2
    rates = {name: min(rate, bench.per_second(name) / 2) for name in bench.names}
    reports = {name: [] for name in bench.names}
    for turn in range(bench.plan.latency_rounds):
        for name in rotated(bench.names, turn):
            report = loads.constant_rate(
                bench.processes,
                bench.programs.constant_rate,
                bench.proxy(name),
                servers.PATHS[1_000],
                rates[name],
                CONNECTIONS_FOR_SMALL,
                bench.plan.latency_seconds,
            )
            reports[name].append(report)
    figures = {name: medians(of) for name, of in reports.items()}
    slower = [f"{name} {rates[name]:,.0f}" for name in rates if rates[name] < rate]
    bench.notes.append(
        f"half of capacity: {rate:,.0f} requests a second, half of the slowest of "
        f"{', '.join(compared)}" + "".join(f"; {other}" for other in slower)
    )
    work = "1 KB GET at half of capacity"
    return [
        Line(work, "latency p50", "us", column(figures, "p50_us")),
        Line(work, "latency p99", "us", column(figures, "p99_us"), Target(1, (HAPROXY,))),
    ]


def watches(bench):
    reports = {name: bench.watches(name, WATCHES) for name in bench.names}
    work = f"{WATCHES:,} idle watches"
    return [
        Line(work, "memory per watch", "kib", growth(reports, WATCHES), Target(12)),
        Line(work, "one event to all", "ms", column(reports, "delivered_ms")),
    ]


def many_watches(bench):
    """Only through those that go by HTTP/2: a connection a watch runs into limits of the system
    before those of the proxy."""
    names = [name for name in bench.names if name in (KUBEGATE, KUBECTL)]
    reports = {name: bench.watches(name, MANY_WATCHES) for name in names}
    work = f"{MANY_WATCHES:,} idle watches"
    return [
        Line(work, "one event to all", "ms", column(reports, "delivered_ms"), Target(2_000)),
        Line(work, "memory", "kib", column(reports, "rss_with_kb"), Target(150 * 1024)),
        Line(work, "GETs beside, p99", "ms", column(reports, "get_p99_ms"), Target(50)),
    ]


def tunnels(bench):
    count = bench.plan.tunnels
    reports = {}
    for name in bench.names:
        bench.say(f"{count:,} tunnels through {name}")
        reports[name] = bench.streams(name, bench.cluster(), f"--tunnels={count}")
    work = f"{count:,} upgraded tunnels"
    return [Line(work, "memory per tunnel", "kib", growth(reports, count), Target(40))]


def stuck(bench):
    """Clients that ask for 10 MB and never read."""
    count = bench.plan.stuck
    path = servers.PATHS[10_000_000]
    reports = {}
    for name in bench.names:
        bench.say(f"{count} clients that never read, through {name}")
        reports[name] = bench.streams(name, bench.api(), f"--stuck={count}", f"--path={path}")
    work = f"{count} clients that never read 10 MB"
    figures = growth(reports, count, "rss_most_kb")
    return [Line(work, "memory per client", "kib", figures, Target(512))]


def column(reports, key):
    return {name: report[key] for name, report in reports.items()}


def growth(reports, count, key="rss_with_kb"):
    """Memory that a load added, for each of its `count` streams."""
    return {
        name: (report[key] - report["rss_before_kb"]) / count for name, report in reports.items()
    }


def start(bench):
    """From the start of the process to a response, and the memory that it then holds."""
    bench.stop_proxies()
    listens, answers, resident, anonymous = ({name: [] for name in bench.names} for _ in range(4))
    for turn in range(bench.plan.starts):
        for name in rotated(bench.names, turn):
            proxy = bench.start(name, bench.api())
            proxy.wait()
            listens[name].append((time.perf_counter() - proxy.process.started) * 1e3)
            get(proxy, servers.PATHS[1_000])
            answers[name].append((time.perf_counter() - proxy.process.started) * 1e3)
            if turn < MEMORY_SAMPLES:
                memory = proxy.process.settled_memory_kb()
                resident[name].append(memory[0])
                anonymous[name].append(memory[1])
            bench.processes.stop(proxy.process)
    return [
        Line(IDLE, "resident memory", "kib", each_median(resident)),
        Line(IDLE, "anonymous memory", "kib", each_median(anonymous), Target(2 * 1024)),
        Line("start", "to listening", "ms", each_median(listens), Target(10)),
        Line("start", "to a first answer", "ms", each_median(answers)),
    ]


def layout(bench):
    """Memory of the build by benches/layout/build, which the peers have no counterpart of."""
    if bench.programs.layout is None:
        bench.notes.append("the layout build was not measured: neither --quick nor --kubegate has it")
        return []
    bench.stop_proxies()
    resident = []
    for _ in range(MEMORY_SAMPLES):
        proxy = bench.start_layout_build().wait()
        get(proxy, servers.PATHS[1_000])
        resident.append(proxy.process.settled_memory_kb()[0])
        bench.processes.stop(proxy.process)
    figures = {KUBEGATE: statistics.median(resident)}
    return [Line(f"{IDLE}, layout build", "resident memory", "kib", figures, Target(8 * 1024))]


def complete_figures(bench):
    """What the drawings need beyond the rows."""
    for size in servers.PATHS:
        if size not in bench.over_size:
            bench.say(f"GET of {size:,} bytes, for the drawing")
            bench.gets(size, 8, max(1, bench.plan.rounds // 2), bench.plan.seconds)
    for name in bench.names:
        counts = [1_000, WATCHES]
        if name in (KUBEGATE, KUBECTL):
            counts.append(MANY_WATCHES)
        for count in counts:
            if count not in bench.over_watches.get(name, {}):
                bench.watches(name, count)


def each_median(figures):
    return {name: statistics.median(of) for name, of in figures.items()}


ROWS = {
    "small": small,
    "list": list_,
    "huge": huge,
    "latency": latency,
    "start": start,
    "layout": layout,
    "watches": watches,
    "many-watches": many_watches,
    "tunnels": tunnels,
    "stuck": stuck,
}
