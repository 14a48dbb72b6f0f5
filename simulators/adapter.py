"""The box's Bluetooth adapter in the simulated world: one Bumble host and its open links.

Rules of this room, which Bumble alone does not keep:

- connections are opened one after the other, and an attempt that is given up is given up on air;
- whoever waits for a peer stops waiting when the link or the controller is gone: nothing hangs;
- a procedure whose caller was cancelled runs to its end, so that its answer is not taken for the next one's.

Errors are Bumble's own (`bumble.core.BaseBumbleError`); `bumble_radio` turns them into bleak's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from bumble import hci, smp
from bumble.core import BaseBumbleError, InvalidStateError
from bumble.device import Connection, Device, DeviceConfiguration, Peer
from bumble.hci import Address
from bumble.host import Host
from bumble.keys import JsonKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import TransportLostError, TransportSink, TransportSource

T = TypeVar("T")

_CANCEL_AGAIN_SECONDS = 0.01
_COMMAND_SECONDS = 5.0
"""How long an answer is waited for; Linux waits for 2 s, and for a controller that is no busy process."""
_CLOSE_SECONDS = 10.0
"""How long bleak's BlueZ backend waits for a link to close."""


# Bumble waits for answers with `asyncio.wait_for`, which until Python 3.12 loses a cancellation that comes together
# with the answer: whoever was cancelled goes on. The next two functions are how this package lives with that.


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; a caller that is cancelled is cancelled at once, and leaves it running."""
    return await asyncio.shield(asyncio.create_task(work))


def cancel_until_done(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and again while it goes on nevertheless."""
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(_CANCEL_AGAIN_SECONDS, cancel_until_done, task)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended that nobody may be waiting for any more."""
    if not task.cancelled():
        task.exception()


def _is_cancelled() -> bool:
    """Return whether somebody cancelled the task that runs now."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class LinkGoneError(BaseBumbleError):
    """The link is closed, or closed while somebody waited for the peer."""


AskPasskey = Callable[[str], Awaitable[int | None]]
"""Asks for the six digits that the device with this address shows, 1 to 999999; None: somebody gave up."""


class _Delegate(PairingDelegate):
    """Pairs without asking anybody anything.

    No identity keys: the addresses are static, and with such keys Bumble looks for the peer before it connects.
    """

    capability = PairingDelegate.NO_OUTPUT_NO_INPUT

    def __init__(self) -> None:
        keys = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY
        super().__init__(self.capability, local_initiator_key_distribution=keys, local_responder_key_distribution=keys)


class _Display(_Delegate):
    """Shows six digits."""

    capability = PairingDelegate.DISPLAY_OUTPUT_ONLY

    def __init__(self, passkey: int, on_shown: Callable[[str], None]) -> None:
        super().__init__()
        self._passkey = passkey
        self._on_shown = on_shown

    async def generate_passkey(self) -> int:
        return self._passkey

    async def display_number(self, number: int, digits: int) -> None:
        self._on_shown(f"{number:0{digits}}")


class _Keyboard(_Delegate):
    """Asks for the six digits that the other side shows."""

    capability = PairingDelegate.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT

    def __init__(self, address: str, ask: AskPasskey) -> None:
        super().__init__()
        self._address = address
        self._ask = ask

    async def get_number(self) -> int | None:
        # Bumble's Security Manager takes a passkey of 0 for none at all, and then waits for ever.
        return await self._ask(self._address) or None


def just_works() -> PairingConfig:
    """Return how the box and the virtual devices pair: LE Secure Connections, Just Works, bonded."""
    return PairingConfig(sc=True, mitm=False, bonding=True, delegate=_Delegate())


def showing_passkey(passkey: int, on_shown: Callable[[str], None]) -> PairingConfig:
    """Return how a device pairs that shows six digits; `on_shown` gets them."""
    return PairingConfig(sc=True, mitm=True, bonding=True, delegate=_Display(passkey, on_shown))


def typing_passkey(address: str, ask: AskPasskey) -> PairingConfig:
    """Return how a box pairs where somebody can type in what the device at `address` shows."""
    return PairingConfig(sc=True, mitm=True, bonding=True, delegate=_Keyboard(address, ask))


class PasskeySession(smp.Session):
    """Pairs with nobody who cannot type in a passkey; Bumble itself would fall back to Just Works."""

    async def on_smp_pairing_request_command_async(self, command: smp.SMP_Pairing_Request_Command) -> None:
        """Take a box's wish to pair, or refuse it."""
        if command.io_capability not in {smp.IoCapability.KEYBOARD_ONLY, smp.IoCapability.KEYBOARD_DISPLAY}:
            self.send_pairing_failed(smp.ErrorCode.AUTHENTICATION_REQUIREMENTS)
            return
        await super().on_smp_pairing_request_command_async(command)


class OpenLink:
    """One open link of the box to a device.

    Attributes:
        connection: Bumble's connection.
        peer: the GATT client on it.
        gone: set once the link is closed, whoever closed it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.peer = Peer(connection)
        self.gone = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()
        self._last_words: list[Callable[[], None]] = []
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)

    def _on_disconnection(self, _reason: int) -> None:
        self.gone.set()
        for task in tuple(self._running):
            cancel_until_done(task)
        for say in self._last_words:
            say()

    def when_gone(self, say: Callable[[], None]) -> None:
        """Call `say` as soon as the link is closed; at once when it is."""
        if self.gone.is_set():
            say()
        else:
            self._last_words.append(say)

    async def run(self, procedure: Coroutine[Any, Any, T]) -> T:
        """Return what a procedure on this link returns.

        Raises:
            LinkGoneError: the link is gone, or went while the procedure ran.
            BaseBumbleError: the procedure failed.
        """
        if self.gone.is_set():
            procedure.close()
            raise LinkGoneError("Not connected")
        task = asyncio.create_task(procedure)
        self._running.add(task)
        task.add_done_callback(self._done)
        gone = asyncio.create_task(self.gone.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not task.done() or task.cancelled():
            raise LinkGoneError("the device disconnected")
        return task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        _look_at(task)

    async def close(self) -> None:
        """Close the link; at once when it is closed already.

        Raises:
            TimeoutError: it was still open after 10 seconds.
        """
        if self.gone.is_set():
            return
        # Bumble waits for ever when the peer closes the link first, so the link's own end is waited for.
        closing = asyncio.create_task(self.connection.disconnect())
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.gone.wait()
        finally:
            # That the link was already closing is no news.
            closing.add_done_callback(_look_at)
            cancel_until_done(closing)


class AdapterSilentError(BaseBumbleError):
    """The controller is there and does not answer."""


class _Host(Host):
    """Bumble's host, for which a lost controller is lost also when an answer has just come.

    A command that is not answered fails, as with Linux, instead of holding up all others.
    """

    LOST = "lost"

    async def _send_command(
        self,
        command: hci.HCI_SyncCommand[Any] | hci.HCI_AsyncCommand,
        response_timeout: float | None = None,  # noqa: ARG002 - Bumble's signature
    ) -> hci.HCI_Command_Complete_Event[Any] | hci.HCI_Command_Status_Event:
        try:
            return await super()._send_command(command, _COMMAND_SECONDS)
        except TimeoutError as error:
            raise AdapterSilentError("the Bluetooth controller does not answer") from error

    async def reset(self, driver_factory: object = None) -> None:  # noqa: ARG002 - Bumble's signature
        """Reset the controller, without looking for a maker's own driver, which a virtual one has not."""
        await super().reset(driver_factory=None)

    def on_transport_lost(self) -> None:
        """End what waits for the controller, and every link."""
        self.emit(self.LOST)
        self.end_all("the Bluetooth controller is gone")

    def end_all(self, reason: str) -> None:
        """End what waits for an answer, and every link."""
        if self.pending_response is not None and not self.pending_response.done():
            self.pending_response.set_exception(TransportLostError(reason))
        self.emit("flush")


class Adapter:
    """One Bumble host, and what its users must not do at the same time.

    Attributes:
        device: Bumble's device.
        lost: set once the controller behind it is gone.
        scanning: True while a scan runs; there is one at a time.
        ask_passkey: asks somebody for a passkey; None while nobody is there to type one in (Just Works only).
    """

    def __init__(self, source: TransportSource, sink: TransportSink, *, address: str, keystore: Path) -> None:
        """Make an adapter; `start` brings it up.

        Args:
            source: from the controller.
            sink: to the controller.
            address: the box's own static random address, such as "F0:F1:F2:F3:F4:F5".
            keystore: JSON file of the bonds, made when missing; Bumble replaces it in one step at each change, so
                that a box that is killed keeps them.
        """
        config = DeviceConfiguration(name="veilleur", address=Address(address))
        self._host = _Host(source, sink)
        self.device = Device(config=config, host=self._host)
        self.device.pairing_config_factory = self._pairing
        self.ask_passkey: AskPasskey | None = None
        self.lost = asyncio.Event()
        self.scanning = False
        self._bonds = JsonKeyStore(address, str(keystore))
        self.device.keystore = self._bonds
        self._connecting = asyncio.Lock()
        self._newest: OpenLink | None = None
        # Taken up in the event itself: a link may be gone again before `connect` returns it.
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)
        # A command sent after that is never answered.
        self._host.on(_Host.LOST, self.lost.set)

    def _pairing(self, connection: Connection) -> PairingConfig:
        if self.ask_passkey is None:
            return just_works()
        return typing_passkey(connection.peer_address.to_string(False), self.ask_passkey)

    async def start(self) -> None:
        """Bring the controller up.

        Raises:
            BaseBumbleError: it is gone.
        """
        await apart(self.device.power_on())

    async def power_cycle(self) -> None:
        """Switch the controller off and on: every link, scan and procedure ends.

        Raises:
            BaseBumbleError: it is gone, or does not answer.
        """
        self.require()
        self._host.end_all("the Bluetooth controller was switched off")
        self.scanning = False
        await apart(self.device.power_on())

    def require(self) -> None:
        """Do nothing while the controller is there.

        Raises:
            TransportLostError: it is gone.
        """
        if self.lost.is_set():
            raise TransportLostError("the Bluetooth controller is gone")

    def _on_connection(self, connection: Connection) -> None:
        self._newest = OpenLink(connection)

    async def open_link(self, address: Address, *, within: float) -> OpenLink:
        """Open a link, when those asked for before are open or given up.

        Raises:
            TimeoutError: the device was not there within `within` seconds.
            BaseBumbleError: the attempt failed.
        """
        async with self._connecting:
            self.require()
            attempt = asyncio.create_task(self.device.connect(address, timeout=None))
            try:
                async with asyncio.timeout(within):
                    await asyncio.shield(attempt)
            except (TimeoutError, asyncio.CancelledError):
                if attempt.cancelled() and not _is_cancelled():
                    # Bumble cancels it when the controller goes; our caller did not.
                    raise TransportLostError("the Bluetooth controller is gone") from None
                await self._give_up(attempt)
                raise
            return self._take_newest()

    def _take_newest(self) -> OpenLink:
        link, self._newest = self._newest, None
        if link is None:
            raise LinkGoneError("the link was not opened")
        return link

    async def _give_up(self, attempt: "asyncio.Task[Connection]") -> None:
        if self.lost.is_set():
            cancel_until_done(attempt)
        else:
            # When it is too late to give up, the attempt ends with a link, which is closed instead.
            with suppress(BaseBumbleError):
                await self.device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
        await asyncio.wait({attempt})
        if not attempt.cancelled() and attempt.exception() is None:
            await self._take_newest().close()

    async def bonded(self, address: str) -> bool:
        """Return whether the box has a bond with a device."""
        return await self._bonds.get(address) is not None

    async def forget(self, address: str) -> None:
        """Remove the bond with a device, if there is one."""
        if await self.bonded(address):
            await self._bonds.delete(address)

    async def start_scan(self, *, active: bool) -> None:
        """Begin to hear advertisements.

        Raises:
            InvalidStateError: a scan runs.
            BaseBumbleError: the controller is gone, or refused.
        """
        self.require()
        if self.scanning:
            raise InvalidStateError("a scan is running")
        self.scanning = True
        starting = asyncio.create_task(self.device.start_scanning(active=active, filter_duplicates=False))
        try:
            await asyncio.shield(starting)
        except BaseBumbleError:
            self.scanning = False
            raise
        except asyncio.CancelledError:
            await asyncio.wait({starting})
            await self.stop_scan()
            raise

    async def stop_scan(self) -> None:
        """Hear no more; at once when nothing was heard or the controller is gone."""
        if self.scanning:
            self.scanning = False
            if not self.lost.is_set():
                await apart(self.device.stop_scanning())
