"""Telling the team what a shadow that it ordered came to: the order's answer, given anew with what there is by now.

Four times a day, and soon after the shadow began or the box started. It goes the way of answers: sealed to the team,
signed by the box, said again until the broker has it; of several that wait only the newest is said.

A shadow of the settings is nobody's order, and nobody is told of it: `veilleur shadow` shows it on the box.

Not here: counting (shadow_comparison), and the report's form (exchange.shadow_reports).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from agent.commanded_judging import CommandedJudging
from agent.logs import EVENT, REASON
from agent.settings import Patient
from agent.shadow import Attempt
from agent.shadow_comparison import Comparison, Side, of_patient
from agent.store import Store
from agent.store_thread import StoreThread
from alerting.backtest import AlertOutcome
from devices.clock import Clock
from exchange.command_answers import Answer, AnswerState
from exchange.messages import Said
from exchange.shadow_reports import (
    MOST_LISTED,
    MOST_RULES,
    ReportedAlert,
    ReportedRule,
    ReportedSide,
    ShadowReport,
    encode_report,
)

logger = logging.getLogger(__name__)

EVERY_MS: Final = 6 * 3_600_000
LONGEST_NAP_S: Final = 600.0


def reported(store: Store, patient: Patient) -> bytes:
    """Return what a patient's shadow came to so far, as an answer carries it; empty before it has begun.

    Raises:
        VaultError: what is kept was altered.
    """
    if patient.shadow is None:
        return b""
    found = of_patient(store.shadows, patient, patient.shadow).comparison
    return b"" if found is None else encode_report(report_of(found))


async def reported_by(store: StoreThread, patient: Patient, attempt: Attempt) -> bytes:
    """Return the same; empty too when it cannot be counted, which must keep nobody from ending a shadow."""
    report = b""

    async def count() -> None:
        nonlocal report
        report = await store.persist(reported, patient)

    error = await attempt(count)
    if error is not None:
        _say_failed(error)
    return report


def _say_failed(error: Exception) -> None:
    reason = {EVENT: "shadow_failed", REASON: type(error).__name__}
    logger.error("what a shadow protocol came to cannot be told", extra=reason)


def report_of(one: Comparison) -> ShadowReport:
    """Return a comparison as it is reported."""
    verdicts = one.verdicts
    shadow, active = one.only_shadow, one.only_active
    return ShadowReport(
        since=one.since,
        counted_from=one.counted_from,
        until=one.until,
        readings=one.readings,
        fault="" if one.fault is None else one.fault.kind[:64],
        shadow=_side(one.shadow),
        active=_side(one.active),
        rules=tuple(_rules(one))[:MOST_RULES],
        both=verdicts.total() - len(shadow) - len(active),
        only_shadow=len(shadow),
        only_active=len(active),
        shadow_alerts=tuple(_alert(alert) for alert in shadow[-MOST_LISTED:]),
        active_alerts=tuple(_alert(alert) for alert in active[-MOST_LISTED:]),
    )


def _side(side: Side) -> ReportedSide:
    return ReportedSide(
        name=side.protocol.name,
        version=side.protocol.version,
        protocol_hash=side.protocol.protocol_hash,
        told=side.burden.told,
        raised=side.burden.raised,
        taken_back=side.taken_back,
    )


def _rules(one: Comparison) -> Sequence[ReportedRule]:
    shadow, active = one.shadow.burden.rules, one.active.burden.rules
    found = []
    for rule in dict.fromkeys((*active, *shadow)):
        told = [side[rule].told if rule in side else 0 for side in (shadow, active)]
        if any(told):
            found.append(ReportedRule(rule=rule, shadow=told[0], active=told[1]))
    return found


def _alert(alert: AlertOutcome) -> ReportedAlert:
    return ReportedAlert(
        rule=alert.rule,
        priority=alert.priority,
        raised_at=alert.raised_at,
        told=alert.told_at is not None,
        why=Said(fr=alert.why.fr[:1000], en=alert.why.en[:1000]),
    )


class ShadowReports:
    """Tells the team of the shadows of one box."""

    def __init__(
        self,
        *,
        box: str,
        store: StoreThread,
        judging: CommandedJudging,
        patients: Sequence[str],
        clock: Clock,
        real: Clock,
        say: Callable[[Answer], None],
        attempt: Attempt,
        nap: float | None = None,
    ) -> None:
        """Take what it needs.

        Args:
            box: its id.
            store: what the shadows came to.
            judging: knows by which protocols patients are judged.
            patients: every pseudonym.
            clock: the time that readings are judged by: how often is told by it.
            real: dates answers.
            say: gives an answer anew.
            attempt: runs what may fail here: no report may stop the box.
            nap: real seconds after which it looks again; None: `LONGEST_NAP_S`.
        """
        self._box = box
        self._store = store
        self._judging = judging
        self._patients = patients
        self._clock = clock
        self._real = real
        self._say = say
        self._attempt = attempt
        self._nap = nap
        self._said: dict[str, int] = {}
        """Order -> when it was told last, ms UTC."""

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            for patient in self._patients:
                error = await self._attempt(partial(self._tell, patient))
                if error is not None:
                    _say_failed(error)
            await asyncio.sleep(LONGEST_NAP_S if self._nap is None else self._nap)

    async def _tell(self, name: str) -> None:
        ordered = await self._store.persist(Store.ordered_shadow, name)
        patient, now = self._judging.patient_of(name), self._clock.now_ms()
        if ordered is None or not ordered.text or patient is None:
            return
        last = self._said.get(ordered.command)
        # A clock that was ahead must not put the next one off.
        if last is not None and 0 <= now - last < EVERY_MS:
            return
        report = await reported_by(self._store, patient, self._attempt)
        if not report:
            return
        self._said[ordered.command] = now
        self._say(
            Answer(
                box=self._box,
                command=ordered.command,
                state=AnswerState.APPLIED,
                at=self._real.now_ms(),
                protocol_hash=patient.protocol.protocol_hash,
                highest=ordered.version,
                result=report,
            )
        )
