"""A protocol that the team orders takes effect in the running box, whole or not at all; an alert's disposition stops
what is told at home and nothing else."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.ordered_protocols import with_orders
from agent.store import Store
from agent.store_reader import StoreReader
from agent.vault import Vault
from alerting.alert import AlertChange, Outcome
from alerting.engine import Engine
from alerting.protocol_change import ENDED_BY_PROTOCOL, NO_LONGER_TRUE
from alerting.protocol_file import read_protocol
from alerting.protocol_writer import write_protocol
from devices.reading import Reading
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import DispositionBody, DispositionState, ProtocolBody
from exchange.commands import CommandKind
from exchange.messages import AlertRecord
from tests.agent.command_kit import SMALL, Box, Keys, body_of, box, protocol_text, settings_of
from tests.agent.kit import BOX, MINUTE, PATIENT, START, glucose
from tests.alerting.worlds import packaged
from tests.exchange.office import NURSE, PHYSICIAN, Office

HYPO = tuple(glucose("65", minute) for minute in range(0, 35, 5))
LOWER = (("70 mg/dL", "60 mg/dL"),)
"""A hypoglycaemia of 65 mg/dL is none under these thresholds."""


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


async def order(running: Box, body: ProtocolBody, *, patient: str = PATIENT) -> Answer:
    command = running.office.command(CommandKind.PROTOCOL, body, subject=patient)
    return await running.ordered(running.office.sealed(command, running.keys.opening, NURSE, PHYSICIAN))


async def alerts(running: Box) -> list[tuple[str, str]]:
    """(kind, rule) of every alert change that waits for the team, in order."""
    return [(one.kind.value, one.rule) for one in await running.records() if isinstance(one, AlertRecord)]


def hash_of(text: str) -> str:
    return read_protocol(text.encode(), name_hint="test").protocol_hash


async def test_a_signed_protocol_is_applied_in_the_running_box_and_its_hash_is_told(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    text = protocol_text(2, *LOWER)
    async with box(tmp_path, office, keys) as running:
        answer = await order(running, body_of(text))
        assert (answer.state, answer.protocol_hash) == (AnswerState.APPLIED, hash_of(text))
        await running.gives(*HYPO)
        assert [one.rule for one in await running.standing()] == []
        await running.gives(*(glucose("58", minute) for minute in range(35, 60, 5)))
        (standing,) = await running.standing()
        assert (standing.rule, standing.protocol_hash) == ("hypo_level_1", hash_of(text))


async def test_it_holds_after_a_restart_whatever_the_settings_say(tmp_path: Path, office: Office, keys: Keys) -> None:
    text = protocol_text(2, *LOWER)
    async with box(tmp_path, office, keys) as running:
        await order(running, body_of(text))
    async with box(tmp_path, office, keys) as again:
        assert again.judging.protocol_of(PATIENT) == read_protocol(text.encode(), name_hint="test")
        settings = settings_of(tmp_path, office)
        reader = StoreReader.open(settings.state / "veilleur.db", Vault(bytes(range(32)), box=BOX))
        try:
            kept = reader.commands.protocol(PATIENT)
            shown = with_orders(settings, reader.commands)
        finally:
            reader.close()
        assert kept is not None
        assert (kept.by, kept.protocol_hash) == ((NURSE, PHYSICIAN), hash_of(text))
        assert shown.devices[0].people[0].patient.protocol.version == 2


async def test_what_no_longer_holds_is_ended_and_what_still_does_goes_on(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys) as running:
        await running.gives(*HYPO)
        (before,) = await running.standing()
        same = protocol_text(2, ("180 mg/dL", "190 mg/dL"))
        await order(running, body_of(same))
        assert [one.alert_id for one in await running.standing()] == [before.alert_id]
        running.clock.now = START + 31 * MINUTE
        await order(running, body_of(protocol_text(3, *LOWER)))
        assert await running.standing() == []
        ended = [one for one in await running.records() if isinstance(one, AlertRecord)][-1]
        assert (ended.kind, ended.alert_id, ended.fr) == ("resolved", before.alert_id, NO_LONGER_TRUE.fr)


async def test_what_is_newly_true_is_raised_at_the_change(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        await running.gives(*(glucose("75", minute) for minute in range(0, 35, 5)))
        assert await running.standing() == []
        running.clock.now = START + 40 * MINUTE
        await order(running, body_of(protocol_text(2, ("70 mg/dL", "80 mg/dL"))))
        (raised,) = await running.standing()
        assert (raised.rule, raised.raised_at, raised.onset) == ("hypo_level_1", running.clock.now, START)


async def test_an_alert_whose_rule_is_gone_says_so(tmp_path: Path, office: Office, keys: Keys) -> None:
    text = SMALL.read_text(encoding="utf-8").replace("version = 1", "version = 2")
    gone = text.replace('id = "hypo_level_1"', 'id = "low_glucose"')
    async with box(tmp_path, office, keys) as running:
        await running.gives(*HYPO)
        running.clock.now = START + 31 * MINUTE
        await order(running, body_of(write_protocol(read_protocol(gone.encode(), name_hint="test"))))
        records = [one for one in await running.records() if isinstance(one, AlertRecord)]
        ended = next(one for one in records if one.kind == "resolved")
        assert (ended.rule, ended.fr) == ("hypo_level_1", ENDED_BY_PROTOCOL.fr)
        assert [one.rule for one in await running.standing()] == ["low_glucose"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (body_of("name = 1"), "protocol"),
        (body_of("not toml ["), "protocol"),
        (body_of(protocol_text(2), protocol_hash="1" * 64), "hash"),
        (body_of(protocol_text(1, *LOWER)), "protocol_version"),
        (body_of(write_protocol(packaged("mood_follow_up"))), "answers"),
    ],
)
async def test_what_cannot_be_applied_is_refused_told_and_changes_nothing(
    tmp_path: Path, office: Office, keys: Keys, body: ProtocolBody, reason: str
) -> None:
    async with box(tmp_path, office, keys) as running:
        before = running.judging.protocol_of(PATIENT)
        assert before is not None
        answer = await order(running, body)
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, reason)
        assert answer.protocol_hash == before.protocol_hash
        assert answer.said
        assert all(one.fr and one.en for one in answer.said)
        assert running.judging.protocol_of(PATIENT) == before
        (told,) = await running.standing()
        assert (told.rule, told.patient, told.priority.value) == ("protocol_refused", PATIENT, "high")
        await running.gives(*HYPO)
        assert {one.rule for one in await running.standing()} == {"hypo_level_1", "protocol_refused"}
    async with box(tmp_path, office, keys) as again:
        assert {one.rule for one in await again.standing()} == {"hypo_level_1", "protocol_refused"}
        assert (await order(again, body_of(protocol_text(2)))).state is AnswerState.APPLIED
        assert {one.rule for one in await again.standing()} == {"hypo_level_1"}


async def test_a_protocol_of_one_signature_is_refused_and_told(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        command = office.command(CommandKind.PROTOCOL, body_of(protocol_text(2)), subject=PATIENT)
        answer = await running.ordered(office.sealed(command, keys.opening, NURSE))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "role")
        await running.judging.settled()
        assert [one.rule for one in await running.standing()] == ["protocol_refused"]


async def test_a_protocol_that_speaks_at_once_needs_somebody_who_tells(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys, relay=None) as running:
        answer = await order(running, body_of(protocol_text(2)))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "now")
        quiet = protocol_text(2, ('audience = "patient_now"', 'audience = "nurse"'))
        assert (await order(running, body_of(quiet))).state is AnswerState.APPLIED


async def test_a_protocol_beyond_the_limits_of_its_pack_is_refused(tmp_path: Path, office: Office, keys: Keys) -> None:
    pack_text = SMALL.read_text(encoding="utf-8") + '\n[bounds.hypo_level_1]\nthreshold = ["65 mg/dL", "80 mg/dL"]\n'
    pack = write_protocol(read_protocol(pack_text.encode(), name_hint="pack"))

    def adapted(threshold: str, *, bounds: str = '["65 mg/dL", "80 mg/dL"]') -> str:
        text = pack_text.replace("version = 1", "version = 2").replace("70 mg/dL", threshold)
        text = text.replace('["65 mg/dL", "80 mg/dL"]', bounds)
        return write_protocol(read_protocol(text.encode(), name_hint="adapted"))

    async with box(tmp_path, office, keys) as running:
        # Whoever writes the text can write other limits into it: what counts is the pack's own.
        wider = adapted("60 mg/dL", bounds='["50 mg/dL", "80 mg/dL"]')
        answer = await order(running, body_of(wider, pack=pack))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "limits")
        within = await order(running, body_of(adapted("66 mg/dL"), pack=pack))
        assert within.state is AnswerState.APPLIED, within


async def test_a_patient_of_another_box_is_refused(tmp_path: Path, office: Office, keys: Keys) -> None:
    async with box(tmp_path, office, keys) as running:
        answer = await order(running, body_of(protocol_text(2)), patient="patient-other")
        assert (answer.state, answer.reason, answer.protocol_hash) == (AnswerState.REFUSED, "patient", "")
        assert await running.standing() == []


async def test_a_protocol_that_cannot_judge_the_past_leaves_the_one_before(
    tmp_path: Path, office: Office, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box(tmp_path, office, keys) as running:
        await running.gives(*HYPO)
        feed = Engine.feed

        def failing(engine: Engine, readings: Sequence[Reading]) -> tuple[AlertChange, ...]:
            if engine.protocol.version == 2:
                raise ValueError("this protocol judges nothing")
            return feed(engine, readings)

        monkeypatch.setattr(Engine, "feed", failing)
        answer = await order(running, body_of(protocol_text(2, *LOWER)))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "fault")
        await running.gives(glucose("64", 35))
        await running.gives(*(glucose("100", minute) for minute in range(40, 65, 5)))
        assert [one.rule for one in await running.standing()] == ["protocol_refused"]
        # No reading pays for it: nothing is quarantined.
        assert ("raised", "judging_quarantined") not in await alerts(running)


async def test_a_new_database_begins_with_what_the_team_ordered_last(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    text = protocol_text(2, *LOWER)
    old = office.command(CommandKind.PROTOCOL, body_of(protocol_text(3)), subject=PATIENT)
    async with box(tmp_path, office, keys) as running:
        await order(running, body_of(text))
    async with box(tmp_path, office, keys, database="begun-anew.db") as again:
        assert again.judging.protocol_of(PATIENT) == read_protocol(text.encode(), name_hint="test")
        # And what is older stays refused, although the database never saw the newer one come.
        answer = await again.ordered(office.sealed(old, keys.opening, NURSE, PHYSICIAN))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "rollback")


async def test_a_copy_that_somebody_else_wrote_is_not_believed(tmp_path: Path, office: Office, keys: Keys) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with box(other, office, Keys()) as strange:
        await order(strange, body_of(protocol_text(9, *LOWER)))
    async with box(tmp_path, office, keys) as running:
        await order(running, body_of(protocol_text(2)))
    (copy,) = (tmp_path / "state" / "protocols").iterdir()
    (foreign,) = (other / "state" / "protocols").iterdir()
    shutil.copy(foreign, copy)
    async with box(tmp_path, office, keys, database="begun-anew.db") as again:
        protocol = again.judging.protocol_of(PATIENT)
        assert protocol is not None
        assert protocol.version == 1
    async with box(tmp_path, office, keys):
        # The database knows better, and the copy is put right.
        pass
    async with box(tmp_path, office, keys, database="begun-again.db") as third:
        protocol = third.judging.protocol_of(PATIENT)
        assert protocol is not None
        assert protocol.version == 2


# --- dispositions -------------------------------------------------------------------------------------------------


def disposition(running: Box, alert: str, **changes: object) -> bytes:
    body = DispositionBody(alert=alert, state=DispositionState.TAKEN, by=NURSE, at=START + 40 * MINUTE)
    body = replace_body(body, **changes)
    command = running.office.command(CommandKind.DISPOSITION, body, subject=PATIENT)
    return running.office.sealed(command, running.keys.opening)


def replace_body(body: DispositionBody, **changes: object) -> DispositionBody:
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return DispositionBody(**(fields | changes))


STEPS = '\n[[telling.steps]]\npriority = "medium"\nafter = "30 min"\naudience = "nurse"\n'


async def test_an_alert_that_the_team_took_is_not_escalated_at_home_and_is_judged_all_the_same(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    stepped = SMALL.read_text(encoding="utf-8").replace("version = 1", "version = 2") + STEPS
    text = write_protocol(read_protocol(stepped.encode(), name_hint="test"))
    for name, taken in (("taken", True), ("not-taken", False)):
        folder = tmp_path / name
        folder.mkdir()
        async with box(folder, office, keys) as running:
            await order(running, body_of(text))
            await running.gives(*HYPO)
            await running.tick(31)
            standing = next(one for one in await running.standing() if one.rule == "hypo_level_1")
            if taken:
                answer = await running.ordered(disposition(running, standing.alert_id))
                assert answer.state is AnswerState.APPLIED
                assert answer.protocol_hash == hash_of(text)
            await running.tick(120)
            assert (("escalated", "hypo_level_1") in await alerts(running)) is not taken
            assert "hypo_level_1" in {one.rule for one in await running.standing()}
            await running.gives(*(glucose("100", minute) for minute in range(121, 150, 5)))
            assert ("resolved", "hypo_level_1") in await alerts(running)


async def test_what_goes_on_since_another_time_stays_taken_and_says_to_its_end_what_it_goes_on_from(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    stepped = SMALL.read_text(encoding="utf-8").replace("version = 1", "version = 2") + STEPS
    wider = stepped.replace("version = 2", "version = 3").replace("70 mg/dL", "80 mg/dL")
    async with box(tmp_path, office, keys) as running:
        await order(running, body_of(write_protocol(read_protocol(stepped.encode(), name_hint="test"))))
        await running.gives(*(glucose("75" if minute < 20 else "65", minute) for minute in range(0, 55, 5)))
        (before,) = await running.standing()
        assert before.onset == START + 20 * MINUTE
        await running.ordered(disposition(running, before.alert_id))
        running.clock.now = START + 55 * MINUTE
        answer = await order(running, body_of(write_protocol(read_protocol(wider.encode(), name_hint="test"))))
        assert answer.state is AnswerState.APPLIED
        (after,) = await running.standing()
        assert (after.onset, after.supersedes) == (START, before.alert_id)
        # What the team says of the one that it knows holds for the one that goes on.
        await running.ordered(disposition(running, before.alert_id, state=DispositionState.CLOSED))
        await running.gives(*(glucose("65", minute) for minute in range(60, 180, 5)))
        await running.tick(180)
        assert "escalated" not in {kind for kind, _ in await alerts(running)}
        await running.gives(*(glucose("100", minute) for minute in range(180, 210, 5)))
        records = [one for one in await running.records() if isinstance(one, AlertRecord)]
        said = [(one.kind.value, one.supersedes) for one in records if one.alert_id == after.alert_id]
        assert said == [("revised", before.alert_id), ("resolved", before.alert_id)]


async def test_what_was_taken_ended_by_thresholds_and_is_raised_again_by_others_asks_for_somebody_anew(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    def text(version: int, threshold: str) -> str:
        changed = SMALL.read_text(encoding="utf-8").replace("version = 1", f"version = {version}") + STEPS
        return write_protocol(read_protocol(changed.replace("70 mg/dL", threshold).encode(), name_hint="test"))

    async with box(tmp_path, office, keys) as running:
        await order(running, body_of(text(2, "70 mg/dL")))
        await running.gives(*HYPO)
        (first,) = await running.standing()
        await running.ordered(disposition(running, first.alert_id))
        running.clock.now = START + 31 * MINUTE
        await order(running, body_of(text(3, "60 mg/dL")))
        assert await running.standing() == []
        running.clock.now = START + 33 * MINUTE
        await order(running, body_of(text(4, "70 mg/dL")))
        assert [one.alert_id for one in await running.standing()] == [first.alert_id]
        assert not running.judging.attended(PATIENT, first.alert_id)
        await running.tick(120)
        assert ("escalated", "hypo_level_1") in await alerts(running)


async def test_a_latched_alert_whose_condition_is_over_is_ended_by_whoever_saw_it(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    text = protocol_text(2, ('priority = "medium"', 'priority = "medium"\nlatched = true'))
    async with box(tmp_path, office, keys) as running:
        assert (await order(running, body_of(text))).state is AnswerState.APPLIED
        await running.gives(*HYPO, *(glucose("100", minute) for minute in range(35, 60, 5)))
        (standing,) = await running.standing()
        closed = disposition(
            running, standing.alert_id, state=DispositionState.CLOSED, outcome=Outcome.ACTION, at=START + 70 * MINUTE
        )
        assert (await running.ordered(closed)).state is AnswerState.APPLIED
        assert await running.standing() == []
        assert (await alerts(running))[-1] == ("resolved", "hypo_level_1")
    async with box(tmp_path, office, keys) as again:
        # What came of it is remembered, for the next alert of its rule to say.
        again.clock.now = START + 200 * MINUTE
        await again.gives(*(glucose("65", minute) for minute in range(200, 230, 5)))
        (standing,) = await again.standing()
        assert standing.similar is not None
        assert standing.similar.outcome is Outcome.ACTION


async def test_an_alert_of_the_box_itself_needs_no_stopping_and_one_unknown_is_said_to_be(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys) as running:
        await order(running, body_of(protocol_text(2), protocol_hash="1" * 64))
        (technical,) = await running.standing()
        assert (await running.ordered(disposition(running, technical.alert_id))).state is AnswerState.APPLIED
        answer = await running.ordered(disposition(running, "e" * 32))
        assert (answer.state, answer.reason) == (AnswerState.REFUSED, "unknown_alert")


async def test_dispositions_of_several_alerts_do_not_overtake_each_other(
    tmp_path: Path, office: Office, keys: Keys
) -> None:
    async with box(tmp_path, office, keys) as running:
        await running.gives(*(glucose("50", minute) for minute in range(0, 35, 5)))
        standing = await running.standing()
        assert len(standing) == 2
        made = [disposition(running, one.alert_id) for one in standing]
        for data in reversed(made):
            assert (await running.ordered(data)).state is AnswerState.APPLIED


async def test_two_protocols_at_once_leave_the_later_one(tmp_path: Path, office: Office, keys: Keys) -> None:
    texts = [protocol_text(version, ("70 mg/dL", f"{70 - version} mg/dL")) for version in (2, 3, 4)]
    async with box(tmp_path, office, keys) as running:
        for text in texts:
            command = office.command(CommandKind.PROTOCOL, body_of(text), subject=PATIENT)
            running.arrives(office.sealed(command, keys.opening, NURSE, PHYSICIAN))
            await running.gives(glucose("66", 5 * texts.index(text)))
        answers = await running.until_answers(3)
        assert [one.protocol_hash for one in answers] == [hash_of(text) for text in texts]
        stream = await running.store.call(Store.stream, PATIENT)
        assert stream.snapshot is not None
        protocol = running.judging.protocol_of(PATIENT)
        assert protocol is not None
        Engine.restore(protocol, stream.snapshot, zone=settings_of(tmp_path, office).patients[0].zone)
        assert protocol.version == 4
