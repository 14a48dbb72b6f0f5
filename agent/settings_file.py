"""Reading the box's settings file: strict, every fault of its meaning at once.

Unknown keys and wrong types are refused one at a time, paths are relative to the file's own folder, and each
patient's care protocol is read and checked here, so that `veilleur check` and `veilleur run` cannot disagree.

Not here: whose devices and relays are (assignments).
"""

import hashlib
import re
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from agent.assignments import Assignments
from agent.errors import SettingsError
from agent.faults import Faults
from agent.schema_fault import in_words
from agent.settings import (
    MOST_DEVICES,
    MOST_PATIENTS,
    AuditSettings,
    BrokerSettings,
    BufferSettings,
    ClockSettings,
    DeviceSettings,
    EnrolmentSettings,
    FleetSettings,
    ForwarderSettings,
    IdentitySettings,
    NotifierSettings,
    NowSettings,
    Patient,
    PatientSettings,
    RadioSettings,
    RelaySettings,
    Settings,
    VaultSettings,
    WatchSettings,
)
from alerting.alert import Audience
from alerting.care_protocol import CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import Checked, Packs, check_protocol, read_protocol
from alerting.toml_text import MOST_CHARACTERS, parse_toml
from exchange.bounded_file import read_bounded
from exchange.messages import UNATTRIBUTED
from exchange.topics import valid_box

LEAST_BALLAST_MIB = 8
"""Twice what the database's log may hold of a thousand pages: what is in it and where it is going."""
_PSEUDONYM = re.compile(r"[a-z0-9][a-z0-9-]{2,47}")


class _File(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    box: str
    state: Path
    broker: BrokerSettings
    identity: IdentitySettings
    vault: VaultSettings
    enrolment: EnrolmentSettings | None = None
    radio: RadioSettings = RadioSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    watch: WatchSettings = WatchSettings()
    buffer: BufferSettings = BufferSettings()
    now: NowSettings = NowSettings()
    audit: AuditSettings = AuditSettings()
    notifier: NotifierSettings = NotifierSettings()
    fleet: FleetSettings = FleetSettings()
    clock: ClockSettings = ClockSettings()
    patients: Annotated[list[PatientSettings], Meta(min_length=1, max_length=MOST_PATIENTS)]
    devices: Annotated[list[DeviceSettings], Meta(max_length=MOST_DEVICES)] = []
    relays: Annotated[list[RelaySettings], Meta(max_length=MOST_PATIENTS)] = []


def packaged_protocols() -> tuple[str, ...]:
    """Return the names of the protocols that ship with the program."""
    folder = files("configs").joinpath("protocols")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def load_protocol(name: str, folder: Path) -> CareProtocol:
    """Return the packaged protocol of that name, or the one in the file it names (relative to `folder`).

    Raises:
        ProtocolError: the protocol has faults.
        OSError: there is no such file.
    """
    return read_protocol(_protocol_bytes(name, folder), name_hint=name, packs=_packs((folder / name).parent))


def look_at_protocol(name: str, folder: Path) -> Checked:
    """Return everything that there is to say about a protocol, found as `load_protocol` finds it.

    Raises:
        OSError: there is no such file.
    """
    return check_protocol(_protocol_bytes(name, folder), packs=_packs((folder / name).parent))


def _packs(folder: Path) -> Packs:
    """Return what finds the packs of a protocol: those that ship, and those that lie in its folder."""

    def find(name: str) -> bytes:
        try:
            return _protocol_bytes(name, folder)
        except OSError as error:
            raise LookupError(name) from error

    return find


def _protocol_bytes(name: str, folder: Path) -> bytes:
    if name in packaged_protocols():
        return files("configs").joinpath("protocols").joinpath(f"{name}.toml").read_bytes()
    return read_bounded(folder / name, MOST_CHARACTERS)


def read_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: with every fault found.
    """
    faults = Faults()
    settings = _read(path, faults)
    if settings is None or faults.found:
        raise SettingsError(str(path), tuple(faults.found))
    return settings


def _read(path: Path, faults: Faults) -> Settings | None:
    name = path.name
    try:
        text = read_bounded(path, MOST_CHARACTERS).decode()
        raw = parse_toml(text)
        found = msgspec.convert(raw, _File, strict=True, dec_hook=_decode)
    except OSError as error:
        faults.add(name, f"ne peut pas être lu ({error.strerror})", f"cannot be read ({error.strerror})")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.add(name, f"n'est pas du TOML ({error})", f"is not TOML ({error})")
    except msgspec.ValidationError as error:
        faults.add(*in_words(error, file=name))
    else:
        settings = _check(found, path.resolve().parent, faults)
        return replace(settings, fingerprint=hashlib.sha256(text.encode()).hexdigest())
    return None


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and "\0" not in value:
        return Path(value)
    raise msgspec.ValidationError(f"expected {kind.__name__}, got {str(value)[:60]!r}")


def _check(found: _File, folder: Path, faults: Faults) -> Settings:
    if not valid_box(found.box):
        faults.add("box", "3 à 48 caractères a-z, 0-9 et -, comme box-0001", "3 to 48 of a-z, 0-9, -, such as box-0001")
    vault = found.vault
    if (vault.key_file is None) == (vault.credential is None):
        faults.add("vault", "donner soit key_file, soit credential", "give either key_file or credential")
    if 2 * found.buffer.alert_reserve_mib > found.buffer.cap_mib:
        faults.add(
            "buffer.alert_reserve_mib",
            f"au plus la moitié de cap_mib ({found.buffer.cap_mib})",
            f"at most half of cap_mib ({found.buffer.cap_mib})",
        )
    if 0 < found.buffer.ballast_mib < LEAST_BALLAST_MIB:
        faults.add(
            "buffer.ballast_mib",
            f"0, ou au moins {LEAST_BALLAST_MIB} : moins ne suffit pas à faire de la place",
            f"0, or at least {LEAST_BALLAST_MIB}: less is not enough to make room",
        )
    patients = _patients(found, folder, faults)
    declared = [item.pseudonym for item in found.patients]
    assignments = Assignments(declared=declared, patients=patients, faults=faults)
    sound = found.notifier.sound
    notifier = msgspec.structs.replace(found.notifier, sound=None if sound is None else folder / sound)
    _reaches_somebody(found.now, notifier, patients, faults)
    broker, identity = found.broker, found.identity
    return Settings(
        box=found.box,
        state=folder / found.state,
        broker=msgspec.structs.replace(
            broker, ca=folder / broker.ca, certificate=folder / broker.certificate, key=folder / broker.key
        ),
        identity=msgspec.structs.replace(
            identity,
            signing_key=folder / identity.signing_key,
            team_keys=folder / identity.team_keys,
            opening_key=None if identity.opening_key is None else folder / identity.opening_key,
        ),
        vault=VaultSettings(
            key_file=None if vault.key_file is None else folder / vault.key_file, credential=vault.credential
        ),
        radio=found.radio,
        forwarder=found.forwarder,
        watch=found.watch,
        now=found.now,
        audit=found.audit,
        notifier=notifier,
        fleet=FleetSettings(metrics=None if found.fleet.metrics is None else folder / found.fleet.metrics),
        clock=found.clock,
        buffer=found.buffer,
        patients=tuple(patients.values()),
        devices=assignments.devices(found.devices),
        relays=assignments.relays(found.relays, folder),
        enrolment=found.enrolment,
    )


def _reaches_somebody(
    now: NowSettings, notifier: NotifierSettings, patients: dict[str, Patient], faults: Faults
) -> None:
    """Refuse rules meant for the patient or a carer at once when nobody is there to tell them."""
    for patient in patients.values():
        rules = [rule.id for rule in patient.protocol.rules if rule.audience is Audience.PATIENT_NOW]
        if rules and now.relay is None and not notifier.is_on:
            names = ", ".join(rules)
            faults.add(
                "now.relay",
                f"{patient.protocol.name} s'adresse tout de suite au patient ou à un aidant ({names}) : dire qui les "
                "prévient, ou donner une voix au boîtier ([notifier])",
                f"{patient.protocol.name} is meant for the patient or a carer at once ({names}): say who tells "
                "them, or give the box a voice ([notifier])",
            )


def _patients(found: _File, folder: Path, faults: Faults) -> dict[str, Patient]:
    patients: dict[str, Patient] = {}
    for number, item in enumerate(found.patients, 1):
        where, name = f"patients[{number}]", item.pseudonym
        if not _PSEUDONYM.fullmatch(name) or name == UNATTRIBUTED:
            faults.add(
                f"{where}.pseudonym",
                "3 à 48 caractères a-z, 0-9 et -, jamais un nom",
                "3 to 48 of a-z, 0-9 and -, never a name",
            )
        if name in patients:
            faults.add(f"{where}.pseudonym", f"« {name} » y est deux fois", f"'{name}' is there twice")
        zone = _zone(f"{where}.time_zone", item.time_zone, faults)
        protocol = _protocol(f"{where}.protocol", item.protocol, folder, faults)
        # It may be meant for the patient at once without anybody to tell them: it tells nobody.
        shadow = None if item.shadow is None else _protocol(f"{where}.shadow", item.shadow, folder, faults)
        if shadow is not None and protocol is not None and shadow.protocol_hash == protocol.protocol_hash:
            faults.add(
                f"{where}.shadow",
                f"« {item.shadow} » est le protocole déjà appliqué à {name} : rien à comparer",
                f"'{item.shadow}' is the protocol that {name} is judged by already: there is nothing to compare",
            )
        for key, one in (("protocol", protocol), ("shadow", shadow)):
            if one is not None and one.asked:
                faults.add(
                    f"{where}.{key}",
                    f"« {one.name} » juge des réponses à un questionnaire, que l'équipe seule reçoit : le choisir sur "
                    "la page du patient, et ici un protocole de mesures",
                    f"'{one.name}' judges answers to a questionnaire, which only the team receives: choose it on the "
                    "patient's page, and a protocol of measurements here",
                )
        if zone is not None and protocol is not None:
            patients[name] = Patient(pseudonym=name, protocol=protocol, zone=zone, shadow=shadow)
    return patients


def _zone(where: str, name: str, faults: Faults) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.add(
            where,
            f"« {name} » n'est pas un fuseau IANA comme Europe/Paris",
            f"'{name}' is not an IANA time zone such as Europe/Paris",
        )
        return None


def _protocol(where: str, name: str, folder: Path, faults: Faults) -> CareProtocol | None:
    try:
        return load_protocol(name, folder)
    except OSError:
        names = ", ".join(packaged_protocols())
        faults.add(
            where,
            f"« {name} » n'est ni un fichier ni l'un de {names}",
            f"'{name}' is neither a file nor one of {names}",
        )
    except ProtocolError as error:
        for fault in error.faults:
            faults.add(f"{where} {name}", fault.message.fr, fault.message.en)
    return None
