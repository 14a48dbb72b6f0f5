"""Fixtures of the box's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store import Store
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Opener, Sealer
from tests.agent.kit import BOX, Desk, open_store


@pytest.fixture(scope="session")
def desk() -> Desk:
    signing, opening = SigningKey.generate(), OpeningKey.generate()
    recipients = [Recipient.of(opening, RecipientRole.TEAM)]
    return Desk(
        sealer=Sealer(box=BOX, signing_key=signing, recipients=recipients),
        opener=Opener(keys=[opening], signer_of=lambda _box, _signer: signing.public),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "veilleur.db")
    yield opened
    opened.close()
