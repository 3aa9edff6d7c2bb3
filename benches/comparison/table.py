"""The figures as one table: for a terminal, for the README and for programs."""

import dataclasses

from .proxies import KUBEGATE, PROXIES


@dataclasses.dataclass
class Target:
    """At most `limit`: of the line's own unit, or where peers are named times the best of them."""

    limit: float
    of: tuple = ()


@dataclasses.dataclass
class Line:
    """One figure of each proxy."""

    work: str
    measure: str
    unit: str
    figures: dict
    target: Target | None = None
    more_is_better: bool = False

    def best(self, names):
        figures = [self.figures[name] for name in names if name in self.figures]
        if not figures:
            return None
        return max(figures) if self.more_is_better else min(figures)

    def ratio(self):
        """kubegate's figure by the best peer's."""
        best = self.best([name for name in self.figures if name != KUBEGATE])
        if not best or KUBEGATE not in self.figures:
            return None
        return self.figures[KUBEGATE] / best

    def met(self):
        """Whether the target is met; None without a target, or without the peers that it names."""
        if self.target is None or KUBEGATE not in self.figures:
            return None
        bound = self.target.limit
        if self.target.of:
            best = self.best(self.target.of)
            if best is None:
                return None
            bound *= best
        return self.figures[KUBEGATE] <= bound

    def target_text(self):
        if self.target is None:
            return ""
        if not self.target.of:
            return f"≤ {shown(self.target.limit, self.unit)}"
        return f"≤ {self.target.limit:g} × {' or '.join(self.target.of)}"

    def cells(self):
        ratio, met = self.ratio(), self.met()
        return [
            self.work,
            self.measure,
            *(shown(self.figures.get(name), self.unit) for name in PROXIES),
            "" if ratio is None else f"{ratio:.2f}",
            self.target_text(),
            "" if met is None else ("yes" if met else "no"),
        ]

    def as_json(self):
        of = None if self.target is None else dataclasses.asdict(self.target)
        return {
            "work": self.work,
            "measure": self.measure,
            "unit": self.unit,
            "figures": self.figures,
            "ratio_to_best_peer": self.ratio(),
            "target": of,
            "met": self.met(),
        }


HEADER = ["work", "", *PROXIES, "to best peer", "target", "met"]

# Units of `Line`, each with the larger ones in which big figures are shown.
SCALES = {
    "us": [(1, "µs"), (1e3, "ms"), (1e6, "s")],
    "ms": [(1, "ms"), (1e3, "s")],
    "kib": [(1, "KiB"), (1024, "MiB"), (1024**2, "GiB")],
    "per_second": [(1, "/s"), (1e3, "k/s")],
}


def shown(figure, unit):
    """Three digits and a unit: `8.23 MiB`."""
    if figure is None:
        return "-"
    scale, name = next(
        (step for step in reversed(SCALES[unit]) if abs(figure) >= step[0]), SCALES[unit][0]
    )
    value = figure / scale
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    number = f"{value:.{digits}f}"
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {name}" if name[0] != "/" else f"{number}{name}"


def rows(lines):
    """The cells of all lines; a work is named once."""
    previous = None
    for line in lines:
        cells = line.cells()
        if line.work == previous:
            cells[0] = ""
        previous = line.work
        yield cells


def plain(lines):
    """Columns for a terminal."""
    table = [HEADER, *rows(lines)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADER))]
    table.insert(1, ["-" * width for width in widths])
    words = (0, 1, len(HEADER) - 2)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def markdown(lines):
    """The table of the README."""
    edges = ["---", "---", *["---:"] * (len(PROXIES) + 1), "---", "---"]
    table = [HEADER, edges, *rows(lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)
