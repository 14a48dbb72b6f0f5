"""What `veilleur devices` says: each device and relay of a box, from its database, running or not.

A device is shown as the box last knew it; whether it is silent, and who acts, is what the box has told. Nothing is
judged here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tabulate import tabulate

from agent.settings import Device, Settings, Watched
from agent.silence import Cause
from agent.status import iso
from agent.store_reader import StoreReader
from agent.taken_up import taken_up, with_taken_up
from agent.technical import is_about
from agent.technical_rules import OWNERS, RULES
from agent.vault import Vault
from alerting.alert import AlertChange, Priority, Sentence
from devices.plain_text import plain
from devices.source import DeviceFacts

_CAUSES = tuple(Cause)
_NEVER = "-"

PRIORITIES = {
    Priority.HIGH: Sentence(fr="haute", en="high"),
    Priority.MEDIUM: Sentence(fr="moyenne", en="medium"),
    Priority.LOW: Sentence(fr="basse", en="low"),
}
CAUSES = {
    Cause.BLUETOOTH_GONE: Sentence(fr="Bluetooth du boîtier arrêté", en="the box's Bluetooth is down"),
    Cause.ADAPTER_DEAD: Sentence(fr="adaptateur du boîtier en panne", en="the box's adapter is dead"),
    Cause.RELAY_UNREACHABLE: Sentence(fr="relais injoignable", en="relay unreachable"),
    Cause.RELAY_REFUSED: Sentence(fr="refusé par le relais", en="refused by the relay"),
    Cause.BOND_LOST: Sentence(fr="appairage perdu", en="bond lost"),
    Cause.CONSENT_REFUSED: Sentence(fr="code refusé", en="code refused"),
    Cause.DRIVER_REFUSED: Sentence(fr="modèle non reconnu", en="unknown model"),
    Cause.SENSOR_EXPIRED: Sentence(fr="capteur en fin de vie", en="sensor expired"),
    Cause.SENSOR_WARMING_UP: Sentence(fr="capteur en route", en="sensor warming up"),
    Cause.BATTERY_LOW: Sentence(fr="pile faible", en="battery low"),
    Cause.OUT_OF_REACH: Sentence(fr="hors de portée", en="out of reach"),
    Cause.NO_READING: Sentence(fr="sans mesure utilisable", en="no usable reading"),
    Cause.NOT_MEASURED: Sentence(fr="pas de mesure prise", en="nobody measured"),
}
_HEADINGS = (
    Sentence(fr="appareil", en="device"),
    Sentence(fr="lecture", en="driver"),
    Sentence(fr="à qui", en="whose"),
    Sentence(fr="dernier lien", en="last link"),
    Sentence(fr="vu", en="seen"),
    Sentence(fr="mesure du", en="reading of"),
    Sentence(fr="pile", en="battery"),
    Sentence(fr="horloge", en="clock"),
    Sentence(fr="modèle", en="model"),
    Sentence(fr="état", en="state"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """What is known of one device or relay; times in ms UTC, None: never, or not known.

    Attributes:
        address: stable identity.
        driver: what reads it.
        patients: whose it is now, by pseudonym; empty: nobody's.
        zone: of its patients.
        facts: what it said about itself.
        seen_at: when it was last heard, by whatever it said.
        measured_at: of its newest reading.
        alerts: the technical ones that stand about it, or about the box it is reached through, most telling first.
    """

    address: str
    driver: str
    patients: tuple[str, ...]
    zone: ZoneInfo
    facts: DeviceFacts
    seen_at: int | None
    measured_at: int | None
    alerts: tuple[AlertChange, ...]

    @property
    def cause(self) -> Cause | None:
        """The most telling thing that keeps it silent, as far as it was told."""
        return next((Cause(alert.rule) for alert in self.alerts if alert.rule in _CAUSES), None)

    @property
    def model(self) -> str | None:
        """How it names itself."""
        facts = self.facts
        said = (facts.manufacturer, facts.model, None if facts.firmware is None else f"({facts.firmware})")
        return " ".join(word for word in said if word is not None) or None

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        facts = self.facts
        return {
            "address": self.address,
            "driver": self.driver,
            "patients": list(self.patients),
            "bonded_at": _iso(facts.bonded_at),
            "last_seen": _iso(self.seen_at),
            "last_reading": _iso(self.measured_at),
            "battery": facts.battery,
            "clock_error_s": facts.clock_error_s,
            "manufacturer": facts.manufacturer,
            "model": facts.model,
            "firmware": facts.firmware,
            "cause": self.cause,
            "owner": None if self.cause is None else RULES[self.cause].owner,
            "alerts": [
                {
                    "rule": alert.rule,
                    "priority": alert.priority,
                    "owner": RULES[alert.rule].owner,
                    "raised_at": iso(alert.raised_at),
                    "why": {"fr": alert.why.fr, "en": alert.why.en},
                }
                for alert in self.alerts
            ],
        }


def read_devices(settings: Settings, vault: Vault, *, now: int) -> tuple[DeviceRow, ...]:
    """Return what is known at `now` (ms UTC) of each device and relay in the settings, or taken up by the box.

    Raises:
        StoreError, VaultError: the database cannot be read with this key.
        sqlite3.Error: it is busy for too long.
    """
    store = StoreReader.open(settings.database, vault)
    try:
        standing = [alert for alert in store.standing_alerts() if alert.rule in RULES]
        watched = with_taken_up(settings, taken_up(store)).watched
        return tuple(_row(one, store, standing, box=settings.box, now=now) for one in watched)
    finally:
        store.close()


def _row(watched: Watched, store: StoreReader, standing: Sequence[AlertChange], *, box: str, now: int) -> DeviceRow:
    facts, newest = store.device_facts(watched.address), store.last_reading(watched.address)
    heard = (facts.seen_at, facts.bonded_at, None if newest is None else newest.received_at)
    about = [watched.address, *([box] if isinstance(watched, Device) else [])]
    rules = list(RULES)
    alerts = [alert for alert in standing if any(is_about(alert, name) for name in about)]
    return DeviceRow(
        address=watched.address,
        driver=watched.kind,
        patients=tuple(person.patient.pseudonym for person in watched.assigned(now)),
        zone=watched.zone,
        facts=facts,
        seen_at=max((at for at in heard if at is not None), default=None),
        measured_at=None if newest is None else newest.measured_at,
        alerts=tuple(sorted(alerts, key=lambda alert: rules.index(alert.rule))),
    )


def table(rows: Sequence[DeviceRow], *, now: int, lang: str) -> str:
    """Return the devices as a person reads them, and below them what is to be done, each thing once."""
    if not rows:
        nothing = Sentence(
            fr="Aucun appareil dans les réglages : en ajouter, puis « veilleur check ».",
            en="No device in the settings: add one, then run 'veilleur check'.",
        )
        return _said(nothing, lang)
    shown = tabulate(
        [_cells(row, now, lang) for row in rows],
        headers=[_said(heading, lang) for heading in _HEADINGS],
        tablefmt="plain",
        disable_numparse=True,
    )
    alerts = {alert.alert_id: alert for row in rows for alert in row.alerts}
    colon = "\u00a0:" if lang == "fr" else ":"
    lines = [
        f"[{_said(PRIORITIES[alert.priority], lang)}] {_said(OWNERS[RULES[alert.rule].owner], lang)}"
        f"{colon} {_said(alert.why, lang)}"
        for alert in alerts.values()
    ]
    # What a device calls itself, and its firmware, is in it.
    return plain("\n".join([shown, *lines]))


def _cells(row: DeviceRow, now: int, lang: str) -> list[str]:
    facts, cause = row.facts, row.cause
    return [
        # The end of an address is enough for whoever has the device in hand.
        row.address if row.address.startswith("relay:") else f"…{row.address[-5:]}",
        row.driver,
        ", ".join(row.patients) or _NEVER,
        _when(facts.bonded_at, now, row.zone, lang),
        _when(row.seen_at, now, row.zone, lang),
        _when(row.measured_at, now, row.zone, lang),
        _NEVER if facts.battery is None else f"{facts.battery}\u00a0%",
        _NEVER if facts.clock_error_s is None else _error(facts.clock_error_s, lang),
        row.model or _NEVER,
        _NEVER if cause is None else f"{_said(CAUSES[cause], lang)} → {_said(OWNERS[RULES[cause].owner], lang)}",
    ]


def _when(at: int | None, now: int, zone: ZoneInfo, lang: str) -> str:
    """Return a time on the patient's clock, and how long ago that was."""
    if at is None:
        return _NEVER
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    shown = f"{local:%d/%m/%Y %H:%M}" if lang == "fr" else f"{local:%Y-%m-%d %H:%M}"
    if at > now:
        # A clock was ahead: how long ago that was cannot be said.
        return shown
    ago = _span((now - at) // 1000, lang)
    return f"{shown} (il y a {ago})" if lang == "fr" else f"{shown} ({ago} ago)"


def _error(seconds: int, lang: str) -> str:
    sign = "+" if seconds > 0 else "−" if seconds < 0 else ""
    return f"{sign}{_span(abs(seconds), lang)}"


def _span(seconds: int, lang: str) -> str:
    """Return a duration in its largest whole unit."""
    for size, fr, en in ((86_400, "j", "d"), (3_600, "h", "h"), (60, "min", "min")):
        if seconds >= size:
            return f"{seconds // size}\u00a0{fr if lang == 'fr' else en}"
    return f"{seconds}\u00a0s"


def _said(sentence: Sentence, lang: str) -> str:
    return sentence.fr if lang == "fr" else sentence.en


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)
