"""Whose key is whose, as the inbox asks it at each message, on either engine of the team's database."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from coordination import box_identity
from coordination.box_identity import BoxKeys, keep_keys, replace_machine, revoke_box
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from exchange.identity import OpeningKey, SigningKey
from tests.coordination.kit import BOX, OTHER_BOX, START, Team

SOON_S = 5.0
LISTED = SigningKey.generate()


@pytest.fixture
def other_hand(team: Team) -> Iterator[Sql]:
    """Where another program changes the team's database."""
    with closing(connect(team.database)) as connection:
        with transaction(connection):
            connection.execute("INSERT INTO box (name) VALUES (?), (?)", (BOX, OTHER_BOX))
        yield connection


def enrol(connection: Sql, key: SigningKey, *, box: str = BOX) -> str:
    opening = OpeningKey.generate().public.hex()
    with transaction(connection):
        keep_keys(connection, box, signing=key.public.hex(), opening=opening, at=START)
    return opening


def becomes(keys: BoxKeys, key: SigningKey, wanted: bytes | None, *, box: str = BOX) -> bool:
    """Return whether that is soon said of a key; what a server tells comes a moment after a commit."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        if keys.signer_of(box, key.id) == wanted:
            return True
        time.sleep(0.005)
    return False


async def test_a_key_is_the_boxs_from_its_enrolment_until_it_is_replaced_or_revoked(
    team: Team, other_hand: Sql
) -> None:
    first, second = SigningKey.generate(), SigningKey.generate()
    async with BoxKeys(team.database, {}) as keys:
        assert keys.signer_of(BOX, first.id) is None
        enrol(other_hand, first)
        assert becomes(keys, first, first.public)
        assert keys.signer_of(OTHER_BOX, first.id) is None
        opening = enrol(other_hand, second)
        with transaction(other_hand):
            signing = second.public.hex()
            replace_machine(
                other_hand, BOX, listed={}, at=START, signing=signing, opening=opening, tls_key="of the second"
            )
        assert becomes(keys, first, None)
        assert becomes(keys, second, second.public)
        with transaction(other_hand):
            revoke_box(other_hand, BOX, listed={}, reason="volé", at=START)
        assert becomes(keys, second, None)


async def test_a_box_of_the_settings_is_believed_until_the_database_says_otherwise(team: Team, other_hand: Sql) -> None:
    listed = {BOX: {LISTED.id: LISTED.public}}
    async with BoxKeys(team.database, listed) as keys:
        assert keys.signer_of(BOX, LISTED.id) == LISTED.public
        assert keys.signer_of(OTHER_BOX, LISTED.id) is None
        with transaction(other_hand):
            revoke_box(other_hand, BOX, listed=listed, reason="volé", at=START)
        assert becomes(keys, LISTED, None)


async def test_a_revocation_that_is_told_with_the_answer_to_something_else_is_heard(
    team: Team, other_hand: Sql
) -> None:
    key = SigningKey.generate()
    enrol(other_hand, key)
    async with BoxKeys(team.database, {}) as keys:
        assert keys.signer_of(BOX, key.id) == key.public
        with transaction(other_hand):
            revoke_box(other_hand, BOX, listed={}, reason="volé", at=START)
        await asyncio.sleep(0.2)
        assert keys.opening_key(BOX, listed=None) is None
        assert keys.signer_of(BOX, key.id) is None


async def test_of_what_is_not_told_the_inbox_learns_all_the_same(
    team: Team, other_hand: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_identity, "READ_AGAIN_S", 0.2)
    monkeypatch.setattr(box_identity, "CHANNEL", "veilleur_something_else")
    async with BoxKeys(team.database, {}) as keys:
        key = SigningKey.generate()
        assert keys.signer_of(BOX, key.id) is None
        monkeypatch.setattr(box_identity, "CHANNEL", "veilleur_box_keys")
        enrol(other_hand, key)
        assert becomes(keys, key, key.public)
