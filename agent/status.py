"""What `veilleur status` says: read from the database of a box, running or not."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agent.fleet import DAY_MS, FleetState, read_fleet_state
from agent.key_places import KeyPlace, key_place
from agent.ordered_protocols import with_orders
from agent.quarantine import SetAside, set_aside_before
from agent.room import Fill, limits_of
from agent.settings import Settings
from agent.shadow_store import ShadowState
from agent.store_reader import StoreReader
from agent.taken_up import taken_up, with_taken_up
from agent.team_state import TeamState, team_state
from agent.technical import owner_of
from agent.vault import Vault
from alerting import compiled
from alerting.alert import AlertChange, Sentence
from alerting.care_protocol import CareProtocol
from alerting.compiled import Kind
from devices.clock import SystemClock
from exchange.sealing import LANE_ALERTS, LANE_DENSE, LANE_SPARSE

KERNELS: Final[Mapping[Kind, Sentence]] = {
    Kind.AHEAD_OF_TIME: Sentence(fr="compilé d'avance", en="compiled ahead of time"),
    Kind.KEPT: Sentence(
        fr="compilé au premier démarrage, gardé sur le disque", en="compiled at first start, kept on disk"
    ),
    Kind.AT_START: Sentence(fr="compilé à chaque démarrage", en="compiled at each start"),
    Kind.PLAIN: Sentence(fr="non compilé", en="not compiled"),
}
"""Which kernel judges, as it is read."""
_NO_ORDERS: Final = Sentence(
    fr="refusés : identity.opening_key manque aux réglages", en="refused: the settings have no identity.opening_key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device or relay, whom it was given to, and the time of its newest reading, ms UTC, None without one."""

    address: str
    driver: str
    patients: tuple[str, ...]
    measured_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowLine:
    """A patient's shadow protocol, by name and version, and how far it came; `state` None: it has not begun."""

    protocol: str
    state: ShadowState | None

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        state = self.state
        fault = None if state is None else state.fault
        return {
            "protocol": self.protocol,
            "since": None if state is None else iso(state.since),
            "fault": None if fault is None else {"kind": fault.kind, "at": iso(fault.at)},
        }

    def words(self) -> Sentence:
        """Return it in words; nobody is told of what it says."""
        state = self.state
        if state is None:
            return Sentence(
                fr=f"{self.protocol} · à l'essai en silence, pas encore commencé",
                en=f"{self.protocol} · shadow, tells nobody, not begun yet",
            )
        off = Sentence(fr="", en="")
        if state.fault is not None:
            kind, at = state.fault.kind, iso(state.fault.at)
            off = Sentence(
                fr=f" · ARRÊTÉ par un défaut ({kind}, {at}) jusqu'au prochain démarrage",
                en=f" · STOPPED by a fault ({kind}, {at}) until the next start",
            )
        since = iso(state.since)
        return Sentence(
            fr=f"{self.protocol} · à l'essai en silence depuis {since}{off.fr}",
            en=f"{self.protocol} · shadow, tells nobody, since {since}{off.en}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A protocol that the team ordered: who signed it, when it was applied (ms UTC), the command's version."""

    by: tuple[str, ...]
    at: int
    version: int

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        return {"by": list(self.by), "at": iso(self.at), "version": self.version}

    def words(self) -> Sentence:
        """Return it in words."""
        names, at = ", ".join(self.by), iso(self.at)
        return Sentence(
            fr=f"protocole envoyé par l'équipe, signé par {names}, appliqué {at}",
            en=f"protocol sent by the team, signed by {names}, applied {at}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxState:
    """The state of one box.

    Attributes:
        waiting_readings: sparse ones.
        waiting_streamed: values of streams.
        buffer: how full the database is, in bytes.
        buffer_cap: bytes that it may have.
        key: where the box's own key comes from, and what that is worth.
        kept_from: when the oldest reading that can still be judged with was measured, ms UTC.
        set_aside: damaged databases, oldest first.
        unsendable: records that were altered before they could be sent.
        kernel: how the kernel was compiled that judges in an installation such as the one that asks.
        kernel_why: why it is not the one compiled ahead of time, None when it is.
    """

    box: str
    epoch: str
    next_seq: int
    waiting_alerts: int
    waiting_readings: int
    waiting_streamed: int
    buffer: Fill
    buffer_cap: int
    free_bytes: int
    key: KeyPlace
    takes_orders: bool
    tells_now: str | None
    kernel: Kind
    kernel_why: Sentence | None
    protocols: dict[str, str]
    protocol_hashes: dict[str, str]
    ordered: dict[str, Ordered]
    watched_since: dict[str, int | None]
    kept_from: dict[str, int | None]
    set_aside: tuple[SetAside, ...]
    unsendable: int
    shadows: dict[str, ShadowLine]
    devices: tuple[DeviceState, ...]
    standing: tuple[AlertChange, ...]
    counters: dict[str, int]
    team: TeamState
    fleet: FleetState

    def beside(self) -> list[tuple[str, Sentence]]:
        """Return what there is to say of orders and shadows, and of whom, for a person."""
        takes = Sentence(fr="acceptés", en="taken") if self.takes_orders else _NO_ORDERS
        ordered = [(patient, one.words()) for patient, one in self.ordered.items()]
        shadows = [(patient, shadow.words()) for patient, shadow in self.shadows.items()]
        return [("ordres / orders", takes), *ordered, *shadows]

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        return {
            "box": self.box,
            "epoch": self.epoch,
            "next_seq": self.next_seq,
            "waiting": {
                "alerts": self.waiting_alerts,
                "readings": self.waiting_readings,
                "streamed": self.waiting_streamed,
            },
            "buffer": {"used_bytes": self.buffer.used, "file_bytes": self.buffer.file, "cap_bytes": self.buffer_cap},
            "free_bytes": self.free_bytes,
            "key_place": self.key.kind,
            "key": {
                "place": self.key.kind,
                "sealed_to": None if self.key.sealing is None else self.key.sealing.value,
                "words": {"fr": self.key.words.fr, "en": self.key.words.en},
                "follows": self.key.follows,
            },
            "unsendable": self.unsendable,
            "set_aside": [{"at": one.at, "folder": str(one.folder), "bytes": one.size} for one in self.set_aside],
            "tells_now": self.tells_now,
            "kernel": {
                "compiled": self.kernel,
                "why": None if self.kernel_why is None else {"fr": self.kernel_why.fr, "en": self.kernel_why.en},
            },
            "protocols": self.protocols,
            "protocol_hashes": self.protocol_hashes,
            "ordered_protocols": {patient: one.as_json() for patient, one in self.ordered.items()},
            "takes_orders": self.takes_orders,
            "watched_since": {
                patient: None if since is None else iso(since) for patient, since in self.watched_since.items()
            },
            "kept_from": {patient: None if at is None else iso(at) for patient, at in self.kept_from.items()},
            "shadows": {patient: shadow.as_json() for patient, shadow in self.shadows.items()},
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
            "team_list": self.team.as_json(),
            "version": self.fleet.version,
            "starts": self.fleet.starts,
            "commits_proven": self.fleet.proofs,
            "last_receipt": None if self.fleet.last_receipt_at is None else iso(self.fleet.last_receipt_at),
            "certificate_expires": (
                None if self.fleet.certificate_expires_at is None else iso(self.fleet.certificate_expires_at)
            ),
            "clock_synchronised": self.fleet.clock_synchronised,
            "clock_trusted": self.fleet.clock_trusted,
        }

    def fleet_rows(self, now_ms: int) -> list[tuple[str, Sentence]]:
        """Return what the fleet's operator is told too, in words."""
        fleet = self.fleet
        receipt, expires = fleet.last_receipt_at, fleet.certificate_expires_at
        days = None if expires is None else (expires - now_ms) // DAY_MS
        at = "-" if expires is None else iso(expires)
        clock = (
            Sentence(fr="à l'heure", en="synchronised")
            if fleet.clock_synchronised
            else Sentence(
                fr="heure donnée par l'équipe, faute de réseau horaire", en="time given by the team, NTP is mute"
            )
            if fleet.clock_trusted
            else Sentence(fr="PAS À L'HEURE : vérifier le réseau", en="NOT SYNCHRONISED: check the network")
        )
        return [
            ("version", Sentence(fr=fleet.version, en=fleet.version)),
            (
                "dernier reçu / last receipt",
                Sentence(fr="aucun", en="none")
                if receipt is None
                else Sentence(fr=_ago(receipt, now_ms).fr, en=_ago(receipt, now_ms).en),
            ),
            (
                "certificat / certificate",
                Sentence(fr="illisible", en="unreadable")
                if days is None
                else Sentence(fr=f"encore {days} jours ({at})", en=f"{days} days left ({at})")
                if days >= 0
                else Sentence(fr=f"EXPIRÉ ({at})", en=f"EXPIRED ({at})"),
            ),
            ("horloge / clock", clock),
            (
                "démarrages / starts",
                Sentence(
                    fr=f"{fleet.starts} · {fleet.proofs} enregistrements prouvés",
                    en=f"{fleet.starts} · {fleet.proofs} commits proven",
                ),
            ),
        ]


def iso(at_ms: int) -> str:
    """Return ms UTC as ISO 8601 ending in Z, to the millisecond only where it has one."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def _ago(at_ms: int, now_ms: int) -> Sentence:
    """Return how long ago a time was, coarsely, with the time."""
    minutes = max(0, now_ms - at_ms) // 60_000
    if minutes < 120:
        return Sentence(fr=f"il y a {minutes} min ({iso(at_ms)})", en=f"{minutes} min ago ({iso(at_ms)})")
    hours = minutes // 60
    if hours < 48:
        return Sentence(fr=f"il y a {hours} h ({iso(at_ms)})", en=f"{hours} h ago ({iso(at_ms)})")
    return Sentence(fr=f"il y a {hours // 24} jours ({iso(at_ms)})", en=f"{hours // 24} days ago ({iso(at_ms)})")


def _named(protocol: CareProtocol) -> str:
    return f"{protocol.name} v{protocol.version} ({protocol.protocol_hash[:12]})"


def read_state(settings: Settings, vault: Vault) -> BoxState:
    """Return the state of the box.

    Raises:
        StoreError, VaultError: the database cannot be read with this key.
        sqlite3.Error: it is busy for too long.
    """
    store = StoreReader.open(settings.database, vault)
    try:
        ordered = {patient.pseudonym: store.commands.protocol(patient.pseudonym) for patient in settings.patients}
        settings = with_orders(with_taken_up(settings, taken_up(store)), store.commands)
        depth = store.outbox.depth()
        readings = {device.address: store.last_reading(device.address) for device in settings.watched}
        return BoxState(
            box=settings.box,
            epoch=store.epoch,
            next_seq=store.outbox.next_seq(),
            waiting_alerts=depth.get(LANE_ALERTS, 0),
            waiting_readings=depth.get(LANE_SPARSE, 0),
            waiting_streamed=depth.get(LANE_DENSE, 0),
            buffer=store.fill(),
            buffer_cap=limits_of(settings.buffer).cap,
            free_bytes=shutil.disk_usage(settings.state).free,
            key=key_place(settings.vault),
            tells_now=settings.tells_now,
            takes_orders=settings.identity.opening_key is not None,
            kernel=compiled.kind,
            kernel_why=compiled.why,
            protocols={patient.pseudonym: _named(patient.protocol) for patient in settings.patients},
            protocol_hashes={patient.pseudonym: patient.protocol.protocol_hash for patient in settings.patients},
            ordered={
                name: Ordered(by=one.by, at=one.at, version=one.version)
                for name, one in ordered.items()
                if one is not None
            },
            watched_since={patient.pseudonym: store.watched_since(patient.pseudonym) for patient in settings.patients},
            kept_from={patient.pseudonym: store.kept_from(patient.pseudonym) for patient in settings.patients},
            set_aside=set_aside_before(settings.database),
            unsendable=store.outbox.unsendable(),
            shadows={
                patient.pseudonym: ShadowLine(protocol=_named(patient.shadow), state=state)
                for patient in settings.patients
                if patient.shadow is not None
                for state in (store.shadow_state(patient.pseudonym),)
            },
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
            team=team_state(settings, now_ms=SystemClock().now_ms()),
            fleet=read_fleet_state(store, settings),
        )
    finally:
        store.close()
