"""What `veilleur status` says: read from the database of a box, running or not."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agent.settings import Settings
from agent.store_reader import StoreReader
from agent.technical import owner_of
from agent.vault import Vault
from alerting import compiled
from alerting.alert import AlertChange, Sentence
from alerting.compiled import Kind
from exchange.sealing import LANE_ALERTS

KERNELS: Final[Mapping[Kind, Sentence]] = {
    Kind.AHEAD_OF_TIME: Sentence(fr="compilé d'avance", en="compiled ahead of time"),
    Kind.KEPT: Sentence(
        fr="compilé au premier démarrage, gardé sur le disque", en="compiled at first start, kept on disk"
    ),
    Kind.AT_START: Sentence(fr="compilé à chaque démarrage", en="compiled at each start"),
    Kind.PLAIN: Sentence(fr="non compilé", en="not compiled"),
}
"""Which kernel judges, as it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device or relay, whom it was given to, and the time of its newest reading, ms UTC, None without one."""

    address: str
    driver: str
    patients: tuple[str, ...]
    measured_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxState:
    """The state of one box.

    Attributes:
        kernel: how the kernel was compiled that judges in an installation such as the one that asks.
        kernel_why: why it is not the one compiled ahead of time, None when it is.
    """

    box: str
    epoch: str
    next_seq: int
    waiting_alerts: int
    waiting_readings: int
    free_bytes: int
    key_place: str
    tells_now: str | None
    kernel: Kind
    kernel_why: Sentence | None
    protocols: dict[str, str]
    watched_since: dict[str, int | None]
    devices: tuple[DeviceState, ...]
    standing: tuple[AlertChange, ...]
    counters: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        return {
            "box": self.box,
            "epoch": self.epoch,
            "next_seq": self.next_seq,
            "waiting": {"alerts": self.waiting_alerts, "readings": self.waiting_readings},
            "free_bytes": self.free_bytes,
            "key_place": self.key_place,
            "tells_now": self.tells_now,
            "kernel": {
                "compiled": self.kernel,
                "why": None if self.kernel_why is None else {"fr": self.kernel_why.fr, "en": self.kernel_why.en},
            },
            "protocols": self.protocols,
            "watched_since": {
                patient: None if since is None else iso(since) for patient, since in self.watched_since.items()
            },
            "devices": [
                {
                    "address": device.address,
                    "driver": device.driver,
                    "patients": list(device.patients),
                    "last_reading": None if device.measured_at is None else iso(device.measured_at),
                }
                for device in self.devices
            ],
            "alerts": [
                {
                    "patient": alert.patient,
                    "rule": alert.rule,
                    "priority": alert.priority,
                    "owner": owner_of(alert),
                    "raised_at": iso(alert.raised_at),
                    "why": {"fr": alert.why.fr, "en": alert.why.en},
                }
                for alert in self.standing
            ],
            "counters": self.counters,
        }


def iso(at_ms: int) -> str:
    """Return ms UTC as ISO 8601 ending in Z, to the millisecond only where it has one."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def read_state(settings: Settings, vault: Vault) -> BoxState:
    """Return the state of the box.

    Raises:
        StoreError, VaultError: the database cannot be read with this key.
        sqlite3.Error: it is busy for too long.
    """
    store = StoreReader.open(settings.database, vault)
    try:
        depth = store.outbox.depth()
        readings = {device.address: store.last_reading(device.address) for device in settings.watched}
        return BoxState(
            box=settings.box,
            epoch=store.epoch,
            next_seq=store.outbox.next_seq(),
            waiting_alerts=depth.get(LANE_ALERTS, 0),
            waiting_readings=sum(depth.values()) - depth.get(LANE_ALERTS, 0),
            free_bytes=shutil.disk_usage(settings.state).free,
            key_place="file" if settings.vault.key_file is not None else "systemd credential",
            tells_now=settings.now.relay,
            kernel=compiled.kind,
            kernel_why=compiled.why,
            protocols={
                patient.pseudonym: f"{protocol.name} v{protocol.version} ({protocol.protocol_hash[:12]})"
                for patient in settings.patients
                for protocol in (patient.protocol,)
            },
            watched_since={patient.pseudonym: store.watched_since(patient.pseudonym) for patient in settings.patients},
            devices=tuple(
                DeviceState(
                    address=device.address,
                    driver=device.kind,
                    patients=tuple(dict.fromkeys(person.patient.pseudonym for person in device.people)),
                    measured_at=None if (last := readings[device.address]) is None else last.measured_at,
                )
                for device in settings.watched
            ),
            standing=tuple(store.standing_alerts()),
            counters=store.counters(),
        )
    finally:
        store.close()
