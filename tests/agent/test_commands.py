"""What a box does with orders: believes, remembers, obeys once, answers; TUF's attacks gain nothing."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.errors import RequestError
from agent.obeying import Done, Order, applied
from agent.store import Store
from agent.team_orders import OneCall, ResendOrder
from alerting.alert import Sentence
from exchange.command_answers import MAX_RESULT_BYTES, Answer, AnswerState, seal_answer
from exchange.command_bodies import EraseBody, ListBody, NoBody, ResendBody, ScanBody
from exchange.commands import CommandKind
from exchange.errors import EnvelopeError
from exchange.messages import Range
from exchange.sealed_notes import Reader
from exchange.topics import COMMAND_ACKS, topic
from tests.agent.command_kit import Box, Keys, body_of, box, protocol_text, until
from tests.agent.kit import BOX, PATIENT, START
from tests.exchange.office import DAY, NURSE, OPERATOR, OTHER_NURSE, PHYSICIAN, Office


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


class Counting:
    """A part that obeys and counts."""

    def __init__(self, does: Callable[[], None] = lambda: None) -> None:
        self.orders: list[Order] = []
        self._does = does

    async def __call__(self, order: Order) -> Done:
        self.orders.append(order)
        self._does()
        return applied(result=b'{"n":%d}' % len(self.orders))


def scan(running: Box, **changes: object) -> bytes:
    command = running.office.command(CommandKind.SCAN, ScanBody(), **changes)  # type: ignore[arg-type]
    return running.office.sealed(command, running.keys.opening, NURSE)


async def test_an_order_is_received_done_once_and_answered_sealed(tmp_path: Path, office: Office, keys: Keys) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        data = scan(running)
        running.arrives(data)
        first, last = await running.until_answers(2)
        assert (first.state, last.state) == (AnswerState.ACCEPTED, AnswerState.APPLIED)
        assert last.result == b'{"n":1}'
        assert {name for name, _ in running.link.published} == {topic(BOX, COMMAND_ACKS)}
        assert part.orders[0].by[0].name == NURSE


async def test_a_repeated_order_gets_the_same_answer_and_is_not_done_again(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.CANARY: part}) as running:
        command = office.command(CommandKind.CANARY, NoBody())
        data = office.sealed(command, keys.opening)
        answer = await running.ordered(data)
    async with box(tmp_path, office, keys, others={CommandKind.CANARY: part}) as again:
        # Sealed anew, as the team does each time it sends; and long after it expired.
        again.real.now = command.expires_at + DAY
        assert await again.ordered(office.sealed(command, keys.opening)) == answer
        assert again.counts.seen("command.expired") == 0
    assert len(part.orders) == 1


async def test_a_broker_that_repeats_an_order_is_not_answered_each_time(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys, others={CommandKind.CANARY: Counting()}) as running:
        data = office.sealed(office.command(CommandKind.CANARY, NoBody()), keys.opening)
        await running.ordered(data)
        for _ in range(20):
            running.arrives(data)
        refused = office.sealed(office.command(CommandKind.SCAN, ScanBody()), keys.opening, PHYSICIAN)
        assert (await running.ordered(refused)).reason == "role"
        assert len(running.link.published) == 2


async def test_rollback_an_older_order_of_the_same_matter_is_refused_for_good(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    part = Counting()
    old = office.command(CommandKind.SCAN, ScanBody())
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        new = office.command(CommandKind.SCAN, ScanBody())
        assert (await running.ordered(office.sealed(new, keys.opening, NURSE))).state is AnswerState.APPLIED
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as again:
        answer = await again.ordered(office.sealed(old, keys.opening, NURSE))
        assert (answer.state, answer.reason, answer.highest) == (AnswerState.REFUSED, "rollback", new.version)
        same = office.command(CommandKind.SCAN, ScanBody(), version=new.version)
        assert (await again.ordered(office.sealed(same, keys.opening, NURSE))).reason == "rollback"
    assert len(part.orders) == 1


async def test_freeze_an_order_held_back_until_it_expired_is_refused(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        data = scan(running, lasts=DAY)
        running.real.now = START + DAY
        answer = await running.ordered(data)
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "expired")
    assert not part.orders


async def test_an_order_from_the_future_is_refused(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: Counting()}) as running:
        answer = await running.ordered(scan(running, issued_at=START + DAY))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "future")


async def test_an_order_with_the_id_of_another_is_refused_and_changes_nothing(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        first = office.command(CommandKind.SCAN, ScanBody())
        await running.ordered(office.sealed(first, keys.opening, NURSE))
        other = office.command(CommandKind.SCAN, ScanBody(seconds=3), number=first.id)
        answer = await running.ordered(office.sealed(other, keys.opening, NURSE))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "repeated")
    assert len(part.orders) == 1


@pytest.mark.parametrize(
    ("signers", "reason"),
    [((), "role"), ((PHYSICIAN,), "role"), ((NURSE, NURSE), "people")],
)
async def test_an_order_of_the_wrong_people_is_refused_and_says_so(
    tmp_path: Path, office: Office, keys: Keys, signers: tuple[str, ...], reason: str
) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        command = office.command(CommandKind.SCAN, ScanBody())
        answer = await running.ordered(office.sealed(command, keys.opening, *signers))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, reason)
    assert not part.orders


async def test_what_the_team_did_not_seal_is_counted_and_never_answered(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    stranger, part = Office(), Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        command = office.command(CommandKind.SCAN, ScanBody())
        running.arrives(stranger.seal(office.signed(command, NURSE), keys.opening))
        await running.until_counted("command.signer")
        for noise in (b"", bytes(1024), bytes(70_000)):
            running.arrives(noise)
        await running.until_counted("command.malformed", 2)
        await running.until_counted("command.oversize")
        await running.ordered(office.sealed(command, keys.opening, NURSE))
        assert len(part.orders) == 1
        assert {answer.command for answer in running.answers()} == {command.id}


async def test_a_kind_that_no_part_of_this_box_obeys_is_refused(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        command = office.command(CommandKind.ROTATE, NoBody())
        answer = await running.ordered(office.sealed(command, keys.opening, OPERATOR))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "unsupported")
        assert answer.said[0].fr
        assert answer.said[0].en


async def test_a_part_that_fails_has_refused_and_the_box_goes_on(tmp_path: Path, office: Office, keys: Keys) -> None:
    def fail() -> None:
        raise ValueError("no such thing")

    failing = Counting(fail)
    others = {CommandKind.ROTATE: failing, CommandKind.CANARY: Counting()}
    async with box(tmp_path, office, keys, others=others) as running:
        rotate = office.command(CommandKind.ROTATE, NoBody())
        answer = await running.ordered(office.sealed(rotate, keys.opening, OPERATOR))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "fault")
        canary = office.command(CommandKind.CANARY, NoBody())
        assert (await running.ordered(office.sealed(canary, keys.opening))).state is AnswerState.APPLIED


async def test_an_order_that_a_stop_interrupted_is_begun_again_and_given_up_in_the_end(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    begun: list[Order] = []

    async def never(order: Order) -> Done:
        begun.append(order)
        await asyncio.Event().wait()
        return applied()

    command = office.command(CommandKind.ROTATE, NoBody())
    for start in range(3):
        async with box(tmp_path, office, keys, others={CommandKind.ROTATE: never}) as running:
            if start == 0:
                running.arrives(office.sealed(command, keys.opening, OPERATOR))
            await until(lambda: len(begun) > start)  # noqa: B023 - awaited before the next turn
    assert {order.by[0].name for order in begun} == {OPERATOR}
    async with box(tmp_path, office, keys, others={CommandKind.ROTATE: never}) as running:
        (answer,) = await running.until_answers(1)
        assert (answer.command, answer.reason) == (command.id, "interrupted")
    assert len(begun) == 3


async def test_an_answer_that_nobody_took_is_kept_and_said_when_asked_again(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys, others={CommandKind.CANARY: Counting()}) as running:
        running.link.up = False
        command = office.command(CommandKind.CANARY, NoBody())
        running.arrives(office.sealed(command, keys.opening))
        known = None
        async with asyncio.timeout(20):
            while known is None or known.answer is None:
                known = await running.store.call(Store.known_command, command.id)
        assert running.link.published == []
    async with box(tmp_path, office, keys, others={CommandKind.CANARY: Counting()}) as again:
        answer = await again.ordered(office.sealed(command, keys.opening))
        assert answer == known.answer
        assert known.fingerprint == hashlib.sha256(office.signed(command).command).digest()


async def test_a_box_that_does_not_know_the_time_lets_the_team_ask_again(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        running.known[0] = False
        data = scan(running)
        answer = await running.ordered(data)
        assert (answer.state, answer.reason) == (AnswerState.WAITING, "clock")
        running.known[0] = True
        assert (await running.ordered(data)).state is AnswerState.APPLIED
    assert len(part.orders) == 1


async def test_a_newer_list_reaches_a_box_that_was_away_while_the_teams_keys_were_replaced(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    later = Office(root=office.root, people=dict(office.people))
    later.people.pop(NURSE)
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        scanning = later.command(CommandKind.SCAN, ScanBody())
        running.arrives(later.seal(office.signed(scanning, OTHER_NURSE), keys.opening))
        await running.until_counted("command.signer")
        offered = ListBody(data=later.team_list(version=2))
        running.office = later
        answer = await running.ordered(later.sealed(later.command(CommandKind.TEAM_LIST, offered), keys.opening))
        assert answer.state is AnswerState.APPLIED
        done = await running.ordered(later.seal(office.signed(scanning, OTHER_NURSE), keys.opening))
        assert done.state is AnswerState.APPLIED
        # Whoever is no longer in it orders nothing; and the list before is a rollback.
        left = later.command(CommandKind.SCAN, ScanBody())
        assert (await running.ordered(later.seal(office.signed(left, NURSE), keys.opening))).reason == "signer"
        before = later.command(CommandKind.TEAM_LIST, ListBody(data=office.team_list(version=1)))
        refused = await running.ordered(later.sealed(before, keys.opening))
        assert (refused.state, refused.reason) == (AnswerState.REFUSED, "list_rollback")
        assert running.told == ["team_list_refused"]
    assert len(part.orders) == 1


async def test_a_list_that_the_root_did_not_sign_brings_no_key_in(tmp_path: Path, office: Office, keys: Keys) -> None:
    stranger = Office()
    async with box(tmp_path, office, keys) as running:
        offered = ListBody(data=stranger.team_list(version=9))
        running.arrives(stranger.sealed(stranger.command(CommandKind.TEAM_LIST, offered), keys.opening))
        await running.until_counted("command.list")
        forged = ListBody(data=bytes(len(offered.data)))
        running.arrives(stranger.sealed(stranger.command(CommandKind.TEAM_LIST, forged), keys.opening))
        await running.until_counted("command.list", 2)
        assert running.team.team == office.team()
        assert not running.link.published


async def test_orders_of_people_wait_while_the_boxs_list_has_expired(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    part = Counting()
    async with box(tmp_path, office, keys, others={CommandKind.SCAN: part}) as running:
        running.real.now = START + 401 * DAY
        data = scan(running, issued_at=running.real.now)
        answer = await running.ordered(data)
        assert (answer.state, answer.reason) == (AnswerState.WAITING, "list")
        fresh = office.team_list(version=2, issued_at=running.real.now, expires_at=running.real.now + 60 * DAY)
        command = office.command(CommandKind.TEAM_LIST, ListBody(data=fresh), issued_at=running.real.now)
        assert (await running.ordered(office.sealed(command, keys.opening))).state is AnswerState.APPLIED
        assert (await running.ordered(data)).state is AnswerState.APPLIED
    assert len(part.orders) == 1


async def test_nothing_of_orders_lies_in_the_clear_on_the_disk(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        text = protocol_text(2, ("70 mg/dL", "68 mg/dL"))
        command = office.command(CommandKind.PROTOCOL, body_of(text), subject=PATIENT)
        answer = await running.ordered(office.sealed(command, keys.opening, NURSE, PHYSICIAN))
        assert answer.state is AnswerState.APPLIED
        names = [PATIENT, NURSE, PHYSICIAN, command.id, answer.protocol_hash, "hypo_level_1", "diabetes_cgm", "68 mg"]
        state = tmp_path / "state"
        files = [path for path in state.rglob("*") if path.is_file() and path.name != "team-list"]
        assert any(path.parent.name == "protocols" for path in files)
        for path in files:
            content = path.read_bytes()
            for name in names:
                assert name.encode() not in content, (path.name, name)
                if len(name) == 32:
                    assert bytes.fromhex(name) not in content
            assert path.stat().st_mode & 0o077 == 0, path.name


async def test_what_another_part_cannot_do_is_refused_in_its_own_words(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    done: list[str] = []

    async def erase(order: Order) -> None:
        if order.command.subject != PATIENT:
            raise RequestError(Sentence(fr="Inconnu ici.", en="Unknown here."), Sentence(fr="Voir.", en="Look."))
        done.append(order.command.subject)

    async with box(tmp_path, office, keys, others={CommandKind.ERASE: OneCall(erase)}) as running:
        for patient, state in (("patient-other", AnswerState.REFUSED), (PATIENT, AnswerState.APPLIED)):
            command = office.command(CommandKind.ERASE, EraseBody(), subject=patient)
            answer = await running.ordered(office.sealed(command, keys.opening, NURSE, OPERATOR))
            assert answer.state is state
        assert done == [PATIENT]
        first = running.answers()[0]
        assert [one.fr for one in first.said] == ["Inconnu ici.", "Voir."]


async def test_what_a_database_lacks_is_asked_for_and_what_is_gone_is_said(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    asked: list[tuple[str, tuple[Range, ...]]] = []
    woken: list[None] = []

    async def resend(epoch: str, ranges: Sequence[Range], asked_at: int) -> list[Range]:
        assert asked_at > 0
        asked.append((epoch, tuple(ranges)))
        return [Range(0, 3)] if len(asked) == 1 else []

    part = ResendOrder(resend, on_waiting=lambda: woken.append(None))
    async with box(tmp_path, office, keys, others={CommandKind.RESEND: part}) as running:
        body = ResendBody(epoch="c" * 32, ranges=(Range(0, 9), Range(20, 20)))
        some = await running.ordered(office.sealed(office.command(CommandKind.RESEND, body), keys.opening))
        assert (some.state, some.result) == (AnswerState.APPLIED, b'{"gone": [[0, 3]]}')
        all_of_it = await running.ordered(office.sealed(office.command(CommandKind.RESEND, body), keys.opening))
        assert (all_of_it.state, all_of_it.result) == (AnswerState.APPLIED, b"")
    assert asked == [(body.epoch, body.ranges)] * 2
    assert len(woken) == 2


async def test_what_was_ordered_of_an_erased_patient_is_gone(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys, others={CommandKind.CANARY: Counting()}) as running:
        command = office.command(CommandKind.PROTOCOL, body_of(protocol_text(2)), subject=PATIENT)
        canary = office.command(CommandKind.CANARY, NoBody())
        await running.ordered(office.sealed(command, keys.opening, NURSE, PHYSICIAN))
        await running.ordered(office.sealed(canary, keys.opening))
        await running.store.call(lambda store: store._commands.forget_patient(PATIENT))
        assert await running.store.call(Store.ordered_protocol, PATIENT) is None
        assert await running.store.call(Store.known_command, command.id) is None
        assert await running.store.call(Store.known_command, canary.id) is not None
        again = await running.ordered(office.sealed(command, keys.opening, NURSE, PHYSICIAN))
        assert again.reason == "rollback"


def test_an_answer_is_bounded() -> None:
    office, keys = Office(), Keys()
    answer = Answer(
        box=BOX,
        command="a" * 32,
        state=AnswerState.APPLIED,
        at=START,
        result=b'"' + b"0" * (MAX_RESULT_BYTES - 2) + b'"',
    )
    readers = [Reader.of(office.opening)]
    assert office.answer(seal_answer(answer, signer=keys.signing, readers=readers), keys.signing) == answer
    for wrong in ({"result": answer.result + b" "}, {"command": "x"}, {"reason": "x" * 33}):
        with pytest.raises(EnvelopeError, match="content"):
            seal_answer(msgspec.structs.replace(answer, **wrong), signer=keys.signing, readers=readers)
