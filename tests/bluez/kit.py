"""A machine with BlueZ but no radio: a private D-Bus, bluezoo in BlueZ's place, and devices on a second adapter.

Everything runs in processes of its own; the box's side runs in the test, whose environment names the private bus.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bleak.backends.bluezdbus import manager as bleak_manager
from dbus_fast import Message, Variant

from devices.bluez_bus import system_bus
from simulators.dbus_daemon import DBusUnavailableError, find_dbus_daemon

HERE = Path(__file__).parent
BOX = "00:11:22:33:44:55"
DEVICE = "C4:B0:00:00:00:01"
ADAPTER = "org.bluez.Adapter1"
WITHIN = 10.0
"""Real seconds after which a test gives up waiting."""

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"""


def cannot_run(reason: str) -> None:
    """Skip where this tier cannot run, unless the environment says that nothing is skipped."""
    if os.environ.get("VEILLEUR_NO_SKIP"):
        pytest.fail(f"the BlueZ tier cannot run and must not be skipped: {reason}")
    pytest.skip(f"the BlueZ tier cannot run: {reason}")


class Process:
    """A program whose output lines are kept, and waited for."""

    def __init__(self, process: asyncio.subprocess.Process, err: Path) -> None:
        self.process = process
        self.lines: list[str] = []
        self._err = err
        self._more = asyncio.Condition()
        self._ended = False
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            async with self._more:
                self.lines.append(line.decode().strip())
                self._more.notify_all()
        async with self._more:
            self._ended = True
            self._more.notify_all()

    async def until(self, true: Callable[[list[str]], bool]) -> None:
        """Wait until what was said makes something true; a program that ended says why it never will be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN), self._more:
                await self._more.wait_for(lambda: true(self.lines) or self._ended)
        assert true(self.lines), f"{self.lines}\n{self._err.read_text()}"

    async def tell(self, **command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        await self.process.stdin.drain()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader


@dataclass
class Device:
    """One device on the second adapter."""

    process: Process

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.process.lines]

    async def until(self, event: str, characteristic: str, *, times: int = 1) -> dict[str, Any]:
        def found(lines: list[str]) -> list[dict[str, Any]]:
            events = map(json.loads, lines)
            return [item for item in events if (item["event"], item.get("characteristic")) == (event, characteristic)]

        await self.process.until(lambda lines: len(found(lines)) >= times)
        return found(self.process.lines)[-1]

    async def push(self, characteristic: str, value: bytes) -> None:
        await self.process.tell(push=characteristic, value=value.hex())

    async def hang_up(self) -> None:
        await self.process.tell(hang_up=True)


@dataclass
class Machine:
    """What a test has: start, kill and start again what a real machine runs."""

    folder: Path
    stack: AsyncExitStack
    environment: dict[str, str] = field(default_factory=dict)

    async def start(self, *command: str, environment: dict[str, str] | None = None) -> Process:
        err = self.folder / f"{Path(command[0]).name}-{len(list(self.folder.iterdir()))}.err"
        with err.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env={**os.environ, **self.environment, **(environment or {})},
            )
        started = Process(process, err)
        self.stack.push_async_callback(started.kill)
        return started

    async def bluez(self, *, ask: str = "nothing", forgetful: bool = False) -> Process:
        """Start BlueZ; pairing asks the agent for `ask`, such as "passkey:123456"; devices may forget their bonds."""
        started = await self.start(
            sys.executable,
            str(HERE / "bluezoo_launcher.py"),
            *("--adapter", BOX, "--adapter", DEVICE, "--ask", ask),
            *(("--forgetful",) if forgetful else ()),
        )
        await started.until(lambda lines: "ready" in lines)
        return started

    async def device(self, services: dict[str, dict[str, dict[str, Any]]], *, name: str) -> Device:
        """Start a device with these services and characteristics."""
        wanted = {"adapter": "hci1", "name": name, "services": services, "advertised": [next(iter(services))]}
        started = await self.start(sys.executable, str(HERE / "peripheral.py"), json.dumps(wanted))
        await started.until(lambda lines: any('"ready"' in line for line in lines))
        return Device(started)

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: object) -> list[Any]:
        """Call BlueZ as another program would."""
        async with system_bus() as bus:
            return await bus.call(path, interface, member, signature, *body)

    async def power(self, adapter: str, *, on: bool) -> None:
        arguments = ("org.bluez.Adapter1", "Powered", Variant("b", on))
        await self.call(f"/org/bluez/{adapter}", "org.freedesktop.DBus.Properties", "Set", "ssv", *arguments)

    async def until(self, name: str, value: object) -> None:
        """Wait until the box's adapter has a property: "Discovering" while it scans, "Pairable" while agents answer."""
        found = asyncio.Event()

        def look_at(message: Message) -> None:
            if message.member == "PropertiesChanged" and message.body[0] == ADAPTER:
                changed = message.body[1].get(name)
                if changed is not None and changed.value == value:
                    found.set()

        async with system_bus() as bus:
            bus.listen(look_at)
            await bus.match(f"sender='org.bluez',member='PropertiesChanged',path='/org/bluez/hci0',arg0='{ADAPTER}'")
            (properties,) = await bus.call("/org/bluez/hci0", "org.freedesktop.DBus.Properties", "GetAll", "s", ADAPTER)
            if properties[name] != value:
                async with asyncio.timeout(WITHIN):
                    await found.wait()

    async def connect_and_die(self, device: str) -> None:
        """Open a link to a device as a program that is then killed."""
        started = await self.start(sys.executable, str(HERE / "dying_box.py"), device)
        await started.until(lambda lines: "connected" in lines)
        await started.kill()


@asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[Machine]:
    """Run a D-Bus of one's own, and end everything that was started on it."""
    try:
        daemon = await asyncio.to_thread(find_dbus_daemon)
    except DBusUnavailableError as error:
        cannot_run(f"{error} {error.hint}")
        raise
    socket = folder / "bus"
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(socket=socket))
    async with AsyncExitStack() as stack:
        machine = Machine(folder, stack)
        started = await machine.start(
            str(daemon.binary),
            f"--config-file={config}",
            "--nofork",
            "--print-address=1",
            environment=daemon.environment(),
        )
        await started.until(lambda lines: any(line.startswith("unix:") for line in lines))
        machine.environment = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
        try:
            yield machine
        finally:
            await let_go_of_the_bus()


async def let_go_of_the_bus() -> None:
    """Close bleak's own connection of this event loop, which otherwise lives as long as the program does."""
    manager = bleak_manager._global_instances.pop(asyncio.get_running_loop(), None)
    if manager is not None and manager._bus is not None:
        manager._bus.disconnect()
        if manager._bus_watcher_task is not None:
            await asyncio.wait({manager._bus_watcher_task})
