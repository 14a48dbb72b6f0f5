"""A box's store at work under the shim, one life after the other: python -m tests.faults.workload < PLANS.

It does what the box does, with the unmodified store: keeps readings, judges, takes receipts, forgets, stops and starts
again, and tries again what the disk refused. What has returned is promised, and noted in the shim's trace. Each life
is a process of its own, forked from one that has imported everything.
"""

import ctypes
import os
import random
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.errors import BufferFullError, StoreError, VaultError
from agent.store import Judgement
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import Range
from exchange.receipts import Received
from exchange.sealing import Opener, Sealer
from tests.agent.kit import BOX, MINUTE, PATIENT, START, arrivals, glucose, open_store, spo2, weight

DATABASE = "veilleur.db"
ATTEMPTS = 3


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One promise: what the store had answered for by then.

    Attributes:
        readings: keys of the readings that are kept.
        alerts: ids of the alerts that are kept.
        cursor: row up to which was judged.
        snapshot: the engine's, as text.
        epoch: of the first opening of the database; the others have its lineage.
        next_seq: sequence number that comes next.
        receipted: sequence numbers for which a receipt was taken.
    """

    readings: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    cursor: int = 0
    snapshot: str = ""
    epoch: str = ""
    next_seq: int = 0
    receipted: tuple[int, ...] = ()


def make_keys(folder: Path) -> tuple[SigningKey, OpeningKey]:
    """Make the keys that a workload signs with and seals to."""
    folder.mkdir(mode=0o700)
    signing, opening = SigningKey.generate(), OpeningKey.generate()
    signing.save(folder / "signing.key")
    opening.save(folder / "opening.key")
    return signing, opening


def read_keys(folder: Path) -> tuple[SigningKey, OpeningKey]:
    return SigningKey.load(folder / "signing.key"), OpeningKey.load(folder / "opening.key")


def work(folder: Path, *, keys: Path, steps: int, seed: int, say: Callable[[Said], None]) -> None:
    """Do `steps` things with the store in `folder`."""
    signing, opening = read_keys(keys)
    sealer = Sealer(box=BOX, signing_key=signing, recipients=[Recipient.of(opening, RecipientRole.TEAM)])
    opener = Opener(keys=[opening], signer_of=lambda _box, _signer: signing.public)
    dice = random.Random(seed)
    store = open_store(folder / DATABASE)
    said = Said(epoch=store.this_epoch())
    say(said)
    minute = 0
    for step in range(steps):
        now = START + minute * MINUTE
        what = dice.choice(["accept", "accept", "stream", "judge", "judge", "receipt", "forget", "again", "repeat"])
        if what in {"accept", "stream"}:
            minute += 5
        for attempt in range(ATTEMPTS):
            try:
                match what:
                    case "accept" | "repeat":
                        readings = [glucose(str(60 + minute % 200), minute), weight("81.2", minute)]
                        store.accept(arrivals(*readings), sealer, now_ms=now)
                        kept = {f"{one.quantity}|{one.key}" for one in readings}
                        said = msgspec.structs.replace(said, readings=tuple(sorted({*said.readings, *kept})))
                    case "stream":
                        values = [spo2(f"{90 + second}", 60 * minute + second) for second in range(4)]
                        store.accept_streamed(arrivals(*values), {}, sealer, now_ms=now)
                        kept = {f"{one.quantity}|{one.key}" for one in values}
                        said = msgspec.structs.replace(said, readings=tuple(sorted({*said.readings, *kept})))
                    case "judge":
                        judged = store.unjudged(PATIENT)
                        cursor = judged[-1].row if judged else store.stream(PATIENT).cursor
                        judgement = Judgement(
                            patient=PATIENT, cursor=cursor, snapshot=f"engine {step}".encode(), changes=(_raised(step),)
                        )
                        store.keep_judgement(judgement, sealer, now_ms=now)
                        alerts = (*said.alerts, alert_of(step))
                        said = msgspec.structs.replace(said, alerts=alerts, cursor=cursor, snapshot=f"engine {step}")
                    case "receipt":
                        waiting = store.waiting(limit=1000)
                        some = random.Random(f"{seed} {step}").sample(waiting, k=min(len(waiting), 4))
                        for entry in some:
                            # Under the epoch that the entry says; no more than was given, so nothing was set back.
                            part = Received(
                                epoch=opener.open(entry.body, box=BOX).header.epoch,
                                ranges=(Range(first=entry.first, last=entry.last),),
                                high=entry.last,
                            )
                            store.receipted(part, now_ms=now)
                        freed = {seq for entry in some for seq in range(entry.first, entry.last + 1)}
                        said = msgspec.structs.replace(said, receipted=tuple(sorted({*said.receipted, *freed})))
                    case "forget":
                        store.forget_receipted(before_ms=now - 60 * MINUTE)
                    case "again":
                        store.close()
                        store = open_store(folder / DATABASE)
                said = msgspec.structs.replace(said, next_seq=store.backlog()[0])
            except (sqlite3.Error, BufferFullError):
                # The box waits a disk out that refuses; one that goes on refusing ends this life.
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                say(said)
                break
    store.close()


def alert_of(step: int) -> str:
    """Return the id of the alert that a step raises."""
    return f"{step + 1:032x}"


def _raised(step: int) -> AlertChange:
    return AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=alert_of(step),
        patient=PATIENT,
        rule="hypo_level_1",
        priority=Priority.MEDIUM,
        category=Category.CLINICAL,
        onset=START,
        raised_at=START + 10 * MINUTE,
        resolved_at=None,
        evidence=(),
        why=Sentence(fr="Glucose à 62 mg/dL.", en="Glucose at 62 mg/dL."),
        late=False,
        supersedes=None,
        protocol="diabetes_cgm",
        protocol_version=1,
        protocol_hash="0" * 64,
        engine_version="1",
    )


class Faults:
    """The shim that stands under this process."""

    def __init__(self) -> None:
        loaded = ctypes.CDLL(None)
        self._begin, self._mark = loaded.faults_begin, loaded.faults_mark
        self._begin.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int)
        self._mark.argtypes = (ctypes.c_char_p,)

    def begin(self, folder: Path, plan: "Plan") -> None:
        """Look at the files in a folder from now on; the trace lies beside it."""
        trace = folder.with_suffix(".trace")
        self._begin(f"{folder}/".encode(), str(trace).encode(), plan.fail_at, plan.errno, plan.lasting)

    def say(self, said: Said) -> None:
        """Note in the trace what is promised, where it is promised."""
        self._mark(msgspec.json.encode(said))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One life of a store.

    Attributes:
        folder: of its files, made for it.
        keys: folder of the keys.
        steps, seed: what is done.
        fail_at: which call fails, 0 for none.
        errno: with which error.
        lasting: every later call too.
    """

    folder: str
    keys: str
    steps: int
    seed: int
    fail_at: int = 0
    errno: int = 0
    lasting: bool = False


def live(plan: Plan, faults: Faults) -> int:
    """Live one life; return 0, or 3 when the disk failed in a way that the store does not wait out."""
    folder = Path(plan.folder)
    folder.mkdir(mode=0o700)
    faults.begin(folder, plan)
    try:
        work(folder, keys=Path(plan.keys), steps=plan.steps, seed=plan.seed, say=faults.say)
    except (sqlite3.Error, BufferFullError, StoreError, VaultError, OSError):
        return 3
    return 0


def main() -> int:
    """Live each plan of standard input (JSON lines) in a process of its own, and print how each ended."""
    faults = Faults()
    for line in sys.stdin:
        plan = msgspec.json.decode(line, type=Plan)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os._exit(live(plan, faults))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
