"""A box's key that was replaced: what it sealed reaches the team under the next one's hand; alone it says nothing more.

The team's real database and authority, and boxes that seal; the last stories over a real broker with real programs.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.backlog_opener import BacklogOpener
from coordination.box_identity import (
    BACKLOG_MS,
    BoxKeys,
    earlier_keys,
    keep_keys,
    opening_key,
    replace_machine,
    revoke_box,
    standing_keys,
)
from coordination.team_database import connect, transaction
from exchange.errors import EnvelopeError
from exchange.handed_over import hand_over
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer
from tests.coordination.kit import BOX, EPOCH, glucose

AT = 1_800_000_000_000
DAY = 86_400_000
OPENING = OpeningKey.generate()
KEYS = tuple(SigningKey.generate() for _ in range(3))
LISTED = SigningKey.generate()
"""A key of desk.toml."""


@dataclass
class Office:
    """The team's database, in which a box's keys come and go, and what opens its envelopes."""

    path: Path
    at: int = AT
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.connection = connect(self.path)
        self.connection.execute("INSERT INTO box (name) VALUES (?)", (BOX,))
        self.listed = {BOX: {LISTED.id: LISTED.public}}
        self.keys = BoxKeys(self.path, self.listed)
        self.opener = BacklogOpener(keys=[OPENING], boxes=self.keys, now_ms=lambda: self.at)

    def enrol(self, key: SigningKey) -> None:
        """A machine with that key becomes the box; what it replaces, if anything, is ended."""
        opening = f"{next(self.numbers):064x}"
        with transaction(self.connection):
            held = standing_keys(self.connection, BOX, listed=self.listed)
            if held and key.public.hex() not in held:
                replace_machine(
                    self.connection,
                    BOX,
                    listed=self.listed,
                    at=self.at,
                    signing=key.public.hex(),
                    opening=opening,
                    tls_key="",
                )
            keep_keys(self.connection, BOX, signing=key.public.hex(), opening=opening, at=self.at)

    def revoke(self) -> None:
        with transaction(self.connection):
            revoke_box(self.connection, BOX, listed=self.listed, reason="stolen", at=self.at)

    def takes(self, message: bytes) -> bool:
        try:
            self.opener.open(message, box=BOX)
        except EnvelopeError as error:
            if error.reason != "signer":
                raise
            return False
        return True


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path / "desk.db")
    yield office
    office.connection.close()


def sealed(key: SigningKey, *, created: int = AT) -> bytes:
    sealer = Sealer(box=BOX, signing_key=key, recipients=[Recipient.of(OPENING, RecipientRole.TEAM)])
    return sealer.seal(epoch=EPOCH, first=0, lane=1, created=created, records=[glucose(0)])


ALL = (*KEYS, LISTED)
ENVELOPES = {(key.id, created): sealed(key, created=created) for key in ALL for created in (0, AT, AT + 900 * DAY)}


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("enrol"), st.sampled_from(KEYS)),
            st.tuples(st.just("revoke"), st.none()),
            st.tuples(st.just("wait"), st.sampled_from([1, 60 * DAY, BACKLOG_MS - 1, BACKLOG_MS])),
        ),
        max_size=7,
    )
)
@settings(max_examples=25, deadline=None)
def test_whatever_happens_to_a_boxs_keys_only_what_it_hands_over_of_a_key_never_revoked_counts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, SigningKey | int | None]]
) -> None:
    office = Office(tmp_path_factory.mktemp("office") / "desk.db")
    present: set[str] = {LISTED.id}
    ended: dict[str, int] = {}
    revoked: set[str] = set()
    for step, what in steps:
        if step == "wait" and isinstance(what, int):
            office.at += what
        elif step == "revoke":
            office.revoke()
            revoked |= present | set(ended)
            present = set()
        elif isinstance(what, SigningKey):
            if what.id in revoked:
                continue  # the office refuses it: test_revoked_keys_never_come_back_and_new_ones_do
            office.enrol(what)
            if present and what.id not in present:
                ended |= dict.fromkeys(present, office.at)
                present = set()
            present.add(what.id)
            ended.pop(what.id, None)
    for (signer, _), envelope in ENVELOPES.items():
        assert office.takes(envelope) == (signer in present), "alone, whatever it says of its time"
        in_time = signer in ended and signer not in revoked and office.at - ended[signer] < BACKLOG_MS
        for by in ALL:
            believed = by.id in present and (signer in present or in_time)
            assert office.takes(hand_over(envelope, by)) == believed
    told = earlier_keys(office.connection, BOX, at=office.at)
    assert set(told) == {key for key, at in ended.items() if key not in revoked and office.at - at < BACKLOG_MS}
    office.connection.close()


def test_a_thief_with_the_old_key_says_nothing_however_he_dates_it(office: Office) -> None:
    old, new, _ = KEYS
    office.enrol(old)
    before = sealed(old)
    assert office.takes(before)
    office.at += 30 * DAY
    office.enrol(new)
    for created in (0, AT - DAY, AT, office.at, office.at + 900 * DAY):
        forged = sealed(old, created=created)
        assert not office.takes(forged)
        assert not office.takes(hand_over(forged, old))
    assert not office.takes(before), "nor can what he heard go by be sent again"
    assert office.takes(hand_over(before, new)), "and the box loses nothing"


def test_a_box_whose_clock_was_ahead_loses_nothing(office: Office) -> None:
    old, new, _ = KEYS
    office.enrol(old)
    office.enrol(new)
    assert office.takes(hand_over(sealed(old, created=AT + 30 * 365 * DAY), new))


def test_after_a_revocation_nothing_of_before_is_taken_from_anybody(office: Office) -> None:
    first, second, third = KEYS
    office.enrol(first)
    office.enrol(second)
    office.revoke()
    office.enrol(third)
    for key in (first, second):
        for created in (0, AT, office.at):
            assert not office.takes(hand_over(sealed(key, created=created), third))
    assert office.takes(sealed(third))


def test_a_key_of_the_settings_that_an_enrolment_replaced_is_ended_too(office: Office) -> None:
    assert office.takes(sealed(LISTED))
    office.enrol(KEYS[0])
    assert not office.takes(sealed(LISTED))
    assert office.takes(hand_over(sealed(LISTED), KEYS[0]))


def test_nothing_is_sealed_to_a_machine_that_was_replaced(office: Office) -> None:
    office.enrol(KEYS[0])
    first = opening_key(office.connection, BOX)
    office.enrol(KEYS[1])
    second = opening_key(office.connection, BOX)
    assert None not in {first, second}
    assert first != second


def test_a_machine_that_comes_back_is_the_box_again(office: Office) -> None:
    old, new, _ = KEYS
    for key in (old, new, old):
        office.enrol(key)
    assert office.takes(sealed(old))
    assert not office.takes(sealed(new))
    assert office.takes(hand_over(sealed(new), old))
    with contextlib.closing(connect(office.path)) as connection:
        rows = connection.execute("SELECT count(*) FROM box_key WHERE purpose = 'signing' AND ended_at IS NULL")
        assert rows.fetchone() == (1,)
