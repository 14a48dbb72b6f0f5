"""The box's settings as values: what `veilleur run` needs, once checked, with absolute paths.

Reading and checking the file is `settings_file`; every key is explained in configs/agent.toml.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from alerting.care_protocol import CareProtocol
from devices.consent import Consent
from devices.driver import AnyDriver
from exchange.identity import PublicHex

MOST_PATIENTS = 60
"""Residents of a nursing home that one box serves."""
MOST_DEVICES = 240
MOST_PEOPLE = 240
"""Assignments of one device: sixty residents, and those who had it before them."""

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Hours = Annotated[float, Meta(gt=0, le=8_784)]
Argv = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=500)], ...], Meta(max_length=32)]
"""A program and its arguments; no shell is between."""
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class BrokerSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the team's broker is and how the box proves who it is."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    ca: Path
    certificate: Path
    key: Path
    keepalive: Annotated[int, Meta(ge=5, le=3600)] = 30


class IdentitySettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The box's signing key, the team's list, and the root whose signature it must have; none: any list is believed.

    Without an opening key the box takes no orders.
    """

    signing_key: Path
    team_keys: Path
    opening_key: Path | None = None
    team_roots: Annotated[tuple[PublicHex, ...], Meta(max_length=4)] = ()


class EnrolmentSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the box has its certificate renewed."""

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 8884


class VaultSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the key that protects the box's own data lives."""

    key_file: Path | None = None
    credential: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class RadioSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The Bluetooth adapter, and how patient the box is with devices (real seconds)."""

    adapter: Annotated[str, Meta(pattern="^hci[0-9]{1,3}\\Z")] | None = None
    slots: Annotated[int, Meta(ge=1, le=32)] = 5
    find: Seconds = 60.0
    connect: Seconds = 30.0
    quiet: Seconds = 0.5
    pause: Seconds = 1.0
    longest_pause: Seconds = 120.0

    @property
    def adapter_name(self) -> str:
        """The adapter, or the system's first one."""
        return self.adapter or "hci0"


class ForwarderSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How what is kept reaches the team (real seconds)."""

    window: Annotated[int, Meta(ge=1, le=1000)] = 200
    window_kib: Annotated[int, Meta(ge=64, le=65536)] = 512
    receipt_timeout: Seconds = 30.0
    keep_receipted_days: Annotated[int, Meta(ge=1, le=90)] = 14
    heartbeat: Seconds = 60.0


class BufferSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How much the box keeps, in MiB, and how often values of streams are kept (real seconds)."""

    cap_mib: Annotated[int, Meta(ge=32, le=1 << 20)] = 1024
    alert_reserve_mib: Annotated[int, Meta(ge=1, le=1024)] = 8
    ballast_mib: Annotated[int, Meta(ge=0, le=1024)] = 16
    group_commit: Annotated[float, Meta(gt=0, le=300)] = 30.0


class WatchSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """When passing time starts to be judged (real seconds)."""

    settle: Seconds = 60.0


class AuditSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """For how long the record of acts is kept."""

    keep_days: Annotated[int, Meta(ge=30, le=3_650)] = 365


class FleetSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What whoever runs the fleet is told, without any health data; `metrics` is a text file for Prometheus."""

    metrics: Path | None = None


class NotifierSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How the box itself tells the patient or a carer, in the home; off where nothing says how (real seconds)."""

    command: Argv = ()
    sound: Path | None = None
    speak: bool = False
    sentence: Text = "Alerte de santé. Regardez votre appareil de mesure et appelez votre équipe. En urgence, le 15."
    say_check: bool = False
    light_on: Argv = ()
    light_off: Argv = ()
    receipt_within: Seconds = 120.0
    attend_within: Seconds = 900.0
    repeat: Seconds = 300.0
    most: Annotated[int, Meta(ge=1, le=100)] = 6
    pause: Seconds = 60.0
    timeout: Annotated[float, Meta(gt=0, le=120)] = 20.0

    @property
    def is_on(self) -> bool:
        """Whether it can be heard; a light alone is no channel."""
        return bool(self.command) or self.sound is not None or self.speak


class ClockSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How the box asks for the time when it does not know it: a command and its arguments, run as they are."""

    ask: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()


class NowSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who tells the patient or a carer at once, when a rule is meant for them."""

    relay: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class PatientSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One patient, under one protocol: the name of a packaged one, or a file. So is the shadow, which tells nobody."""

    pseudonym: str
    protocol: str
    shadow: str | None = None
    time_zone: str = "Europe/Paris"


class PersonSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One person a device was given to, from a date on, and how their records are told from others'."""

    patient: str
    given_on: datetime = msgspec.field(name="from")
    until: datetime | None = None
    user: Annotated[int, Meta(ge=0, le=254)] | None = None
    code: Annotated[int, Meta(ge=0, le=9999)] | None = None
    weight_kg: tuple[float, float] | None = None

    def __repr__(self) -> str:
        """Return who, without the code: it is a secret."""
        return f"{type(self).__name__}(patient={self.patient!r}, user={self.user!r})"


class GivenSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """To whom something was given: one person in short, or a list of people."""

    patient: str | None = None
    given_on: datetime | None = msgspec.field(name="from", default=None)
    until: datetime | None = None
    people: Annotated[list[PersonSettings], Meta(max_length=MOST_PEOPLE)] = []
    expect_hours: Hours | None = None


class DeviceSettings(GivenSettings, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One device."""

    address: str
    driver: str


class RelaySettings(GivenSettings, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One relay on the home network, which hands on what a sensor's own telephone receives."""

    name: str
    url: Text
    secret_file: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One stream: a pseudonym under a protocol, in a time zone; `shadow` is judged beside it and tells nobody."""

    pseudonym: str
    protocol: CareProtocol
    zone: ZoneInfo
    shadow: CareProtocol | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One person a device was given to.

    Attributes:
        patient: whose records these are.
        given_on: ms UTC, inclusive.
        until: ms UTC, exclusive; None: still theirs.
        user: the device's index of this person, None when it is not told apart by that.
        code: lets the box read this user's results; a secret, never shown.
        weight: lowest and highest weight of this person in counts of body weight, both inclusive.
    """

    patient: Patient
    given_on: int
    until: int | None = None
    user: int | None = None
    code: int | None = field(default=None, repr=False)
    weight: tuple[int, int] | None = None

    def holds_at(self, at: int) -> bool:
        """Return whether the device was theirs at `at` (ms UTC)."""
        return self.given_on <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(ABC):
    """Something that gives readings, and the people it was given to.

    Attributes:
        address: stable identity, as in `Reading.device`.
        people: in the order of the settings, at least one; all in one time zone.
        expect_s: how many seconds it may be silent before that is worth telling; None: as is usual for its kind.
    """

    address: str
    people: tuple[Assignment, ...]
    expect_s: float | None = None

    @property
    @abstractmethod
    def kind(self) -> str:
        """What reads it."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that its wall clock is set in."""
        return self.people[0].patient.zone

    def assigned(self, at: int) -> tuple[Assignment, ...]:
        """Return whose it was at `at` (ms UTC)."""
        return tuple(person for person in self.people if person.holds_at(at))

    def weighed(self, at: int) -> tuple[str, ...]:
        """Return the patients, by pseudonym, who are told apart on it by their weight at `at` (ms UTC)."""
        return tuple(person.patient.pseudonym for person in self.assigned(at) if person.weight is not None)

    def keeper(self, now: int) -> Patient:
        """Return the patient whose technical alerts are about this device: the first whose it is now.

        Between two people it is the one before; before anybody had it, the first who will.
        """
        if assigned := self.assigned(now):
            return assigned[0].patient
        ended = [person for person in self.people if person.until is not None and person.until <= now]
        if ended:
            return max(ended, key=lambda person: person.until or 0).patient
        return min(self.people, key=lambda person: person.given_on).patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Watched):
    """One Bluetooth device; its address is the Bluetooth one."""

    driver: AnyDriver

    @property
    def kind(self) -> str:
        """The name of its driver."""
        return self.driver.name

    def consents(self, now: int) -> tuple[Consent, ...]:
        """Return what lets the box read the results of those whose it is now or will be: one consent a user."""
        consents: dict[int, Consent] = {}
        for person in sorted(self.people, key=lambda person: person.given_on):
            ended = person.until is not None and person.until <= now
            if not ended and person.user is not None and person.code is not None:
                consents.setdefault(person.user, Consent(user=person.user, code=person.code))
        return tuple(consents.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay(Watched):
    """One relay; its address is "relay:" and its name.

    Attributes:
        url: of the list of its values, such as "http://192.168.1.20:17580/sgv.json".
        secret_file: holds the API secret, mode 0600.
        token_file: holds an access token, mode 0600.
    """

    url: str
    secret_file: Path | None = None
    token_file: Path | None = None

    @property
    def kind(self) -> str:
        """What it is, in place of a driver's name."""
        return "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything `veilleur run` needs, checked, with absolute paths."""

    box: str
    state: Path
    broker: BrokerSettings
    identity: IdentitySettings
    vault: VaultSettings
    radio: RadioSettings
    forwarder: ForwarderSettings
    watch: WatchSettings
    now: NowSettings
    notifier: NotifierSettings = field(default_factory=NotifierSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    buffer: BufferSettings = field(default_factory=BufferSettings)
    patients: tuple[Patient, ...]
    devices: tuple[Device, ...]
    relays: tuple[Relay, ...] = ()
    enrolment: EnrolmentSettings | None = None
    audit: AuditSettings = field(default_factory=AuditSettings)
    fingerprint: str = ""
    """SHA-256 of the file they come from."""

    @property
    def watched(self) -> tuple[Watched, ...]:
        """Everything that gives readings."""
        return (*self.devices, *self.relays)

    @property
    def tells_now(self) -> str | None:
        """Who tells the patient or a carer at once, as `status` repeats it; None: nobody."""
        here = "le boîtier lui-même / the box itself" if self.notifier.is_on else None
        return " · ".join(who for who in (self.now.relay, here) if who is not None) or None

    @property
    def metrics(self) -> Path:
        """The figures for the fleet."""
        return self.fleet.metrics or self.state / "metrics.prom"

    @property
    def database(self) -> Path:
        """The encrypted buffer."""
        return self.state / "veilleur.db"
