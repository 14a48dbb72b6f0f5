"""CareProtocol -> the flat rule program that the kernel reads.

Rules are data: a threshold is a number in an array, so editing one never compiles anything.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerting import layout
from alerting.care_protocol import CareProtocol, Rule, Timing
from alerting.rules import ChangeRule, Direction, LevelRule, Side
from alerting.scheduled_rules import MissingRule
from devices.reading import Quantity

WINDOW_READINGS = 128
"""A window holds at most so many readings: windows are bounded by time and by count."""

RUN_EVIDENCE = 14
"""An alert shows at most so many readings of the run that raised it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProgram:
    """A protocol as numbers.

    Attributes:
        words: int64, see `layout`.
        columns: quantity -> its row.
        windows: a row's longest window in ms, slack included; what lies further back cannot matter to a change.
        preludes: a row's ms before the start of watching from which readings still matter.
    """

    words: NDArray[np.int64]
    columns: dict[Quantity, int]
    windows: tuple[int, ...]
    preludes: tuple[int, ...]

    @property
    def state_size(self) -> int:
        """How many int64 a stream's state holds."""
        return int(self.words[layout.P_STATE_SIZE])

    def fresh_state(self, since: int) -> NDArray[np.int64]:
        """Return the state of a stream watched from `since` (ms UTC) on, before any reading."""
        state = np.zeros(self.state_size, np.int64)
        state[layout.S_LAYOUT] = layout.LAYOUT
        state[layout.S_SINCE] = since
        state[layout.S_EVENT_TIME] = since
        mine = layout.S_HEADER + len(self.columns) * layout.SQ_WIDTH
        rules = int(self.words[layout.P_RULES])
        state[layout.S_HEADER + layout.SQ_LAST : mine : layout.SQ_WIDTH] = layout.NEVER
        state[mine + layout.SR_ENDING : mine + rules * layout.SR_WIDTH : layout.SR_WIDTH] = layout.NEVER
        return state


def compile_program(protocol: CareProtocol) -> RuleProgram:
    """Return the program of a protocol."""
    quantities = sorted({rule.quantity for rule in protocol.rules})
    columns = {quantity: column for column, quantity in enumerate(quantities)}
    rings = layout.S_HEADER + len(quantities) * layout.SQ_WIDTH + len(protocol.rules) * layout.SR_WIDTH
    rows: list[list[int]] = []
    for rule in protocol.rules:
        row = _row(rule, columns[rule.quantity], protocol.timings.get(rule.quantity))
        if row[layout.R_COUNT]:
            row[layout.R_RING] = rings
            rings += layout.RING_HEADER + row[layout.R_COUNT] * layout.RING_ENTRY
        rows.append(row)
    header = [layout.LAYOUT, len(quantities), len(rows), rings]
    gaps = [protocol.timings[quantity].gap if quantity in protocol.timings else 0 for quantity in quantities]
    return RuleProgram(
        words=np.array([*header, *gaps, *(word for row in rows for word in row)], np.int64),
        columns=columns,
        windows=tuple(max(_window(rule) for rule in protocol.rules if rule.quantity == one) for one in quantities),
        preludes=tuple(
            max(_prelude(rule, protocol.timings.get(one)) for rule in protocol.rules if rule.quantity == one)
            for one in quantities
        ),
    )


def needed_span(persist: int, timing: Timing | None) -> int:
    """Return the ms that must lie between the first and the last reading of a run that lasts `persist` ms.

    At a cadence, a duration counts readings (ceil(persist / cadence)), half a cadence being allowed for jitter.
    """
    if timing is None:
        return persist
    readings = -(-persist // timing.cadence)
    return max(0, (readings - 1) * timing.cadence - timing.cadence // 2)


def _row(rule: Rule, column: int, timing: Timing | None) -> list[int]:
    row = [0] * layout.R_WIDTH
    row[layout.R_COLUMN] = column
    match rule:
        case LevelRule():
            # On integers `v < a` is `-v >= 1 - a` and `v > a` is `v >= a + 1`: one comparison in the kernel.
            sign = -1 if rule.side.low else 1
            strict = 1 if rule.side in {Side.BELOW, Side.ABOVE} else 0
            row[layout.R_KIND] = layout.KIND_LEVEL
            row[layout.R_SIGN] = sign
            row[layout.R_RAISE] = sign * rule.threshold + strict
            row[layout.R_END] = sign * rule.end_threshold + strict
            row[layout.R_PERSIST] = needed_span(rule.persist, timing)
            row[layout.R_END_PERSIST] = needed_span(rule.end_persist, timing)
        case ChangeRule():
            row[layout.R_KIND] = layout.KIND_CHANGE
            row[layout.R_SIGN] = 1 if rule.direction is Direction.RISE else -1
            row[layout.R_RAISE] = rule.delta
            row[layout.R_END] = rule.end_delta
            row[layout.R_WINDOW] = rule.window + rule.slack
            row[layout.R_COUNT] = WINDOW_READINGS
        case MissingRule():
            row[layout.R_KIND] = layout.KIND_MISSING
            row[layout.R_AGE] = rule.expected + rule.grace
    return row


def _window(rule: Rule) -> int:
    return rule.window + rule.slack if isinstance(rule, ChangeRule) else 0


def _prelude(rule: Rule, timing: Timing | None) -> int:
    match rule:
        case LevelRule():
            return rule.persist + (timing.gap if timing else 0)
        case ChangeRule():
            return rule.window + rule.slack
        case _:
            return 0
