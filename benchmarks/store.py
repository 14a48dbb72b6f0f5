"""How many readings a second the box keeps, and what one costs on the disk."""

import tempfile
import time
from decimal import Decimal
from pathlib import Path

from agent.store import Arrival, Store
from agent.vault import Vault
from benchmarks.figure import say
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity, to_counts
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer

ROUNDS = 3
START = 1_763_800_000_000


def arrival(number: int) -> Arrival:
    value = 80 + number * 37 % 120
    at = START + number * 300_000
    reading = Reading(
        quantity=Quantity.GLUCOSE_INTERSTITIAL,
        count=to_counts(Quantity.GLUCOSE_INTERSTITIAL, Decimal(value), Unit.MG_PER_DL),
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at,
        device="C4:B0:00:00:00:01",
        key=f"{START}:{number * 5}",
        provenance=Provenance(source="device", value=str(value), unit=Unit.MG_PER_DL, frame=bytes(13)),
    )
    return Arrival(patient="patient-7f3a", reading=reading)


def figures() -> None:
    sealer = Sealer(
        box="box-0001",
        signing_key=SigningKey.generate(),
        recipients=[Recipient.of(OpeningKey.generate(), RecipientRole.TEAM)],
    )
    for batch, total in ((1, 400), (60, 6000), (600, 18000)):
        rates, sizes, written = [], [], []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                path = Path(folder) / "veilleur.db"
                store = Store(path, Vault(bytes(32), box="box-0001"), now_ms=START)
                arrivals = [arrival(number) for number in range(total)]
                before, began = _written(), time.perf_counter()
                for at in range(0, total, batch):
                    store.accept(arrivals[at : at + batch], sealer, now_ms=START)
                rates.append(total / (time.perf_counter() - began))
                written.append((_written() - before) / total)
                store.close()
                sizes.append(path.stat().st_size / total)
        say("store.accepted", "readings/s", rates, batch=batch)
        say("store.on_disk", "bytes/record", sizes, batch=batch)
        say("store.written", "bytes/record", written, batch=batch)


def _written() -> int:
    """Bytes that this process had written to storage so far."""
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
