"""The engines of the team's database: what runs inside the block makes its databases on one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulators.postgres import Postgres
from tests.coordination.kit import POSTGRESQL

ENGINES = ("sqlite", "postgresql")
UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Each test has a database of its own, and nobody cuts this server's power: its disk is not waited for."""


@contextmanager
def engine(name: str, folder: Path) -> Iterator[None]:
    """Let the teams that are made inside the block have their databases on this one of ENGINES."""
    if name == "sqlite":
        yield
        return
    with (
        Postgres(folder / "server", settings=UNSAFE, in_memory=True) as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv(POSTGRESQL, server.url("postgres"))
        yield
