"""Run as a program: orders a protocol over and over, and kills the box with SIGKILL at another step each time.

    power_cuts.py FOLDER [EVERY]

Steps are every statement that the box gives SQLite from the arrival of the order on, and every fsync and rename of a
file. Each life of the box is a process of its own, forked from this one, which has nothing open. Prints one JSON line a
cut: what lay on the disk, and what the next life came to; the last line is of a life that was not cut.
"""

import asyncio
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from agent.store import Store
from agent.store_reader import StoreReader
from agent.vault import Vault
from alerting import snapshot
from exchange.command_answers import AnswerState
from exchange.commands import CommandKind
from exchange.messages import AlertRecord
from tests.agent.command_kit import Box, Keys, body_of, box, protocol_text
from tests.agent.kit import BOX, MINUTE, PATIENT, START, glucose
from tests.exchange.office import NURSE, PHYSICIAN, Office

HYPO = tuple(glucose("65", minute) for minute in range(0, 35, 5))
TEXT = protocol_text(2, ("70 mg/dL", "60 mg/dL"))


class Cut:
    """Ends this process at its `number`th step, as a power cut would; 0: never."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._steps = 0

    def step(self, *_: object) -> None:
        self._steps += 1
        if self._steps == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*args: Any, **kwargs: Any) -> Any:
            self.step()
            done = call(*args, **kwargs)
            self.step()
            return done

        return cut

    async def watch(self, running: Box) -> None:
        await running.store.call(lambda store: store._connection.set_trace_callback(self.step))
        os.fsync, os.replace = self.around(os.fsync), self.around(os.replace)


async def begin(folder: Path, office: Office, keys: Keys) -> None:
    """A box with an alert that the ordered protocol ends."""
    async with box(folder, office, keys) as running:
        await running.gives(*HYPO)


async def obey(folder: Path, office: Office, keys: Keys, data: bytes, number: int) -> None:
    async with box(folder, office, keys, now=START + 31 * MINUTE) as running:
        await Cut(number).watch(running)
        answer = await running.ordered(data)
        assert answer.state is AnswerState.APPLIED
        await running.judging.settled()


def on_disk(folder: Path) -> dict[str, object]:
    """What the database says before any program put it right."""
    reader = StoreReader.open(folder / "state" / "veilleur.db", Vault(bytes(range(32)), box=BOX))
    try:
        ordered = reader.commands.protocol(PATIENT)
        digest = reader._vault.digest("stream", PATIENT)
        number, body = reader._connection.execute("select id, body from stream where digest = ?", (digest,)).fetchone()
        engine = snapshot.read(reader._vault.open("stream", number, body)).protocol_hash
        standing = [one.rule for one in reader.standing_alerts()]
    finally:
        reader.close()
    return {
        "ordered": None if ordered is None else ordered.protocol_hash,
        "engine": engine,
        "standing": standing,
    }


async def after(folder: Path, office: Office, keys: Keys, data: bytes) -> dict[str, object]:
    """What the next life comes to, when the team sends again what was not answered."""
    async with box(folder, office, keys, now=START + 32 * MINUTE) as running:
        answer = await running.ordered(data)
        await running.judging.settled()
        ordered = await running.store.call(Store.ordered_protocol, PATIENT)
        protocol = running.judging.protocol_of(PATIENT)
        entries = await running.store.call(Store.waiting, limit=1000)
        numbers = sorted(n for entry in entries for n in range(entry.first, entry.last + 1))
        return {
            "answer": answer.state.value,
            "told_hash": answer.protocol_hash,
            "judged_by": "" if protocol is None else protocol.protocol_hash,
            "ordered": None if ordered is None else ordered.protocol_hash,
            "standing": [one.rule for one in await running.standing()],
            "alerts": [(one.kind.value, one.rule) for one in await running.records() if isinstance(one, AlertRecord)],
            "contiguous": numbers == list(range(len(numbers))),
            "copies": len(list((folder / "state" / "protocols").iterdir())),
        }


def lived(life: Callable[[], Any]) -> tuple[int, Any]:
    """Run one life in a process of its own; return its wait status and what it returned."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            result = life()
            with os.fdopen(write, "wb") as file:
                pickle.dump(result, file)
        except BaseException as error:  # noqa: BLE001 - printed, and the status says so
            sys.stderr.write(repr(error))
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        content = file.read()
    _, status = os.waitpid(pid, 0)
    return status, pickle.loads(content) if content else None


def running(life: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(life)


def main(root: Path, every: int) -> int:
    office, keys = Office(), Keys()
    command = office.command(CommandKind.PROTOCOL, body_of(TEXT), subject=PATIENT)
    data = office.sealed(command, keys.opening, NURSE, PHYSICIAN)
    number = 1
    while True:
        folder = root / str(number)
        folder.mkdir()
        status, _ = lived(lambda: running(begin(folder, office, keys)))  # noqa: B023 - run before the next turn
        if status != 0:
            return 1
        status, _ = lived(lambda: running(obey(folder, office, keys, data, number)))  # noqa: B023
        cut = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not cut and status != 0:
            return 1
        _, disk = lived(lambda: on_disk(folder))  # noqa: B023
        _, next_life = lived(lambda: running(after(folder, office, keys, data)))  # noqa: B023
        print(json.dumps({"step": number, "cut": cut, "disk": disk, "after": next_life}), flush=True)
        if not cut:
            return 0
        number += every


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
