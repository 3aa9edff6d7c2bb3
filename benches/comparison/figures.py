"""The figures as drawings: SVG by hand, readable on light and on dark ground."""

import math

from .proxies import HAPROXY, KUBECTL, KUBEGATE, NGINX
from .table import shown

# Their names and titles.
FILES = (
    ("cpu-over-size.svg", "CPU time of the proxy per GET, over the size of the body"),
    ("memory-over-watches.svg", "Memory of the proxy, over the number of idle watches"),
)

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 72, 128, 56, 56

# Colours that those who see few still tell apart, and a mark of its own each; the name stands at
# the end of each line.
STYLES = {
    KUBEGATE: ("kubegate", "circle"),
    KUBECTL: ("kubectl", "square"),
    NGINX: ("nginx", "triangle"),
    HAPROXY: ("haproxy", "diamond"),
}

STYLE = """
  svg { background: #ffffff; font: 13px system-ui, sans-serif; }
  text { fill: #1f2328; } .faint { fill: #59636e; } .grid { stroke: #d1d9e0; }
  .line { fill: none; stroke-width: 2; } .kubegate .line { stroke-width: 3.5; }
  .kubegate { color: #0057c2; } .kubectl { color: #b35900; }
  .nginx { color: #00795c; } .haproxy { color: #9c3587; }
  .line { stroke: currentColor; } .mark, .name { fill: currentColor; }
  .kubegate .name { font-weight: bold; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #f0f6fc; } .faint { fill: #9198a1; } .grid { stroke: #3d444d; }
    .kubegate { color: #6cb6ff; } .kubectl { color: #f0a35e; }
    .nginx { color: #4ecda4; } .haproxy { color: #e58fd4; }
  }
  .name { fill: currentColor; }
"""


def write(folder, bench):
    """Both drawings."""
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {}
    for size, figures in sorted(bench.over_size.items()):
        for name, figure in figures.items():
            by_name.setdefault(name, {})[size] = figure
    (cpu, cpu_title), (memory, memory_title) = FILES
    (folder / cpu).write_text(
        drawing(cpu_title, by_name, bytes_text, lambda figure: shown(figure, "us"))
    )
    (folder / memory).write_text(
        drawing(
            memory_title,
            bench.over_watches,
            lambda count: f"{count:,}",
            lambda figure: shown(figure, "kib"),
            step=1024,
        )
    )


def bytes_text(size):
    return f"{size // 1_000_000} MB" if size >= 1_000_000 else f"{size // 1_000} KB"


def drawing(title, series, x_text, y_text, step=1):
    """Lines over two logarithmic axes. `series` is {name: {x: y}}; `step` is a unit of y whose
    powers of ten have lines."""
    xs = sorted({x for points in series.values() for x in points})
    ys = [y for points in series.values() for y in points.values()]
    low, high = decades(min(ys) / step), decades(max(ys) / step, up=True)
    across = Scale(xs[0], xs[-1], LEFT, WIDTH - RIGHT)
    upward = Scale(low * step, high * step, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title><style>{STYLE}</style>",
        f'<text x="{LEFT}" y="28" font-size="16">{title}</text>',
    ]
    for y in ticks(low, high):
        at = upward(y * step)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="faint" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{y_text(y * step)}</text>"
        )
    for x in xs:
        at = across(x)
        parts.append(
            f'<text class="faint" x="{at:.1f}" y="{HEIGHT - BOTTOM + 24}" text-anchor="middle">'
            f"{x_text(x)}</text>"
        )
    labels = apart({name: upward(points[max(points)]) for name, points in series.items()})
    for name, points in series.items():
        parts.append(line(name, points, across, upward, labels[name]))
    return "\n".join([*parts, "</svg>", ""])


def line(name, points, across, upward, label):
    """One proxy's line, its marks, and its name at the end."""
    group, mark = STYLES[name]
    places = [(across(x), upward(y)) for x, y in sorted(points.items())]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    end = places[-1][0]
    return "\n".join(
        [
            f'<g class="{group}"><path class="line" d="M{path}"/>',
            *(f'<path class="mark" d="M{x:.1f} {y:.1f}{MARKS[mark]}"/>' for x, y in places),
            f'<text class="name" x="{end + 12:.1f}" y="{label + 4:.1f}">{name}</text></g>',
        ]
    )


# Paths from the middle of a mark.
MARKS = {
    "circle": "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "square": "m-4 -4h8v8h-8z",
    "triangle": "m0 -5.5l5 9h-10z",
    "diamond": "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
}


class Scale:
    """From figures to places, by their logarithms."""

    def __init__(self, low, high, start, end):
        self.low, self.start = math.log(low), start
        self.per = (end - start) / ((math.log(high) - self.low) or 1)

    def __call__(self, figure):
        return self.start + (math.log(figure) - self.low) * self.per


def decades(figure, up=False):
    """1, 2 or 5 times a power of ten, next to a figure."""
    steps = [digit * 10.0**power for power in range(-3, 10) for digit in (1, 2, 5)]
    if up:
        return next(step for step in steps if step >= figure)
    return next(step for step in reversed(steps) if step <= figure)


def ticks(low, high):
    """Powers of ten, and both ends."""
    tens = [10.0**power for power in range(-3, 10) if low < 10.0**power < high]
    return [low, *tens, high]


def apart(places, gap=17):
    """Moves names that would overlap, and keeps their order."""
    moved, last = {}, -math.inf
    for name in sorted(places, key=places.get):
        last = max(places[name], last + gap)
        moved[name] = last
    return moved
