"""CareProtocol -> the flat rule program that the kernel reads.

Rules are data: a threshold is a number in an array, so editing one never compiles anything. Rules that ask for the same
feature (the same quantity, kind and parameters) share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerting import layout
from alerting.care_protocol import CareProtocol, Rule, Timing
from alerting.feature import Feature, feature_of, reach_of
from alerting.scheduled_rules import CompositeRule, Concern, MissingRule, QualityRule
from devices.reading import Quantity

RUN_EVIDENCE = 14
"""An alert shows at most so many readings of the run that raised it."""

SPARSE_READINGS = 384
"""A window over a quantity measured now and then holds at most so many readings."""
MOST_READINGS = 1920
"""A window holds at most so many readings: it is bounded by time and by count."""
LEAST_READINGS = 128


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """What the readings of a column are: the judged values of a quantity, or how all of its readings were taken."""

    quantity: Quantity
    flags: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProgram:
    """A protocol as numbers.

    Attributes:
        words: int64, see `layout`.
        channels: a column's readings.
        columns: quantity -> the column of its judged values.
        flag_columns: quantity -> the column of the flags of all its readings.
        windows: a column's longest window in ms from which an alert shows single readings.
        counts: how many readings at most a column's windows hold.
        preludes: a column's ms before the start of watching from which readings still matter.
    """

    words: NDArray[np.int64]
    channels: tuple[Channel, ...]
    columns: dict[Quantity, int]
    flag_columns: dict[Quantity, int]
    windows: tuple[int, ...]
    counts: tuple[int, ...]
    preludes: tuple[int, ...]

    @property
    def state_size(self) -> int:
        """How many int64 a stream's state holds."""
        return int(self.words[layout.P_STATE_SIZE])

    @property
    def rules(self) -> NDArray[np.int64]:
        """The rules' rows, shape (rules, R_WIDTH)."""
        words = self.words
        begin = (
            layout.P_HEADER
            + int(words[layout.P_COLUMNS]) * layout.Q_WIDTH
            + int(words[layout.P_FEATURES]) * layout.F_WIDTH
        )
        return words[begin:].reshape(-1, layout.R_WIDTH)

    @property
    def features(self) -> NDArray[np.int64]:
        """The features' rows, shape (features, F_WIDTH)."""
        begin = layout.P_HEADER + int(self.words[layout.P_COLUMNS]) * layout.Q_WIDTH
        end = begin + int(self.words[layout.P_FEATURES]) * layout.F_WIDTH
        return self.words[begin:end].reshape(-1, layout.F_WIDTH)

    @property
    def first_life(self) -> int:
        """Where the rules begin in a state."""
        return (
            layout.S_HEADER
            + len(self.channels) * layout.SQ_WIDTH
            + int(self.words[layout.P_FEATURES]) * layout.SF_WIDTH
        )

    def fresh_state(self, since: int) -> NDArray[np.int64]:
        """Return the state of a stream watched from `since` (ms UTC) on, before any reading."""
        state = np.zeros(self.state_size, np.int64)
        state[layout.S_LAYOUT] = layout.LAYOUT
        state[layout.S_SINCE] = since
        state[layout.S_EVENT_TIME] = since
        lives = layout.S_HEADER + len(self.channels) * layout.SQ_WIDTH
        state[layout.S_HEADER + layout.SQ_LAST : lives : layout.SQ_WIDTH] = layout.NEVER
        rules = state[self.first_life : self.first_life + len(self.rules) * layout.SR_WIDTH]
        for word in (layout.SR_ENDING, layout.SR_VALUE, layout.SR_TRUE_AT, layout.SR_KNOWN_AT):
            rules[word :: layout.SR_WIDTH] = layout.NEVER
        return state


def window_readings(timing: Timing | None, window: int) -> int:
    """Return how many readings a window of `window` ms over a quantity measured so holds at most."""
    if timing is None or timing.cadence == 0:
        return SPARSE_READINGS
    return min(MOST_READINGS, max(LEAST_READINGS, -(-5 * window // (4 * timing.cadence))))


def compile_program(protocol: CareProtocol) -> RuleProgram:
    """Return the program of a protocol."""
    channels = tuple(sorted({channel for rule in protocol.rules for channel in _channels(rule)}))
    columns = {channel.quantity: column for column, channel in enumerate(channels) if not channel.flags}
    flag_columns = {channel.quantity: column for column, channel in enumerate(channels) if channel.flags}
    features: list[Feature] = []
    rows: list[list[int]] = []
    ids = [rule.id for rule in protocol.rules]
    for rule in protocol.rules:
        timing = protocol.timings.get(rule.quantity)
        feature = feature_of(rule, timing, columns, flag_columns)
        if feature is not None and feature not in features:
            features.append(feature)
        rows.append(_row(rule, timing, columns, flag_columns, ids))
        rows[-1][layout.R_FEATURE] = -1 if feature is None else features.index(feature)
    _mark_members(rows)
    counts = tuple(_count(channel, protocol, features, column) for column, channel in enumerate(channels))
    plan = _Plan(len(channels), len(features), len(rows), counts)
    column_rows = [plan.column(column, channel, protocol, features, rows) for column, channel in enumerate(channels)]
    feature_rows = [plan.feature(feature) for feature in features]
    header = [layout.LAYOUT, len(channels), len(features), len(rows), plan.size]
    return RuleProgram(
        words=np.array([*header, *(word for row in (*column_rows, *feature_rows, *rows) for word in row)], np.int64),
        channels=channels,
        columns=columns,
        flag_columns=flag_columns,
        windows=tuple(
            max((one.window for one in features if one.shown and one.column == column), default=0)
            for column in range(len(channels))
        ),
        counts=counts,
        preludes=tuple(_prelude(channel, protocol) for channel in channels),
    )


def needed_span(persist: int, timing: Timing | None) -> int:
    """Return the ms that must lie between the first and the last reading of a run that lasts `persist` ms.

    At a cadence, a duration counts readings (ceil(persist / cadence)), half a cadence being allowed for jitter.
    """
    if timing is None or timing.cadence == 0:
        return persist
    readings = -(-persist // timing.cadence)
    return max(0, (readings - 1) * timing.cadence - timing.cadence // 2)


class _Plan:
    """Where the rings lie in a state."""

    def __init__(self, columns: int, features: int, rules: int, counts: Sequence[int]) -> None:
        self.size = layout.S_HEADER + columns * layout.SQ_WIDTH + features * layout.SF_WIDTH + rules * layout.SR_WIDTH
        self._counts = counts
        self._masks = [_capacity(count) - 1 for count in counts]

    def column(
        self,
        column: int,
        channel: Channel,
        protocol: CareProtocol,
        features: Sequence[Feature],
        rules: Sequence[list[int]],
    ) -> list[int]:
        """Return a column's row."""
        timing = protocol.timings.get(channel.quantity)
        fed = sum(
            1 << rule
            for rule, row in enumerate(rules)
            if row[layout.R_MEMBER] and any(_reads(rules[one], features, column) for one in _all_of(rule, rules))
        )
        slow = any(feature.slow for feature in features if feature.inputs >> column & 1) or any(
            row[layout.R_KIND] == layout.MISSING and row[layout.R_COLUMN] == column and row[layout.R_BY] >= 0
            for row in rules
        )
        # An absence that others are judged with must be told in its turn.
        slow |= any(
            row[layout.R_KIND] == layout.COMPOSITE
            and row[layout.R_OF] & fed
            and any(rules[one][layout.R_KIND] == layout.MISSING for one in _all_of(rule, rules))
            for rule, row in enumerate(rules)
        )
        return [
            0 if timing is None else timing.gap,
            self._ring(self._masks[column]),
            self._masks[column],
            1 if slow else layout.BLOCK,
            fed,
        ]

    def feature(self, feature: Feature) -> list[int]:
        """Return a feature's row."""
        row = [0] * layout.F_WIDTH
        mask = self._masks[feature.column]
        row[layout.F_KIND] = feature.kind
        row[layout.F_INPUTS] = feature.inputs
        row[layout.F_COLUMN] = feature.column
        row[layout.F_WINDOW] = feature.window
        row[layout.F_COUNT] = self._counts[feature.column]
        row[layout.F_MIN] = feature.least
        row[layout.F_LAG] = feature.lag
        row[layout.F_DESPIKE] = feature.despike
        row[layout.F_BREAK] = feature.longest_pause
        row[layout.F_A : layout.F_A + len(feature.numbers)] = feature.numbers
        if feature.kind in {layout.LOWEST, layout.HIGHEST}:
            row[layout.F_B] = self.size
            self.size += mask + 1
        if feature.despike:
            row[layout.F_RING], row[layout.F_MASK] = self._ring(mask), mask
        return row

    def _ring(self, mask: int) -> int:
        begin = self.size
        self.size += (mask + 1) * layout.RING_ENTRY
        return begin


def _capacity(count: int) -> int:
    """Return a power of two that holds a window and a block beside it."""
    return 1 << (count + layout.BLOCK - 1).bit_length()


def _channels(rule: Rule) -> tuple[Channel, ...]:
    if isinstance(rule, CompositeRule):
        return ()
    if isinstance(rule, QualityRule) and rule.concern is Concern.FLAGS:
        return (Channel(rule.quantity, flags=True),)
    return tuple(Channel(quantity) for quantity in rule.inputs)


def _count(channel: Channel, protocol: CareProtocol, features: Sequence[Feature], column: int) -> int:
    """Return how many readings the longest window of a column holds at most."""
    timing = protocol.timings.get(channel.quantity)
    longest = max((feature.window for feature in features if feature.column == column), default=0)
    return window_readings(timing, longest)


def _reads(row: list[int], features: Sequence[Feature], column: int) -> bool:
    if row[layout.R_KIND] == layout.MISSING:
        return row[layout.R_COLUMN] == column
    return row[layout.R_KIND] == layout.JUDGED_VALUE and bool(features[row[layout.R_FEATURE]].inputs >> column & 1)


def _all_of(rule: int, rows: Sequence[list[int]]) -> set[int]:
    """Return a rule (index) and all that it is made of, those of its members too."""
    members = [one for one in range(rule) if rows[rule][layout.R_OF] >> one & 1]
    return {rule}.union(*(_all_of(one, rows) for one in members))


def _row(
    rule: Rule,
    timing: Timing | None,
    columns: dict[Quantity, int],
    flag_columns: dict[Quantity, int],
    ids: Sequence[str],
) -> list[int]:
    row = [0] * layout.R_WIDTH
    row[layout.R_COLUMN] = columns.get(rule.quantity, -1)
    row[layout.R_BY] = -1
    if isinstance(rule, MissingRule):
        row[layout.R_KIND] = layout.MISSING
        row[layout.R_AGE] = rule.expected + rule.grace
        row[layout.R_BY] = -1 if rule.by is None else rule.by
        row[layout.R_DAYS] = rule.days
        return row
    limits = rule.limits
    # On integers `v < a` is `-v >= 1 - a` and `v > a` is `v >= a + 1`: one comparison in the kernel.
    sign = -1 if limits.side.low else 1
    strict = 1 if limits.side.strict else 0
    row[layout.R_SIGN] = sign
    row[layout.R_RAISE] = sign * limits.threshold + strict
    row[layout.R_END] = sign * limits.end_threshold + strict
    if isinstance(rule, CompositeRule):
        row[layout.R_KIND] = layout.COMPOSITE
        row[layout.R_COLUMN] = -1
        row[layout.R_OF] = sum(1 << ids.index(member) for member in rule.of)
        row[layout.R_WINDOW] = rule.window
        return row
    row[layout.R_KIND] = layout.JUDGED_VALUE
    row[layout.R_PERSIST] = needed_span(getattr(rule, "persist", 0), timing)
    row[layout.R_END_PERSIST] = needed_span(getattr(rule, "end_persist", 0), timing)
    if isinstance(rule, QualityRule) and rule.concern is Concern.FLAGS:
        row[layout.R_COLUMN] = flag_columns[rule.quantity]
    return row


def _mark_members(rows: Sequence[list[int]]) -> None:
    asked = 0
    for row in rows:
        asked |= row[layout.R_OF]
    for rule, row in enumerate(rows):
        row[layout.R_MEMBER] = asked >> rule & 1


def _prelude(channel: Channel, protocol: CareProtocol) -> int:
    timing = protocol.timings.get(channel.quantity)
    return max(
        (reach_of(rule, timing) for rule in protocol.rules if channel in _channels(rule)),
        default=0,
    )
