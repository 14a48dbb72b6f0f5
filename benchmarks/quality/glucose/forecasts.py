"""The table of hypoglycaemia forecasts: what is seen before it begins, at what cost, with whose thresholds.

A threshold is chosen on four fifths of the people and scored on the others, five times (`others`); chosen on the very
people that it is scored on it is a bound, marked `same people`; `given` was written down before any of them was seen.
Every alarm of a row is a judge's own answer, from another process, one reading at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from benchmarks.quality.glucose import engine_forecasts
from benchmarks.quality.glucose.engine_forecasts import Held
from benchmarks.quality.glucose.harness import Answer, Sitting, checked, judged
from benchmarks.quality.glucose.judge import Scoring
from benchmarks.quality.glucose.labels import Labels, label
from benchmarks.quality.glucose.operating import POINTS, Watched, folds, grid, table
from benchmarks.quality.glucose.outcomes import Outcome, Share, Summary, outcome, pooled, summary
from benchmarks.quality.glucose.rows import show, shown
from benchmarks.quality.glucose.scorers import Setting
from benchmarks.quality.glucose.traces import MINUTE, Cohort, Trace, cohorts, folder, gap_after

LEVELS = {1: 70.0, 2: 54.0}
METHODS = ("threshold", "linear", "ar2", "holt_ar2", "kalman")
GIVEN = {"holt_ar2": (-1.0,), "ar2": (0.0,), "linear": (0.0,)}
"""mg/dL from the level at which a forecast alarms, from other people's recordings: Holt with AR2 at 69 for level 1."""
GIVEN_PROBABILITIES = (0.36, 0.53)
"""Of the Kalman filter, from other people's recordings: for recall, and for burden."""
FEWEST_EVENTS = 10
"""With fewer, no threshold is chosen: it would be one person's."""
SAME = "same people"
SEEDS = 8
LOT_DAYS = 400
"""Days over which the rate of alarms by lot is counted."""
FEWEST_PEOPLE = 10
"""With fewer, no threshold can be chosen on some for others."""

COLUMNS = (
    "alarms when",
    "threshold",
    "events",
    "recall",
    "lead >= 15",
    "precision",
    "false/day",
    "lead min",
    "< 2 false/week",
    "as the reference",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of alarming.

    Attributes:
        cohort: the people.
        level: 1 or 2.
        method: the scorer, or what raised the alarms.
        point: what its threshold was chosen for.
        chosen_on: `others`, `same people` or `given`.
        thresholds: on the risk, the smallest and the largest of the folds.
        worth: what the alarms were worth.
        times: how often the people were run, with other seeds.
        held: the engine's alerts against the crossings of the reference scorer.
    """

    cohort: Cohort
    level: int
    method: str
    point: str
    chosen_on: str
    thresholds: tuple[float, float]
    worth: Summary
    times: int = 1
    held: Held | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row for a reader."""
        worth = self.worth
        return (
            f"{self.method}, {self.point} ({self.chosen_on})",
            "..".join(dict.fromkeys(f"{abs(one):.4g}" for one in self.thresholds)),
            str(worth.events // self.times),
            _interval(worth.recall),
            shown(worth.recall_early.value),
            _interval(worth.precision),
            _interval(worth.false_a_day),
            shown(worth.median_lead, 0),
            shown(worth.quiet),
            "" if self.held is None else _held(self.held),
        )

    def line(self) -> dict[str, object]:
        """Return the row for a program."""
        return {
            "cohort": self.cohort.name,
            "simulated": self.cohort.simulated,
            "cadence_min": self.cohort.cadence,
            "decimated": self.cohort.decimated,
            "level": self.level,
            "method": self.method,
            "point": self.point,
            "chosen_on": self.chosen_on,
            "thresholds": self.thresholds,
            "runs": self.times,
            "held_against_reference": None if self.held is None else asdict(self.held),
            **asdict(self.worth),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A threshold for each person, and how it came about."""

    point: str
    chosen_on: str
    by_patient: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the engine is asked for: a model at a choice of thresholds, and the reference's risks beside it."""

    method: str
    choice: Choice
    watched: Mapping[str, Watched]


class People:
    """A cohort at one level: labelled once, asked about by many judges."""

    def __init__(self, cohort: Cohort, level: int) -> None:
        self.cohort = cohort
        self.level = level
        self.labels = {trace.patient: label(trace, LEVELS[level]) for trace in cohort.traces}
        self._folds = folds(list(self.labels))

    @property
    def events(self) -> int:
        """How many episodes could be forecast."""
        return sum(episode.fair for labels in self.labels.values() for episode in labels.episodes)

    def setting(self, seed: int = 0) -> Setting:
        """Return what every scorer is told of these people."""
        cadence = self.cohort.cadence
        return Setting(level=LEVELS[self.level], cadence=cadence, gap=gap_after(cadence * MINUTE) / MINUTE, seed=seed)

    def rows(self, methods: Sequence[str]) -> list[Row]:
        """Return the rows of some scorers, then those of the engine with the same thresholds."""
        rows: list[Row] = []
        asked: list[Asked] = []
        for method in methods:
            watched = self.watched(method)
            choices = [*self._given(method), *self.chosen(method, watched)]
            rows += self.judged_rows(method, choices, watched)
            if method in engine_forecasts.models(self.cohort.cadence):
                asked += [Asked(method=method, choice=one, watched=watched) for one in choices if one.chosen_on != SAME]
        return rows + self.engine_rows(asked)

    def engine_rows(self, asked: Sequence[Asked]) -> list[Row]:
        """Return one row a choice, from the alerts of the engine, held against the reference scorer's crossings."""
        wanted = {patient: [(one.method, one.choice.by_patient[patient]) for one in asked] for patient in self.labels}
        raised = engine_forecasts.raised(self.cohort.traces, LEVELS[self.level], wanted)
        rows = []
        for place, one in enumerate(asked):
            outcomes = {}
            held = Held(raised=0, same=0, rounded=0, different=0)
            for patient, several in raised.items():
                labels, alerts = self.labels[patient], several[place]
                outcomes[patient] = outcome(labels, engine_forecasts.told(labels, alerts))
                held += engine_forecasts.held(one.watched[patient], one.method, one.choice.by_patient[patient], alerts)
            row = self.row(f"engine's {one.method}", one.choice, summary(outcomes))
            rows.append(replace(row, held=held))
        return rows

    def watched(self, method: str) -> dict[str, Watched]:
        """Return the risks that a scorer gives each person, for choosing its thresholds."""
        sittings = [Sitting(trace=trace, task=self._task(method)) for trace in self.cohort.traces]
        return {
            sitting.trace.patient: Watched(labels=self.labels[sitting.trace.patient], risks=_risks(answers))
            for sitting, answers in zip(sittings, judged(sittings), strict=True)
        }

    def judged_rows(self, method: str, choices: Sequence[Choice], watched: Mapping[str, Watched]) -> list[Row]:
        """Return one row a choice, from what a judge that knows the thresholds answers."""
        sittings = [
            Sitting(trace=trace, task=self._task(method, tuple(choice.by_patient[trace.patient] for choice in choices)))
            for trace in self.cohort.traces
        ]
        found = {sitting.trace.patient: answers for sitting, answers in zip(sittings, checked(sittings), strict=True)}
        rows = []
        for place, choice in enumerate(choices):
            outcomes = {}
            for patient, answers in found.items():
                alarms = alarm_indices(answers, place)
                if alarms != watched[patient].alarms(choice.by_patient[patient]):
                    raise ForeseenError(f"{patient}: {method} alarmed otherwise than its risks foresaw")
                outcomes[patient] = outcome(self.labels[patient], alarms)
            rows.append(self.row(method, choice, summary(outcomes)))
        return rows

    def always(self) -> Row:
        """Return the row that alarms whenever it may."""
        choice = Choice(point="whenever it may", chosen_on="given", by_patient=dict.fromkeys(self.labels, 1.0))
        sittings = [Sitting(trace=trace, task=self._task("always", (1.0,))) for trace in self.cohort.traces]
        found = zip(sittings, checked(sittings), strict=True)
        outcomes = {
            one.trace.patient: outcome(self.labels[one.trace.patient], alarm_indices(answers, 0))
            for one, answers in found
        }
        return self.row("always", choice, summary(outcomes))

    def random(self, matched: Sequence[Row]) -> Iterator[Row]:
        """Yield, for each row to match, alarms drawn by lot at the same rate, over several seeds."""
        rates = self._rates_by_lot() if matched else {}
        thresholds = tuple(min(rates, key=lambda one: abs(rates[one] - row.worth.alarms_a_day)) for row in matched)
        gathered: dict[str, list[list[Outcome]]] = {patient: [[] for _ in matched] for patient in self.labels}
        for seed in range(SEEDS):
            sittings = [
                Sitting(trace=trace, task=self._task("random", thresholds, seed=_seed(trace, seed)))
                for trace in self.cohort.traces
            ]
            for sitting, answers in zip(sittings, checked(sittings) if not seed else judged(sittings), strict=True):
                patient = sitting.trace.patient
                for place in range(len(matched)):
                    alarms = alarm_indices(answers, place)
                    gathered[patient][place].append(outcome(self.labels[patient], alarms))
        for place, row in enumerate(matched):
            choice = Choice(
                point=f"at the rate of {row.method}, {row.point}",
                chosen_on=row.chosen_on,
                by_patient=dict.fromkeys(self.labels, thresholds[place]),
            )
            worth = summary({patient: pooled(runs[place]) for patient, runs in gathered.items()})
            yield self.row("random", choice, worth, times=SEEDS)

    def row(self, method: str, choice: Choice, worth: Summary, times: int = 1) -> Row:
        """Return a row."""
        values = choice.by_patient.values()
        return Row(
            cohort=self.cohort,
            level=self.level,
            method=method,
            point=choice.point,
            chosen_on=choice.chosen_on,
            thresholds=(min(values), max(values)),
            worth=worth,
            times=times,
        )

    def _task(self, method: str, thresholds: tuple[float, ...] = (), seed: int = 0) -> Scoring:
        return Scoring(scorer=method, setting=self.setting(seed), thresholds=thresholds)

    def _given(self, method: str) -> Iterator[Choice]:
        thresholds = [-LEVELS[self.level] - offset for offset in GIVEN.get(method, ())]
        for threshold in GIVEN_PROBABILITIES if method == "kalman" else thresholds:
            point = f"{abs(threshold):.4g}"
            yield Choice(point=point, chosen_on="given", by_patient=dict.fromkeys(self.labels, threshold))

    def chosen(self, method: str, watched: Mapping[str, Watched]) -> Iterator[Choice]:
        """Yield thresholds for each operating point: for each fold from the other folds, then from everybody."""
        if len(watched) < FEWEST_PEOPLE or self.events < FEWEST_EVENTS:
            return
        thresholds = grid(method, LEVELS[self.level])
        patients = list(watched)
        outcomes = table([watched[patient] for patient in patients], thresholds)
        for point, choose in POINTS.items():
            best = choose(outcomes)
            by_fold = {
                fold: choose(
                    [[row[i] for i, one in enumerate(patients) if self._folds[one] != fold] for row in outcomes]
                )
                for fold in set(self._folds.values())
            }
            known = {fold: thresholds[place] for fold, place in by_fold.items() if place is not None}
            if len(known) == len(by_fold):
                by_patient = {patient: known[self._folds[patient]] for patient in patients}
                yield Choice(point=point, chosen_on="others", by_patient=by_patient)
            if best is not None:
                yield Choice(point=point, chosen_on=SAME, by_patient=dict.fromkeys(patients, thresholds[best]))

    def _rates_by_lot(self) -> dict[float, float]:
        """Return threshold -> alarms a day of chance, counted as a row counts its alarms, over enough lots."""
        draws = -(-LOT_DAYS // max(1, round(sum(one.trace.days for one in self.labels.values()))))
        lots = [
            Watched(labels=one, risks=_lots(one, SEEDS + draw)) for one in self.labels.values() for draw in range(draws)
        ]
        days = sum(one.labels.trace.days for one in lots)
        rates = {}
        for threshold in grid("random", 0.0):
            outcomes = [one.outcome(threshold) for one in lots]
            rates[threshold] = sum(one.true + one.false for one in outcomes) / days
        return rates


class ForeseenError(Exception):
    """A judge alarmed otherwise than the risks it gave before, so its threshold was chosen for something else."""


def alarm_indices(answers: Sequence[Answer], place: int) -> list[int]:
    """Return at which readings the alarm at a place was given."""
    return [index for index, answer in enumerate(answers) if answer.alarms[place]]


def tables() -> None:
    """Print the tables, one a cohort and level."""
    for cohort in cohorts(folder()):
        for level in LEVELS:
            people = People(cohort, level)
            rows = people.rows(methods(cohort))
            headline = "holt_ar2" if cohort.cadence <= 6 else "kalman"
            matched = [row for row in rows if row.method == headline and row.chosen_on != SAME]
            rows += [*people.random(matched), people.always()]
            show(
                _title(people), COLUMNS, [row.cells() for row in rows], "glucose.forecast", [row.line() for row in rows]
            )


def methods(cohort: Cohort) -> tuple[str, ...]:
    """Return the scorers to compare: a line needs three readings in a quarter of an hour."""
    return tuple(method for method in METHODS if method != "linear" or cohort.cadence <= 5)


def _title(people: People) -> str:
    cohort = people.cohort
    size = f"{sum(trace.days for trace in cohort.traces):.0f} days, {people.events} events"
    kind = "SIMULATED" if cohort.simulated else "recorded"
    people_words = "person" if len(cohort.traces) == 1 else "people"
    cut = f" (decimated: one reading in {cohort.decimated} kept)" if cohort.decimated > 1 else ""
    return (
        f"Sensor lows below {LEVELS[people.level]:.0f} mg/dL (level {people.level}) seen beforehand: {cohort.name}, "
        f"{len(cohort.traces)} {kind} {people_words}, {size}, a reading every {cohort.cadence} min{cut}"
    )


def _held(held: Held) -> str:
    apart = [f"{held.rounded} by rounding"] * bool(held.rounded) + [f"{held.different} DIFFER"] * bool(held.different)
    return ", ".join((f"{held.same} of {held.raised}", *apart))


def _interval(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "-"
    return f"{share.value:.2f} [{share.low:.2f}-{share.high:.2f}]"


def _risks(answers: Sequence[Answer]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([answer.risk for answer in answers], np.float64)


def _seed(trace: Trace, run: int) -> int:
    return run * 1_000_003 + sum(trace.patient.encode())


def _lots(labels: Labels, run: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.random.default_rng(_seed(labels.trace, run)).random(len(labels.trace.times))
