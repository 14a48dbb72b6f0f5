"""What waits at a box after an outage, until the team's database has it and the box knows: outbox to receipt.

The box's forwarder and its store are those of the box, in this process; mosquitto with mutual TLS, and one or two
workers of the inbox with one database, are processes of their own; so is PostgreSQL, which is made and started for it.
A week of a glucose sensor waits one reading an envelope, as it was kept; a week at one value a second waits 600 an
envelope, as dense streams are. The clock starts when every worker is ready and the box is connected.

DRAIN=2016,604800, DRAIN_WORKERS=1,2 and DRAIN_ENGINES=sqlite,postgresql by default.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

from agent.counts import Counts
from agent.database import immediate
from agent.forwarder import Forwarder
from agent.presence import Presence
from agent.settings import ForwarderSettings
from agent.store import Store
from agent.store_thread import StoreThread
from agent.vault import Vault
from benchmarks.figure import machine
from coordination.place import Place
from coordination.team_database import connect_to_read
from devices.clock import SystemClock
from devices.reading import ClockTrust, Quantity, Unit, Validity
from exchange.connection import LinkSettings
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.link import Link
from exchange.messages import ObservationRecord
from exchange.sealing import LANE_DENSE, LANE_SPARSE, Sealer
from simulators.broker import Broker
from simulators.postgres import Postgres

RECORDS = tuple(int(count) for count in os.environ.get("DRAIN", "2016,604800").split(","))
WORKERS = tuple(int(count) for count in os.environ.get("DRAIN_WORKERS", "1,2").split(","))
ENGINES = tuple(os.environ.get("DRAIN_ENGINES", "sqlite,postgresql").split(","))
BOX, PATIENT = "box-0001", "patient-7f3a"
BEGAN = 1_763_800_000_000
DENSE = 600
FEW = 10_000
"""Up to here records are kept one an envelope."""


def record(number: int, step_ms: int) -> ObservationRecord:
    """One value of a stream or of a sensor, `step_ms` after the one numbered before it."""
    at = BEGAN + number * step_ms
    # A sensor dates its readings; a value of a stream is of when it was heard.
    heard_at = at if step_ms < 60_000 else at + 40
    count = 700 + (number * 7919) % 600
    return ObservationRecord(
        patient=PATIENT,
        quantity=Quantity.PULSE_RATE,
        count=count,
        unit=Unit.PER_MINUTE,
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=heard_at,
        device="C4:B0:00:00:00:01",
        key=f"{at}",
        quality=0,
        source="device",
        device_value=str(count / 10),
        device_unit=Unit.PER_MINUTE,
        device_time=None,
        frame=count.to_bytes(2, "little"),
    )


class Team:
    """The team's folder: keys and settings for its workers."""

    def __init__(self, folder: Path, broker: Broker, database: Place) -> None:
        self.folder = folder
        self.opening, self.receipt, self.box = OpeningKey.generate(), SigningKey.generate(), SigningKey.generate()
        self.opening.save(folder / "opening.key")
        self.receipt.save(folder / "receipt.key")
        place = {broker.certificates.client(f"inbox-{number}").certificate.parent for number in (1, 2)}.pop()
        self.config = folder / "desk.toml"
        self.database = database
        self.config.write_text(
            f"[broker]\nhost = '{broker.host}'\nport = {broker.port}\nca = '{broker.certificates.ca}'\n"
            f"certificate = '{place}/{{worker}}.pem'\nkey = '{place}/{{worker}}.key'\n\n"
            f"[inbox]\ndatabase = '{database}'\nopening_keys = ['opening.key']\nreceipt_key = 'receipt.key'\n\n"
            f"[[boxes]]\nid = '{BOX}'\nsigning_keys = ['{self.box.public.hex()}']\n\n"
            f"[[patients]]\npseudonym = '{PATIENT}'\nbox = '{BOX}'\nfrom = 2025-11-01T00:00:00Z\n"
            "protocol = 'diabetes_cgm'\n",
            encoding="utf-8",
        )

    async def worker(self, number: int) -> asyncio.subprocess.Process:
        code = "from coordination.cli import main; main()"
        arguments = ("inbox", "--config", str(self.config), "--worker", f"inbox-{number}")
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *arguments, stderr=asyncio.subprocess.PIPE
        )

    def stored(self) -> int:
        connection = connect_to_read(self.database)
        try:
            return int(connection.execute("SELECT count(*) FROM observation").fetchone()[0])
        finally:
            connection.close()


def fill(store: Store, sealer: Sealer, records: int) -> None:
    """Let the records wait, sealed, as the box keeps them."""
    lane, size, step_ms = (LANE_SPARSE, 1, 300_000) if records <= FEW else (LANE_DENSE, DENSE, 1000)
    for first in range(0, records, 20 * size):
        with immediate(store._connection):  # noqa: SLF001 - what waits, without the readings that it was made of
            for at in range(first, min(records, first + 20 * size), size):
                batch = [record(number, step_ms) for number in range(at, min(records, at + size))]
                store.outbox.add(batch, lane, sealer, now_ms=BEGAN)


@contextmanager
def database_on(engine: str, folder: Path) -> Iterator[Place]:
    """Yield where a new database is; a server is there for as long as the block lasts."""
    if engine == "sqlite":
        yield folder / "desk.db"
        return
    with Postgres(folder / "postgres", settings={"shared_buffers": "256MB", "max_wal_size": "2GB"}) as server:
        yield server.new_database("drained")


async def drain(folder: Path, *, records: int, workers: int, engine: str) -> dict[str, object]:
    """Return how long it took to seal and keep the records, and to drain them."""
    with Broker(folder / "broker") as broker, database_on(engine, folder) as place:
        team = Team(folder, broker, place)
        async with AsyncExitStack() as stack:
            store = StoreThread()
            await store.open(lambda: Store(folder / "box.db", Vault(bytes(32), box=BOX), now_ms=BEGAN))
            stack.push_async_callback(store.close)
            recipients = [Recipient.of(team.opening, RecipientRole.TEAM)]
            sealer = Sealer(box=BOX, signing_key=team.box, recipients=recipients)
            began = time.perf_counter()
            await store.call(fill, sealer, records)
            sealed_s = time.perf_counter() - began
            processes = [await team.worker(number + 1) for number in range(workers)]
            for process in processes:
                stack.push_async_callback(_end, process)
                await _ready(process)
            drained_s, counts = await _drained(stack, broker, team, store)
        stored = team.stored()
    if stored != records:
        raise RuntimeError(f"{stored} of {records} records are in the team's database")
    return {
        "figure": "drain",
        "records": records,
        "workers": workers,
        "engine": engine,
        "sealed_s": round(sealed_s, 2),
        "drained_s": round(drained_s, 2),
        "records_a_second": round(records / drained_s),
        "refused_or_sent_again": counts,
        "machine": machine(),
    }


async def _drained(
    stack: AsyncExitStack, broker: Broker, team: Team, store: StoreThread
) -> tuple[float, dict[str, int]]:
    files, clock, counts = broker.certificates.client(BOX), SystemClock(), Counts()
    epoch = await store.call(Store.this_epoch)
    presence = Presence(box=BOX, epoch=epoch, version="0.1.0", signing_key=team.box, clock=clock)
    settings = LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=BOX,
        ca=files.ca,
        certificate=files.certificate,
        key=files.key,
        session_expiry_s=60,
        clean_start=False,
        will=presence.will,
    )
    link = await stack.enter_async_context(Link(settings))
    await link.wait_connected()
    forwarder = Forwarder(
        store=store,
        link=link,
        box=BOX,
        signers={team.receipt.id: team.receipt.public},
        settings=ForwarderSettings(),
        presence=presence,
        clock=clock,
        counts=counts,
    )
    # Until a worker is there to receive; what is sent before is refused with 0x10.
    while await link.publish(f"veilleur/v1/{BOX}/obs", b"nothing") != 0:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    began = time.perf_counter()
    work = asyncio.create_task(forwarder.run())
    while (await store.call(Store.backlog))[1]:  # noqa: ASYNC110 - as the account of the figures wants it
        await asyncio.sleep(0.02)
    took = time.perf_counter() - began
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return took, counts.take()


async def _ready(process: asyncio.subprocess.Process) -> None:
    """Return once a worker says that it is ready: what it does until then is no part of the figure."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if b"ready" in line:
            return
    raise RuntimeError("a worker ended instead of being ready")


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()


def figures() -> None:
    for records in RECORDS:
        for workers in WORKERS:
            for engine in ENGINES:
                with tempfile.TemporaryDirectory(prefix="veilleur-") as name:
                    line = asyncio.run(drain(Path(name), records=records, workers=workers, engine=engine))
                print(json.dumps(line, ensure_ascii=False), flush=True)
