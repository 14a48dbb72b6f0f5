"""How far back the box keeps readings: as far as any rule that is applied, or tried, can still look.

A rule looks as far as its longest window before what it judges, and what it judges may come late by its quantity's
bound, or belong to an alert that stands. Six months are kept in any case: the reach of the longest definition in use,
weight lost in malnutrition (DECISIONS 14).

Not here: deleting (store), and what a rule looks at (alerting).
"""

from collections.abc import Iterable
from typing import Final

from agent.settings import Patient
from alerting.care_protocol import CareProtocol
from alerting.engine import Engine
from alerting.retention import memory_of

DAY_MS: Final = 86_400_000
LEAST_MS: Final = 184 * DAY_MS
"""Six months of 31, 30, 31, 30, 31 and 31 days."""


def memory(patient: Patient) -> int:
    """Return for how many ms a reading of a patient may matter."""
    protocols = [patient.protocol] if patient.shadow is None else [patient.protocol, patient.shadow]
    return max(LEAST_MS, *(memory_of(protocol) + DAY_MS for protocol in protocols))


def needed_from(patient: Patient, onsets: Iterable[int], now: int) -> int:
    """Return from when on (ms UTC, inclusive) a patient's readings still matter at `now`.

    Args:
        patient: with the protocols that judge.
        onsets: ms UTC, of their alerts that stand, or ended no longer ago than `memory`.
        now: ms UTC.
    """
    return min([now, *onsets]) - memory(patient)


def begun(patient: Patient, protocol: CareProtocol, *, since: int, forgotten_to: int | None) -> Engine:
    """Return an engine that is to judge the kept history, by a protocol that is applied or tried.

    It begins where every window finds what it looks at: nothing that was forgotten is taken for a silence.

    Args:
        patient: whose readings.
        protocol: to judge by.
        since: ms UTC from which on the patient is watched.
        forgotten_to: ms UTC up to which (exclusive) readings were forgotten, None: none was.
    """
    engine = Engine(protocol, patient=patient.pseudonym, zone=patient.zone, since=since)
    if forgotten_to is None or engine.history_from >= forgotten_to:
        return engine
    begins = forgotten_to + engine.prelude
    return Engine(protocol, patient=patient.pseudonym, zone=patient.zone, since=begins)
