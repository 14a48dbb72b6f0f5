"""The buffer of the box as one process: its store, its forwarder and its link, as `veilleur run` joins them.

Told safe: `Store.accept` returned, the transaction is on the disk. What arrived while one was being written goes into
the next together, as in the box. The keys, the settings of the buffer and those of the forwarder are those that ship.

    python -m benchmarks.peers_programs.box FOLDER PORT

FOLDER has the box's signing key, its certificate and the team's keys; what it keeps lies in FOLDER/box.
"""

import asyncio
import sqlite3
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from agent.counts import Counts
from agent.errors import BufferFullError
from agent.forwarder import Forwarder
from agent.presence import Presence
from agent.room import limits_of
from agent.settings import BufferSettings, ForwarderSettings
from agent.store import Arrival, Store
from agent.store_thread import StoreThread
from agent.vault import Vault
from benchmarks.peers_record import DEVICE, PATIENT, count_of, measured_at
from devices.clock import SystemClock
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity
from exchange.connection import LinkSettings
from exchange.identity import SigningKey, read_team_keys
from exchange.link import Link
from exchange.sealing import Sealer

BOX = "box-0001"
MOST = 500
"""Readings in one transaction, at most."""


def reading(number: int) -> Reading:
    """Return the reading that the record's text says."""
    at, count = measured_at(number), count_of(number)
    return Reading(
        quantity=Quantity.PULSE_RATE,
        count=count,
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at + 40,
        device=DEVICE,
        key=str(at),
        provenance=Provenance(
            source="device", value=str(count / 10), unit=Unit.PER_MINUTE, frame=count.to_bytes(2, "little")
        ),
    )


async def numbers(lines: asyncio.StreamReader) -> tuple[int, ...]:
    """Return the numbers of the records that came since the last time, up to `MOST`; nothing at the end."""
    found: list[int] = []
    while len(found) < MOST:
        try:
            # The first is waited for; of the others, those are taken that are there.
            async with asyncio.timeout(0 if found else None):
                line = await lines.readline()
        except TimeoutError:
            break
        if not line:
            break
        found.append(int(line.split(b" ", 1)[0]))
    return tuple(found)


async def keep(lines: asyncio.StreamReader, store: StoreThread, sealer: Sealer, forwarder: Forwarder) -> None:
    """Keep what is given until the end of the input, and answer each record."""
    while batch := await numbers(lines):
        arrivals = [Arrival(patient=PATIENT, reading=reading(number)) for number in batch]
        safe = True
        try:
            await store.call(Store.accept, arrivals, sealer, now_ms=measured_at(batch[-1]))
        except (BufferFullError, sqlite3.Error):
            safe = False
        print("".join(f"{number} {int(safe)}\n" for number in batch), end="", flush=True)
        forwarder.kick()


async def run(folder: Path, port: int) -> None:
    clock, counts = SystemClock(), Counts()
    signing, team = SigningKey.load(folder / "signing.key"), read_team_keys(folder / "team.json")
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with AsyncExitStack() as stack:
        store = StoreThread()
        limits = limits_of(BufferSettings())
        vault = Vault((folder / "kek").read_bytes(), box=BOX)
        await store.open(lambda: Store(folder / "box" / "veilleur.db", vault, now_ms=measured_at(0), limits=limits))
        stack.push_async_callback(store.close)
        epoch = await store.call(Store.this_epoch)
        presence = Presence(box=BOX, epoch=epoch, version="0", signing_key=signing, clock=clock)
        settings = LinkSettings(
            host="127.0.0.1",
            port=port,
            client_id=BOX,
            ca=folder / "ca.pem",
            certificate=folder / "box.pem",
            key=folder / "box.key",
            session_expiry_s=3600,
            clean_start=False,
            will=presence.will,
            retry_first_s=1.0,
            retry_cap_s=1.0,
        )
        link = await stack.enter_async_context(Link(settings))
        forwarder = Forwarder(
            store=store,
            link=link,
            box=BOX,
            signers=team.signers(),
            settings=ForwarderSettings(),
            presence=presence,
            clock=clock,
            counts=counts,
        )
        sealer = Sealer(box=BOX, signing_key=signing, recipients=team.recipients)
        sending = asyncio.create_task(forwarder.run(), name="forwarder")
        print("ready", flush=True)
        await keep(lines, store, sealer, forwarder)
        sending.cancel()
        await asyncio.wait([sending])


def main() -> None:
    folder, port = sys.argv[1:]
    asyncio.run(run(Path(folder), int(port)))


main()
