"""What a box believes about its team: only what its root signed, only the newest, never what has expired."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import team_list
from exchange.errors import TeamListError
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, key_id
from exchange.team_list import (
    MAX_LIST_BYTES,
    MAX_PEOPLE,
    MAX_SUCCESSIONS,
    Person,
    Role,
    SignedTeamList,
    Succession,
    TeamList,
    newer,
    read_signed,
    sign_team_list,
    verify_team_list,
)

DAY = 86_400_000
NOW = 1_780_000_000_000

ROOT = SigningKey.generate()
TEAM = OpeningKey.generate()
RECEIPT = SigningKey.generate()
NURSE = SigningKey.generate()


def pinned(*roots: SigningKey) -> dict[str, bytes]:
    return {root.id: root.public for root in roots or (ROOT,)}


def the_list(version: int = 1, *, issued: int = NOW, days: int = 60, people: tuple[Person, ...] = ()) -> TeamList:
    return TeamList(
        version=version,
        issued_at=issued,
        expires_at=issued + days * DAY,
        recipients=(Recipient.of(TEAM, RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(RECEIPT),),
        people=people or (Person(key=NURSE.id, public=NURSE.public.hex(), name="A. Martin", role=Role.NURSE),),
    )


def held(team: TeamList, root: SigningKey = ROOT) -> SignedTeamList:
    return read_signed(sign_team_list(team, root), roots=pinned(root))


def refused(reason: str, call: Callable[[], object]) -> None:
    with pytest.raises(TeamListError) as caught:
        call()
    assert caught.value.reason == reason


def test_what_the_root_signed_is_what_a_box_reads() -> None:
    team = the_list(7)
    found = verify_team_list(sign_team_list(team, ROOT), roots=pinned())
    assert found == team
    assert found.signers() == {RECEIPT.id: RECEIPT.public}
    person = found.person(NURSE.id)
    assert person is not None
    assert person.role is Role.NURSE
    assert found.person("0" * 16) is None


def test_another_root_and_no_root_are_refused() -> None:
    data = sign_team_list(the_list(), SigningKey.generate())
    refused("signer", lambda: verify_team_list(data, roots=pinned()))
    refused("signer", lambda: verify_team_list(data, roots={}))


def test_an_id_of_the_root_over_a_signature_of_another_key_is_refused() -> None:
    other = SigningKey.generate()
    data = sign_team_list(the_list(), other)
    disguised = data[:1] + bytes.fromhex(ROOT.id) + data[9:]
    refused("signature", lambda: verify_team_list(disguised, roots=pinned()))


@settings(max_examples=60)
@given(where=st.integers(min_value=0), bit=st.integers(0, 7), handed_over=st.booleans())
def test_any_flipped_bit_is_refused(where: int, bit: int, *, handed_over: bool) -> None:
    second = SigningKey.generate()
    chain = (Succession.of(old=ROOT, new=second.public),) if handed_over else ()
    data = bytearray(sign_team_list(the_list(), second if handed_over else ROOT, successions=chain))
    data[where % len(data)] ^= 1 << bit
    with pytest.raises(TeamListError):
        verify_team_list(bytes(data), roots=pinned())


@settings(max_examples=100)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TeamListError):
        verify_team_list(data, roots=pinned())


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 72, 73, -1])
def test_a_cut_list_is_refused(cut: int) -> None:
    data = sign_team_list(the_list(), ROOT)
    with pytest.raises(TeamListError):
        verify_team_list(data[:cut], roots=pinned())


def test_a_list_longer_than_any_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bool:
        raise AssertionError("read")

    monkeypatch.setattr(team_list, "verify", never)
    refused("malformed", lambda: verify_team_list(bytes(MAX_LIST_BYTES + 1), roots=pinned()))


def test_nothing_is_decoded_before_its_signature_was_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: bytes) -> TeamList:
        raise AssertionError("decoded")

    data = sign_team_list(the_list(), ROOT)
    monkeypatch.setattr(team_list, "_decode", never)
    refused("signer", lambda: verify_team_list(data, roots={}))
    refused("signature", lambda: verify_team_list(data[:-1] + bytes([data[-1] ^ 1]), roots=pinned()))


def signed_by_hand(payload: object) -> bytes:
    """What a root signed that does not look at what it signs."""
    unsigned = b"\x00" + bytes.fromhex(ROOT.id) + msgspec.msgpack.encode(payload)
    return unsigned + ROOT.sign(b"veilleur/v1/team-list\x00" + unsigned)


def with_a_fault(change: Mapping[str, object]) -> bytes:
    whole = msgspec.to_builtins(the_list())
    return signed_by_hand({**whole, **change})


LOW_ORDER = {"id": key_id(bytes(32)), "public": "00" * 32, "role": "team"}
FAULTS: dict[str, Mapping[str, object]] = {
    "version 0": {"version": 0},
    "version missing": {"version": None},
    "an unknown field": {"thresholds": 1},
    "ends before it begins": {"expires_at": NOW},
    "nobody to seal to": {"recipients": []},
    "nobody to receipt": {"receipt_signers": []},
    "too many to seal to": {"recipients": [msgspec.to_builtins(Recipient.of(TEAM, RecipientRole.TEAM))] * 9},
    "one twice": {"receipt_signers": [msgspec.to_builtins(ReceiptSigner.of(RECEIPT))] * 2},
    "another key's id": {"receipt_signers": [{"id": ROOT.id, "public": RECEIPT.public.hex()}]},
    "a key to which nothing can be sealed": {"recipients": [LOW_ORDER]},
    "an unknown role": {
        "people": [{"key": NURSE.id, "public": NURSE.public.hex(), "name": "A. Martin", "role": "patient"}]
    },
    "no name": {"people": [{"key": NURSE.id, "public": NURSE.public.hex(), "name": "", "role": "nurse"}]},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_list_is_refused_even_with_the_root_s_signature(fault: Mapping[str, object]) -> None:
    assert verify_team_list(with_a_fault({}), roots=pinned()) == the_list()
    refused("malformed", lambda: verify_team_list(with_a_fault(fault), roots=pinned()))


def test_a_root_does_not_sign_what_a_box_would_refuse() -> None:
    refused("malformed", lambda: sign_team_list(msgspec.structs.replace(the_list(), version=0), ROOT))
    keys = [SigningKey.generate() for _ in range(MAX_PEOPLE)]
    everybody = tuple(Person(key=key.id, public=key.public.hex(), name="é" * 64, role=Role.PHYSICIAN) for key in keys)
    refused("malformed", lambda: sign_team_list(the_list(people=everybody), ROOT))
    named = tuple(msgspec.structs.replace(person, name="Camille Martin-Dubois") for person in everybody)
    assert len(verify_team_list(sign_team_list(the_list(people=named), ROOT), roots=pinned()).people) == MAX_PEOPLE


# --- what a box takes in ------------------------------------------------------------------------------------


def test_a_newer_list_takes_the_place_of_an_older_one_and_itself_changes_nothing() -> None:
    first = held(the_list(1))
    data = sign_team_list(the_list(2), ROOT)
    second = newer(data, held=first, roots=pinned(), now_ms=NOW)
    assert second.team.version == 2
    assert newer(data, held=second, roots=pinned(), now_ms=NOW + 400 * DAY) is second


def test_rollback_is_refused() -> None:
    old = sign_team_list(the_list(3), ROOT)
    refused("rollback", lambda: newer(old, held=held(the_list(4)), roots=pinned(), now_ms=NOW))


def test_another_list_of_the_same_version_is_refused() -> None:
    other = sign_team_list(the_list(4, days=61), ROOT)
    refused("conflict", lambda: newer(other, held=held(the_list(4)), roots=pinned(), now_ms=NOW))


def test_a_list_that_had_expired_when_it_came_is_refused() -> None:
    data = sign_team_list(the_list(2, days=60), ROOT)
    first = held(the_list(1))
    refused("expired", lambda: newer(data, held=first, roots=pinned(), now_ms=NOW + 60 * DAY))
    assert newer(data, held=first, roots=pinned(), now_ms=NOW + 60 * DAY - 1).team.version == 2


def test_a_box_without_any_list_takes_an_expired_one_since_keys_never_stop_ingest() -> None:
    data = sign_team_list(the_list(2, days=1), ROOT)
    first = newer(data, held=None, roots=pinned(), now_ms=NOW + 90 * DAY)
    assert first.team.expired(NOW + 90 * DAY)


@given(versions=st.lists(st.integers(1, 6), max_size=12))
def test_whatever_is_offered_in_whatever_order_the_version_held_only_rises(versions: list[int]) -> None:
    holding = held(the_list(1))
    for version in versions:
        before = holding.team.version
        with suppress(TeamListError):
            holding = newer(sign_team_list(the_list(version), ROOT), held=holding, roots=pinned(), now_ms=NOW)
        assert holding.team.version == max(before, version)


# --- when the root changes ----------------------------------------------------------------------------------

SECOND, THIRD = SigningKey.generate(), SigningKey.generate()
TO_SECOND = Succession.of(old=ROOT, new=SECOND.public)
TO_THIRD = Succession.of(old=SECOND, new=THIRD.public)


def test_a_box_that_was_away_follows_from_the_root_it_has_pinned_over_two_successions() -> None:
    data = sign_team_list(the_list(9), THIRD, successions=(TO_SECOND, TO_THIRD))
    found = newer(data, held=held(the_list(1)), roots=pinned(), now_ms=NOW)
    assert found.root == THIRD.public
    assert newer(data, held=None, roots=pinned(SECOND), now_ms=NOW).root == THIRD.public


def test_a_root_that_handed_over_is_no_longer_believed_though_it_is_still_pinned() -> None:
    present = newer(
        sign_team_list(the_list(2), SECOND, successions=(TO_SECOND,)),
        held=held(the_list(1)),
        roots=pinned(),
        now_ms=NOW,
    )
    stolen = sign_team_list(the_list(3), ROOT)
    refused("signer", lambda: newer(stolen, held=present, roots=pinned(), now_ms=NOW))
    back = Succession.of(old=ROOT, new=ROOT.public)
    refused(
        "signer",
        lambda: newer(sign_team_list(the_list(3), ROOT, successions=(back,)), held=present, roots=pinned(), now_ms=NOW),
    )
    following = sign_team_list(the_list(3), SECOND, successions=(TO_SECOND,))
    assert newer(following, held=present, roots=pinned(), now_ms=NOW).team.version == 3


def test_a_succession_that_the_old_root_did_not_sign_leads_nowhere() -> None:
    forged = Succession.of(old=THIRD, new=SECOND.public)
    data = sign_team_list(the_list(2), SECOND, successions=(forged,))
    refused("signer", lambda: verify_team_list(data, roots=pinned()))
    wrong_way = sign_team_list(the_list(2), THIRD, successions=(TO_THIRD, TO_SECOND))
    refused("signer", lambda: verify_team_list(wrong_way, roots=pinned()))


def test_a_signature_over_a_list_is_no_succession_and_the_other_way_round() -> None:
    data = sign_team_list(the_list(), ROOT)
    as_step = Succession(public=SECOND.public, signature=data[-64:])
    refused(
        "signer", lambda: verify_team_list(sign_team_list(the_list(), SECOND, successions=(as_step,)), roots=pinned())
    )
    refused("malformed", lambda: sign_team_list(the_list(), SECOND, successions=(TO_SECOND,) * (MAX_SUCCESSIONS + 1)))
