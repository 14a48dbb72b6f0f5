"""Keeps a box's database as the newest step of its schema leaves it, for every later program to take up.

    python -m tests.agent.keep_database

writes `databases/step_NNNN.db`, unless it is there: once for each release, when its last step is decided.
"""

import shutil
import tempfile
from pathlib import Path

from sqlite_utils.db import Database

from agent.migrations import migrations
from agent.missing import Missing
from agent.outbox import next_seq
from agent.store import Arrival, Judgement
from devices.source import DeviceFacts
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer
from tests.agent.kit import BOX, PATIENT, START, arrivals, glucose, open_store, receipt, spo2, weight
from tests.agent.test_store import change

FOLDER = Path(__file__).parent / "databases"


def newest_step() -> str:
    """The number of the schema's last step, four digits."""
    return max(item.name for item in migrations.pending(Database(memory=True)))[:4]


def kept() -> Path:
    """Where the database of the newest step is kept."""
    return FOLDER / f"step_{newest_step()}.db"


def make(path: Path) -> None:
    """Make a database in which every table that a box fills in its first days has something."""
    sealer = Sealer(
        box=BOX,
        signing_key=SigningKey.generate(),
        recipients=[Recipient.of(OpeningKey.generate(), RecipientRole.TEAM)],
    )
    store = open_store(path)
    store.accept(arrivals(glucose("104", 0), glucose("99.5", 5)), sealer, now_ms=START)
    store.accept(arrivals(weight("82.1", 3), patient="patient-21c8"), sealer, now_ms=START)
    stray = Arrival(patient="to-be-attributed", reading=weight("70.0", 4), attributed=False)
    store.accept([stray], sealer, now_ms=START)
    judged = Judgement(patient=PATIENT, cursor=2, snapshot=b"snapshot", changes=(change(),))
    store.keep_judgement(judged, sealer, now_ms=START)
    store.keep_device_facts({"C4:B0:00:00:00:03": DeviceFacts(battery=80)}, now_ms=START)
    store.keep_counts({"receipt.signature": 1})
    store.receipted(receipt(store, (0, 1)), now_ms=START)
    lost = Missing()
    lost.add(START, START + 9000, 10, by_arrival=True)
    values = arrivals(*(spo2("97", second) for second in range(10)), patient="patient-21c8")
    store.accept_streamed(values, {"patient-21c8": lost}, sealer, now_ms=START)
    assert next_seq(store._connection) == 16
    store.close()


def main() -> None:
    if kept().exists():
        print(f"{kept()} is there.")
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "box.db")
        shutil.copy(Path(folder) / "box.db", kept())
    print(f"{kept()} is written: commit it.")


if __name__ == "__main__":
    main()
