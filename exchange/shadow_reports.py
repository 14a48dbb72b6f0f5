"""What a shadow came to, as a box reports it in the result of its answer: beside what was told, over the same time.

It travels sealed and signed like the answer that it lies in: it says what a patient's readings did. Both sides are
counted by the box from what it kept; the team shows it and counts nothing anew.

What is not here: counting (the box), when it is said (the box), and how it is shown (the team).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Priority
from exchange.command_answers import MAX_RESULT_BYTES
from exchange.errors import UNDECODABLE, EnvelopeError
from exchange.messages import Key, Milliseconds, Name, Said

MOST_RULES: Final = 64
MOST_LISTED: Final = 40

_Number = Annotated[int, Meta(ge=0, le=2**53)]


class ReportedSide(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of the two protocols and what it came to.

    Attributes:
        name: of the protocol.
        version: of it.
        protocol_hash: of it.
        told: alerts that somebody was told of, or would have been.
        raised: all of them, with those that were kept back.
        taken_back: those that late readings showed never should have been; in neither number.
    """

    name: Name
    version: _Number
    protocol_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
    told: _Number
    raised: _Number
    taken_back: _Number


class ReportedRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many alerts of a rule the shadow would have told, and how many were told."""

    rule: Key
    shadow: _Number
    active: _Number


class ReportedAlert(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alert that one of the two raised alone; `told` whether somebody was told of it, or would have been."""

    rule: Key
    priority: Priority
    raised_at: Milliseconds
    told: bool
    why: Said


class ShadowReport(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Both protocols over the same time; times in ms UTC.

    Attributes:
        since: when the shadow began.
        counted_from: from when on both are counted, inclusive.
        until: to when.
        readings: how many readings that may be judged were measured meanwhile.
        fault: why the shadow judges no more, an error's name; "" while it does.
        shadow: what nobody was told.
        active: what was told.
        rules: of each rule that either raised.
        both: how many alerts both raised.
        only_shadow: how many the shadow raised alone.
        only_active: how many the applied protocol raised alone.
        shadow_alerts: the newest of `only_shadow`, oldest first, as many as fit.
        active_alerts: the same of `only_active`.
    """

    since: Milliseconds
    counted_from: Milliseconds
    until: Milliseconds
    readings: _Number
    fault: Annotated[str, Meta(max_length=64)] = ""
    shadow: ReportedSide
    active: ReportedSide
    rules: Annotated[tuple[ReportedRule, ...], Meta(max_length=MOST_RULES)] = ()
    both: _Number
    only_shadow: _Number
    only_active: _Number
    shadow_alerts: Annotated[tuple[ReportedAlert, ...], Meta(max_length=MOST_LISTED)] = ()
    active_alerts: Annotated[tuple[ReportedAlert, ...], Meta(max_length=MOST_LISTED)] = ()


def encode_report(report: ShadowReport) -> bytes:
    """Return a report as the result of an answer: of longer lists the oldest alerts are left out."""
    raw = msgspec.json.encode(report)
    while len(raw) > MAX_RESULT_BYTES and (report.shadow_alerts or report.active_alerts):
        longer = max("shadow_alerts", "active_alerts", key=lambda name: len(getattr(report, name)))
        report = msgspec.structs.replace(report, **{longer: getattr(report, longer)[1:]})
        raw = msgspec.json.encode(report)
    return raw


def decode_report(raw: bytes) -> ShadowReport:
    """Return the report of an answer's result.

    Raises:
        EnvelopeError: "content" when it is none.
    """
    try:
        return msgspec.json.decode(raw, type=ShadowReport)
    except UNDECODABLE as error:
        raise EnvelopeError("content", str(error)) from error
