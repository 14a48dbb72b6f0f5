"""What the box costs while it does what it does all day: memory, processor, wake-ups and bytes written, in real time.

A box and one worker of the inbox, each a process of its own as they run for good, over the simulated home and a real
broker with mutual TLS; their settings are the shipped ones, not the impatient ones of the demonstration. The devices
give their readings as often as real ones. The radio of this box is Bumble in its own process: on a real one BlueZ and
the kernel do that work elsewhere, so the box's own part is smaller than told here.

AT_REST_S=600 seconds by default, after AT_REST_SETTLE_S=60 in which it starts and fetches what devices had kept.
"""

import asyncio
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import machine
from simulators.clock import AcceleratedClock
from simulators.processes import Child, Event
from simulators.show import START
from simulators.world import World, WorldSettings

SECONDS = float(os.environ.get("AT_REST_S", "600"))
SETTLE_S = float(os.environ.get("AT_REST_SETTLE_S", "60"))
TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024
IMPATIENT = ("radio", "forwarder", "watch")
"""The tables of the demonstration's settings that a box at rest does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process has used since it began, and the memory it has now, as /proc tells (proc(5)).

    Attributes:
        resident: bytes, VmRSS.
        peak: bytes, VmHWM.
        proportional: bytes, Pss: pages that are shared count in part.
        cpu_s: user and system.
        waits: context switches because it had nothing to do: so often it was woken.
        preempted: context switches because another was to run.
        written: bytes that it had written to storage.
    """

    resident: int
    peak: int
    proportional: int
    cpu_s: float
    waits: int
    preempted: int
    written: int


def usage(pid: int) -> Usage:
    """Return what the process has used until now, all its threads together that are still there."""
    folder = Path("/proc", str(pid))
    status = _fields(folder / "status")
    threads = [_fields(task / "status") for task in (folder / "task").iterdir()]
    times = (folder / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return Usage(
        resident=status["VmRSS"] * KIB,
        peak=status["VmHWM"] * KIB,
        proportional=_fields(folder / "smaps_rollup")["Pss"] * KIB,
        cpu_s=(int(times[11]) + int(times[12])) / TICKS,
        waits=sum(thread["voluntary_ctxt_switches"] for thread in threads),
        preempted=sum(thread["nonvoluntary_ctxt_switches"] for thread in threads),
        written=_fields(folder / "io")["write_bytes"],
    )


def _fields(path: Path) -> Mapping[str, int]:
    """Return the numbers of a file of /proc by their names."""
    found = re.findall(r"^(\w+):\s+(\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(number) for name, number in found}


def at_rest(settings: str) -> str:
    """Return the box's settings without the tables that make it impatient, so as it ships."""
    for table in IMPATIENT:
        settings = re.sub(rf"^\[{table}\]\n(?:[^\[\n].*\n|\n)*", "", settings, flags=re.MULTILINE)
    return re.sub(r"^keepalive = .*\n", "", settings, flags=re.MULTILINE)


@contextmanager
def without_pandas(folder: Path) -> Iterator[None]:
    """Hide pandas from the processes that are started: no box has it, and sqlite-utils imports it where it is."""
    (folder / "sitecustomize.py").write_text('import sys\n\nsys.modules["pandas"] = None\n', encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class Watch:
    """One process, looked at again and again.

    Attributes:
        name: of the process in the figure.
        seen: what it had used each time, with the monotonic second.
    """

    def __init__(self, name: str, child: Child) -> None:
        self.name = name
        self._child = child
        self.seen: list[tuple[float, Usage]] = []

    def look(self) -> None:
        if self._child.pid is None:
            raise RuntimeError(f"the {self.name} has ended")
        self.seen.append((time.monotonic(), usage(self._child.pid)))

    def line(self) -> dict[str, object]:
        """Return the figure: what was used between the first look and the last, and the most memory of all looks."""
        (began, first), (ended, last) = self.seen[0], self.seen[-1]
        seconds = ended - began
        each = [
            60 * (after.cpu_s - before.cpu_s) / (there - here)
            for (here, before), (there, after) in zip(self.seen, self.seen[1:], strict=False)
        ]
        return {
            "figure": "at_rest",
            "process": self.name,
            "seconds": round(seconds),
            "rss_mib": round(max(look.resident for _, look in self.seen) / KIB**2, 1),
            "rss_peak_since_start_mib": round(last.peak / KIB**2, 1),
            "pss_mib": round(max(look.proportional for _, look in self.seen) / KIB**2, 1),
            "rss_grown_mib": round((last.resident - first.resident) / KIB**2, 2),
            "cpu_s_a_minute": round(60 * (last.cpu_s - first.cpu_s) / seconds, 3),
            "cpu_s_a_minute_most": round(max(each), 3),
            "wakeups_a_second": round((last.waits - first.waits) / seconds, 1),
            "preempted_a_second": round((last.preempted - first.preempted) / seconds, 1),
            "written_bytes_a_minute": round(60 * (last.written - first.written) / seconds),
        }


def _unheard(_: str, __: Event) -> None:
    """Let what the processes say pass."""


async def rest(folder: Path, *, settle_s: float, seconds: float) -> list[dict[str, object]]:
    """Return the lines of a box and of a worker that were left alone for so long."""
    clock = AcceleratedClock.starting_now(start_ms=round(START.timestamp() * 1000), speed=1.0)
    world = World(WorldSettings(folder=folder, clock=clock), on_event=_unheard)
    text = await asyncio.to_thread(world.agent_settings.read_text, encoding="utf-8")
    await asyncio.to_thread(world.agent_settings.write_text, at_rest(text), encoding="utf-8")
    async with world:
        await world.start()
        watches = [Watch("box", world.box), Watch("inbox worker", world.inboxes[0])]
        await asyncio.sleep(settle_s)
        began, stored = time.monotonic(), world.stored()
        while True:
            for watch in watches:
                watch.look()
            left = began + seconds - time.monotonic()
            if left <= 0:
                break
            await asyncio.sleep(min(60.0, left))
        readings = world.stored() - stored
    facts = {
        "readings": readings,
        "readings_before": stored,
        "settle_s": settle_s,
        "radio": "Bumble, in the box's process",
    }
    return [{**watch.line(), **facts} for watch in watches]


def figures() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="veilleur-") as name,
        tempfile.TemporaryDirectory() as hidden,
        without_pandas(Path(hidden)),
    ):
        lines = asyncio.run(rest(Path(name), settle_s=SETTLE_S, seconds=SECONDS))
    for line in lines:
        print(json.dumps({**line, "machine": machine()}, ensure_ascii=False), flush=True)
