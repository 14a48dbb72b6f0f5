"""The devices in a patient's home and their box: what still comes, what is silent, why, and who looks after it.

A device is silent when nothing came for longer than its patient's protocol expects of what it measures; where the
protocol says nothing, three cadences of a continuous sensor, or a day and two hours. Why is what its box told: its own
technical alert, then the box's, then the box's own silence. Nothing is guessed: a silence without either says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Max

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.scheduled_rules import MissingRule
from coordination.answers import SOURCE
from coordination.desk.gap_causes import device_of, technical_of
from coordination.desk.models import Alert, BoxAssignment, BoxStatus, DeviceSilence, Observation, Patient
from coordination.desk.silence_words import BOX_SILENT, CAUSES, UNKNOWN
from devices.reading import Quantity

HOUR = 3_600_000
_DAY = 24 * HOUR
LATELY = 120 * _DAY
USUAL_SILENCE = 26 * HOUR
"""A device of which nothing came for so long is shown as silent, when nobody says more often than daily."""
_NAMES = (
    ({Quantity.GLUCOSE_INTERSTITIAL}, Sentence(fr="Capteur de glucose", en="Glucose sensor")),
    ({Quantity.GLUCOSE_CAPILLARY}, Sentence(fr="Lecteur de glycémie", en="Glucose meter")),
    ({Quantity.BLOOD_PRESSURE_SYSTOLIC}, Sentence(fr="Tensiomètre", en="Blood pressure monitor")),
    ({Quantity.BODY_WEIGHT, Quantity.BMI, Quantity.BODY_FAT}, Sentence(fr="Balance", en="Scale")),
    ({Quantity.SPO2, Quantity.PERFUSION_INDEX}, Sentence(fr="Oxymètre", en="Oximeter")),
    ({Quantity.BODY_TEMPERATURE}, Sentence(fr="Thermomètre", en="Thermometer")),
    ({Quantity.HEART_RATE, Quantity.PULSE_RATE}, Sentence(fr="Capteur de pouls", en="Pulse sensor")),
    ({Quantity.RESPIRATORY_RATE}, Sentence(fr="Capteur de respiration", en="Breathing sensor")),
)  # fmt: skip
_SOME = Sentence(fr="Appareil", en="Device")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device in the home.

    Attributes:
        name: as its box names it.
        title: what it is, by what it measures.
        quantities: what it measures.
        last_at: ms UTC of its last reading.
        silent: whether that is too long ago.
        cause: why it is silent, or what its box says of it although it is not.
        owner: who looks after it.
        advice: what its box told to do, when it told anything.
    """

    name: str
    title: Sentence
    quantities: frozenset[Quantity]
    last_at: int
    silent: bool
    cause: Sentence | None = None
    owner: Sentence | None = None
    advice: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxState:
    """The box in the home, as it last said of itself.

    Attributes:
        since: when it was given to the patient, ms UTC.
        heard_at: when it was last heard, None before.
        troubles: what it says is wrong with itself.
    """

    name: str
    since: int
    heard_at: int | None
    backlog: int | None
    version: str
    silent_since: int | None
    troubles: tuple[Sentence, ...] = ()


def measured_by(patient: Patient, now: int) -> dict[str, dict[Quantity, int]]:
    """Return the devices that a patient had readings of lately, with when (ms UTC) each quantity was last measured.

    One of which nothing came for longer than `LATELY` is not in the home any more.
    """
    found: dict[str, dict[Quantity, int]] = {}
    rows = (
        Observation.objects.filter(patient=patient, t__gte=now - LATELY)
        .exclude(source=SOURCE)
        .values_list("device__name", "quantity")
        .annotate(last=Max("t"))
    )
    for name, quantity, last in rows:
        found.setdefault(name, {})[Quantity(quantity)] = last
    return found


def devices_of(
    patient: Patient, devices: Mapping[str, Mapping[Quantity, int]], protocol: CareProtocol | None, now: int
) -> list[DeviceState]:
    """Return the devices of a patient, those silent for longest first.

    Args:
        patient: whose.
        devices: see `measured_by`.
        protocol: says how often something is expected.
        now: ms UTC.
    """
    given = BoxAssignment.objects.filter(patient=patient).select_related("box")
    told: dict[str, Alert] = {}
    for alert in technical_of(patient, [one.box for one in given], begin=now):
        device = device_of(alert, patient, tuple(devices))
        if device is not None and (device not in told or _rank(alert) < _rank(told[device])):
            told[device] = alert
    current = box_of(patient)
    found = [
        _state(name, frozenset(times), max(times.values()), protocol, told.get(name), current, now)
        for name, times in devices.items()
    ]
    return sorted(found, key=lambda one: (not one.silent, one.last_at))


def _rank(alert: Alert) -> int:
    return list(CAUSES).index(alert.rule_id)


def _state(  # noqa: PLR0917 - what is known of one device
    name: str,
    quantities: frozenset[Quantity],
    last: int,
    protocol: CareProtocol | None,
    told: Alert | None,
    box: BoxState | None,
    now: int,
) -> DeviceState:
    silent = now - last > _allowed(quantities, protocol)
    title = next((words for measured, words in _NAMES if measured & quantities), _SOME)
    cause = owner = advice = None
    if told is not None:
        cause, owner = CAUSES[told.rule_id]
        advice = Sentence(fr=told.text_fr, en=told.text_en)
    elif silent and box is not None and box.troubles:
        cause, owner = box.troubles[0], CAUSES["adapter_dead"][1]
    elif silent:
        cause, owner = BOX_SILENT if box is not None and box.silent_since is not None else UNKNOWN
    return DeviceState(
        name=name,
        title=title,
        quantities=quantities,
        last_at=last,
        silent=silent,
        cause=cause,
        owner=owner,
        advice=advice,
    )


def _allowed(quantities: frozenset[Quantity], protocol: CareProtocol | None) -> int:
    """Return for how long (ms) a device may say nothing: the shortest that anything asks for."""
    if protocol is None:
        return USUAL_SILENCE
    asked = [
        (rule.expected if rule.by is None else _DAY) + rule.grace
        for rule in protocol.rules
        if isinstance(rule, MissingRule) and rule.quantity in quantities
    ]
    asked += [
        max(3 * timing.cadence, HOUR // 2)
        for quantity, timing in protocol.timings.items()
        if quantity in quantities and timing.cadence and not asked
    ]
    return min(asked, default=USUAL_SILENCE)


def box_of(patient: Patient) -> BoxState | None:
    """Return the state of the box that was given to the patient last and still is theirs, None without one."""
    return next(iter(boxes_of(patient)), None)


def boxes_of(patient: Patient) -> list[BoxState]:
    """Return the state of each box that transmits for the patient, the one given last first."""
    given = BoxAssignment.objects.filter(patient=patient, until=None).select_related("box").order_by("-since", "-pk")
    return [_box(one) for one in given]


def _box(given: BoxAssignment) -> BoxState:
    box = given.box
    status = BoxStatus.objects.filter(box=box).first()
    silence = DeviceSilence.objects.filter(box=box, device=None, until=None).first()
    troubles = Alert.objects.filter(box=box, patient=None, resolved_at=None, rule_id__in=tuple(CAUSES))
    return BoxState(
        name=box.name,
        since=given.since,
        heard_at=box.heard_at,
        backlog=None if status is None else status.backlog,
        version="" if status is None else status.version,
        silent_since=None if silence is None else silence.since,
        troubles=tuple(CAUSES[one.rule_id][0] for one in troubles.order_by("raised_at")),
    )
