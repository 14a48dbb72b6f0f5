"""34: who has the team's database and all of its secrets, but no person's PIN and not the root, orders no protocol."""

import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from coordination.errors import CoordinationError
from coordination.person_key import Cost, make_person_key, open_person_key
from coordination.requests import add_signature, new_request
from exchange.command_answers import AnswerState
from exchange.command_bodies import ListBody, ProtocolBody
from exchange.commands import Command, CommandKind, SignedCommand, decode, encode, sign
from exchange.identity import SigningKey, key_id
from exchange.team_list import Person, Role, sign_team_list
from tests.agent.command_kit import Box, Keys, body_of, box, protocol_text
from tests.agent.kit import BOX, PATIENT, START
from tests.coordination.kit import Team
from tests.exchange.office import NURSE, PHYSICIAN, Office

PINS = {NURSE: "sommeil léger 7", PHYSICIAN: "trois pommes vertes"}
CHEAP = Cost(memory_kib=19_456, passes=2)
WANTED = protocol_text(9, ("54 mg/dL", "30 mg/dL"))
"""What a thief would have the box judge by: it tells of nothing."""


class Loot:
    """Everything that a thief carries away: files, and what is read out of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receipt = SigningKey.load(folder / "receipt.key")
        self.people = {path.stem: msgspec.json.decode(path.read_bytes()) for path in (folder / "people").iterdir()}
        connection = sqlite3.connect(folder / "desk.db")
        self.commands = [
            msgspec.msgpack.decode(content, type=SignedCommand)
            for (content,) in connection.execute("SELECT content FROM command ORDER BY version")
        ]
        connection.close()


@pytest.fixture
def office(team: Team) -> Office:
    """An office whose people's keys lie wrapped in files, beside the team's own secrets."""
    office = Office(receipt=team.receipt, opening=team.opening)
    (team.folder / "people").mkdir()
    for name, pin in PINS.items():
        path = team.folder / "people" / f"{name}.key"
        make_person_key(path, name=name, pin=pin, cost=CHEAP)
        office.people[name] = (office.people[name][0], open_person_key(path, pin))
    return office


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def loot(team: Team, office: Office, tmp_path_factory: pytest.TempPathFactory) -> Loot:
    """The thief's copy, taken after a protocol was sent as it should be."""
    database = team.open_database()
    for version in (2, 3):
        command = office.command(CommandKind.PROTOCOL, body_of(protocol_text(version)), subject=PATIENT)
        signed = office.signed(command, NURSE, PHYSICIAN)
        database.commands.queue(command, signed, signed_by=(NURSE, PHYSICIAN), now=START)
    database.close()
    folder = tmp_path_factory.mktemp("loot") / "all"
    shutil.copytree(team.folder, folder)
    return Loot(folder)


def wanted(office: Office, **changes: object) -> Command:
    return office.command(CommandKind.PROTOCOL, body_of(WANTED), subject=PATIENT, **changes)  # type: ignore[arg-type]


async def refused(running: Box, signed: SignedCommand, *, seal_by: SigningKey | None = None) -> str:
    """Send it as the team's programs would, and return why the box refused it."""
    before, protocol = running.office.receipt, running.judging.protocol_of(PATIENT)
    running.office.receipt = seal_by or before
    try:
        answer = await running.ordered(running.office.seal(signed, running.keys.opening))
    finally:
        running.office.receipt = before
    assert answer.state is AnswerState.REFUSED
    assert running.judging.protocol_of(PATIENT) == protocol
    return answer.reason


async def test_the_teams_own_keys_sign_no_protocol(
    tmp_path_factory: pytest.TempPathFactory, office: Office, keys: Keys, loot: Loot
) -> None:
    async with box(tmp_path_factory.mktemp("box"), office, keys) as running:
        assert await refused(running, SignedCommand(command=encode(wanted(office)))) == "role"
        raw = encode(wanted(office))
        once, twice = sign(raw, loot.receipt), sign(raw, loot.receipt)
        assert await refused(running, SignedCommand(command=raw, signatures=(once,))) == "role"
        assert await refused(running, SignedCommand(command=raw, signatures=(once, twice))) == "people"
        stranger = SigningKey.generate()
        unknown = SignedCommand(command=raw, signatures=(sign(raw, stranger), sign(raw, SigningKey.generate())))
        assert await refused(running, unknown) == "signer"


async def test_signatures_that_were_given_once_sign_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, office: Office, keys: Keys, loot: Loot
) -> None:
    async with box(tmp_path_factory.mktemp("box"), office, keys) as running:
        newest = loot.commands[-1]
        answer = await running.ordered(office.seal(newest, keys.opening))
        assert answer.state is AnswerState.APPLIED
        # On another text, another patient, another time: the signatures cover it all.
        command = decode(newest.command)
        for forged in (
            wanted(office),
            msgspec.structs.replace(command, id="1" * 32, body=wanted(office).body),
            msgspec.structs.replace(command, id="0" * 32, version=command.version + 1),
            msgspec.structs.replace(command, id="2" * 32, expires_at=command.expires_at + 1),
        ):
            signed = SignedCommand(command=encode(forged), signatures=newest.signatures)
            assert await refused(running, signed) == "signature"
        # One of the two with one of the thief's own.
        raw = encode(wanted(office))
        half = SignedCommand(command=raw, signatures=(newest.signatures[0], sign(raw, loot.receipt)))
        assert await refused(running, half) == "signature"
        # What was signed before is signed for ever, and older than what the box has.
        assert await refused(running, loot.commands[0]) == "rollback"


async def test_a_list_with_the_thiefs_own_people_is_not_the_roots(
    tmp_path_factory: pytest.TempPathFactory, office: Office, keys: Keys, loot: Loot
) -> None:
    mallory, eve = SigningKey.generate(), SigningKey.generate()
    people = tuple(
        Person(key=key_id(key.public), public=key.public.hex(), name=name, role=role)
        for name, role, key in (("Mallory", Role.NURSE, mallory), ("Eve", Role.PHYSICIAN, eve))
    )
    async with box(tmp_path_factory.mktemp("box"), office, keys) as running:
        forged = msgspec.structs.replace(office.team(version=2), people=people)
        for root in (loot.receipt, mallory):
            offered = ListBody(data=sign_team_list(forged, root))
            command = office.command(CommandKind.TEAM_LIST, offered)
            answer = await running.ordered(office.sealed(command, keys.opening))
            assert (answer.state, answer.reason) == (AnswerState.REFUSED, "list_signer")
        raw = encode(wanted(office))
        signed = SignedCommand(command=raw, signatures=(sign(raw, mallory), sign(raw, eve)))
        assert await refused(running, signed) == "signer"


def test_peoples_keys_lie_there_wrapped_and_their_pins_do_not(loot: Loot, office: Office) -> None:
    for name, pin in PINS.items():
        secret = office.people[name][1]._private.private_bytes_raw()
        for path in loot.folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            for found in (secret, secret.hex().encode(), pin.encode()):
                assert found not in content, path.name
        with pytest.raises(CoordinationError):
            open_person_key(loot.folder / "people" / f"{name}.key", "mot de passe 123")
    # The same files, with the PINs, do sign: it is the PINs that are missing.
    request = new_request(wanted(office))
    for name, pin in PINS.items():
        request = add_signature(request, open_person_key(loot.folder / "people" / f"{name}.key", pin), name)
    assert [one.name for one in request.signed] == [NURSE, PHYSICIAN]


async def test_with_both_pins_the_same_order_is_applied(
    tmp_path_factory: pytest.TempPathFactory, office: Office, keys: Keys
) -> None:
    """The refusals above are for want of signatures and of nothing else."""
    async with box(tmp_path_factory.mktemp("box"), office, keys) as running:
        command = wanted(office)
        answer = await running.ordered(office.sealed(command, keys.opening, NURSE, PHYSICIAN))
        assert answer.state is AnswerState.APPLIED
        body = body_of(WANTED)
        assert isinstance(body, ProtocolBody)
        assert answer.protocol_hash == body.protocol_hash
        assert command.box == BOX
