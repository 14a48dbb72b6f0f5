"""HCI on a unix socket: how a box in another process reaches the virtual air.

Each process that connects gets a controller of its own, and its controller leaves the air with it: a box that is
killed is gone at once, its devices notice, and the box that comes after it starts afresh. (Bumble's own
"unix-server" transport has one controller for whoever comes, with the links of whoever went.)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bumble.transport.common import StreamPacketSink, StreamPacketSource

from simulators.errors import HomeError
from simulators.link import Air, BoxController


class _Client(StreamPacketSource):
    """One process that drives a controller."""

    def __init__(self, air: Air, on_change: Callable[[bool], None]) -> None:
        super().__init__()
        self._controller = BoxController("box", air)
        self._on_change = on_change
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._controller.on_unplugged = transport.abort
            self._controller.host = StreamPacketSink(transport)
        self.set_packet_sink(self._controller)
        self._on_change(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it went does not matter
        self._controller.vanish()
        self.on_transport_lost()
        self._on_change(False)

    async def dismiss(self) -> None:
        """Send the process away."""
        if self._transport is not None:
            self._transport.abort()
            await self.terminated


@asynccontextmanager
async def serve_hci(path: Path, air: Air, on_change: Callable[[bool], None]) -> AsyncIterator[None]:
    """Serve HCI while the context is open.

    Args:
        path: of the socket; a socket left there by a home that was killed is replaced.
        air: where the controllers are.
        on_change: called with True when a box has come, with False when one has gone.

    Raises:
        HomeError: the socket cannot be made.
    """
    clients: list[_Client] = []

    def greet() -> _Client:
        clients.append(_Client(air, on_change))
        return clients[-1]

    try:
        _remove(path)
        server = await asyncio.get_running_loop().create_unix_server(greet, path)
    except OSError as error:
        raise HomeError(f"cannot listen on {path}: {error}") from error
    try:
        async with server:
            yield
    finally:
        for client in clients:
            await client.dismiss()
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_socket():
        path.unlink()
