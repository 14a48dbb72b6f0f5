"""Technical alerts: what the box says about what watches the patient.

One standing alert per (patient, rule, device), however often the fact repeats; what concerns the box as a whole is
one alert under the box's own id, whoever and however many its patients are. What may be said, to whom, and what
ends it is data: `technical_rules`.

Some facts are noticed long before they are worth an alert: they are held here and told by `silence`, which also
finds out why a device is silent. Whether a reading is overdue for the patient's care is not here: that is a rule of
the care protocol.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.device_names import Name, Names, names_of
from agent.technical_rules import RULES, Ends, Owner
from alerting.alert import AlertChange, Category, ChangeKind, Sentence, alert_id
from alerting.engine import ENGINE_VERSION
from devices.reading import JUDGED, Quality, Reading, Validity
from devices.recovery import in_french
from devices.source import DeviceEvent, DeviceEventKind

_FROM_EVENTS = frozenset(kind.value for kind in DeviceEventKind) & frozenset(RULES)
_OVER = {
    DeviceEventKind.ADAPTER_RECOVERED: Ends.RECOVERY,
    DeviceEventKind.BUFFER_ROOM: Ends.ROOM,
    DeviceEventKind.CERTIFICATE_RENEWED: Ends.RENEWED,
}
"""What an event tells to be over."""
_LONGEST_DETAIL = 300

Key = tuple[str, str, str]
"""Patient (or box), rule, device (or box)."""
Changes = tuple[AlertChange, ...]


@dataclass(slots=True)
class _Fact:
    """`visit` is the device's visit in which it was noticed last."""

    noticed_at: int
    told: AlertChange | None = None
    visit: int = 0


class TechnicalAlerts:
    """Which technical facts hold, which alerts stand, and what each new fact changes. Times are ms UTC."""

    def __init__(self, box: str, *, radio: Collection[str] = (), kinds: Mapping[str, str] | None = None) -> None:
        """Begin without any.

        Args:
            box: its id.
            radio: devices reached over Bluetooth: each that answers shows that the adapter is alive.
            kinds: what reads each device, by which it is called in sentences.
        """
        self._box = box
        self._kinds = kinds or {}
        self._radio = frozenset(radio)
        self._facts: dict[Key, _Fact] = {}
        self._visits: Counter[str] = Counter()
        self._visited_at: dict[str, int] = {}
        self._measured_at: dict[str, int] = {}

    def meet(self, device: str, kind: str) -> None:
        """Know one more device reached over Bluetooth, and what reads it."""
        self._kinds = {**self._kinds, device: kind}
        self._radio |= {device}

    def restore(self, standing: Iterable[AlertChange], devices: Iterable[tuple[str, str]], now: int) -> Changes:
        """Take up the alerts that stand, as noticed `now`: what goes on will be noticed again. What is held stays.

        Args:
            standing: every alert that stands; those of care protocols are passed over.
            devices: each device with each patient who may have alerts about it now.
            now: ms UTC.

        Returns:
            The end of each that is about a device or condition which is no longer there.
        """
        self._facts = {key: fact for key, fact in self._facts.items() if fact.told is None}
        known = {change.alert_id: change for change in standing if not change.protocol}
        for device, patient in (*devices, (self._box, self._box)):
            for change in tuple(known.values()):
                if is_about(change, device) and change.patient == patient and change.rule in RULES:
                    self._facts[patient, change.rule, device] = _Fact(now, change, self._visits[device])
                    del known[change.alert_id]
        return tuple(_ended(change, now) for change in known.values())

    # --- what is noticed ----------------------------------------------------------------------------------

    def event(self, patient: str, event: DeviceEvent) -> Changes:
        """Return what a device's event changes; `patient` is who has its alerts now."""
        if event.kind is DeviceEventKind.CONNECTED:
            self._visits[event.device] += 1
            self._visited_at[event.device] = event.at
            return self.answered(event.device, event.at)
        if event.kind in _OVER:
            return self._end_where(lambda key, _: RULES[key[1]].ends is _OVER[event.kind], event.at)
        rule = event.kind.value
        if rule not in _FROM_EVENTS:
            return ()
        if rule == "sensor_warming_up" and self._has_measured(event.device):
            # Told again at the end of a visit in which the sensor has come to measure.
            return ()
        if RULES[rule].when_silent:
            self._hold((patient, rule, event.device), event.at)
            return ()
        return self.noticed(patient, rule, event.device, event.at, tried=event.detail)

    def noticed(
        self, patient: str, rule: str, device: str, at: int, *, since: Sentence | None = None, tried: str = ""
    ) -> Changes:
        """Return the alert that this fact raises, or nothing when it stands already.

        Args:
            patient: whose alert it is, unless the fact concerns the whole box.
            rule: one of `RULES`.
            device: which device.
            at: ms UTC.
            since: since when there was no reading, in words; needed where the rule's sentence says it.
            tried: what the box did about it, a plain English clause.
        """
        ended: Changes = ()
        if RULES[rule].of_box:
            graver = (self._box, "bluetooth_gone", self._box)
            if rule == "adapter_dead" and graver in self._facts:
                # Without the service nothing is known of the adapter: one alert says that Bluetooth is down.
                self._hold(graver, at)
                return ()
            if rule == "bluetooth_gone":
                ended = self._end_where(lambda key, _: key[1] == "adapter_dead", at)
            patient = device = self._box
        fact = self._hold((patient, rule, device), at)
        facts = RULES[rule]
        if fact.told is not None:
            if facts.again_ms is None or 0 <= at - fact.told.raised_at < facts.again_ms:
                return ended
            ended = (*ended, _ended(fact.told, at))
        fact.told = AlertChange(
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
            why=_why(rule, names_of(device, self._kinds.get(device)), since, tried),
            late=False,
            supersedes=None,
            protocol="",
            protocol_version=0,
            protocol_hash="",
            engine_version=ENGINE_VERSION,
        )
        return (*ended, fact.told)

    def explain(self, patient: str, rule: str, device: str, at: int, *, since: Sentence) -> Changes:
        """Return the alert that a silence raises; where one stands that says why already, it goes on."""
        fact = self._facts.get((patient, rule, device))
        if fact is None or fact.told is None:
            return self.noticed(patient, rule, device, at, since=since)
        if not RULES[rule].when_silent and RULES[rule].lasts_ms is not None:
            # Nobody can notice it on a silent device, so that it would seem to have ended.
            fact.noticed_at = at
        return ()

    def _hold(self, key: Key, at: int) -> _Fact:
        fact = self._facts.setdefault(key, _Fact(at))
        fact.noticed_at = max(fact.noticed_at, at)
        fact.visit = self._visits[key[2]]
        return fact

    def _has_measured(self, device: str) -> bool:
        """Return whether a usable reading was measured in this visit."""
        return self._measured_at.get(device, 0) > self._visited_at.get(device, 0)

    # --- what holds ---------------------------------------------------------------------------------------

    def holding(self, device: str) -> frozenset[str]:
        """Return the rules of what holds of a device, told or not, and of the box."""
        return self.of_box | {rule for _, rule, about in self._facts if about == device}

    @property
    def of_box(self) -> frozenset[str]:
        """The rules of what holds of the box as a whole."""
        return frozenset(rule for _, rule, about in self._facts if about == self._box)

    def told_at(self, patient: str, rule: str, device: str) -> int | None:
        """Return when (ms UTC) an alert that stands was raised; None when it does not stand."""
        fact = self._facts.get((patient, rule, device))
        return None if fact is None or fact.told is None else fact.told.raised_at

    # --- what ends ----------------------------------------------------------------------------------------

    def read(self, device: str, readings: Sequence[Reading], at: int) -> Changes:
        """Return what ends because the device gave readings, at least one."""
        measured_at = max((reading.measured_at for reading in readings if is_usable(reading)), default=None)
        if measured_at is not None:
            self._measured_at[device] = measured_at

        def over(key: Key, fact: _Fact) -> bool:
            match RULES[key[1]].ends:
                case Ends.READ:
                    return True
                case Ends.MEASURED:
                    return measured_at is not None and measured_at > fact.noticed_at
                case Ends.VISIT:
                    return self._visits[device] > fact.visit
                case _:
                    return False

        received_at = max(reading.received_at for reading in readings)
        ended = self._end_where(lambda key, fact: key[2] == device and over(key, fact), at)
        return self.answered(device, received_at) + ended

    def answered(self, device: str, at: int) -> Changes:
        """Return what ends because the device answered at `at` (ms UTC), with a reading or without."""

        def over(key: Key, fact: _Fact) -> bool:
            ends = RULES[key[1]].ends
            reached = ends is Ends.CONTACT and key[2] == device
            return (reached or (ends is Ends.RECOVERY and device in self._radio)) and at > fact.noticed_at

        return self._end_where(over, at)

    def untell(self, patient: str, device: str, at: int, *, but: str | None = None) -> Changes:
        """Return the end of what is told of a silence, but for one rule; what holds is held on, untold."""
        ended: list[AlertChange] = []
        for key, fact in list(self._facts.items()):
            rule = RULES[key[1]]
            by_silence = rule.when_silent or rule.ends is Ends.SILENCE
            if by_silence and key[0] == patient and key[2] == device and key[1] != but and fact.told is not None:
                ended.append(_ended(fact.told, at))
                fact.told = None
                if not rule.when_silent:
                    del self._facts[key]
        return tuple(ended)

    def hand_over(self, device: str, patient: str, at: int) -> Changes:
        """Return what changes because the device's alerts are this patient's from now on."""
        changes: list[AlertChange] = []
        for key, fact in list(self._facts.items()):
            rule = RULES[key[1]]
            if key[2] != device or key[0] == patient or rule.ends in {Ends.QUIET, Ends.RECOVERY}:
                continue
            del self._facts[key]
            if fact.told is not None:
                changes.append(_ended(fact.told, at))
            if rule.when_silent:
                self._hold((patient, key[1], device), fact.noticed_at)
            elif rule.ends is not Ends.SILENCE:
                changes += self.noticed(patient, key[1], device, at)
        return tuple(changes)

    def over(self, patient: str, rule: str, device: str, at: int) -> Changes:
        """Return the end of one fact, which no longer holds at `at` (ms UTC)."""
        return self._end_where(lambda key, _: key == (patient, rule, device), at)

    def tick(self, now: int) -> Changes:
        """Return what ends because it was not noticed for long."""
        for fact in self._facts.values():
            # A clock that was ahead must not keep a fact for ever.
            fact.noticed_at = min(fact.noticed_at, now)

        def over(key: Key, fact: _Fact) -> bool:
            lasts_ms = RULES[key[1]].lasts_ms
            return lasts_ms is not None and now - fact.noticed_at >= lasts_ms

        return self._end_where(over, now)

    def _end_where(self, over: Callable[[Key, _Fact], bool], at: int) -> Changes:
        gone = [(key, fact) for key, fact in self._facts.items() if over(key, fact)]
        for key, _ in gone:
            del self._facts[key]
        return tuple(_ended(fact.told, at) for _, fact in gone if fact.told is not None)


def is_usable(reading: Reading) -> bool:
    """Return whether a reading says how the patient is: not that its sensor is not ready, faulty or worn out."""
    spent = Quality.WARMING_UP | Quality.SESSION_STOPPED
    return reading.validity in JUDGED | {Validity.QUESTIONABLE} and not reading.quality & spent


def is_about(change: AlertChange, device: str) -> bool:
    """Return whether a technical alert of the box is about this device."""
    return not change.protocol and change.alert_id == _id(change.patient, change.rule, device, change.onset)


def owner_of(change: AlertChange) -> Owner | None:
    """Return who acts on a technical alert of the box; None for one of a care protocol, which says itself."""
    return None if change.protocol or change.rule not in RULES else RULES[change.rule].owner


def _why(rule: str, names: Names, since: Sentence | None, tried: str) -> Sentence:
    facts = RULES[rule]
    fr = _filled(facts.fr, names.fr, "" if since is None else since.fr)
    en = _filled(facts.en, names.en, "" if since is None else since.en)
    if facts.tells_tries and tried:
        tried_fr = in_french(tried)
        fr, en = f"{fr} Déjà tenté : {tried_fr[:_LONGEST_DETAIL]}.", f"{en} Already tried: {tried[:_LONGEST_DETAIL]}."
    return Sentence(fr=fr, en=en)


def _filled(text: str, name: Name, since: str) -> str:
    return text.format(The=name.at_start, the=name.the, of_the=name.of_the, since=since)


def _id(patient: str, rule: str, device: str, onset: int) -> str:
    return alert_id(patient=patient, protocol="", rule=f"{rule}:{device}", onset=onset)


def _ended(change: AlertChange, at: int) -> AlertChange:
    return replace(change, kind=ChangeKind.RESOLVED, resolved_at=max(at, change.raised_at))
