"""BlueZ's D-Bus interface without a radio: bluezoo as a process, repaired where it would mislead a box.

What bluezoo 1.0.2 does otherwise than BlueZ, and is put right here:

- a disconnect leaves the GATT objects behind, so that a second Connect cannot export them again;
- a disconnect leaves the characteristic notifying, so that a second StartNotify does nothing;
- a device that is heard again is not told of, as BlueZ does by its signal strength;
- a bond is noted under a name that is never read, so that `Bonded` stays false;
- one agent is the most there can be, and with the last of several the wrong one becomes the default;
- pairing asks no agent: here the default agent is asked what `--ask` says, and a device that is refused, or given
  the wrong code, is not bonded;
- an adapter that is switched off goes on scanning, and lets devices connect.

Started with the arguments of `main`; it says `ready` on its output. GPL-2.0 code runs here and in no other process.
"""

import argparse
import asyncio
import sys
from typing import Any

import sdbus
from bluezoo import bluezoo  # type: ignore[import-untyped]
from bluezoo import device as devices
from bluezoo import root as roots
from bluezoo.exceptions import (  # type: ignore[import-untyped]
    DBusBluezAuthenticationFailedError,
    DBusBluezAuthenticationRejectedError,
    DBusBluezFailedError,
    DBusBluezNotReadyError,
)

Device = devices.Device
STRENGTH = -48
"""How strong every device is heard, dBm."""

forgetful = "--forgetful" in sys.argv
"""Whether devices forget a bond as soon as the link over which it was made is closed."""

disconnect_as_made, connect_as_made, sync_as_made = Device.disconnect, Device.connect, Device.properties_sync
scan_as_made = bluezoo.BluezMockService.create_discovering_task


async def disconnect(self: Any, uuid: str | None = None) -> None:
    await self.ServicesResolved.set_async(False)
    for link in list(self.services.values()):
        notifying = getattr(link, "client_props_changed_subscription", None)
        if notifying is not None:
            notifying.unsubscribe()
            if link.client.Notifying.get(False):
                await link.client.StopNotify()
                link.client.Notifying.cache(False)
        self.peer_adapter.mock.remove_object(link)
    self.services.clear()
    await disconnect_as_made(self, uuid)


async def connect(self: Any, uuid: str | None = None) -> None:
    if not self.adapter.powered:
        raise DBusBluezNotReadyError("Resource Not Ready")
    if self.bonded and forgetful:
        # What BlueZ does with a device that answers "PIN or Key Missing" to our key.
        await self.Connected.set_async(True)
        await asyncio.sleep(0.01)
        await self.Connected.set_async(False)
        raise DBusBluezFailedError("le-connection-abort-by-local")
    await connect_as_made(self, uuid)


async def heard_again(self: Any, device: Any) -> None:
    await sync_as_made(self, device)
    self.properties_changed.emit(("org.bluez.Device1", {"RSSI": ("n", STRENGTH)}, []))


def scan(self: Any, number: int) -> Any:
    if not self.adapters[number].powered:
        raise DBusBluezNotReadyError("Resource Not Ready")
    return scan_as_made(self, number)


async def ask(agent: Any, path: str, kind: str, shown: str) -> bool:
    """Ask the agent; return whether it answered rightly. What it refuses comes as an error of D-Bus."""
    if kind == "passkey":
        return bool(await agent.RequestPasskey(path) == int(shown))
    if kind == "pin":
        return bool(await agent.RequestPinCode(path) == shown)
    if kind == "confirmation":
        await agent.RequestConfirmation(path, int(shown))
    elif kind == "authorization":
        await agent.RequestAuthorization(path)
    elif kind == "service":
        await agent.AuthorizeService(path, "00001810-0000-1000-8000-00805f9b34fb")
    elif kind == "display":
        await agent.DisplayPasskey(path, int(shown), 0)
        await agent.DisplayPasskey(path, int(shown), 1)
    elif kind == "display-pin":
        await agent.DisplayPinCode(path, shown)
    elif kind == "another":
        await agent.RequestAuthorization(path[:-2] + "99")
    elif kind == "cancelled":
        asked = asyncio.create_task(agent.RequestPasskey(path))
        await asyncio.sleep(0.05)
        await agent.Cancel()
        await asked
    return True


def pair_asking(question: str) -> Any:
    kind, _, shown = question.partition(":")

    async def pair(self: Any) -> None:
        agent = self.adapter.mock.root.agent
        if kind != "nothing" and (agent is None or agent.capability == "NoInputNoOutput"):
            raise DBusBluezAuthenticationRejectedError("Authentication Rejected")
        try:
            right = await ask(agent, self.get_object_path(), kind, shown)
        except sdbus.SdBusBaseError as refused:
            raise DBusBluezAuthenticationRejectedError("Authentication Rejected") from refused
        if not right:
            raise DBusBluezAuthenticationFailedError("Authentication Failed")
        self.peer.paired = self.peer.bonded = True
        await self.peer_adapter.add_device(self.peer)
        await self.Paired.set_async(True)
        self.bonded = True
        await self.Bonded.set_async(True)

    return pair


async def default_agent_goes(self: Any, agent: Any) -> None:
    if agent == self.agent:
        self.agent = None
    self.agents.pop(agent.get_client())
    await agent.cleanup()
    if self.agents and self.agent is None:
        self.agent = list(self.agents.values())[-1]
    if self.agent is None:
        for adapter in self.mock.adapters.values():
            await adapter.Pairable.set_async(False)


class ManyAgents(dict[str, Any]):
    """Agents by client, of which there may be several: registering is refused while iterating finds one."""

    def __iter__(self) -> Any:
        return iter(())


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ask", default="nothing")
    parser.add_argument("--forgetful", action="store_true")
    parser.add_argument("--scan-interval", type=float, default=0.05)
    parser.add_argument("--adapter", action="append", dest="adapters")
    wanted = parser.parse_args()
    Device.disconnect = disconnect
    Device.connect = connect
    Device.properties_sync = heard_again
    bluezoo.BluezMockService.create_discovering_task = scan
    Device.pair = pair_asking(wanted.ask)
    roots.RootManager._RootManager__del_agent = default_agent_goes
    await bluezoo.startup(bus="system", adapters=wanted.adapters, auto_enable=True, scan_interval=wanted.scan_interval)
    bluezoo.startup.service.root.agents = ManyAgents()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
