"""Child processes of the simulated world: started, killed like a power cut, stopped in order.

Standard output comes as JSON lines, one event each; standard error goes to a log file that grows across restarts.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from simulators.errors import WorldError

Event = dict[str, object]
STOP_S = 10.0


def command(name: str) -> str:
    """Return one of our commands as installed beside the Python that runs."""
    return str(Path(sys.executable).with_name(name))


class Child:
    """One process of the world, which may be started again after it ended."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, on_event: Callable[[str, Event], None]
    ) -> None:
        """`arguments` follow `veilleur-sim`; `on_event` gets the process's name and each event it prints."""
        self.name = name
        self._arguments = tuple(arguments)
        self._log = folder / f"{name}.log"
        self._on_event = on_event
        self.environment: Mapping[str, str] = os.environ
        """What it is started with, from its next start on."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    async def start(self) -> None:
        """Start the process; it is under way when this returns, see `ready`."""
        self._ready.clear()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                command("veilleur-sim"),
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self.environment,
            )
        self._reader = asyncio.create_task(self._read(self._process), name=f"events of {self.name}")

    async def ready(self, *, within: float) -> None:
        """Return when the process said that it is ready.

        Raises:
            WorldError: it ended, or took longer than `within` real seconds.
        """
        waiting = asyncio.create_task(self._ready.wait())
        process = self._process
        if process is None or self._reader is None:
            raise WorldError(f"the {self.name} was not started")
        try:
            await asyncio.wait({waiting, self._reader}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not self._ready.is_set():
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            state = "is not ready" if process.returncode is None else "did not come up"
            raise WorldError(f"the {self.name} {state}: {lines[-1] if lines else 'it said nothing'}")

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in order; with SIGKILL when it does not end in time."""
        try:
            async with asyncio.timeout(STOP_S):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def tell(self, command: Event) -> None:
        """Send one command, a JSON line on its standard input."""
        process = self._process
        if process is None or process.stdin is None:
            raise WorldError(f"the {self.name} was not started")
        process.stdin.write(json.dumps(command).encode() + b"\n")
        await process.stdin.drain()

    async def _end(self, number: signal.Signals) -> None:
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return
        if process.returncode is None:
            process.send_signal(number)
        await process.wait()
        await reader

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "said", "line": line.decode(errors="replace").rstrip()}
            if event.get("event") == "ready":
                self._ready.set()
            self._on_event(self.name, event)


def say(event: Event) -> None:
    """Print one event on standard output, for the process that started this one."""
    print(json.dumps(event, ensure_ascii=False), flush=True)  # noqa: T201 - the channel between processes
