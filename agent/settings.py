"""The box's settings as values: what `veilleur run` needs, once checked, with absolute paths.

Reading and checking the file is `settings_file`; every key is explained in configs/agent.toml.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from alerting.care_protocol import CareProtocol
from devices.driver import Driver

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class BrokerSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the team's broker is and how the box proves who it is."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    ca: Path
    certificate: Path
    key: Path
    keepalive: Annotated[int, Meta(ge=5, le=3600)] = 30


class IdentitySettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The box's signing key and the team's public keys."""

    signing_key: Path
    team_keys: Path


class VaultSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the key that protects the box's own data lives."""

    key_file: Path | None = None
    credential: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class RadioSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The Bluetooth adapter, and how patient the box is with devices (real seconds)."""

    adapter: str | None = None
    find: Seconds = 60.0
    connect: Seconds = 30.0
    quiet: Seconds = 0.5
    pause: Seconds = 1.0
    longest_pause: Seconds = 120.0


class ForwarderSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How what is kept reaches the team (real seconds)."""

    window: Annotated[int, Meta(ge=1, le=1000)] = 200
    receipt_timeout: Seconds = 30.0
    keep_receipted_days: Annotated[int, Meta(ge=1, le=90)] = 14
    heartbeat: Seconds = 60.0


class WatchSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """When passing time starts to be judged (real seconds)."""

    settle: Seconds = 60.0


class NowSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who tells the patient or a carer at once, when a rule is meant for them."""

    relay: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class PatientSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One patient, under one protocol: the name of a packaged one, or a file."""

    pseudonym: str
    protocol: str
    time_zone: str = "Europe/Paris"


class DeviceSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One device, given to one patient from a date on."""

    address: str
    driver: str
    patient: str
    given_on: datetime = msgspec.field(name="from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One stream: a pseudonym under a protocol, in a time zone."""

    pseudonym: str
    protocol: CareProtocol
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device and the patient it was given to, from `given_on` (ms UTC, inclusive)."""

    address: str
    driver: Driver
    patient: Patient
    given_on: int


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
    patients: tuple[Patient, ...]
    devices: tuple[Device, ...]

    @property
    def database(self) -> Path:
        """The encrypted buffer."""
        return self.state / "veilleur.db"
