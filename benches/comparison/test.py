#!/usr/bin/env python3
"""The pure parts: readers of reports and of /proc, the table, the drawings.

The last line is `benches: N passed, N failed`.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from comparison import bench, figures, loads, processes, rows, servers, table  # noqa: E402
from comparison.proxies import HAPROXY, HAPROXY_HTTP2, KUBECTL, KUBEGATE, NGINX  # noqa: E402
from comparison.table import Line, Target, shown  # noqa: E402


class Reports(unittest.TestCase):
    def test_a_report_is_the_last_line_of_what_a_tool_prints(self):
        printed = 'Running 1s test\n  2 threads\n{"requests":12,"p50_us":3}\n'
        self.assertEqual(loads.last_json(printed), {"requests": 12, "p50_us": 3})

    def test_a_tool_without_a_report_is_an_error_that_shows_what_it_said(self):
        for printed in ("", "unable to connect\n", '{"requests":1}\nkilled\n'):
            with self.assertRaisesRegex(ValueError, "no JSON"):
                loads.last_json(printed)

    def test_figures_are_medians_of_the_rounds(self):
        figures = ((9, 1), (2, 5), (3, 2))
        rounds = [{"cpu_us": cpu, "p99_us": p99} for cpu, p99 in figures]
        self.assertEqual(bench.medians(rounds), {"cpu_us": 3, "p99_us": 2})

    def test_every_proxy_has_each_turn_once(self):
        names = ["a", "b", "c"]
        turns = [bench.rotated(names, turn) for turn in range(4)]
        self.assertEqual([turn[0] for turn in turns], ["a", "b", "c", "a"])
        self.assertTrue(all(sorted(turn) == names for turn in turns))

    def test_memory_of_streams_is_what_they_add(self):
        reports = {KUBEGATE: {"rss_before_kb": 1000, "rss_with_kb": 31_000}}
        self.assertEqual(rows.growth(reports, 3_000), {KUBEGATE: 10})


class Proc(unittest.TestCase):
    def test_a_name_with_spaces_and_brackets_shifts_no_field(self):
        fields = " ".join(str(number) for number in range(3, 53))
        stat = f"42 (odd) name) S {fields}"
        self.assertEqual(processes.parent(stat), 3)
        self.assertEqual(processes.cpu_ticks(stat), 13 + 14)

    def test_memory_is_read_by_its_name(self):
        status = "Name:\tx\nVmHWM:\t    99 kB\nVmRSS:\t    42 kB\n"
        self.assertEqual(processes.field_kb(status, "VmRSS"), 42)
        self.assertEqual(processes.field_kb(status, "Pss"), 0)

    def test_a_process_and_what_it_started_are_measured_and_end(self):
        with tempfile.TemporaryDirectory() as folder, processes.Processes(folder) as started:
            shell = started.start("shell", "sh", "-c", "sleep 60 & while :; do :; done")
            shell.wait_for(lambda: len(shell.pids()) == 2, "its child")
            shell.wait_for(lambda: shell.cpu_seconds() > 0, "work")
            self.assertGreater(shell.memory_kb(), 0)
            pids = shell.pids()
        # A signal takes a moment.
        deadline = time.monotonic() + 20
        while any(is_running(pid) for pid in pids):
            self.assertLess(time.monotonic(), deadline, pids)
            time.sleep(0.01)

    def test_a_command_that_fails_says_so_with_its_words(self):
        with tempfile.TemporaryDirectory() as folder, processes.Processes(folder) as started:
            self.assertEqual(started.run("sh", "-c", "echo fine", limit=20), "fine\n")
            with self.assertRaisesRegex(RuntimeError, "ended with status 3\nno luck"):
                started.run("sh", "-c", "echo no luck >&2; exit 3", limit=20)
            with self.assertRaisesRegex(RuntimeError, "did not end within"):
                started.run("sleep", "60", limit=0.1)


def is_running(pid):
    """Whether a process is there and no zombie, which waits for its parent alone."""
    stat = processes.read(pid, "stat")
    return bool(stat) and processes.after_name(stat)[0] != "Z"


class Table(unittest.TestCase):
    def line(self, **changes):
        given = {"figures": {KUBEGATE: 15, KUBECTL: 90, NGINX: 20, HAPROXY: 25}}
        return Line(**{"work": "GET", "measure": "CPU", "unit": "us", **given, **changes})

    def test_figures_have_three_digits_and_a_unit(self):
        for figure, unit, text in (
            (8.234, "us", "8.23 µs"),
            (20, "us", "20 µs"),
            (99.96, "us", "100 µs"),
            (1_234, "us", "1.23 ms"),
            (12_345, "per_second", "12.3 k/s"),
            (8 * 1024, "kib", "8 MiB"),
            (512, "kib", "512 KiB"),
            (0.5, "ms", "0.5 ms"),
            (None, "us", "-"),
        ):
            self.assertEqual(shown(figure, unit), text)

    def test_the_ratio_is_to_the_best_peer(self):
        self.assertEqual(self.line().ratio(), 15 / 20)
        self.assertEqual(self.line(more_is_better=True).ratio(), 15 / 90)
        self.assertIsNone(self.line(figures={KUBEGATE: 15}).ratio())

    def test_a_target_binds_to_the_peers_it_names(self):
        self.assertTrue(self.line(target=Target(0.75, (NGINX, HAPROXY))).met())
        self.assertFalse(self.line(target=Target(0.74, (NGINX, HAPROXY))).met())
        self.assertTrue(self.line(target=Target(0.6, (HAPROXY,))).met())
        self.assertTrue(self.line(target=Target(15)).met())
        self.assertFalse(self.line(target=Target(14.9)).met())

    def test_without_a_target_or_its_peers_nothing_is_met_or_missed(self):
        self.assertIsNone(self.line().met())
        alone = self.line(figures={KUBEGATE: 1, KUBECTL: 9}, target=Target(0.6, (HAPROXY,)))
        self.assertIsNone(alone.met())
        self.assertEqual(alone.cells()[-1], "")

    def test_a_work_is_named_once_and_a_missing_proxy_is_a_dash(self):
        lines = [self.line(), self.line(measure="p99", figures={KUBEGATE: 7})]
        self.assertEqual(
            table.markdown(lines).splitlines()[2:],
            [
                "| GET | CPU | 15 µs | 90 µs | 20 µs | 25 µs | 0.75 |  |  |",
                "|  | p99 | 7 µs | - | - | - |  |  |  |",
            ],
        )

    def test_columns_stand_below_their_headers(self):
        lines = table.plain([self.line(target=Target(0.75, (HAPROXY,)))]).splitlines()
        self.assertEqual(lines[0].index("kubegate") + 8, lines[2].index("15 µs") + 5)
        self.assertTrue(lines[2].endswith("≤ 0.75 × HAProxy  yes"))

    def test_haproxys_upstream_protocol_is_the_cheaper_one(self):
        comparison = nothing_measured()
        given = {HAPROXY: {"cpu_us": 20}, HAPROXY_HTTP2: {"cpu_us": 10}}
        comparison.choose_haproxy(given, 1_000)
        self.assertEqual(given, {HAPROXY: {"cpu_us": 10}})
        self.assertIn("over HTTP/2 (HTTP/1.1 takes 2.00 times", comparison.notes[0])


def nothing_measured():
    programs = type("Programs", (), {"missing": []})
    return bench.Bench(None, programs, bench.QUICK, cores=2, say=print)


class Drawings(unittest.TestCase):
    def test_they_are_svg_with_each_proxy_by_name(self):
        comparison = nothing_measured()
        comparison.over_size = {
            1_000: {KUBEGATE: 15.0, NGINX: 20.0},
            10_000_000: {KUBEGATE: 6e3, NGINX: 9e3},
        }
        comparison.over_watches = {KUBEGATE: {1_000: 2e4, 10_000: 9e4}, KUBECTL: {1_000: 1e5}}
        with tempfile.TemporaryDirectory() as folder:
            figures.write(pathlib.Path(folder), comparison)
            for file, names in (
                ("cpu-over-size.svg", [KUBEGATE, NGINX]),
                ("memory-over-watches.svg", [KUBEGATE, KUBECTL]),
            ):
                drawn = xml.etree.ElementTree.parse(pathlib.Path(folder, file))
                said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
                self.assertEqual([text for text in said if text in names], names)

    def test_an_axis_ends_at_1_2_or_5_around_its_figures(self):
        self.assertEqual((figures.decades(18), figures.decades(18, up=True)), (10, 20))
        self.assertEqual((figures.decades(20), figures.decades(20, up=True)), (20, 20))

    def test_names_do_not_overlap_and_keep_their_order(self):
        self.assertEqual(figures.apart({"a": 50, "b": 48, "c": 100}), {"b": 48, "a": 65, "c": 100})


class Servers(unittest.TestCase):
    def test_a_body_has_its_size_and_is_json(self):
        for size in (1_000, 10_000):
            self.assertEqual(len(servers.body(size)), size)
            self.assertTrue(servers.body(size).endswith(b'"]}'))

    def test_each_size_has_a_path_of_its_own(self):
        self.assertEqual(len(set(servers.PATHS.values())), len(servers.PATHS))


def compare(*flags):
    command = pathlib.Path(__file__).resolve().parents[1] / "compare"
    return subprocess.run([command, *flags], capture_output=True, text=True, timeout=60)


class Command(unittest.TestCase):
    def test_an_unknown_row_is_refused_with_the_known_ones(self):
        done = compare("--only", "small,tiny")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--only: tiny: not among small, list, huge", done.stderr)
        self.assertEqual(compare("--help").returncode, 0)


def main():
    os.chdir(tempfile.gettempdir())
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
    failed = len(result.failures) + len(result.errors) + len(result.skipped)
    print(f"benches: {result.testsRun - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
