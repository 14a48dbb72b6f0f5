"""The team's settings: `desk.toml`, strict, every fault at once and in both languages.

Unknown keys are refused, paths are relative to the file's own folder, and each patient's care protocol is read and
checked here. Every key is explained in configs/desk.toml. The keys that the settings name are read by `keys.py`.
"""

import difflib
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as made
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from alerting.toml_text import MOST_OF_A_REGION, parse_toml
from coordination.attribution import Assignment
from coordination.desk_settings import DeskSettings, placed
from coordination.errors import SettingsError
from coordination.place import Place, place_of
from coordination.protocol_sources import pack_bytes, packaged_protocols, protocol_bytes
from exchange.bounded_file import read_bounded
from exchange.identity import key_id
from exchange.messages import UNATTRIBUTED
from exchange.sealed_notes import Reader
from exchange.topics import valid_box

_PSEUDONYM = re.compile(r"[a-z0-9][a-z0-9-]{2,47}")
_BOX_FORM = {"fr": "3 à 48 caractères a-z, 0-9 et -, comme box-0001", "en": "3 to 48 of a-z, 0-9 and -, like box-0001"}

Text = Annotated[str, Meta(min_length=1, max_length=255, extra={"fr": "un texte", "en": "text"})]
_PATH_FORM = {"fr": "un chemin de fichier", "en": "the path of a file"}
File = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\0]+\Z", extra=_PATH_FORM)]
Files = Annotated[
    tuple[File, ...],
    Meta(min_length=1, max_length=64, extra={"fr": "au moins un chemin de fichier", "en": "at least one path"}),
]
Port = Annotated[
    int, Meta(ge=1, le=65535, extra={"fr": "un entier de 1 à 65535", "en": "a whole number from 1 to 65535"})
]
Days = Annotated[
    int, Meta(ge=90, le=7_300, extra={"fr": "un entier de 90 à 7300", "en": "a whole number from 90 to 7300"})
]
BoxName = Annotated[str, Meta(extra=_BOX_FORM)]
_WORKER_FORM = {"fr": "1 à 48 caractères a-z, 0-9 et -, comme inbox-1", "en": "1 to 48 of a-z, 0-9 and -, like inbox-1"}
WORKER = "{worker}"
"""Stands for the worker's name in the paths of its certificate and key."""
WorkerName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,47}\Z", extra=_WORKER_FORM)]
PublicKeys = Annotated[
    tuple[Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")], ...],
    Meta(
        min_length=1,
        max_length=16,
        extra={"fr": "une liste de clés de 64 chiffres 0-9a-f", "en": "a list of keys of 64 digits 0-9a-f"},
    ),
]
OptionalText = Annotated[str, Meta(max_length=255, extra={"fr": "un texte", "en": "text"})]
OptionalKey = Annotated[
    str,
    Meta(
        pattern="^([0-9a-f]{64})?\\Z",
        extra={"fr": "une clé de 64 chiffres 0-9a-f", "en": "a key of 64 digits 0-9a-f"},
    ),
]
Words = Annotated[
    tuple[str, ...],
    Meta(max_length=32, extra={"fr": "une commande, mot par mot", "en": "a command, word by word"}),
]
OpeningText = Annotated[
    str,
    Meta(
        pattern="^([0-9a-f]{64}|[0-9a-f]{2432})\\Z",
        extra={"fr": "une clé de 64 chiffres 0-9a-f", "en": "a key of 64 digits 0-9a-f"},
    ),
]
Moment = Annotated[
    datetime,
    Meta(extra={"fr": "une date et heure, comme 2026-11-22T08:00:00Z", "en": "a time, like 2026-11-22T08:00:00Z"}),
]


class BrokerSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the team's broker is, and how the inbox proves who it is."""

    host: Text
    port: Port = 8883
    ca: File
    certificate: File
    key: File
    client_id: WorkerName = "inbox-1"


class InboxSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The team's database and its private keys."""

    database: File
    opening_keys: Files
    receipt_key: File
    keep_acts_days: Days = 1_095


class EnrolmentSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How boxes become part of the team, and stop being it."""

    authority: File
    host: Text
    port: Port = 8884
    listen: OptionalText = ""
    broker_host: OptionalText = ""
    team: File
    root: OptionalKey = ""
    relay: OptionalText = ""
    crl: OptionalText = ""
    acl: OptionalText = ""
    reload: Words = ()


class BoxSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One box, and its public keys (hexadecimal): whose signatures are its own, and what orders are sealed to."""

    id: BoxName
    signing_keys: PublicKeys
    opening_key: OpeningText | None = None


class PatientSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One patient and the box that transmits for them, from a time on."""

    pseudonym: Text
    box: BoxName
    given_on: Moment = msgspec.field(name="from")
    protocol: Text
    time_zone: Text = "Europe/Paris"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the inbox needs, checked, with absolute paths.

    Attributes:
        path: the file that was read.
        broker: its paths are absolute.
        database: the team's database: an absolute path, or the URL of a PostgreSQL database.
        opening_keys: private keys that open what boxes seal, the replaced ones included.
        receipt_key: private key that signs receipts.
        signers: box -> key id -> raw public key.
        readers: box -> its opening key, for those that take orders.
        assignments: one a patient.
        protocols: pseudonym -> care protocol.
        protocol_names: pseudonym -> as the file names it.
        enrolment: its paths are absolute; None where boxes are not enrolled from here.
        desk: where the desk is reached; its paths are absolute.
        keep_acts_days: for how long the record of acts is kept.
        fingerprint: SHA-256 of the file.
    """

    path: Path
    broker: BrokerSettings
    database: Place
    opening_keys: tuple[Path, ...]
    receipt_key: Path
    signers: Mapping[str, Mapping[str, bytes]]
    readers: Mapping[str, Reader]
    assignments: tuple[Assignment, ...]
    protocols: Mapping[str, CareProtocol]
    protocol_names: Mapping[str, str] = made(default_factory=dict)
    enrolment: EnrolmentSettings | None = None
    desk: DeskSettings = made(default_factory=DeskSettings)
    keep_acts_days: int = 1_095
    fingerprint: str = ""

    def signer_of(self, box: str, signer: str) -> bytes | None:
        """Return the raw public key of that id when it is one of the box's own."""
        return self.signers.get(box, {}).get(signer)

    def reader_of(self, box: str) -> Reader | None:
        """Return the opening key of a box, None when it takes no orders."""
        return self.readers.get(box)


def read_settings(path: Path, *, worker: str | None = None) -> Settings:
    """Read and check a settings file.

    Args:
        path: the file.
        worker: name of this worker of the inbox, in place of `broker.client_id`.

    Raises:
        SettingsError: with every fault found.
    """
    try:
        text = read_bounded(path, MOST_OF_A_REGION).decode()
        raw = parse_toml(text, most=MOST_OF_A_REGION)
    except OSError as error:
        unreadable = Sentence(fr=f"illisible ({error.strerror})", en=f"cannot be read ({error.strerror})")
        raise SettingsError(str(path), (unreadable,)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), (Sentence(fr=f"pas du TOML ({error})", en=f"not TOML ({error})"),)) from error
    reader = _Reader(path, worker)
    settings = reader.settings(raw)
    if settings is None or reader.faults:
        raise SettingsError(str(path), tuple(reader.faults))
    return replace(settings, fingerprint=hashlib.sha256(text.encode()).hexdigest())


_Table = TypeVar("_Table", bound=Struct)


class _Reader:
    """Reads one file and gathers what is wrong with it."""

    def __init__(self, path: Path, worker: str | None) -> None:
        self._path = path
        self._worker = worker
        self._folder = path.resolve().parent
        self.faults: list[Sentence] = []
        self._protocols: dict[str, CareProtocol] = {}

    def settings(self, raw: dict[str, object]) -> Settings | None:
        self._known(raw, ("broker", "inbox", "desk", "enrolment", "boxes", "patients"), "")
        broker = self._table(raw.get("broker"), BrokerSettings, "broker")
        inbox = self._table(raw.get("inbox"), InboxSettings, "inbox")
        enrolment = self._enrolment(raw)
        desk = self._table(raw.get("desk", {}), DeskSettings, "desk")
        boxes = [box for where, table in self._tables(raw, "boxes") if (box := self._table(table, BoxSettings, where))]
        patients = list(self._tables(raw, "patients"))
        signers = self._signers(boxes)
        assignments: list[Assignment] = []
        protocols: dict[str, CareProtocol] = {}
        names: dict[str, str] = {}
        for where, table in patients:
            patient = self._table(table, PatientSettings, where)
            if patient is not None:
                known = None if "enrolment" in raw else signers
                self._patient(patient, where, known, assignments, protocols)
                names[patient.pseudonym] = patient.protocol
        if broker is None or inbox is None or desk is None:
            return None
        return Settings(
            path=self._path,
            broker=self._broker(broker),
            database=place_of(inbox.database, self._folder),
            opening_keys=tuple(self._folder / key for key in inbox.opening_keys),
            receipt_key=self._folder / inbox.receipt_key,
            signers=signers,
            readers={
                box.id: Reader(id=key_id(public), public=public)
                for box in boxes
                if box.opening_key is not None
                for public in (bytes.fromhex(box.opening_key),)
            },
            assignments=tuple(assignments),
            protocols=protocols,
            protocol_names=names,
            enrolment=enrolment,
            desk=placed(desk, self._folder),
            keep_acts_days=inbox.keep_acts_days,
        )

    def _enrolment(self, raw: dict[str, object]) -> EnrolmentSettings | None:
        if "enrolment" not in raw:
            return None
        found = self._table(raw["enrolment"], EnrolmentSettings, "enrolment")
        if found is None:
            return None
        return msgspec.structs.replace(
            found,
            authority=str(self._folder / found.authority),
            team=str(self._folder / found.team),
            crl=str(self._folder / found.crl) if found.crl else "",
            acl=str(self._folder / found.acl) if found.acl else "",
        )

    # --- the form -----------------------------------------------------------------------------------------

    def _tables(self, raw: dict[str, object], name: str) -> Iterator[tuple[str, object]]:
        tables = raw.get(name, [])
        if isinstance(tables, list):
            yield from ((f"{name}[{number}]", table) for number, table in enumerate(tables, 1))
        else:
            self._fault(name, fr=f"écrire [[{name}]], une fois par élément", en=f"write [[{name}]], once for each")

    def _table(self, raw: object, kind: type[_Table], where: str) -> _Table | None:
        """Return a table as `kind`, or None after noting each of its faults."""
        if not isinstance(raw, dict):
            self._fault(where, fr="section absente", en="section missing")
            return None
        fields = msgspec.structs.fields(kind)
        before = len(self.faults)
        self._known(raw, [field.encode_name for field in fields], f"{where}.")
        for field in fields:
            key = f"{where}.{field.encode_name}"
            if field.encode_name in raw:
                self._field(key, raw[field.encode_name], field.type)
            elif field.required:
                self._fault(key, fr="clé absente", en="key missing")
        return msgspec.convert(raw, kind) if len(self.faults) == before else None

    def _field(self, key: str, value: object, kind: object) -> None:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            words = next(meta.extra for meta in get_args(kind) if isinstance(meta, Meta) and meta.extra)
            self._fault(key, fr=f"attendu : {words['fr']}", en=f"expected {words['en']}")

    def _known(self, raw: Mapping[str, object], names: tuple[str, ...] | list[str], prefix: str) -> None:
        for key in raw:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                fr = f"clé inconnue (plutôt '{near[0]}' ?)" if near else "clé inconnue"
                en = f"unknown key ('{near[0]}'?)" if near else "unknown key"
                self._fault(f"{prefix}{key}", fr=fr, en=en)

    # --- the meaning --------------------------------------------------------------------------------------

    def _broker(self, broker: BrokerSettings) -> BrokerSettings:
        """Return where the broker is and as whom this worker speaks there; its paths are absolute."""
        name = broker.client_id if self._worker is None else self._worker
        if self._worker is not None:
            self._field("--worker", name, WorkerName)
        own = {"certificate": broker.certificate, "key": broker.key}
        for key, path in own.items():
            if name != broker.client_id and WORKER not in path:
                self._fault(
                    f"broker.{key}",
                    fr=f"plusieurs récepteurs ont chacun le leur : écrire {WORKER} à la place du nom, comme "
                    f"keys/{WORKER}.pem",
                    en=f"each of several workers has its own: write {WORKER} in place of its name, like "
                    f"keys/{WORKER}.pem",
                )
        return msgspec.structs.replace(
            broker,
            client_id=name,
            ca=str(self._folder / broker.ca),
            **{key: str(self._folder / path.replace(WORKER, name)) for key, path in own.items()},
        )

    def _signers(self, boxes: list[BoxSettings]) -> dict[str, dict[str, bytes]]:
        for name, count in Counter(box.id for box in boxes).items():
            if not valid_box(name):
                self._fault(f"boxes : {name}", **_BOX_FORM)
            if count > 1:
                self._fault(f"boxes : {name}", fr="présent deux fois", en="there twice")
        for key, count in Counter(key for box in boxes for key in box.signing_keys).items():
            if count > 1:
                self._fault(f"boxes : {key[:8]}...", fr="clé donnée deux fois", en="key given twice")
        return {box.id: {key_id(public): public for public in map(bytes.fromhex, box.signing_keys)} for box in boxes}

    def _patient(
        self,
        patient: PatientSettings,
        where: str,
        boxes: Mapping[str, object] | None,
        assignments: list[Assignment],
        protocols: dict[str, CareProtocol],
    ) -> None:
        """Note what is wrong with a patient; `boxes` are those that there can be, None when others may be enrolled."""
        name = patient.pseudonym
        if not _PSEUDONYM.fullmatch(name) or name == UNATTRIBUTED or name in (boxes or ()):
            self._fault(
                f"{where}.pseudonym",
                fr="3 à 48 caractères a-z, 0-9 et -, jamais un nom ni un numéro de boîtier",
                en="3 to 48 of a-z, 0-9 and -, never a name nor a box's id",
            )
        if any(item.patient == name for item in assignments):
            self._fault(f"{where}.pseudonym", fr=f"'{name}' est présent deux fois", en=f"'{name}' is there twice")
        if (boxes is not None and patient.box not in boxes) or not valid_box(patient.box):
            self._fault(
                f"{where}.box",
                fr=f"'{patient.box}' n'est pas dans [[boxes]]",
                en=f"'{patient.box}' is not in [[boxes]]",
            )
        try:
            ZoneInfo(patient.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._fault(
                f"{where}.time_zone",
                fr=f"'{patient.time_zone}' n'est pas un fuseau IANA comme Europe/Paris",
                en=f"'{patient.time_zone}' is not an IANA time zone like Europe/Paris",
            )
        if not 2000 <= patient.given_on.year < 2200:
            self._fault(f"{where}.from", fr="l'année doit être entre 2000 et 2199", en="the year must be 2000 to 2199")
        # A time without an offset is UTC, as everywhere at the input.
        given_on = patient.given_on if patient.given_on.tzinfo else patient.given_on.replace(tzinfo=UTC)
        since = round(given_on.timestamp() * 1000)
        assignments.append(Assignment(patient=name, box=patient.box, since=since, time_zone=patient.time_zone))
        protocol = self._protocols.get(patient.protocol) or self._protocol(patient.protocol, f"{where}.protocol")
        if protocol is not None:
            protocols[name] = self._protocols[patient.protocol] = protocol

    def _protocol(self, name: str, where: str) -> CareProtocol | None:
        try:
            data = protocol_bytes(name, self._folder)
            return read_protocol(data, name_hint=name, packs=lambda it: pack_bytes(it, (self._folder / name).parent))
        except OSError:
            known = ", ".join(packaged_protocols())
            self._fault(
                where,
                fr=f"'{name}' n'est ni un fichier lisible ni l'un de : {known}",
                en=f"'{name}' is neither a readable file nor one of: {known}",
            )
        except ProtocolError as error:
            for fault in error.faults:
                place = "" if fault.line is None else f", l. {fault.line}"
                self._fault(f"{where} ({name}{place})", fr=fault.message.fr, en=fault.message.en)
        return None

    def _fault(self, where: str, *, fr: str, en: str) -> None:
        self.faults.append(Sentence(fr=f"{where} : {fr}", en=f"{where}: {en}"))
