"""Which protocol holds for each patient at the start, and which shadow: as the team ordered last, else the settings'.

The database says it. One that does not know, because it had to be given up and begun anew, takes it from the copy; a
copy that a power cut left behind is written again from the database.

Not here: a protocol ordered while the box runs (protocol_command).
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from agent.command_store import AppliedProtocol, CommandReader
from agent.logs import EVENT
from agent.protocol_copies import ProtocolCopies
from agent.settings import Assignment, Patient, Settings, Watched
from agent.store import Store
from agent.store_thread import StoreThread
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import check_protocol

logger = logging.getLogger(__name__)


def protocol_in(ordered: AppliedProtocol) -> CareProtocol | None:
    """Return an ordered protocol as this program reads it; None when this version refuses what an earlier one took."""
    return check_protocol(ordered.text.encode()).protocol


def as_ordered(patient: Patient, protocol: AppliedProtocol | None, shadow: AppliedProtocol | None) -> Patient:
    """Return a patient under what the team ordered; None: as the settings have it."""
    applied = None if protocol is None else protocol_in(protocol)
    if shadow is not None:
        patient = replace(patient, shadow=protocol_in(shadow) if shadow.text else None)
    return patient if applied is None else replace(patient, protocol=applied)


def with_orders(settings: Settings, commands: CommandReader) -> Settings:
    """Return the settings with each patient under what a database says that the team ordered."""
    names = [patient.pseudonym for patient in settings.patients]
    ordered = {name: (commands.protocol(name), commands.shadow(name)) for name in names}
    return _with_patients(settings, lambda patient: as_ordered(patient, *ordered[patient.pseudonym]))


def _with_patients(settings: Settings, change: Callable[[Patient], Patient]) -> Settings:
    changed = {patient.pseudonym: change(patient) for patient in settings.patients}

    def given(watched: Watched) -> tuple[Assignment, ...]:
        return tuple(replace(one, patient=changed[one.patient.pseudonym]) for one in watched.people)

    return replace(
        settings,
        patients=tuple(changed.values()),
        devices=tuple(replace(device, people=given(device)) for device in settings.devices),
        relays=tuple(replace(relay, people=given(relay)) for relay in settings.relays),
    )


async def ordered_protocols(
    settings: Settings, store: StoreThread, copies: ProtocolCopies | None, *, now_ms: int
) -> Settings:
    """Return the settings with the protocols that hold, and put right whichever of database and copy is behind."""
    found: dict[str, Patient] = {}
    if copies is not None:
        copies.tidy()
    for patient in settings.patients:
        name = patient.pseudonym
        ordered = await store.persist(Store.ordered_protocol, name)
        copy = None if copies is None else copies.read(name)
        if ordered is None and copy is not None:
            logger.warning(
                "the database knows no protocol that the team ordered: taken from its copy",
                extra={EVENT: "protocol_copy"},
            )
            await store.persist(Store.keep_ordered_protocol, copy, now_ms=now_ms)
            ordered = copy
        elif ordered is not None and copies is not None and copy != ordered:
            await copies.write(ordered)
        shadow = await store.persist(Store.ordered_shadow, name)
        found[name] = as_ordered(patient, ordered, shadow)
        if ordered is not None and protocol_in(ordered) is None:
            logger.error(
                "this version cannot read a protocol that the team ordered: the one in the settings is applied",
                extra={EVENT: "protocol_ordered"},
            )
    return _with_patients(settings, lambda patient: found[patient.pseudonym])
