"""Who signs, with what, after having shown what; and what a stolen database is worth."""

import base64
import sqlite3
from pathlib import Path

import msgspec
import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from coordination import signing_keys
from coordination.desk.access import Role
from coordination.desk.models import PersonKey, ProtocolSignature, User
from coordination.desk.shared_database import acting, looking
from coordination.drafts import open_draft
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.person_key import WrongPinError, new_wrapped_key, public_part
from exchange.command_bodies import ProtocolBody, encode_body
from exchange.commands import (
    CommandSignature,
    Received,
    SignedCommand,
    Trust,
    check_authority,
    decode,
    encode,
    sign,
)
from exchange.errors import CommandError
from exchange.identity import SigningKey
from exchange.team_list import Person
from exchange.team_list import Role as Listed
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.workshop_kit import (
    ADDRESS,
    CHEAP,
    PINS,
    Signer,
    begun,
    changed,
    draft_of,
    just_shown,
    seen,
    signer,
    watched,
)
from tests.coordination.kit import MINUTE, START, is_file


def proposed(desk: Desk) -> tuple[Signer, Signer]:
    """A draft that waits for its signatures, and who may give them."""
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    physician = signer(desk, Role.PHYSICIAN, name="Dr Claire Petit")
    begun(nurse.client)
    changed(nurse.client, weight_gain_3_days__delta="2,2")
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    return nurse, physician


def signed_by() -> list[str]:
    return list(ProtocolSignature.objects.order_by("at", "pk").values_list("name", flat=True))


def test_a_physician_does_not_sign_first(desk: Desk) -> None:
    _, physician = proposed(desk)
    answer = physician.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": physician.pin})
    assert "Une infirmière signe d&#39;abord, le médecin ensuite." in answer.content.decode()
    assert physician.client.post(f"{ADDRESS}/signer", {**seen(), "code": physician.pin}).status_code == 403
    assert signed_by() == []


def test_one_person_who_is_both_signs_once(desk: Desk) -> None:
    proposed(desk)
    both = signer(desk, Role.NURSE, name="Jean Double", pin="quatre chats noirs")
    desk.user(Role.PHYSICIAN, name="Jean Double")
    both.client.post(f"{ADDRESS}/signer", {**seen(), "code": both.pin})
    answer = both.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": both.pin})
    assert "Deux personnes différentes doivent signer." in answer.content.decode()
    # Nor with a new key of theirs.
    with acting() as database:
        wrapped = new_wrapped_key(name="Jean Double", pin="cinq chats noirs", cost=CHEAP)
        signing_keys.keep_key(database, wrapped, by=Handler(name="Jean Double", row=both.user.pk), at=START)
    answer = both.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": "cinq chats noirs"})
    assert "Deux personnes différentes doivent signer." in answer.content.decode()
    assert signed_by() == ["Jean Double"]


def test_what_was_taken_back_is_signed_by_nobody(desk: Desk) -> None:
    nurse, physician = proposed(desk)
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    read = seen()
    nurse.client.post(f"{ADDRESS}/reprendre", seen())
    assert signed_by() == []
    changed(nurse.client, weight_gain_3_days__delta="2,9")
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    # The physician still looks at what was proposed first.
    answer = physician.client.post(f"{ADDRESS}/contresigner", {**read, "code": physician.pin})
    assert "vient d&#39;être changé par Anne Morel" in answer.content.decode()
    assert signed_by() == ["Anne Morel"]


def test_whoever_has_not_just_shown_who_they_are_is_asked_and_their_pin_is_kept_nowhere(desk: Desk) -> None:
    nurse, _ = proposed(desk)
    session = nurse.client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 1.0}]
    session.save()
    for answer in (
        nurse.client.get(f"{ADDRESS}/signature"),
        nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin}),
        nurse.client.get("/compte/signature"),
        nurse.client.post("/compte/signature", {"code": nurse.pin, "encore": nurse.pin}),
    ):
        assert answer.status_code == 302
        assert "next=" in answer.headers["Location"]
    assert nurse.pin not in str(dict(nurse.client.session))
    assert signed_by() == []


def test_a_pin_is_tried_five_times_then_no_more_for_a_quarter_of_an_hour_even_the_right_one(desk: Desk) -> None:
    nurse, _ = proposed(desk)
    for _ in range(5):
        answer = nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": "not the PIN"})
        assert "n&#39;est pas celui de cette clé" in answer.content.decode()
    answer = nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    assert "plus aucun essai pendant 15 min" in answer.content.decode()
    assert signed_by() == []
    desk.clock.now += 16 * MINUTE
    just_shown(nurse.client)
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    assert signed_by() == ["Anne Morel"]
    assert PersonKey.objects.get(user=nurse.user).wrong == 0


def test_wrong_pins_and_new_keys_are_acts(desk: Desk) -> None:
    nurse, _ = proposed(desk)
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": "not the PIN"})
    acts = [row[0] for row in looking().execute("SELECT act FROM audit ORDER BY n").fetchall()]
    assert acts.count("signing_key_made") == 2
    assert acts.count("signing_refused") == 1


def test_the_pause_after_wrong_pins_doubles_up_to_a_day(desk: Desk) -> None:
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    pauses, at = [], START
    for _ in range(16):
        with acting() as database:
            signing_keys.count_try(database, nurse.user.pk, at=at)
        closed = PersonKey.objects.get().closed_until
        pauses.append(max(0, closed - at) // MINUTE)
        at = max(at, closed)
    assert pauses[:7] == [0, 0, 0, 0, 15, 30, 60]
    assert pauses[-1] == 24 * 60


def test_a_key_is_made_on_the_page_and_easy_pins_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "new_wrapped_key", lambda **more: new_wrapped_key(**{**more, "cost": CHEAP}))
    client = desk.client(Role.PHYSICIAN, name="Dr Claire Petit")
    just_shown(client)
    page = client.post("/compte/signature", {"code": "12345678", "encore": "12345678"}).content.decode()
    assert "trop facile à deviner" in page
    page = client.post("/compte/signature", {"code": "trois pommes", "encore": "trois poires"}).content.decode()
    assert "Les deux codes diffèrent." in page
    assert not PersonKey.objects.exists()
    sent = {"code": "trois pommes vertes", "encore": "trois pommes vertes"}
    page = client.post("/compte/signature", sent, follow=True).content.decode()
    key = PersonKey.objects.get()
    assert key.public in page
    assert User.objects.get().person_key == key.key
    assert "trois pommes vertes" not in page


def test_whoever_signs_nothing_makes_no_key(desk: Desk) -> None:
    client = desk.client(Role.AUDITOR)
    just_shown(client)
    sent = {"code": PINS[Role.NURSE], "encore": PINS[Role.NURSE]}
    for answer in (client.get("/compte/signature"), client.post("/compte/signature", sent)):
        assert "ne signe rien" in answer.content.decode()
    assert not PersonKey.objects.exists()


# --- what a stolen database is worth ----------------------------------------------------------------------


def trust_of(*people: Signer, automation: SigningKey) -> Trust:
    """What a box believes: the list that the root signed."""
    listed = {
        one.key.id: Person(
            key=one.key.id,
            public=one.key.public,
            name=one.key.name,
            role=Listed.NURSE if number == 0 else Listed.PHYSICIAN,
        )
        for number, one in enumerate(people)
    }
    return Trust(people=listed, automation={automation.id: automation.public})


def accepted(raw: bytes, signatures: tuple[CommandSignature, ...], trust: Trust) -> bool:
    """Whether a box would obey."""
    received = Received(command=decode(raw), signed=SignedCommand(command=raw, signatures=signatures))
    try:
        check_authority(received, trust)
    except CommandError:
        return False
    return True


def test_a_dump_of_the_database_and_the_servers_secrets_makes_no_protocol_that_a_box_accepts(desk: Desk) -> None:
    nurse, physician = proposed(desk)
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    physician.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": physician.pin})
    stolen = draft_of()
    # The thief has every row, the key of the cookies and the team's own key.
    automation = desk.boxes.receipt
    assert settings.SECRET_KEY
    trust = trust_of(nurse, physician, automation=automation)
    raw = base64.b64decode(stolen.command)
    theirs = tuple(
        CommandSignature(key=one.key, signature=bytes.fromhex(one.signature))
        for one in ProtocolSignature.objects.order_by("pk")
    )
    assert accepted(raw, theirs, trust), "what both signed is obeyed: the test can tell"
    command = decode(raw)
    body = encode_body(ProtocolBody(text="other", protocol_hash="ab" * 32))
    forged = encode(msgspec.structs.replace(command, body=body))
    later = encode(msgspec.structs.replace(command, version=command.version + 1))
    own = SigningKey.generate()
    for made in (forged, later):
        assert not accepted(made, theirs, trust), "their signatures are of one order only"
        assert not accepted(made, (sign(made, automation),), trust), "the team's programs may not"
        assert not accepted(made, (sign(made, automation), theirs[0]), trust)
        assert not accepted(made, (sign(made, own), sign(made, automation)), trust), "nobody's key"
        renamed = tuple(CommandSignature(key=one.key, signature=sign(made, own).signature) for one in theirs)
        assert not accepted(made, renamed, trust)
    assert not accepted(raw, theirs[:1], trust)
    # And the wrapped keys open to no PIN that is not theirs, whatever else of the database is tried.
    for row in PersonKey.objects.all():
        for guess in (
            settings.SECRET_KEY[:100],
            row.key,
            row.public,
            row.name,
            stolen.command_id,
            stolen.protocol_hash,
        ):
            with pytest.raises(WrongPinError):
                signing_keys.open_key(
                    signing_keys.KeptKey(
                        key=public_part(row.wrapped.encode()), wrapped=row.wrapped.encode(), made_at=0
                    ),
                    guess,
                )


def test_neither_a_pin_nor_an_open_key_is_in_the_databases_bytes(desk: Desk) -> None:
    nurse, _ = proposed(desk)
    opened = signing_keys.open_key(signing_keys.key_of(looking(), nurse.user.pk), nurse.pin)  # type: ignore[arg-type]
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    if not is_file(desk.boxes.database):
        pytest.skip("the raw bytes of a file")
    database = sqlite3.connect(desk.boxes.database)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    content = b"".join(path.read_bytes() for path in Path(desk.boxes.database).parent.glob("desk.db*"))
    raw = opened._private.private_bytes_raw()
    for secret in (nurse.pin.encode(), raw, raw.hex().encode(), base64.b64encode(raw)):
        assert secret not in content
    assert nurse.key.public.encode() in content, "the search finds what is there"


@hypothesis(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_an_order_that_was_changed_in_the_database_by_one_bit_is_obeyed_by_nobody(
    desk: Desk, place: int, bit: int
) -> None:
    if not PersonKey.objects.exists():
        nurse, physician = proposed(desk)
        nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
        physician.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": physician.pin})
        desk.signers = (nurse, physician)  # type: ignore[attr-defined]
    draft = open_draft(looking(), 1, draft_of().patient_id)
    assert draft is not None
    trust = trust_of(*desk.signers, automation=desk.boxes.receipt)  # type: ignore[attr-defined]
    raw = bytearray(draft.raw)
    raw[place % len(raw)] ^= 1 << bit
    try:
        decode(bytes(raw))
    except CommandError:
        return
    assert not accepted(bytes(raw), tuple(one.signature for one in draft.request.signed), trust)


def test_opening_keys_takes_turns_and_says_so_when_it_lasts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    kept = signing_keys.key_of(looking(), nurse.user.pk)
    assert kept is not None
    monkeypatch.setattr(signing_keys, "_WAIT_S", 0.01)
    with signing_keys._taking_turns(), signing_keys._taking_turns(), pytest.raises(CoordinationError) as told:
        signing_keys.open_key(kept, nurse.pin)
    assert "en même temps" in told.value.why.fr
    assert signing_keys.open_key(kept, nurse.pin).id == nurse.key.id
    assert PINS[Role.NURSE] == nurse.pin
