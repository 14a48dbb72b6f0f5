"""A trial as a picture: what was measured, where the thresholds lie, and each alert from its onset to its end.

One panel a quantity, one row a rule that raised something, and the ambulatory glucose profile when a glucose sensor
covered enough days. Readable in print and without telling red from green: colours are those of Okabe and Ito, and
nothing is said by colour alone. A silence is never drawn over.

What is not here: what is counted (backtest_report), and the panels themselves (backtest_panels, backtest_agp).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from agent.backtest_agp import ProfilePanel, profile_of
from agent.backtest_levels import levels_of
from agent.backtest_panels import LANE_INCHES, KeyPanel, Lane, LanesPanel, Panel, TracePanel
from agent.backtest_words import NO_PROMISE, NOT_A_DEVICE, SIMULATED, Words
from alerting.backtest import AlertOutcome
from alerting.burden import Watched
from alerting.care_protocol import CareProtocol
from alerting.history import QUANTITIES, History
from alerting.trial import label
from devices.reading import Quantity

WIDTH = 11.0
_LEFT, _RIGHT = 2.35, 1.5
_HEAD, _FOOT, _BETWEEN, _KEY = 1.3, 0.2, 0.62, 0.42
_TRACE, _PROFILE = 2.2, 2.9
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "veilleur",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn of one patient.

    Attributes:
        history: the readings.
        watched: when alerts were looked for.
        judged: one or two protocols, each with its alerts; of two the one that is tried first.
        simulated: nobody was measured.
        words: how its reader is spoken to.
    """

    history: History
    watched: Watched
    judged: Sequence[tuple[CareProtocol, Sequence[AlertOutcome]]]
    simulated: bool
    words: Words


def draw(picture: Picture, target: Path) -> None:
    """Write a picture to a `.png` or `.svg` file.

    Raises:
        OSError: it cannot be written.
    """
    kind = target.suffix.lower().removeprefix(".")
    drawn = BytesIO()
    with mpl.rc_context(_SETTINGS):  # type: ignore[arg-type] # the name of its keys' type changes by version
        figure = _figure(picture)
        figure.savefig(drawn, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
    target.write_bytes(drawn.getvalue())


def _figure(picture: Picture) -> Figure:
    panels = _panels(picture)
    height = _HEAD + sum(inches + _BETWEEN for inches, _ in panels) + _FOOT
    figure = Figure(figsize=(WIDTH, height))
    _head(figure, picture, height)
    top = height - _HEAD
    for inches, panel in panels:
        top -= inches
        box = (_LEFT / WIDTH, top / height, (WIDTH - _LEFT - _RIGHT) / WIDTH, inches / height)
        panel.draw(figure.add_axes(box))
        top -= _BETWEEN
    _foot(figure, picture.words, height)
    return figure


def _panels(picture: Picture) -> list[tuple[float, Panel]]:
    """Return the panels from top to bottom, each with its height in inches."""
    quantities = _quantities(picture)
    protocols = [protocol for protocol, _ in picture.judged]
    thin = any(not level.of_each_reading for one in quantities for level in levels_of(protocols, one))
    panels: list[tuple[float, Panel]] = [
        (_TRACE, TracePanel(picture.history, quantity, picture.watched, picture.judged, picture.words))
        for quantity in quantities
    ]
    lanes = _lanes(picture)
    height = LANE_INCHES * max(1, sum(len(lane.alerts) for lane in lanes))
    panels.append((height, LanesPanel(lanes, picture.watched, picture.words)))
    panels.append((_KEY, KeyPanel(len(picture.judged) > 1, thin, picture.words)))
    profile = profile_of(picture.history, picture.watched)
    if profile is not None:
        panels.append((_PROFILE, ProfilePanel(profile, picture.judged[0][0], picture.words)))
    return panels


def _quantities(picture: Picture) -> list[Quantity]:
    """Return the quantities that were measured and that a rule looks at, or all that were measured."""
    measured = [QUANTITIES[code] for code in np.unique(picture.history.quantities).tolist()]
    ruled = {quantity for protocol, _ in picture.judged for rule in protocol.rules for quantity in rule.inputs}
    return [quantity for quantity in measured if quantity in ruled] or measured


def _lanes(picture: Picture) -> list[Lane]:
    """Return a lane for each rule that raised something, in the protocols' order; rules of one title are told apart."""
    titles = {
        rule.id: (rule.words.title, rule.priority)
        for protocol, _ in reversed(picture.judged)
        for rule in protocol.rules
    }
    order = list(dict.fromkeys(rule.id for protocol, _ in picture.judged for rule in protocol.rules))
    raised = {rule: [[one for one in outcomes if one.rule == rule] for _, outcomes in picture.judged] for rule in order}
    shown = {rule: picture.words.of(titles[rule][0]) for rule, alerts in raised.items() if any(alerts)}
    many = Counter(shown.values())
    return [
        Lane(title=f"{title} · {rule}" if many[title] > 1 else title, priority=titles[rule][1], alerts=raised[rule])
        for rule, title in shown.items()
    ]


def _head(figure: Figure, picture: Picture, height: float) -> None:
    words, history = picture.words, picture.history
    title = words.say("Essai d'un protocole sur un historique", "A protocol tried on a history")
    period = words.period(picture.watched.begin, picture.watched.end)
    figure.text(0.25 / WIDTH, 1 - 0.3 / height, f"{title} · patient {history.patient}", size=13, weight="bold")
    figure.text(
        0.25 / WIDTH,
        1 - 0.53 / height,
        f"{period} ({words.zone.key}) · {words.number(len(history))} {words.say('mesures', 'readings')}",
        size=9.5,
    )
    names = [f"{label(protocol)} · {words.of(protocol.title)}" for protocol, _ in picture.judged]
    if len(names) > 1:
        roles = (words.say("essayé", "tried"), words.say("actuel", "current"))
        names = [f"{letter} ({role}) : {name}" for letter, role, name in zip("AB", roles, names, strict=True)]
    for place, name in enumerate(names):
        figure.text(0.25 / WIDTH, 1 - (0.74 + 0.19 * place) / height, name, size=9.5)
    if picture.simulated:
        figure.text(
            1 - 0.25 / WIDTH, 1 - 0.3 / height, words.of(SIMULATED), size=10, weight="bold", ha="right", color="#B03A00"
        )


def _foot(figure: Figure, words: Words, height: float) -> None:
    figure.text(0.25 / WIDTH, 0.2 / height, f"{words.of(NOT_A_DEVICE)} {words.of(NO_PROMISE)}", size=8, color="#444444")
