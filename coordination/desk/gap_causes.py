"""Why a stretch of a chart is empty: what the box declared, why a device was silent, a silent box, or nobody measured.

- Each stretch gets one cause, the most telling one that is known; a stretch of which nothing is known and in which the
  box was heard was not measured, and one in which it was not heard has no known cause.
- A technical alert names its device by its own id, which is a hash over the device's name; one that is of no device
  of the patient's is the whole box's.

Not here: finding empty stretches (the charts), and the words (silence_words).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from alerting.alert import Category, ChangeKind, Sentence, alert_id
from coordination.desk.models import Alert, Box, BoxAssignment, DeclaredGap, DeviceSilence, Patient
from coordination.desk.silence_words import (
    AFTER,
    BEFORE,
    BOX_SILENT,
    CAUSES,
    DECLARED,
    NOT_MEASURED,
    UNKNOWN,
)
from devices.reading import Quantity
from exchange.gaps import GapReason

_EVER = 2**53
_ORDER = tuple(CAUSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why, and who looks after it ("" for nobody)."""

    words: Sentence
    owner: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time in which something is known to have kept readings away.

    Attributes:
        begin: ms UTC.
        end: ms UTC, not included.
        cause: why.
        rank: the more telling the lower.
        quantities: of which readings; None for all.
        mostly: whether it explains only what it covers at least half of.
    """

    begin: int
    end: int
    cause: Cause
    rank: int
    quantities: frozenset[Quantity] | None = None
    mostly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """What is known of one patient's empty stretches."""

    stretches: Sequence[Stretch] = ()
    heard_at: int | None = None
    """When their box was last heard, ms UTC."""

    def of(self, quantity: Quantity, begin: float, end: float) -> Cause:
        """Return why there is nothing of a quantity between two times (ms UTC)."""
        found = [one for one in self.stretches if _explains(one, quantity, begin, end)]
        if found:
            return min(found, key=lambda one: one.rank).cause
        words, owner = NOT_MEASURED if self.heard_at is not None and self.heard_at > begin else UNKNOWN
        return Cause(words=words, owner=owner)


def _explains(one: Stretch, quantity: Quantity, begin: float, end: float) -> bool:
    if one.quantities is not None and quantity not in one.quantities:
        return False
    common = min(end, one.end) - max(begin, one.begin)
    return common > 0 and (not one.mostly or 2 * common >= end - begin)


def technical_of(patient: Patient, boxes: Sequence[Box], *, begin: int) -> list[Alert]:
    """Return the technical alerts of a patient or their boxes that stood at some time after `begin` (ms UTC)."""
    return list(
        Alert.objects.filter(Q(patient=patient) | Q(patient=None, box__in=boxes), rule_id__in=_ORDER)
        .filter(Q(resolved_at=None) | Q(resolved_at__gt=begin), category=Category.TECHNICAL.value)
        .exclude(kind=ChangeKind.RETRACTED.value)
        .select_related("box")
        .order_by("raised_at")
    )


def device_of(alert: Alert, patient: Patient, devices: Sequence[str]) -> str | None:
    """Return which of these devices a technical alert is about, None for none of them."""
    about = patient.pseudonym if alert.patient_id is not None else alert.box.name
    for device in devices:
        rule = f"{alert.rule_id}:{device}"
        if alert_id(patient=about, protocol="", rule=rule, onset=alert.onset) == alert.pk:
            return device
    return None


def causes_of(patient: Patient, devices: Mapping[str, Collection[Quantity]], *, begin: int, now: int) -> Causes:
    """Return what is known of why readings of a patient did not come.

    Args:
        patient: whose.
        devices: name -> what it measures.
        begin: ms UTC; what ended before is left out.
        now: ms UTC.
    """
    assignments = list(BoxAssignment.objects.filter(patient=patient).select_related("box").order_by("since"))
    boxes = [one.box for one in assignments]
    found = [
        *_followed(assignments, now),
        *_declared(patient, begin),
        *_silent(assignments, now),
        *_technical(patient, boxes, devices, begin, now),
    ]
    heard = [one.heard_at for one in boxes if one.heard_at is not None]
    return Causes(stretches=tuple(found), heard_at=max(heard, default=None))


def _cause(pair: tuple[Sentence, Sentence]) -> Cause:
    return Cause(words=pair[0], owner=pair[1])


def _followed(assignments: Sequence[BoxAssignment], now: int) -> list[Stretch]:
    real = [one for one in assignments if one.until is None or one.until > one.since]
    if not real:
        return []
    first = real[0].since
    found = [Stretch(begin=-_EVER, end=first, cause=_cause(BEFORE), rank=0, mostly=True)]
    last = max((one.until if one.until is not None else _EVER) for one in real)
    if last < now:
        found.append(Stretch(begin=last, end=_EVER, cause=_cause(AFTER), rank=0, mostly=True))
    return found


def _declared(patient: Patient, begin: int) -> list[Stretch]:
    return [
        Stretch(begin=gap.since, end=gap.until + 1, cause=_cause(DECLARED[GapReason(gap.reason)]), rank=1)
        for gap in DeclaredGap.objects.filter(patient=patient, until__gte=begin)
    ]


def _silent(assignments: Sequence[BoxAssignment], now: int) -> list[Stretch]:
    return [
        Stretch(
            begin=max(silence.since, given.since),
            end=min(silence.until or now, given.until or _EVER),
            cause=_cause(BOX_SILENT),
            rank=2,
            mostly=True,
        )
        for given in assignments
        for silence in DeviceSilence.objects.filter(box=given.box, device=None)
    ]


def _technical(
    patient: Patient, boxes: Sequence[Box], devices: Mapping[str, Collection[Quantity]], begin: int, now: int
) -> list[Stretch]:
    found = []
    for alert in technical_of(patient, boxes, begin=begin):
        device = device_of(alert, patient, tuple(devices))
        if device is None and alert.patient_id is not None:
            # Of a device of which nothing was ever received: it explains no chart.
            continue
        found.append(
            Stretch(
                begin=alert.onset,
                end=alert.resolved_at or now,
                cause=_cause(CAUSES[alert.rule_id]),
                rank=3 + _ORDER.index(alert.rule_id),
                quantities=None if device is None else frozenset(devices[device]),
            )
        )
    return found
