"""Charts as SVG made here: no script, no inline style; every mark is a class of the style sheet.

- A line is never drawn over a gap: `runs` breaks it wherever nothing was measured for longer than the device's cadence
  lets expect, and a gap with a known cause is hatched and named.
- Each chart is drawn twice, for wide screens and for telephones (`SIZES`); the style sheet shows one of them.
- A chart has a title and a description for whoever does not see it, and a table beside it (the page's).

What is measured, and in which words, is the caller's.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

Point = tuple[float, float]
"""Where on the axes: (ms UTC or a share of a day, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a drawing is, in its own units; `css` says on which screens it is shown."""

    css: str
    width: int
    height: int
    left: int = 52
    right: int = 14
    top: int = 16
    bottom: int = 30


WIDE = Size(css="wide", width=860, height=240)
NARROW = Size(css="narrow", width=360, height=230, left=38, right=8)
SIZES = (WIDE, NARROW)
_LETTER = 6.0
"""About how wide a letter is; a gap that is narrower than its words is named beside the chart alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """From where to where, both included, with the ticks (place, words)."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A measured quantity: each run is joined, what lies between runs is not; `dots` marks each measurement."""

    css: str
    runs: Sequence[Sequence[Point]]
    dots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """What lies between two lines of the same places."""

    css: str
    upper: Sequence[Point]
    lower: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A target range, from side to side."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A threshold, from side to side, with its words."""

    value: float
    css: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch without data, and why; named in it where there is room."""

    begin: float
    end: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An alert, where it was raised."""

    at: float
    value: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All that is drawn. Parts outside the axes are cut off at their edges.

    Attributes:
        name: unique on its page, a-z and -.
        title: what it shows.
        description: what is to be seen in it, in a sentence.
    """

    name: str
    title: str
    description: str
    x: Axis
    y: Axis
    lines: Sequence[Line] = ()
    areas: Sequence[Area] = ()
    bands: Sequence[Band] = ()
    limits: Sequence[Limit] = ()
    gaps: Sequence[Gap] = ()
    marks: Sequence[Mark] = ()


_MOST_POINTS = 1500
"""Of one run: about two a place on a wide screen; more would be drawn over each other."""


def runs(points: Iterable[Point], *, longest: float) -> tuple[tuple[Point, ...], ...]:
    """Return points in stretches, parted wherever two lie further apart than `longest` (exclusive)."""
    ordered = sorted(points)
    if not ordered:
        return ()
    found: list[list[Point]] = [[ordered[0]]]
    for before, after in pairwise(ordered):
        if after[0] - before[0] > longest:
            found.append([])
        found[-1].append(after)
    return tuple(map(tuple, found))


def thinned(run: Sequence[Point], most: int) -> Sequence[Point]:
    """Return a run of no more than about `most` points: of each stretch its lowest and its highest, in their order.

    What was extreme stays; a run that is short enough stays as it is.
    """
    if len(run) <= most:
        return run
    size = -(-2 * len(run) // most)
    found: list[Point] = [run[0]]
    for first in range(0, len(run), size):
        part = run[first : first + size]
        found += sorted({min(part, key=_height), max(part, key=_height)})
    return [*found, run[-1]]


def _height(point: Point) -> float:
    return point[1]


def ticks(low: float, high: float, *, about: int = 5) -> tuple[float, ...]:
    """Return round values between two, both included: about so many."""
    span = max(high - low, 1e-9)
    magnitude = 10.0 ** len(str(int(span / about))) if span / about >= 1 else 1.0
    while magnitude > span / about:
        magnitude /= 10
    step = next(step for step in (magnitude, 2 * magnitude, 5 * magnitude, 10 * magnitude) if span / step <= about + 2)
    first = -(-low // step)
    count = int((high - first * step) / step + 1e-9) + 1
    return tuple(round((first + number) * step, 6) for number in range(max(0, count)))


def draw(chart: Chart) -> Markup:
    """Return the chart in every size."""
    return Markup("").join(Markup("".join(_drawn(chart, size))) for size in SIZES)  # noqa: S704 - escaped in parts


class _Scale:
    """Places on the drawing, rounded to a tenth; what lies outside is moved to the edge."""

    def __init__(self, axis: Axis, begin: float, end: float) -> None:
        self._axis, self._begin, self._end = axis, begin, end

    def __call__(self, value: float) -> float:
        low, high = self._axis.low, self._axis.high
        share = (min(max(value, low), high) - low) / ((high - low) or 1)
        return round(self._begin + share * (self._end - self._begin), 1)


def _drawn(chart: Chart, size: Size) -> Iterator[str]:
    x = _Scale(chart.x, size.left, size.width - size.right)
    y = _Scale(chart.y, size.height - size.bottom, size.top)
    name = f"{chart.name}-{size.css}"
    left, right, top, bottom = size.left, size.width - size.right, size.top, size.height - size.bottom
    yield (
        f'<svg class="chart {size.css}" role="img" viewBox="0 0 {size.width} {size.height}"'
        f' aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(chart.title)}</title>'
        f'<desc id="{name}-d">{escape(chart.description)}</desc>'
    )
    if chart.gaps:
        yield (
            f'<defs><pattern id="{name}-h" width="6" height="6" patternUnits="userSpaceOnUse"'
            ' patternTransform="rotate(45)"><path d="M0 0V6" class="hatchl"/></pattern></defs>'
        )
    for band in chart.bands:
        yield (
            f'<rect class="band" x="{left}" width="{right - left}" y="{y(band.high)}"'
            f' height="{round(y(band.low) - y(band.high), 1)}"/>'
        )
    for value, words in chart.y.ticks:
        yield f'<path class="grid" d="M{left} {y(value)}H{right}"/>'
        yield f'<text class="ax" x="{left - 8}" y="{y(value) + 4}" text-anchor="end">{escape(words)}</text>'
    for at, words in _spaced(chart.x.ticks, x, size):
        yield f'<text class="ax" x="{x(at)}" y="{size.height - 9}" text-anchor="middle">{escape(words)}</text>'
    yield from _gaps(chart, x, name, top, bottom)
    for area in chart.areas:
        around = [*area.upper, *reversed(area.lower)]
        yield f'<path class="{area.css}" d="{_path((x(at), y(value)) for at, value in around)}Z"/>'
    for limit in chart.limits:
        yield f'<path class="thr {limit.css}" d="M{left} {y(limit.value)}H{right}"/>'
        yield f'<text class="thrt" x="{left + 6}" y="{y(limit.value) - 5}">{escape(limit.words)}</text>'
    for line in chart.lines:
        yield from _line(line, x, y)
    yield from _marks(chart, x, y, middle=(left + right) / 2, top=top)
    yield "</svg>"


def _marks(chart: Chart, x: _Scale, y: _Scale, *, middle: float, top: int) -> Iterator[str]:
    """Draw alerts, the newest first; one that is too near to a later one keeps its shape and gives up its words."""
    taken: list[tuple[float, float]] = []
    for mark in sorted(chart.marks, key=lambda one: one.at, reverse=True):
        at, value = x(mark.at), max(y(mark.value), top + 20)
        side, anchor = (-11, "end") if at > middle else (11, "start")
        yield f'<path class="mk" d="M{at} {value - 20}l7 12h-14z"/>'
        width = 7 * len(mark.words) + 20
        begin = at - width if anchor == "end" else at - 9
        if all(begin + width < other or other + length < begin for other, length in taken):
            taken.append((begin, width))
            yield (
                f'<text class="mkt" x="{at + side}" y="{value - 10}" text-anchor="{anchor}">{escape(mark.words)}</text>'
            )


def _gaps(chart: Chart, x: _Scale, name: str, top: int, bottom: int) -> Iterator[str]:
    for gap in chart.gaps:
        width = round(x(gap.end) - x(gap.begin), 1)
        yield f'<rect fill="url(#{name}-h)" x="{x(gap.begin)}" width="{width}" y="{top}" height="{bottom - top}"/>'
        if width >= _LETTER * len(gap.why):
            middle = (x(gap.begin) + x(gap.end)) / 2
            yield f'<text class="gapt" x="{middle:.0f}" y="{top + 14}" text-anchor="middle">{escape(gap.why)}</text>'


def _line(line: Line, x: _Scale, y: _Scale) -> Iterator[str]:
    for whole in line.runs:
        run = thinned(whole, _MOST_POINTS)
        if len(run) > 1:
            yield f'<path class="ln {line.css}" d="{_path((x(at), y(value)) for at, value in run)}"/>'
        if line.dots or len(run) == 1:
            for at, value in run:
                yield f'<circle class="pt {line.css}" cx="{x(at)}" cy="{y(value)}" r="3"/>'


def _path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{at} {value}" for at, value in points)


def _spaced(wanted: Sequence[tuple[float, str]], x: _Scale, size: Size) -> Iterator[tuple[float, str]]:
    """Yield the ticks that have room for their words, from the left."""
    free = -1e9
    for at, words in wanted:
        half = 3.6 * len(words)
        if x(at) - half >= free and x(at) + half <= size.width:
            free = x(at) + half + 8
            yield at, words
