"""A patient with a history and a known protocol, and people who sign: what the workshop's tests are made of."""

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import msgspec
from django.test import Client

from alerting.care_protocol import CareProtocol
from alerting.protocol_file import read_protocol
from alerting.protocol_writer import write_protocol
from coordination import replay_worker, signing_keys
from coordination.database import Presence
from coordination.desk.access import Role
from coordination.desk.models import ProtocolDraft, ReplayJob, User
from coordination.desk.shared_database import acting
from coordination.handling import Handler
from coordination.person_key import Cost, PersonKey, new_wrapped_key
from coordination.protocol_sources import pack_bytes
from devices.reading import Quantity, Unit
from exchange.messages import ObservationRecord
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import BOX, HOUR, OTHER_BOX, OTHER_PATIENT, PATIENT, START, glucose

DAY = 24 * HOUR
ADDRESS = f"/patients/{OTHER_PATIENT}/protocole"
PINS = {Role.NURSE: "sommeil léger 7", Role.PHYSICIAN: "trois pommes vertes"}
CHEAP = Cost(memory_kib=19_456, passes=2)


def packaged(name: str) -> CareProtocol:
    """A protocol that ships."""
    return read_protocol(pack_bytes(name, Path("/nonexistent")), name_hint=name)


def weight(day: float, kg: float) -> ObservationRecord:
    """A weighing of the patient with heart failure, `day` days before START."""
    at = int(START - day * DAY)
    return glucose(
        0,
        patient=OTHER_PATIENT,
        quantity=Quantity.BODY_WEIGHT,
        count=round(kg * 1000),
        unit=Unit.KILOGRAM,
        measured_at=at,
        received_at=at + 1000,
        device="C4:B0:00:00:00:02",
        key=f"{at}:w",
        device_value=f"{kg:.1f}",
        device_unit=Unit.KILOGRAM,
    )


def waves(days: int) -> list[ObservationRecord]:
    """A daily weighing: quiet, with a gain of 1.7 kg in three days every four weeks, lost again within the week."""
    gained = {0: 0.6, 1: 1.2, 2: 1.7, 3: 1.7, 4: 0.9, 5: 0.2}
    return [weight(day, 82.0 + gained.get((days - day) % 28 - 14, 0.0) + 0.1 * (day % 2)) for day in range(days, 0, -1)]


def watched(desk: Desk, *, days: int = 60) -> CareProtocol:
    """Let the patient have a box that says which protocol it applies, and a history."""
    given = "2025-06-01T00:00:00Z"
    settings = desk.boxes.settings(
        (PATIENT, BOX, given, "diabetes_cgm"), (OTHER_PATIENT, OTHER_BOX, given, "heart_failure")
    )
    desk.database = desk.boxes.open_database(settings, at=START)
    protocol = packaged("heart_failure")
    desk.database.commands.keep_protocols({protocol.protocol_hash: write_protocol(protocol)}, at=START)
    status = desk.boxes.status(box=OTHER_BOX)
    status = msgspec.structs.replace(status, protocols={OTHER_PATIENT: protocol.protocol_hash})
    desk.boxes.store(desk.database, Presence(status=status, retained=False))
    if days:
        desk.receive(*waves(days), box=OTHER_BOX)
    return protocol


@dataclass
class Signer:
    """Somebody with an account, a browser and a signing key at the desk."""

    user: User
    client: Client
    key: PersonKey
    pin: str


def just_shown(client: Client) -> None:
    """Let whoever sits at a browser have just shown anew who they are."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()


def signer(desk: Desk, role: Role, *, name: str, pin: str = "") -> Signer:
    """Return somebody of a role with a key."""
    pin = pin or PINS[role]
    client = desk.client(role, name=name)
    just_shown(client)
    user = User.objects.get(name=name)
    wrapped = new_wrapped_key(name=name, pin=pin, cost=CHEAP)
    with acting() as database:
        key = signing_keys.keep_key(database, wrapped, by=Handler(name=name, row=user.pk), at=desk.clock.now)
    return Signer(user=user, client=client, key=key, pin=pin)


def draft_of() -> ProtocolDraft:
    """The draft, whatever its state."""
    return ProtocolDraft.objects.latest("pk")


def seen() -> dict[str, int]:
    """What a form says of the revision that its reader looked at."""
    return {"vu": draft_of().revision}


def begun(client: Client) -> ProtocolDraft:
    """Begin a draft from the pack for heart failure."""
    assert client.post(f"{ADDRESS}/commencer", {"pack": "heart_failure"}).status_code == 302
    return draft_of()


def changed(client: Client, **values: str) -> int:
    """Set numbers of the form; `rule__key` names one. Return the answer's status."""
    typed = {f"v.{name.replace('__', '.')}": value for name, value in values.items()}
    return client.post(f"{ADDRESS}/modifier", {**seen(), **typed}).status_code


def worked(desk: Desk) -> ReplayJob:
    """Let a worker do what waits, and return the newest job."""
    stop = Event()
    replay_worker.work(desk.boxes.database, stop, idle=stop.set)
    return ReplayJob.objects.latest("pk")
