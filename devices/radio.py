"""Radio: scan, connect, read, write, subscribe, as a Protocol. No bleak here: `bleak_radio` is the one that has it.

Every method may raise `RadioError` (transient; `bond_lost` says when pairing again is needed). Characteristics
are named by their 16-bit assigned number, such as 0x2A35.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """What a device says before anybody connects.

    Attributes:
        address: Bluetooth address, upper case, such as "C4:B0:00:00:00:01".
        name: local name or None.
        services: 16-bit assigned numbers of the advertised services.
        service_data: payload by 16-bit service number.
        manufacturer_data: payload by company identifier.
        rssi: dBm.
    """

    address: str
    name: str | None = None
    services: frozenset[int] = frozenset()
    service_data: Mapping[int, bytes] = field(default_factory=dict)
    manufacturer_data: Mapping[int, bytes] = field(default_factory=dict)
    rssi: int = -127


class Connection(Protocol):
    """One open link. Leaving its context manager closes it."""

    def has(self, characteristic: int) -> bool:
        """Return whether the device offers the characteristic."""
        ...

    def properties(self, characteristic: int) -> frozenset[str]:
        """Return such as {"read", "notify", "indicate", "write"}; empty when absent."""
        ...

    async def read(self, characteristic: int) -> bytes:
        """Read a value."""
        ...

    async def write(self, characteristic: int, value: bytes) -> None:
        """Write with response."""
        ...

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        """Enable notifications or indications, whichever the characteristic has."""
        ...

    async def pair(self) -> None:
        """Bond (Just Works); at once when already bonded."""
        ...

    async def wait_closed(self) -> None:
        """Return when the link is gone, whoever closed it."""
        ...


class Radio(Protocol):
    """One adapter: one scanner, connects in a queue."""

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        """Return the device's next advertisement, or None when it was not heard within `within` real seconds."""
        ...

    def listen(self, address: str | None) -> AbstractAsyncContextManager[AsyncIterator[Advertisement]]:
        """Hear a device's advertisements, or everybody's when `address` is None, while the context is open.

        The newest few are kept for a slow listener. The iterator raises RadioError when the adapter fails.
        """
        ...

    def connect(self, address: str, *, within: float) -> AbstractAsyncContextManager[Connection]:
        """Open a link; a bonded device is encrypted before this returns."""
        ...
