"""What the box makes of envelopes that it sealed under keys of before, and of those that never can leave."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrolled_box import Places
from agent.errors import DamagedError
from agent.own_envelopes import OwnEnvelopes
from agent.own_signers import FILE, MOST, OwnSigners, own_signers
from agent.quarantine import open_store as open_or_begin
from agent.quarantine import set_aside
from agent.store import Store
from agent.vault import Vault
from alerting.alert import Sentence
from exchange.gaps import GapReason, GapRecord
from exchange.handed_over import hand_over
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import UNATTRIBUTED, ObservationRecord, Range
from exchange.sealing import LANE_ALERTS, LANE_DENSE, LANE_SPARSE, Sealer
from tests.agent.kit import BOX, MINUTE, PATIENT, START, Desk, arrivals, glucose, open_store, raised, spo2

OPENING = OpeningKey.generate()
A, B, C = (SigningKey.generate() for _ in range(3))


def sealer(key: SigningKey) -> Sealer:
    return Sealer(box=BOX, signing_key=key, recipients=[Recipient.of(OPENING, RecipientRole.TEAM)])


def sealed(tmp_path: Path, key: SigningKey) -> bytes:
    store = open_store(tmp_path / f"{key.id}.db")
    store.accept(arrivals(glucose("104", 0)), sealer(key), now_ms=START)
    (entry,) = store.waiting(limit=2)
    store.close()
    return entry.body


def altered(envelope: bytes) -> bytes:
    return envelope[:-100] + bytes([envelope[-100] ^ 1]) + envelope[-99:]


# --- which keys the box had ------------------------------------------------------------------------


def test_a_box_knows_every_key_that_it_ever_sealed_under(tmp_path: Path) -> None:
    assert own_signers(tmp_path, A.public).believed == (A.public,)
    assert own_signers(tmp_path, B.public).believed == (A.public, B.public)
    assert own_signers(tmp_path, A.public).believed == (B.public, A.public), "one that comes back is the present one"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    read = OwnSigners.read(tmp_path)
    assert (read.believed, read.withdrawn, read.certain) == ((B.public, A.public), (), True)


def test_what_the_team_no_longer_takes_is_withdrawn_until_it_says_otherwise(tmp_path: Path) -> None:
    signers = OwnSigners(believed=(A.public, B.public)).as_told(C.public, [B.public])
    assert (signers.believed, signers.withdrawn) == ((B.public, C.public), (A.public,))
    signers.write(tmp_path)
    assert OwnSigners.read(tmp_path) == signers
    again = signers.as_told(C.public, [A.public])
    assert (again.believed, again.withdrawn) == ((A.public, C.public), (B.public,))


@given(keys=st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=2 * MOST))
def test_only_so_many_keys_are_remembered_and_the_present_one_always(keys: list[bytes]) -> None:
    signers = OwnSigners()
    for key in keys:
        signers = signers.sealing_under(key)
    assert signers.believed == tuple(keys[-MOST:])


@pytest.mark.parametrize("damage", [b"\xff\x00", b"believed 00\n", b"withdrawn " + b"0" * 63 + b"\n", b"a" * 100_000])
def test_a_damaged_list_of_keys_stops_nothing_and_condemns_nothing(tmp_path: Path, damage: bytes) -> None:
    before = sealed(tmp_path, A)
    (tmp_path / FILE).write_bytes(damage)
    signers = own_signers(tmp_path, B.public)
    assert not signers.certain
    own = OwnEnvelopes(B, signers)
    assert own.leaving(before) == hand_over(before, B)
    assert (tmp_path / FILE).read_bytes() == damage, "a person may mend it"
    OwnSigners.read(tmp_path).as_told(B.public, [A.public]).write(tmp_path)
    assert OwnSigners.read(tmp_path).certain, "or the next enrolment"


def test_a_state_folder_that_cannot_be_used_stops_nothing_and_condemns_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file in its place")
    signers = own_signers(tmp_path / "state", A.public)
    assert (signers.believed, signers.certain) == ((A.public,), False)


# --- how each leaves -------------------------------------------------------------------------------


def test_each_envelope_leaves_as_the_team_will_take_it(tmp_path: Path) -> None:
    of_a, of_b, of_c = (sealed(tmp_path, key) for key in (A, B, C))
    own = OwnEnvelopes(B, OwnSigners(believed=(A.public, B.public), withdrawn=(C.public,)))
    assert own.leaving(of_b) == of_b
    assert own.leaving(of_a) == hand_over(of_a, B)
    assert own.leaving(of_c) is GapReason.WITHDRAWN
    for envelope in (of_a, of_b):
        assert own.leaving(altered(envelope)) is GapReason.ALTERED
    assert own.leaving(sealed(tmp_path, SigningKey.generate())) is GapReason.ALTERED, "never a key of this box"
    for noise in (b"", b"\xff\xff", hand_over(of_a, B), bytes(1024)):
        assert own.leaving(noise) is GapReason.ALTERED


def test_before_the_team_has_spoken_nothing_of_before_is_given_up(tmp_path: Path) -> None:
    """New keys are born, the enrolment is not finished, the box is started all the same."""
    keys = tmp_path / "keys"
    places = Places.new(tmp_path / "agent.toml", state=tmp_path / "state")
    (tmp_path / "state").mkdir()
    old = places.born().signing
    before = sealed(tmp_path, old)
    assert (keys / "signing.key") in [path.with_name("signing.key") for path in places.set_keys_aside()]
    new = places.born().signing
    assert new.id != old.id
    own = OwnEnvelopes(new, own_signers(tmp_path / "state", new.public))
    assert own.leaving(before) == hand_over(before, new)


def test_a_key_whose_file_was_lost_is_known_from_the_last_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    places = Places.new(tmp_path / "agent.toml", state=state)
    old = places.born().signing
    own_signers(state, old.public)
    places.signing_key.write_bytes(b"the card is worn out")
    places.set_keys_aside()
    new = places.born().signing
    before = sealed(tmp_path, old)
    assert OwnEnvelopes(new, own_signers(state, new.public)).leaving(before) == hand_over(before, new)


def test_a_damaged_database_hands_on_what_it_sealed_under_a_key_of_before(tmp_path: Path) -> None:
    path, kek = tmp_path / "box.db", bytes(range(32))
    store = open_store(path)
    for key, minute in ((A, 0), (B, 5), (C, 10)):
        store.accept(arrivals(glucose("104", minute)), sealer(key), now_ms=START)
    store.close()
    set_aside(path, DamagedError(Sentence(fr="abîmée", en="damaged"), Sentence(fr="-", en="-")), now_ms=START)
    own = OwnEnvelopes(B, OwnSigners(believed=(A.public, B.public)))
    found = open_or_begin(path, Vault(kek, box=BOX), own=own.header_of, now_ms=START)
    assert sorted(entry.first for entry in found.waiting(limit=9)) == [0, 1], "and nothing of a key that is not its own"
    found.close()


# --- what never leaves -----------------------------------------------------------------------------


def gaps(desk: Desk, store: Store) -> list[GapRecord]:
    return [record for record in desk.waiting(store) if isinstance(record, GapRecord)]


def give_up(store: Store, desk: Desk, first: int, reason: GapReason = GapReason.ALTERED) -> None:
    (entry,) = [entry for entry in store.waiting(limit=100) if entry.first == first]
    store.give_up(entry, reason, desk.sealer, now_ms=START + 60 * MINUTE)


@pytest.mark.parametrize("reason", [GapReason.ALTERED, GapReason.WITHDRAWN])
def test_what_is_given_up_leaves_a_gap_that_travels(tmp_path: Path, desk: Desk, reason: GapReason) -> None:
    store = open_store(tmp_path / "box.db")
    for minute in (0, 5, 10):
        store.accept(arrivals(glucose("104", minute), glucose("105", minute + 1)), desk.sealer, now_ms=START + minute)
    give_up(store, desk, 2, reason)
    (gap,) = gaps(desk, store)
    assert gap == GapRecord(
        patient=UNATTRIBUTED,
        lane=LANE_SPARSE,
        epoch=store.epoch,
        ranges=((2, 3),),
        measured_from=START + 5,
        measured_to=START + 5,
        readings=2,
        reason=reason,
        by_arrival=True,
    )
    told = [entry for entry in store.waiting(limit=100) if entry.first == 6]
    assert [entry.lane for entry in told] == [LANE_ALERTS], "among the alerts, which never give way"
    assert [record for record in desk.waiting(store) if isinstance(record, ObservationRecord)][2].key == glucose(
        "1", 10
    ).key
    assert store.outbox.unsendable() == 2
    store.close()


def test_of_a_stream_it_says_whose_and_of_when(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "box.db")
    readings = [spo2("97", second) for second in range(30)]
    store.accept_streamed(arrivals(*readings), {}, desk.sealer, now_ms=START)
    (entry,) = [entry for entry in store.waiting(limit=9) if entry.lane == LANE_DENSE]
    store.give_up(entry, GapReason.ALTERED, desk.sealer, now_ms=START)
    (gap,) = gaps(desk, store)
    assert (gap.patient, gap.lane, gap.readings) == (PATIENT, LANE_DENSE, 30)
    assert (gap.measured_from, gap.measured_to) == (START, START + 29_000)
    store.close()


def test_an_alert_that_is_given_up_is_declared_too(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "box.db")
    store.keep_technical(PATIENT, [raised()], desk.sealer, now_ms=START)
    give_up(store, desk, 0)
    (gap,) = gaps(desk, store)
    assert (gap.lane, gap.ranges) == (LANE_ALERTS, ((0, 0),))
    store.close()


@pytest.mark.parametrize(
    ("first", "last", "created"), [(1, 10**6, START), (1, 0, START), (1, 1, "soon"), (1, 1, -5), (1, 1, 2**60)]
)
def test_a_row_that_was_altered_declares_no_number_of_another(
    tmp_path: Path, desk: Desk, first: int, last: int, created: object
) -> None:
    path = tmp_path / "box.db"
    store = open_store(path)
    for minute in (0, 5, 10):
        store.accept(arrivals(glucose("104", minute)), desk.sealer, now_ms=START)
    with sqlite3.connect(path) as other:
        other.execute("update outbox set last = ?, created = ?, body = x'00' where first = ?", (last, created, first))
    other.close()
    give_up(store, desk, first)
    (gap,) = gaps(desk, store)
    assert gap.ranges == ((1, 1),)
    assert 0 <= gap.measured_from <= 2**53
    store.close()


@pytest.mark.parametrize("number", [-4, 7, 2**62])
def test_a_row_with_a_number_that_nobody_gave_is_given_up_without_a_word(
    tmp_path: Path, desk: Desk, number: int
) -> None:
    path = tmp_path / "box.db"
    store = open_store(path)
    store.accept(arrivals(glucose("104", 0)), desk.sealer, now_ms=START)
    with sqlite3.connect(path) as other:
        other.execute("insert into outbox(first, last, lane, created, body) values (?, ?, 1, 0, x'00')", (number,) * 2)
    other.close()
    give_up(store, desk, number)
    assert gaps(desk, store) == []
    assert [entry.first for entry in store.waiting(limit=9)] == [0]
    store.close()


def test_what_is_asked_for_again_of_what_was_given_up_is_lacking(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "box.db")
    store.accept(arrivals(glucose("104", 0)), desk.sealer, now_ms=START)
    give_up(store, desk, 0)
    assert store.resend(store.epoch, [Range(0, 0)], now_ms=START) == [Range(0, 0)]
    store.close()
