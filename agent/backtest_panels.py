"""The panels of a trial's picture that share the time axis: a quantity's trace, and the alerts by rule.

Times are drawn as days since 1970 (UTC) and labelled in the patient's time zone.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from agent.backtest_levels import Level, levels_of
from agent.backtest_words import PRIORITIES, Words, in_unit
from alerting.alert import Priority
from alerting.backtest import AlertOutcome
from alerting.burden import DAY_MS, Watched
from alerting.care_protocol import CareProtocol
from alerting.coverage import silences_of
from alerting.explain import shown_unit
from alerting.history import CODES, History
from alerting.quantity_words import NAMES
from devices.reading import Quantity, Unit, facts

LANE_INCHES = 0.3
# Okabe and Ito: told apart by people who do not tell red from green, and in grey by their lightness.
COLOURS = {Priority.HIGH: "#D55E00", Priority.MEDIUM: "#E69F00", Priority.LOW: "#56B4E9"}
INK, FAINT, GAP = "#1A1A1A", "#8A8A8A", "#ECECEC"
_MARKERS = (("v", 5.0), ("^", -5.0))
"""A protocol's mark on the trace, and how far above the reading it stands, in points: two never hide each other."""
_FEW_READINGS = 400
_LABEL_POINTS = 10.0
"""What a label needs of height, in points."""

JudgedBy = Sequence[tuple[CareProtocol, Sequence[AlertOutcome]]]


class Panel(Protocol):
    """One part of a picture."""

    def draw(self, axes: Axes) -> None:
        """Draw it."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The alerts of one rule, under each protocol."""

    title: str
    priority: Priority
    alerts: Sequence[Sequence[AlertOutcome]]


@dataclass(frozen=True, slots=True)
class TracePanel:
    """One quantity over time, with the levels of its rules and where alerts were raised."""

    history: History
    quantity: Quantity
    watched: Watched
    judged: JudgedBy
    words: Words

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        mine = (self.history.quantities == CODES[self.quantity]) & self.history.judged
        mine &= (self.history.times >= self.watched.begin) & (self.history.times <= self.watched.end)
        found = silences_of(self.judged[0][0], self.history, self.watched, self.quantity)
        times = found.times
        values = np.array([in_unit(self.quantity, count, self.unit) for count in self.history.counts[mine].tolist()])
        broken = np.arange(len(times) - 1) if found.gaps is None else np.flatnonzero(found.gaps[1:-1])
        axes.set_title(self.words.of(NAMES[self.quantity]).capitalize(), loc="left", size=9.5, weight="bold", pad=5)
        axes.set_ylabel(shown_unit(self.unit))
        if found.gaps is not None:
            for place in np.flatnonzero(found.gaps).tolist():
                begin, end = found.edges[place] / DAY_MS, found.edges[place + 1] / DAY_MS
                axes.axvspan(begin, end, color=GAP, linewidth=0, zorder=1, gid=f"gap-{self.quantity.value}-{place}")
        line = axes.plot(
            np.insert(times / DAY_MS, broken + 1, np.nan),
            np.insert(values, broken + 1, np.nan),
            color=INK,
            linewidth=0.9,
            marker="o" if len(times) < _FEW_READINGS else None,
            markersize=2.6,
            zorder=3,
        )[0]
        line.set_gid(f"trace-{self.quantity.value}")
        self._limits(axes, values)
        self._thresholds(axes)
        self._raised(axes)
        time_axis(axes, self.watched, self.words)
        axes.tick_params(length=3)
        axes.grid(axis="x", color=GAP, linewidth=0.6, zorder=0)

    @property
    def unit(self) -> Unit:
        """In which it is shown."""
        return self.judged[0][0].units.get(self.quantity, facts(self.quantity).unit)

    def _limits(self, axes: Axes, values: NDArray[np.float64]) -> None:
        shown = [*values.tolist(), *(in_unit(self.quantity, one.count, self.unit) for one in self._levels())]
        low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
        room = 0.08 * ((high - low) or 1.0)
        axes.set_ylim(low - room, high + room)
        decimals = 0 if high - low > 5 else 1 if high - low > 2.5 else 2  # ticks lie at quarters where there are few
        axes.yaxis.set_major_formatter(lambda value, _: self.words.number(value, decimals))

    def _levels(self) -> list[Level]:
        return levels_of([protocol for protocol, _ in self.judged], self.quantity)

    def _thresholds(self, axes: Axes) -> None:
        labels = []
        for level in self._levels():
            value = in_unit(self.quantity, level.count, self.unit)
            style = (0, (5, 2)) if 0 in level.places else (0, (1, 1.6))
            width = 1.3 if level.of_each_reading else 0.8
            line = axes.axhline(value, color=COLOURS[level.priority], linewidth=width, linestyle=style, zorder=2)
            line.set_gid(f"level-{self.quantity.value}-{level.count}")
            only = f" {'AB'[min(level.places)]}" if len(self.judged) > 1 and len(level.places) == 1 else ""
            labels.append((value, level.text(self.quantity, self.unit, self.words) + only))
        name_levels(axes, labels)

    def _raised(self, axes: Axes) -> None:
        """Mark on the trace the reading with which each alert was raised."""
        for place, (_, outcomes) in enumerate(self.judged):
            for alert in outcomes:
                last = alert.evidence[-1] if alert.evidence else None
                if last is None or last.quantity is not self.quantity or last.measured_at != alert.raised_at:
                    continue
                marker, above = _MARKERS[place]
                axes.plot(
                    [alert.raised_at / DAY_MS],
                    [in_unit(self.quantity, last.count, self.unit)],
                    marker=marker,
                    markersize=6.5,
                    markerfacecolor=COLOURS[alert.priority],
                    markeredgecolor=INK,
                    markeredgewidth=0.6,
                    linestyle="none",
                    transform=axes.transData + ScaledTranslation(0, above / 72, axes.figure.dpi_scale_trans),
                    zorder=4,
                )


@dataclass(frozen=True, slots=True)
class LanesPanel:
    """The alerts: a row for each rule and protocol, each alert from its onset to its end."""

    lanes: Sequence[Lane]
    watched: Watched
    words: Words

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        axes.set_title(self.words.say("Alertes", "Alerts"), loc="left", size=9.5, weight="bold", pad=5)
        rows = sum(len(lane.alerts) for lane in self.lanes)
        axes.set_ylim(max(1, rows), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        time_axis(axes, self.watched, self.words)
        axes.grid(axis="x", color=GAP, linewidth=0.6, zorder=0)
        row = 0
        for lane in self.lanes:
            self._name(axes, lane, row)
            for place, alerts in enumerate(lane.alerts):
                if len(lane.alerts) > 1:
                    axes.text(-0.012, row + 0.5, "AB"[place], transform=axes.get_yaxis_transform(), **_LETTER)
                for alert in alerts:
                    self._alert(axes, alert, row)
                row += 1
            axes.axhline(row, color=GAP, linewidth=0.8, zorder=0)
        if not self.lanes:
            axes.text(0.5, 0.5, self.words.say("aucune alerte", "no alert"), transform=axes.transAxes, ha="center")

    def _name(self, axes: Axes, lane: Lane, row: int) -> None:
        several = len(lane.alerts)
        name = f"{lane.title} ({self.words.of(PRIORITIES[lane.priority])})"
        lines = textwrap.wrap(name, 34)
        size = {1: 8.0, 2: 7.0}.get(len(lines), 6.0)
        axes.text(
            -0.012 - 0.025 * (several > 1),
            row + several / 2,
            "\n".join(lines),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            size=size,
            linespacing=1.05,
        )

    def _alert(self, axes: Axes, alert: AlertOutcome, row: int) -> None:
        end = self.watched.end if alert.resolved_at is None else alert.resolved_at
        onset, raised, over = (at / DAY_MS for at in (alert.onset, alert.raised_at, end))
        colour = COLOURS[alert.priority]
        told = alert.told_at is not None
        axes.plot([onset, raised], [row + 0.5] * 2, color=INK, linewidth=1.0, zorder=3)
        axes.plot([onset], [row + 0.5], marker="|", color=INK, markersize=6, markeredgewidth=1.0, zorder=3)
        axes.add_patch(
            Rectangle(
                (raised, row + 0.18),
                over - raised,
                0.64,
                facecolor=colour if told else "none",
                edgecolor=colour,
                linewidth=1.0,
                zorder=2,
            )
        )
        axes.plot([raised] * 2, [row + 0.1, row + 0.9], color=INK, linewidth=1.3, zorder=4)
        if alert.resolved_at is None:
            axes.plot([over], [row + 0.5], marker=">", color=INK, markersize=5, clip_on=False, zorder=4)


@dataclass(frozen=True, slots=True)
class KeyPanel:
    """How the marks are read, of which some are drawn only of `several` protocols or with `thin` levels."""

    several: bool
    thin: bool
    words: Words

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        say = self.words.say
        marks = say("▼ : alerte sur la courbe", "▼: alert on the trace")
        if self.several:
            marks = say(
                "Sur la courbe ▼ A, ▲ B ; seuil tireté A, pointillé B",
                "On the trace ▼ A, ▲ B; threshold dashed A, dotted B",
            )
        lines = [
            say(
                "Trait fin : du début de la condition au déclenchement. Barre : du déclenchement à la fin"
                " (vide : tue ; ► : encore en cours).",
                "Thin line: from the onset to the alert. Bar: from the alert to its end"
                " (hollow: not told; ►: still standing).",
            ),
            f"{marks}{say('. Gris : sans mesure.', '. Grey: no reading.')}",
        ]
        if self.thin:
            lines.append(
                say(
                    "Seuil fin : d'une moyenne (moy.), d'une part des mesures (part), ou du poids sec (sec) ; une"
                    " mesure au-delà n'y suffit pas toujours.",
                    "Thin threshold: of a mean (mean), of a share of the readings (share), or of the dry weight (dry);"
                    " one reading beyond it may not be enough.",
                )
            )
        axes.set_axis_off()
        axes.text(
            0, 1, "\n".join(lines), size=7.5, color="#444444", va="top", linespacing=1.4, transform=axes.transAxes
        )


_LETTER: dict[str, Any] = {"ha": "right", "va": "center", "size": 7.5, "color": "#444444"}


def time_axis(axes: Axes, watched: Watched, words: Words) -> None:
    """Give an axis the watched time, labelled by days, or by hours when they are few."""
    span = max(watched.end - watched.begin, 3_600_000)
    room = span * 0.008
    axes.set_xlim((watched.begin - room) / DAY_MS, (watched.begin + span + room) / DAY_MS)
    days = span / DAY_MS
    if days < 2.5:
        hours = next(step for step in (1, 2, 3, 6) if span / (step * 3_600_000) <= 12 or step == 6)
        moments = [at for at in _local_hours(watched, hours) if at <= watched.begin + span]
        labels = [_hour_label(at, first=place == 0, words=words) for place, at in enumerate(moments)]
    else:
        step = next(step for step in (1, 2, 7, 14, 28, 91, 182, 365) if days / step <= 12 or step == 365)
        moments = _midnights(watched, step)
        labels = [words.date_of(at, short=True, year=days > 300) for at in moments]
        axes.set_xticks([at / DAY_MS for at in _midnights(watched, 1)] if days < 60 else [], minor=True)
    axes.set_xticks([at / DAY_MS for at in moments], labels)


def _midnights(watched: Watched, step: int) -> list[int]:
    """Return every `step`-th local midnight of the watched time, ms UTC."""
    days = [datetime(1970, 1, 1, tzinfo=watched.zone) + timedelta(days=day) for day in watched.days]
    moments = [round(day.timestamp() * 1000) for day in days]
    return [at for at in moments if watched.begin <= at <= watched.end][::step]


def _local_hours(watched: Watched, step: int) -> Iterable[int]:
    """Yield the full local hours that `step` divides, ms UTC."""
    at = watched.begin - watched.begin % 3_600_000 + 3_600_000 * (watched.begin % 3_600_000 > 0)
    while at <= watched.end:
        if datetime.fromtimestamp(at / 1000, UTC).astimezone(watched.zone).hour % step == 0:
            yield at
        at += 3_600_000


def _hour_label(at: int, *, first: bool, words: Words) -> str:
    local = words.local(at)
    clock = f"{local:%H:%M}"
    return f"{clock}\n{words.date_of(at, year=False)}" if first or local.hour == 0 else clock


def name_levels(axes: Axes, labels: Sequence[tuple[float, str]]) -> None:
    """Write what levels of an axis are at its right end, moved apart where the words would overlap.

    Args:
        axes: with its limits set.
        labels: (value, text) from the lowest on.
    """
    at = [axes.transData.transform((0, value))[1] * 72 / axes.figure.dpi for value, _ in labels]
    placed = list(at)
    for place in range(1, len(placed)):
        placed[place] = max(placed[place], placed[place - 1] + _LABEL_POINTS)
    for (value, text), own, height in zip(labels, at, placed, strict=True):
        axes.annotate(
            text,
            (1, value),
            (12, height - own),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            size=8,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0},
        )
