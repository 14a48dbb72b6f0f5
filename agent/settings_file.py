"""Reading the box's settings file: strict, every fault of its meaning at once.

Unknown keys and wrong types are refused one at a time, paths are relative to the file's own folder, and each
patient's care protocol is read and checked here, so that `veilleur check` and `veilleur run` cannot disagree.
"""

import re
import tomllib
from datetime import UTC
from importlib.resources import files
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from agent.errors import SettingsError
from agent.settings import (
    BrokerSettings,
    Device,
    DeviceSettings,
    ForwarderSettings,
    IdentitySettings,
    NowSettings,
    Patient,
    PatientSettings,
    RadioSettings,
    Settings,
    VaultSettings,
    WatchSettings,
)
from alerting.alert import Sentence
from alerting.care_protocol import Audience, CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from devices.drivers import DRIVERS
from exchange.messages import UNATTRIBUTED
from exchange.topics import valid_box

_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}")
_PSEUDONYM = re.compile(r"[a-z0-9][a-z0-9-]{2,47}")


class _File(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    box: str
    state: Path
    broker: BrokerSettings
    identity: IdentitySettings
    vault: VaultSettings
    radio: RadioSettings = RadioSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    watch: WatchSettings = WatchSettings()
    now: NowSettings = NowSettings()
    patients: Annotated[list[PatientSettings], Meta(min_length=1)]
    devices: list[DeviceSettings] = []


class _Faults:
    """Every fault found so far, in both languages."""

    def __init__(self) -> None:
        self.found: list[Sentence] = []

    def add(self, key: str, fr: str, en: str) -> None:
        """Say what is wrong with a key."""
        self.found.append(Sentence(fr=f"{key} : {fr}.", en=f"{key}: {en}."))


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
    if name in packaged_protocols():
        data = files("configs").joinpath("protocols").joinpath(f"{name}.toml").read_bytes()
    else:
        data = (folder / name).read_bytes()
    return read_protocol(data, name_hint=name)


def read_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: with every fault found.
    """
    faults = _Faults()
    settings = _read(path, faults)
    if settings is None or faults.found:
        raise SettingsError(str(path), tuple(faults.found))
    return settings


def _read(path: Path, faults: _Faults) -> Settings | None:
    name = path.name
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        found = msgspec.convert(raw, _File, strict=True, dec_hook=_decode)
    except OSError as error:
        faults.add(name, f"ne peut pas être lu ({error.strerror})", f"cannot be read ({error.strerror})")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.add(name, f"n'est pas du TOML ({error})", f"is not TOML ({error})")
    except msgspec.ValidationError as error:
        faults.add(name, f"clé refusée ({error})", f"key refused ({error})")
    else:
        return _check(found, path.resolve().parent, faults)
    return None


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"expected {kind.__name__}")


def _check(found: _File, folder: Path, faults: _Faults) -> Settings:
    if not valid_box(found.box):
        faults.add("box", "3 à 48 caractères a-z, 0-9 et -, comme box-0001", "3 to 48 of a-z, 0-9, -, such as box-0001")
    vault = found.vault
    if (vault.key_file is None) == (vault.credential is None):
        faults.add("vault", "donner soit key_file, soit credential", "give either key_file or credential")
    patients = _patients(found, folder, faults)
    _reaches_somebody(found.now, patients, faults)
    broker, identity = found.broker, found.identity
    return Settings(
        box=found.box,
        state=folder / found.state,
        broker=msgspec.structs.replace(
            broker, ca=folder / broker.ca, certificate=folder / broker.certificate, key=folder / broker.key
        ),
        identity=IdentitySettings(signing_key=folder / identity.signing_key, team_keys=folder / identity.team_keys),
        vault=VaultSettings(
            key_file=None if vault.key_file is None else folder / vault.key_file, credential=vault.credential
        ),
        radio=found.radio,
        forwarder=found.forwarder,
        watch=found.watch,
        now=found.now,
        patients=tuple(patients.values()),
        devices=tuple(_devices(found, patients, faults)),
    )


def _reaches_somebody(now: NowSettings, patients: dict[str, Patient], faults: _Faults) -> None:
    """Refuse rules meant for the patient or a carer at once when nobody is there to tell them."""
    for patient in patients.values():
        rules = [rule.id for rule in patient.protocol.rules if rule.audience is Audience.PATIENT_NOW]
        if rules and now.relay is None:
            names = ", ".join(rules)
            faults.add(
                "now.relay",
                f"{patient.protocol.name} s'adresse tout de suite au patient ou à un aidant ({names}) : dire qui les "
                "prévient",
                f"{patient.protocol.name} is meant for the patient or a carer at once ({names}): say who tells them",
            )


def _patients(found: _File, folder: Path, faults: _Faults) -> dict[str, Patient]:
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
        if zone is not None and protocol is not None:
            patients[name] = Patient(pseudonym=name, protocol=protocol, zone=zone)
    return patients


def _zone(where: str, name: str, faults: _Faults) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.add(
            where,
            f"« {name} » n'est pas un fuseau IANA comme Europe/Paris",
            f"'{name}' is not an IANA time zone such as Europe/Paris",
        )
        return None


def _protocol(where: str, name: str, folder: Path, faults: _Faults) -> CareProtocol | None:
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


def _devices(found: _File, patients: dict[str, Patient], faults: _Faults) -> list[Device]:
    devices: list[Device] = []
    drivers = {driver.name: driver for driver in DRIVERS}
    declared = {item.pseudonym for item in found.patients}
    seen: set[str] = set()
    for number, item in enumerate(found.devices, 1):
        where, address = f"devices[{number}]", item.address
        if not _ADDRESS.fullmatch(address):
            faults.add(
                f"{where}.address",
                "six paires hexadécimales en majuscules, avec deux-points",
                "six pairs of upper-case hexadecimal digits with colons",
            )
        if address in seen:
            faults.add(f"{where}.address", f"« {address} » y est deux fois", f"'{address}' is there twice")
        seen.add(address)
        if item.patient not in declared:
            faults.add(
                f"{where}.patient",
                f"« {item.patient} » n'est pas parmi les patients",
                f"'{item.patient}' is not among the patients",
            )
        if item.given_on.tzinfo is None:
            faults.add(f"{where}.from", "donner le décalage, comme …08:00:00Z", "give the offset, such as …08:00:00Z")
        driver = drivers.get(item.driver)
        if driver is None:
            names = ", ".join(drivers)
            faults.add(f"{where}.driver", f"« {item.driver} » n'est pas l'un de {names}", f"must be one of {names}")
        elif item.patient in patients and item.given_on.tzinfo is not None:
            given_on = round(item.given_on.astimezone(UTC).timestamp() * 1000)
            devices.append(Device(address=address, driver=driver, patient=patients[item.patient], given_on=given_on))
    return devices
