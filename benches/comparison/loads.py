"""The load tools and what they report."""

import json
import pathlib

REPORT = pathlib.Path(__file__).with_name("report.lua")


def last_json(printed):
    """The object in the last line that a tool printed."""
    lines = printed.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise ValueError(f"no JSON in the last line of: {printed.strip()[-500:]!r}")
    return json.loads(lines[-1])


def saturate(processes, proxy, path, connections, seconds):
    """GETs at full speed: wrk on keep-alive connections, each of which sends the next request after
    the response. Adds the CPU time that a request cost the proxy."""
    before = proxy.process.cpu_seconds()
    report = last_json(
        processes.run(
            "wrk",
            "--threads=2",
            f"--connections={connections}",
            f"--duration={seconds}s",
            "--timeout=10s",
            f"--script={REPORT}",
            f"http://127.0.0.1:{proxy.port}{path}",
            limit=seconds + 30,
        )
    )
    cpu = proxy.process.cpu_seconds() - before
    if report["failed"] or not report["requests"]:
        raise RuntimeError(f"{proxy.name}, GET {path}: wrk reports {report}")
    return {
        "cpu_us": cpu * 1e6 / report["requests"],
        "per_second": report["requests"] / report["seconds"],
        "p50_us": report["p50_us"],
        "p99_us": report["p99_us"],
        "memory_kb": proxy.process.memory_kb(),
    }


def constant_rate(processes, program, proxy, path, rate, connections, seconds):
    """GETs at a constant rate, however long the responses take: latencies without coordinated
    omission."""
    return last_json(
        processes.run(
            program,
            f"--address=127.0.0.1:{proxy.port}",
            f"--path={path}",
            f"--rate={rate}",
            f"--connections={connections}",
            f"--seconds={seconds}",
            limit=seconds + 30,
        )
    )


def streams(processes, program, proxy, *flags, limit=150):
    """Watches, tunnels or clients that never read, and what they cost the proxy."""
    # The process that serves: nginx has a master, which does not.
    serving = proxy.process.pids()[-1]
    return last_json(
        processes.run(
            program,
            f"--url=http://127.0.0.1:{proxy.port}",
            f"--pid={serving}",
            "--json",
            *flags,
            limit=limit,
        )
    )
