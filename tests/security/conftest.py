"""Fixtures of the tests of the record of acts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.identity import SigningKey
from tests.agent.kit import open_store
from tests.security.kit import Book


@pytest.fixture(scope="session")
def keys() -> tuple[SigningKey, SigningKey]:
    """The box's key and the team's."""
    return SigningKey.generate(), SigningKey.generate()


@pytest.fixture
def book(tmp_path: Path, keys: tuple[SigningKey, SigningKey]) -> Iterator[Book]:
    store = open_store(tmp_path / "veilleur.db")
    yield Book(store, *keys)
    store.close()
