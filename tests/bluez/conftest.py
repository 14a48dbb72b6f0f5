"""Fixtures of the tier with bleak's real BlueZ backend."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bluez.kit import Machine, private_bus


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """A private bus that this process, too, takes for the system's; nothing runs on it yet."""
    # A short path: that of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="veilleur-") as folder:
        async with private_bus(Path(folder)) as made:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.environment["DBUS_SYSTEM_BUS_ADDRESS"])
            yield made
