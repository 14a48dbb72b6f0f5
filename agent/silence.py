"""Why a device is silent: classified, so that the one who can put it right is told what to do, and nobody else.

- A device has a cadence: beyond it, one technical alert says the most telling cause that is known. Whether the
  patient's care suffers from the silence is not said here: that is the protocol's `missing` rule.
- A cause that was told already, as when a bond is lost, is not told again; a cause of the whole box is told once.
- What is only concluded (out of reach, nothing usable, nobody measured) gives way to a cause that is known at once,
  and to another conclusion only after a while: a device at the edge of the radio's reach must not change its alert
  with every step of the patient.
- Nobody's device is nobody's silence; and a device is not called silent before the box has listened for a while, after
  a start as after its radio came back.

Not here: the rules and the alerts themselves (technical), and noticing (devices).
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from agent.device_facts import merged
from agent.settings import Device, Watched
from agent.technical import Changes, TechnicalAlerts
from alerting.alert import Sentence
from devices.about import LOW_BATTERY
from devices.source import DeviceEvent, DeviceEventKind, DeviceFacts

ALWAYS_ON_MS: Final = 30 * 60_000
"""How long a sensor that is there all the time, or a relay, may be silent. A default of the house: `expect_hours`."""
WHEN_USED_MS: Final = 36 * 3_600_000
"""How long a device used once a day may be: a day, and a late morning. A default of the house: `expect_hours`."""
LISTEN_MS: Final = 30 * 60_000
"""The box has listened for so long, or for the device's own cadence if that is shorter, before it says anything."""
HOLD_MS: Final = 6 * 3_600_000
"""A conclusion that was told stands for so long before another one takes its place."""
RETURN_MS: Final = 10 * 60_000
"""A relay that answers again has so long to hand over what it kept before it is said to have nothing."""
HEARD_SHARE: Final = 3
"""A device that is always on is within reach when it was heard in the last third of its cadence."""


class Cause(StrEnum):
    """Why a device is silent, the most telling first; each is the name of a technical rule."""

    BLUETOOTH_GONE = "bluetooth_gone"
    ADAPTER_DEAD = "adapter_dead"
    RELAY_UNREACHABLE = "relay_unreachable"
    RELAY_REFUSED = "relay_refused"
    BOND_LOST = "bond_lost"
    CONSENT_REFUSED = "consent_refused"
    DRIVER_REFUSED = "driver_refused"
    SENSOR_EXPIRED = "sensor_expired"
    SENSOR_WARMING_UP = "sensor_warming_up"
    BATTERY_LOW = "battery_low"
    OUT_OF_REACH = "out_of_reach"
    NO_READING = "no_reading"
    NOT_MEASURED = "not_measured"


_AWAY: Final = frozenset({Cause.RELAY_UNREACHABLE, Cause.RELAY_REFUSED})
OF_THE_BOX: Final = frozenset({Cause.BLUETOOTH_GONE, Cause.ADAPTER_DEAD})
CONCLUDED: Final = (Cause.OUT_OF_REACH, Cause.NO_READING, Cause.NOT_MEASURED)
"""Nothing that was noticed says so: it is what is left."""
NOTICED: Final = tuple(cause for cause in Cause if cause not in CONCLUDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """What a device is like, as far as its silence goes.

    Attributes:
        radio: whether it is reached over the box's Bluetooth.
        always_on: whether it is there all the time, and not only when it is used.
        expect_ms: how long it may be silent.
    """

    radio: bool
    always_on: bool
    expect_ms: int


def trait_of(watched: Watched) -> Trait:
    """Return what a device or relay of the settings is like."""
    radio = isinstance(watched, Device)
    always_on = getattr(watched.driver, "always_on", False) if isinstance(watched, Device) else True
    usual = ALWAYS_ON_MS if always_on else WHEN_USED_MS
    expect_ms = usual if watched.expect_s is None else round(watched.expect_s * 1000)
    return Trait(radio=radio, always_on=always_on, expect_ms=expect_ms)


def cause_of(trait: Trait, facts: DeviceFacts, conditions: AbstractSet[str], now: int) -> Cause:
    """Return why a silent device is silent, as far as is known.

    Args:
        trait: what it is like.
        facts: what it said about itself, and when it was last heard.
        conditions: the technical rules that hold of it and of the box.
        now: ms UTC.
    """
    noticed = [cause for cause in NOTICED if cause in conditions and (trait.radio or cause not in OF_THE_BOX)]
    if noticed:
        return noticed[0]
    if facts.battery is not None and facts.battery <= LOW_BATTERY:
        return Cause.BATTERY_LOW
    if not trait.always_on:
        return Cause.NOT_MEASURED
    # Not within all of its cadence: it is always heard about when it gives its last reading.
    heard = facts.seen_at is not None and now - facts.seen_at <= trait.expect_ms // HEARD_SHARE
    return Cause.OUT_OF_REACH if trait.radio and not heard else Cause.NO_READING


@dataclass(slots=True)
class _Ear:
    """What is remembered of one device."""

    watched: Watched
    trait: Trait
    facts: DeviceFacts = field(default_factory=DeviceFacts)
    read_at: int | None = None
    linked: bool = False
    away: bool = False
    returned_at: int = 0
    """When a relay that could not be asked answered again, ms UTC: what it kept takes a while to come."""

    def heard_by(self, now: int) -> DeviceFacts:
        """Return what is known of it now: over an open link it is heard all the time."""
        return merged(self.facts, DeviceFacts(seen_at=now)) if self.linked else self.facts


class Silence:
    """Tells why devices are silent, and when they no longer are. Times are ms UTC."""

    def __init__(self, devices: Sequence[Watched], technical: TechnicalAlerts, *, now: int) -> None:
        """Begin to listen."""
        self._technical = technical
        self._ears = {device.address: _Ear(device, trait_of(device)) for device in devices}
        self._listening_since = now
        self._deaf = False

    def meet(self, device: Watched) -> None:
        """Listen to this device too, in place of the one before with its address."""
        self._ears[device.address] = _Ear(device, trait_of(device))

    def listen_anew(self, now: int) -> None:
        """Begin to listen again: the time before is not known to have gone by."""
        self._listening_since = now

    def remember(self, device: str, facts: DeviceFacts, *, read_at: int | None) -> None:
        """Take up what was kept of a device: what it said, and when its newest reading came."""
        ear = self._ears[device]
        ear.facts = merged(ear.facts, facts)
        ear.read_at = read_at

    def heard(self, device: str, facts: DeviceFacts) -> None:
        """Take up what a device said about itself, or when it was heard."""
        ear = self._ears[device]
        ear.facts = merged(ear.facts, facts)

    def event(self, device: str, event: DeviceEvent) -> None:
        """Take up whether there is a link with a device."""
        if event.kind in {DeviceEventKind.CONNECTED, DeviceEventKind.DISCONNECTED}:
            self._ears[device].linked = event.kind is DeviceEventKind.CONNECTED
            self.heard(device, DeviceFacts(seen_at=event.at))

    def read(self, device: str, at: int) -> Changes:
        """Return what ends because a usable reading came at `at`."""
        ear = self._ears[device]
        ear.read_at = max(at, ear.read_at or at)
        return self._technical.untell(ear.watched.keeper(at).pseudonym, device, at)

    def tick(self, now: int, watched_since: Callable[[str], int]) -> Changes:
        """Return what changes because time passed.

        Args:
            now: ms UTC.
            watched_since: since when each patient, by pseudonym, is watched.
        """
        changes: Changes = ()
        deaf = bool(self._technical.of_box)
        # A clock that was ahead must neither put a silence off nor keep a device within reach.
        self._listening_since = now if self._deaf and not deaf else min(self._listening_since, now)
        self._deaf = deaf
        for ear in self._ears.values():
            ear.read_at = None if ear.read_at is None else min(ear.read_at, now)
            seen_at = ear.facts.seen_at
            ear.facts = replace(ear.facts, seen_at=None if seen_at is None else min(seen_at, now))
            away = not _AWAY.isdisjoint(self._technical.holding(ear.watched.address))
            ear.returned_at = now if ear.away and not away else min(ear.returned_at, now)
            ear.away = away
            keeper = ear.watched.keeper(now).pseudonym
            changes += self._technical.hand_over(ear.watched.address, keeper, now)
            changes += self._classify(ear, keeper, now, self._since(ear, now, watched_since(keeper)))
        return changes

    def next_deadline(self, now: int, watched_since: Callable[[str], int]) -> int | None:
        """Return when a device will be silent for too long if it gives no reading, ms UTC; None if none ever will."""
        deadlines = (
            self._due(ear, since) + 1
            for ear in self._ears.values()
            if (since := self._since(ear, now, watched_since(ear.watched.keeper(now).pseudonym))) is not None
        )
        return min((deadline for deadline in deadlines if deadline > now), default=None)

    def _classify(self, ear: _Ear, keeper: str, now: int, since: int | None) -> Changes:
        device, technical = ear.watched.address, self._technical
        if since is None or now - since <= ear.trait.expect_ms:
            return technical.untell(keeper, device, now)
        if now <= self._due(ear, since):
            return ()
        cause = cause_of(ear.trait, ear.heard_by(now), technical.holding(device), now)
        if cause in OF_THE_BOX:
            return technical.untell(keeper, device, now)
        if cause in CONCLUDED and self._holds(keeper, device, now):
            return ()
        ended = technical.untell(keeper, device, now, but=cause)
        return ended + technical.explain(keeper, cause, device, now, since=_when(since, ear.watched.zone))

    def _holds(self, keeper: str, device: str, now: int) -> bool:
        """Return whether a conclusion was told a short while ago."""
        told = (self._technical.told_at(keeper, cause, device) for cause in CONCLUDED)
        return any(at is not None and now - at < HOLD_MS for at in told)

    def _due(self, ear: _Ear, since: int) -> int:
        """Return the last moment at which a device silent since `since` is not told to be."""
        expect = ear.trait.expect_ms
        return max(since + expect, self._listening_since + min(expect, LISTEN_MS), ear.returned_at + RETURN_MS)

    def _since(self, ear: _Ear, now: int, watched_since: int) -> int | None:
        """Return since when there was no reading; None while the device is nobody's."""
        given = min((person.given_on for person in ear.watched.assigned(now)), default=None)
        return None if given is None else max(given, watched_since, ear.read_at or 0)


def _when(at: int, zone: ZoneInfo) -> Sentence:
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    return Sentence(fr=f"le {local:%d/%m/%Y à %H:%M}", en=f"{local:%Y-%m-%d at %H:%M}")
