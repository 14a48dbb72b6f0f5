"""Technical alerts: what the box says about what watches the patient.

One standing alert per (patient, rule, device), however often the fact repeats. Some end when the device is read
again, the others when nothing of the kind was noticed for a day. Whether a reading is overdue is not here: that
is a rule of the care protocol.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from alerting.engine import ENGINE_VERSION
from devices.source import DeviceEvent, DeviceEventKind

QUIET_MS = 86_400_000
"""A fact not noticed for this long has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalRule:
    """One technical condition; `ends_when_read` says that the device's next reading ends it."""

    priority: Priority
    fr: str
    en: str
    ends_when_read: bool = False


RULES: Mapping[str, TechnicalRule] = {
    "bond_lost": TechnicalRule(
        priority=Priority.MEDIUM,
        fr="L'appareil {device} ne reconnaît plus le boîtier : refaire l'appairage.",
        en="Device {device} no longer knows the box: pair it again.",
        ends_when_read=True,
    ),
    "driver_refused": TechnicalRule(
        priority=Priority.MEDIUM,
        fr="L'appareil {device} n'offre pas ce que le boîtier attend : vérifier le modèle.",
        en="Device {device} does not offer what the box needs: check its model.",
        ends_when_read=True,
    ),
    "frame_rejected": TechnicalRule(
        priority=Priority.LOW,
        fr="L'appareil {device} a envoyé un message illisible, écarté : si cela dure, le remplacer.",
        en="Device {device} sent a message that cannot be read, set aside: replace it if this goes on.",
    ),
    "value_implausible": TechnicalRule(
        priority=Priority.MEDIUM,
        fr="L'appareil {device} a donné une valeur impossible, gardée mais non jugée : refaire la mesure.",
        en="Device {device} gave an impossible value, kept but not judged: measure again.",
    ),
    "battery_low": TechnicalRule(
        priority=Priority.LOW,
        fr="La pile de l'appareil {device} est faible : la changer.",
        en="The battery of device {device} is low: change it.",
    ),
    "sensor_expired": TechnicalRule(
        priority=Priority.MEDIUM,
        fr="Le capteur {device} est arrivé en fin de vie : poser un nouveau capteur.",
        en="Sensor {device} has expired: apply a new one.",
        ends_when_read=True,
    ),
    "clock_wrong": TechnicalRule(
        priority=Priority.LOW,
        fr="L'horloge de l'appareil {device} est fausse et n'a pas pu être réglée : la régler à la main.",
        en="The clock of device {device} is wrong and could not be set: set it by hand.",
    ),
    "history_failed": TechnicalRule(
        priority=Priority.MEDIUM,
        fr="L'appareil {device} ne rend pas ses mesures gardées : le rapprocher du boîtier, vérifier sa pile.",
        en="Device {device} does not hand over its stored readings: bring it near the box, check its battery.",
    ),
    "judging_quarantined": TechnicalRule(
        priority=Priority.HIGH,
        fr="Une mesure de l'appareil {device} n'a pas pu être jugée ; elle est transmise : la regarder.",
        en="A reading of device {device} could not be judged; it is sent on: look at it.",
    ),
    "not_judged": TechnicalRule(
        priority=Priority.LOW,
        fr="Des mesures de l'appareil {device} sont arrivées trop tard pour être jugées ; elles sont transmises.",
        en="Readings of device {device} came too late to be judged; they are sent on.",
    ),
}

_OF_EVENT = {
    DeviceEventKind.BOND_LOST: "bond_lost",
    DeviceEventKind.DRIVER_REFUSED: "driver_refused",
    DeviceEventKind.FRAME_REJECTED: "frame_rejected",
    DeviceEventKind.VALUE_IMPLAUSIBLE: "value_implausible",
    DeviceEventKind.BATTERY_LOW: "battery_low",
    DeviceEventKind.CLOCK_WRONG: "clock_wrong",
    DeviceEventKind.HISTORY_FAILED: "history_failed",
    DeviceEventKind.SENSOR_EXPIRED: "sensor_expired",
}


@dataclass(slots=True)
class _Standing:
    change: AlertChange
    noticed_at: int


class TechnicalAlerts:
    """Which technical alerts stand, and what each new fact changes. Times are ms UTC."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str, str], _Standing] = {}

    def restore(
        self, standing: Iterable[AlertChange], devices: Iterable[tuple[str, str]], now: int
    ) -> tuple[AlertChange, ...]:
        """Take up the alerts that stood before a restart, as noticed `now`: what goes on will be noticed again.

        Args:
            standing: every alert that stands; those of care protocols are passed over.
            devices: each device with each patient who may have alerts about it now.
            now: ms UTC.

        Returns:
            The end of each that is about a device or condition which is no longer there.
        """
        self._standing.clear()
        known = {change.alert_id: change for change in standing if not change.protocol}
        for device, patient in devices:
            for rule in RULES:
                for change in list(known.values()):
                    if change.alert_id == _id(patient, rule, device, change.onset):
                        self._standing[patient, rule, device] = _Standing(change=change, noticed_at=now)
                        del known[change.alert_id]
        return tuple(_ended(change, now) for change in known.values())

    def event(self, patient: str, event: DeviceEvent) -> tuple[AlertChange, ...]:
        """Return what a device's event changes."""
        rule = _OF_EVENT.get(event.kind)
        return () if rule is None else self.noticed(patient, rule, event.device, event.at)

    def noticed(self, patient: str, rule: str, device: str, at: int) -> tuple[AlertChange, ...]:
        """Return the alert that this fact raises, or nothing when it stands already."""
        known = self._standing.get((patient, rule, device))
        if known is not None:
            known.noticed_at = max(known.noticed_at, at)
            return ()
        facts = RULES[rule]
        change = AlertChange(
            kind=ChangeKind.RAISED,
            alert_id=_id(patient, rule, device, at),
            patient=patient,
            rule=rule,
            priority=facts.priority,
            category=Category.TECHNICAL,
            onset=at,
            raised_at=at,
            resolved_at=None,
            evidence=(),
            why=Sentence(fr=facts.fr.format(device=device), en=facts.en.format(device=device)),
            late=False,
            supersedes=None,
            protocol="",
            protocol_version=0,
            protocol_hash="",
            engine_version=ENGINE_VERSION,
        )
        self._standing[patient, rule, device] = _Standing(change=change, noticed_at=at)
        return (change,)

    def read(self, patient: str, device: str, at: int) -> tuple[AlertChange, ...]:
        """Return what ends because the device gave a reading."""
        ended = [
            key for key in self._standing if key[0] == patient and key[2] == device and RULES[key[1]].ends_when_read
        ]
        return tuple(self._end(key, at) for key in ended)

    def tick(self, now: int) -> tuple[AlertChange, ...]:
        """Return what ends because it was not noticed for a day."""
        ended = [
            key
            for key, standing in self._standing.items()
            if not RULES[key[1]].ends_when_read and now - standing.noticed_at >= QUIET_MS
        ]
        return tuple(self._end(key, now) for key in ended)

    def _end(self, key: tuple[str, str, str], at: int) -> AlertChange:
        return _ended(self._standing.pop(key).change, at)


def _id(patient: str, rule: str, device: str, onset: int) -> str:
    return alert_id(patient=patient, protocol="", rule=f"{rule}:{device}", onset=onset)


def _ended(change: AlertChange, at: int) -> AlertChange:
    return replace(change, kind=ChangeKind.RESOLVED, resolved_at=max(at, change.raised_at))
