"""A shadow that the team orders: begun, judged beside, reported, kept over a stop, ended; and what is refused."""

from pathlib import Path

import msgspec
import pytest

from agent.command_store import AppliedProtocol
from agent.shadow_comparison import read_shadows
from agent.shadow_reports import EVERY_MS, reported
from agent.store import Store
from agent.vault import Vault
from alerting.protocol_file import check_protocol
from exchange.command_answers import MAX_RESULT_BYTES, Answer, AnswerState
from exchange.command_bodies import ProtocolBody, ShadowBody
from exchange.commands import CommandKind
from exchange.errors import EnvelopeError
from exchange.messages import AlertRecord
from exchange.shadow_reports import MOST_LISTED, ShadowReport, decode_report, encode_report
from tests.agent.command_kit import Box, Keys, body_of, box, protocol_text, settings_of
from tests.agent.kit import BOX, MINUTE, PATIENT, START, glucose
from tests.exchange.office import INSTALLER, NURSE, OPERATOR, PHYSICIAN, Office

TRIED = protocol_text(2, ("70 mg/dL", "80 mg/dL"))
STRANGER = "patient-0000"


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def keys() -> Keys:
    return Keys()


def shadow(text: str) -> ShadowBody:
    return ShadowBody(protocol=body_of(text))


async def order(running: Box, body: ShadowBody, *names: str, patient: str = PATIENT) -> Answer:
    command = running.office.command(CommandKind.SHADOW, body, subject=patient)
    answer = await running.ordered(running.office.sealed(command, running.keys.opening, *(names or (NURSE,))))
    # It begins a moment after it was answered.
    await running.shadows.settled()
    return answer


async def gives_low(running: Box, minute: int, value: str = "75") -> None:
    """An hour, the first half of it low for the one that is tried only."""
    running.clock.now = running.real.now = START + (minute + 65) * MINUTE
    await running.gives(*(glucose(value, at) for at in range(minute, minute + 35, 5)))
    await running.gives(*(glucose("120", at) for at in range(minute + 35, minute + 65, 5)))
    await running.tick(minute + 65)
    await running.shadows.settled()


async def ordered_shadow(running: Box) -> AppliedProtocol | None:
    return await running.store.call(Store.ordered_shadow, PATIENT)


async def report_of(running: Box) -> ShadowReport:
    patient = running.judging.patient_of(PATIENT)
    assert patient is not None
    return decode_report(await running.store.call(reported, patient))


async def test_a_nurse_alone_begins_one_and_its_alerts_are_counted_and_told_to_nobody(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys) as running:
        applied = running.judging.protocol_of(PATIENT)
        assert applied is not None
        answer = await order(running, shadow(TRIED))
        assert (answer.state, answer.protocol_hash) == (AnswerState.APPLIED, applied.protocol_hash)
        assert running.judging.protocol_of(PATIENT) is applied
        kept = await ordered_shadow(running)
        assert kept is not None
        assert (kept.by, kept.command, kept.text) == ((NURSE,), answer.command, TRIED)

        await gives_low(running, 5)
        assert not [one for one in await running.records() if isinstance(one, AlertRecord) and one.protocol]
        report = await report_of(running)
        assert (report.shadow.told, report.active.told, report.only_shadow, report.only_active) == (1, 0, 1, 0)
        assert (report.shadow.version, report.active.protocol_hash) == (2, applied.protocol_hash)
        assert report.since == START
        assert report.readings == 13
        ((rule, tried, told),) = [(one.rule, one.shadow, one.active) for one in report.rules]
        assert (tried, told) == (1, 0)
        (alert,) = report.shadow_alerts
        assert (alert.rule, alert.told) == (rule, True)
        assert "75" in alert.why.fr


async def test_what_both_tell_is_counted_once(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        await order(running, shadow(TRIED), PHYSICIAN)
        await gives_low(running, 5, "65")
        report = await report_of(running)
        assert (report.both, report.only_shadow, report.only_active) == (1, 0, 0)
        assert (report.shadow.told, report.active.told) == (1, 1)


async def test_the_team_is_told_four_times_a_day_and_soon(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys, reporting=True) as running:
        begun = await order(running, shadow(TRIED))
        # Of one that has judged nothing there is nothing to tell but since when.
        first = (await running.until_answers(2))[1]
        assert (first.command, first.state, first.highest) == (begun.command, AnswerState.APPLIED, begun.highest)
        assert decode_report(first.result).only_shadow == 0
        await gives_low(running, 5)
        await running.store.call(Store.prove)
        assert len(running.answers()) == 2
        running.clock.now = running.real.now = START + EVERY_MS
        second = (await running.until_answers(3))[2]
        assert second.at == START + EVERY_MS
        report = decode_report(second.result)
        assert (report.since, report.only_shadow) == (START, 1)
        ended = await order(running, ShadowBody())
        assert decode_report(ended.result) == report
        running.clock.now += EVERY_MS
        await running.store.call(Store.prove)
        assert running.answers()[-1].command == ended.command


async def test_it_goes_on_after_a_stop_and_a_repeat_changes_nothing(tmp_path: Path, office: Office, keys: Keys) -> None:
    command = office.command(CommandKind.SHADOW, shadow(TRIED), subject=PATIENT)
    data = office.sealed(command, keys.opening, NURSE)
    async with box(tmp_path, office, keys) as running:
        first = await running.ordered(data)
        await running.shadows.settled()
        await gives_low(running, 5)
    async with box(tmp_path, office, keys, now=START + 70 * MINUTE) as again:
        patient = again.judging.patient_of(PATIENT)
        assert patient is not None
        assert patient.shadow == check_protocol(TRIED.encode()).protocol
        assert await again.ordered(data) == first
        # The same protocol under another order goes on as it was.
        other = await order(again, shadow(TRIED))
        assert other.command != first.command
        await gives_low(again, 125)
        report = await report_of(again)
        assert (report.since, report.only_shadow) == (START, 2)


async def test_it_ends_and_stays_ended(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        old = office.command(CommandKind.SHADOW, shadow(TRIED), subject=PATIENT)
        await order(running, shadow(TRIED))
        await gives_low(running, 5)
        ended = await order(running, ShadowBody(), PHYSICIAN)
        assert ended.state is AnswerState.APPLIED
        assert decode_report(ended.result).only_shadow == 1
        await running.shadows.settled()
        assert await running.store.call(Store.shadow_state, PATIENT) is None
        assert await running.store.call(lambda store: store.shadows.alerts(PATIENT)) == []
        await gives_low(running, 125)
        assert await running.store.call(Store.shadow_state, PATIENT) is None
        rolled_back = await running.ordered(office.sealed(old, keys.opening, NURSE))
        assert (rolled_back.state, rolled_back.reason) == (AnswerState.REFUSED, "rollback")
        nothing = await order(running, ShadowBody())
        assert (nothing.state, nothing.result) == (AnswerState.APPLIED, b"")
    async with box(tmp_path, office, keys) as again:
        patient = again.judging.patient_of(PATIENT)
        assert patient is not None
        assert patient.shadow is None


async def test_another_one_begins_anew(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        await order(running, shadow(TRIED))
        await gives_low(running, 5)
        await order(running, shadow(protocol_text(3, ("70 mg/dL", "78 mg/dL"))))
        await gives_low(running, 125)
        report = await report_of(running)
        assert (report.since, report.shadow.version, report.only_shadow) == (START + 70 * MINUTE, 3, 1)


async def test_it_stands_beside_a_new_protocol_and_both_are_counted_from_then(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys) as running:
        await order(running, shadow(TRIED))
        await gives_low(running, 5)
        change = office.command(
            CommandKind.PROTOCOL, body_of(protocol_text(4, ("70 mg/dL", "60 mg/dL"))), subject=PATIENT
        )
        await running.ordered(office.sealed(change, keys.opening, NURSE, PHYSICIAN))
        await gives_low(running, 125)
        report = await report_of(running)
        assert (report.since, report.active.version, report.only_shadow) == (START, 4, 1)
        assert report.counted_from >= START + 70 * MINUTE
        (found,) = read_shadows(settings_of(tmp_path, office), Vault(bytes(range(32)), box=BOX))
        assert found.comparison is not None


@pytest.mark.parametrize("names", [(INSTALLER,), (OPERATOR,), ("automation",)])
async def test_only_a_nurse_or_a_physician_may(
    tmp_path: Path, office: Office, keys: Keys, names: tuple[str, ...]
) -> None:
    async with box(tmp_path, office, keys) as running:
        command = office.command(CommandKind.SHADOW, shadow(TRIED), subject=PATIENT)
        signers = () if names == ("automation",) else names
        answer = await running.ordered(office.sealed(command, keys.opening, *signers))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "role")
        assert await ordered_shadow(running) is None


@pytest.mark.parametrize(
    ("body", "patient", "reason"),
    [
        (shadow(TRIED), STRANGER, "patient"),
        (ShadowBody(), STRANGER, "patient"),
        (ShadowBody(protocol=ProtocolBody(text="x = 1", protocol_hash="0" * 64)), PATIENT, "protocol"),
        (ShadowBody(protocol=body_of(TRIED, protocol_hash="0" * 64)), PATIENT, "hash"),
        (shadow(protocol_text(1)), PATIENT, "same"),
        (ShadowBody(protocol=body_of(protocol_text(2, ("70 mg/dL", "90 mg/dL")), pack="x = 1")), PATIENT, "limits"),
    ],
)
async def test_what_could_never_be_applied_is_not_tried_and_raises_nothing(
    tmp_path: Path, office: Office, keys: Keys, body: ShadowBody, patient: str, reason: str
) -> None:
    async with box(tmp_path, office, keys) as running:
        answer = await order(running, body, patient=patient)
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, reason)
        assert answer.said[0].fr != answer.said[0].en
        assert await ordered_shadow(running) is None
        assert await running.standing() == []


async def test_a_late_order_is_refused(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        command = office.command(CommandKind.SHADOW, shadow(TRIED), subject=PATIENT)
        running.real.now = command.expires_at
        answer = await running.ordered(office.sealed(command, keys.opening, NURSE))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "expired")


async def test_one_meant_for_the_patient_at_once_needs_nobody_to_tell_them(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    now = protocol_text(2, ('audience = "nurse"', 'audience = "patient_now"'))
    async with box(tmp_path, office, keys, relay=None) as running:
        assert (await order(running, shadow(now))).state is AnswerState.APPLIED


async def test_it_can_be_ended_though_what_it_came_to_cannot_be_read(
    tmp_path: Path, office: Office, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box(tmp_path, office, keys, reporting=True) as running:
        await order(running, shadow(TRIED))

        def altered(*_: object) -> None:
            raise ValueError("altered")

        monkeypatch.setattr("agent.shadow_reports.of_patient", altered)
        ended = await order(running, ShadowBody())
        assert (ended.state, ended.result) == (AnswerState.APPLIED, b"")


async def test_the_settings_have_no_say_once_the_team_ordered(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        await order(running, shadow(TRIED))
        await order(running, ShadowBody())
        kept = await ordered_shadow(running)
        assert kept is not None
        assert kept.text == ""


def test_a_long_report_drops_its_oldest_alerts() -> None:
    side = {"name": "x", "version": 1, "protocol_hash": "0" * 64, "told": 0, "raised": 0, "taken_back": 0}
    alerts = [
        {"rule": "low", "priority": "high", "raised_at": at, "told": True, "why": {"fr": "é" * 400, "en": "e" * 400}}
        for at in range(MOST_LISTED)
    ]
    plain = {
        "since": 0,
        "counted_from": 0,
        "until": 1,
        "readings": 1,
        "shadow": side,
        "active": side,
        "both": 0,
        "only_shadow": MOST_LISTED,
        "only_active": 0,
        "shadow_alerts": alerts,
    }
    raw = encode_report(msgspec.convert(plain, ShadowReport))
    assert len(raw) <= MAX_RESULT_BYTES
    found = decode_report(raw)
    assert 0 < len(found.shadow_alerts) < MOST_LISTED
    assert found.shadow_alerts[-1].raised_at == MOST_LISTED - 1
    assert found.only_shadow == MOST_LISTED


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b'{"since": 1}'])
def test_what_is_no_report_is_refused(raw: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode_report(raw)
