"""What a nurse reads of a shadow: beside what was told, over the same time, in her language; and how one is set."""

import asyncio
import json
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.errors import SettingsError, StoreError
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.shadow_command import MOST_SHOWN
from agent.shadow_store import ShadowJudgement
from agent.store import Judgement, Store
from alerting.alert import ChangeKind
from alerting.engine import Engine
from tests.agent.kit import MINUTE, PATIENT, START, Desk, glucose, open_store
from tests.agent.shadow_kit import (
    ACTIVE,
    CANDIDATE,
    HOUR,
    ZONE,
    ManualClock,
    one_patient,
    protocol_text,
    reader,
    running,
)

ROOT = Path(__file__).parents[2]
OLD = Path(__file__).parent / "databases" / "step_0002.db"
"""Made here by the program as it was before shadows, with the keys of `kit`: a low and a forecast of it stand."""
OTHER = "patient-21c8"


def veilleur(*arguments: object, lang: str = "en") -> Result:
    return CliRunner().invoke(main, ["--lang", lang, *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped settings, with a protocol and a shadow of their own for the first patient, and the keys of `kit`."""
    (tmp_path / "active.toml").write_text(protocol_text(), encoding="utf-8")
    candidate = protocol_text(version=2, low=80, audience="patient_now")
    (tmp_path / "candidate.toml").write_text(candidate, encoding="utf-8")
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8").replace("/var/lib/veilleur", "state")
    text = text.replace('protocol = "diabetes_cgm"', 'protocol = "active.toml"')
    text = text.replace('# shadow = "candidate.toml"', 'shadow = "candidate.toml"')
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    kek = tmp_path / "state" / "kek"
    kek.parent.mkdir(mode=0o700)
    kek.touch(mode=0o600)
    kek.write_bytes(bytes(range(32)))
    return path


@pytest.fixture
def box_settings(config: Path) -> Settings:
    return read_settings(config)


def live(settings: Settings, desk: Desk, *, days: int = 14) -> None:
    """Two weeks: each day a low that only the candidate takes for one; one day a very low one, one day silence."""

    async def run() -> None:
        async with running(settings.database, desk, settings.patients[0]) as box:
            for day in range(days):
                for hour in range(24):
                    minute = (24 * day + hour) * 60
                    value = "76" if hour == 6 else "50" if (day, hour) == (3, 12) else "100"
                    silent = day == 5 and 10 <= hour < 16
                    if not silent:
                        await box.give(*(glucose(value, minute + five) for five in range(0, 60, 5)))
            await box.tick(START + days * 24 * HOUR)
            await box.settle()

    asyncio.run(run())


def test_two_weeks_beside_each_other(config: Path, box_settings: Settings, desk: Desk) -> None:
    live(box_settings, desk)
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    assert (found["patient"], found["fault"]) == (PATIENT, None)
    assert found["since"] == found["counted_from"] == "2025-11-22T08:26:40Z"
    assert found["until"] == "2025-12-06T08:21:40Z"
    assert found["readings"] == 14 * 288 - 6 * 12
    assert (found["shadow"]["protocol"], found["shadow"]["version"]) == ("low_watch", 2)
    assert found["shadow"]["hash"] == CANDIDATE.protocol_hash
    assert (found["active"]["version"], found["active"]["hash"]) == (1, ACTIVE.protocol_hash)
    # 14 lows of the morning, and the one at noon of which the very low one makes two.
    once, daily = (1, pytest.approx(0.5, rel=1e-3)), (14, pytest.approx(7.0, rel=1e-3))
    told = {(one["priority"], one["audience"]): (one["told"], one["told_a_week"]) for one in found["shadow"]["by"]}
    assert told == {("high", "patient_now"): once, ("medium", "nurse"): daily, ("low", "nurse"): once}
    told = {(one["priority"], one["audience"]): (one["told"], one["told_a_week"]) for one in found["active"]["by"]}
    assert told == {("high", "nurse"): once, ("low", "nurse"): once}
    assert [one["rule"] for one in found["only_shadow"]] == ["low"] * 14
    assert found["only_active"] == []
    assert found["both"] == {"same": 2, "earlier": 0, "later": 0, "regraded": 1}


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_nurse_reads_that_nobody_was_told_and_each_alert_that_one_alone_raised(
    config: Path, box_settings: Settings, desk: Desk, lang: str
) -> None:
    live(box_settings, desk, days=4)
    text = veilleur("shadow", "--config", config, "--lang", lang).stdout
    said = {
        "en": (
            "Nobody was told of the shadow's alerts",
            "shadow · low_watch v2 · Watch for lows",
            "applied · low_watch v1",
            "from 22 November 2025 at 09:26 to 26 November 2025 at 09:21 (3\u00a0d 23\u00a0h, 1,152 readings)",
            "Raised by the shadow only: 4",
            "22 November 2025 at 15:31 [medium, nurse] ",
            "Raised by the applied protocol only: 0",
            "· high · patient or carer",
        ),
        "fr": (
            "Personne n'a été prévenu des alertes du protocole à l'essai",
            "à l'essai · low_watch v2 · Veille des valeurs basses",
            "appliqué · low_watch v1",
            "du 22 novembre 2025 à 09:26 au 26 novembre 2025 à 09:21",
            "Levées seulement à l'essai : 4",
            "22 novembre 2025 à 15:31 [moyenne, infirmière] ",
            "Levées seulement par le protocole appliqué : 0",
            "· haute · patient ou aidant",
        ),
    }
    assert [part for part in said[lang] if part not in text] == []
    # The sentence of an alert has its numbers.
    assert len(re.findall(r"76\smg/dL", text)) >= 4


def test_of_many_alerts_the_newest_are_shown_and_the_others_counted(
    config: Path, box_settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.shadow_command.MOST_SHOWN", 3)
    assert MOST_SHOWN > 3
    live(box_settings, desk, days=5)
    lines = veilleur("shadow", "--config", config).stdout.splitlines()
    begin = lines.index("Raised by the shadow only: 5")
    assert lines[begin + 1] == "  … 2 older: '--json' gives them"
    assert [line.split(" at ")[0].strip() for line in lines[begin + 2 : begin + 5]] == [
        f"{day} November 2025" for day in (24, 25, 26)
    ]


def test_an_alert_told_and_then_absorbed_counts_as_told_on_both_sides(
    config: Path, box_settings: Settings, desk: Desk
) -> None:
    async def run() -> None:
        async with running(box_settings.database, desk, box_settings.patients[0]) as box:
            for minute, value in ((0, "60"), (5, "60"), (10, "60"), (15, "50"), (20, "50"), (25, "50")):
                await box.give(glucose(value, minute))
            await box.give(*(glucose("100", minute) for minute in range(30, 60, 5)))
            await box.settle()

    asyncio.run(run())
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    for side in ("shadow", "active"):
        assert (found[side]["raised"], found[side]["told"]) == (2, 2), side
        # Of an hour nothing is said by the week.
        assert found[side]["told_a_week"] is None


def test_what_was_taken_back_is_said_apart_and_one_that_stood_before_is_nobodys_alone(
    config: Path, box_settings: Settings, desk: Desk
) -> None:
    patient = box_settings.patients[0]

    async def run() -> None:
        async with running(box_settings.database, desk, replace(patient, shadow=None)) as box:
            await box.give(*(glucose("60", minute) for minute in range(0, 30, 5)))
        clock = ManualClock(START + 30 * MINUTE)
        async with running(box_settings.database, desk, patient, clock=clock) as box:
            await box.give(*(glucose("60", minute) for minute in range(30, 60, 5)))
            await box.settle()
            await box.tick(START + 4 * HOUR)
            await box.settle()
            await box.give(*(glucose("60", minute) for minute in range(60, 240, 5)))
            await box.settle()

    asyncio.run(run())
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    assert (found["shadow"]["taken_back"], found["active"]["taken_back"]) == (1, 1)
    assert (found["only_shadow"], found["only_active"]) == ([], [])
    assert (found["shadow"]["raised"], found["active"]["raised"]) == (1, 0)
    text = veilleur("shadow", "--config", config).stdout
    assert "taken back later" in text


def test_an_alert_that_had_ended_before_it_was_taken_back_counts_on_neither_side(
    config: Path, box_settings: Settings, desk: Desk
) -> None:
    async def run() -> None:
        async with running(box_settings.database, desk, box_settings.patients[0]) as box:
            await box.give(glucose("100", 0))
            await box.tick(START + 4 * HOUR)
            await box.give(glucose("100", 245))
            await box.settle()
            await box.give(*(glucose("100", minute) for minute in range(5, 245, 5)))
            await box.settle()

    asyncio.run(run())
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    for side in ("shadow", "active"):
        assert (found[side]["raised"], found[side]["taken_back"]) == (0, 1), side
    assert found["both"]["same"] == 0


def test_what_the_applied_protocol_told_after_the_shadow_judged_last_is_not_held_against_it(
    config: Path, box_settings: Settings, desk: Desk
) -> None:
    async def run() -> None:
        async with running(box_settings.database, desk, box_settings.patients[0]) as box:
            await box.give(glucose("100", 0))
            await box.settle()
            await box.kill_shadows()
            await box.give(*(glucose("60", minute) for minute in range(5, 30, 5)))

    asyncio.run(run())
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    assert found["only_active"] == []
    assert found["active"]["raised"] == 0


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_why_there_is_nothing_to_compare_is_one_sentence(
    config: Path, box_settings: Settings, desk: Desk, lang: str
) -> None:
    open_store(box_settings.database).close()
    begun = {"fr": "pas encore commencé", "en": "has not begun yet"}
    assert begun[lang] in veilleur("shadow", "--config", config, lang=lang).stdout
    live(box_settings, desk, days=1)
    (config.parent / "candidate.toml").write_text(protocol_text(version=3, low=90), encoding="utf-8")
    changed = {"fr": "Les réglages nomment d'autres protocoles", "en": "The settings name other protocols"}
    assert changed[lang] in veilleur("shadow", "--config", config, lang=lang).stdout
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    assert set(found) == {"patient", "why"}
    result = veilleur("shadow", "--config", config, "--patient", OTHER, lang=lang)
    assert result.exit_code == 2
    assert {"fr": "aucun protocole à l'essai", "en": "no shadow"}[lang] in result.stderr
    text = config.read_text(encoding="utf-8").replace('shadow = "candidate.toml"', "")
    config.write_text(text, encoding="utf-8")
    nothing = {"fr": "Aucun patient n'a de protocole à l'essai", "en": "No patient has a shadow"}
    assert nothing[lang] in veilleur("shadow", "--config", config, lang=lang).stdout
    assert json.loads(veilleur("shadow", "--config", config, "--json").stdout) == []


def test_a_shadow_that_a_fault_stopped_is_said_by_both_commands(
    config: Path, box_settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Engine.feed

    def poisoned(engine: Engine, readings: Any) -> Any:
        if engine.protocol.protocol_hash == CANDIDATE.protocol_hash and len(readings) > 1:
            raise ZeroDivisionError
        return real(engine, readings)

    monkeypatch.setattr(Engine, "feed", poisoned)
    live(box_settings, desk, days=1)
    assert "STOPPED by a fault (ZeroDivisionError, 22 November 2025" in veilleur("shadow", "--config", config).stdout
    text = veilleur("status", "--config", config).stdout
    assert "low_watch v2" in text
    assert "shadow, tells nobody, since 2025-11-22T08:26:40Z · STOPPED by a fault (ZeroDivisionError" in text
    assert "ARRÊTÉ par un défaut" in veilleur("status", "--config", config, lang="fr").stdout
    told = json.loads(veilleur("status", "--config", config, "--json").stdout)
    assert told["shadows"][PATIENT]["fault"]["kind"] == "ZeroDivisionError"
    (found,) = json.loads(veilleur("shadow", "--config", config, "--json").stdout)
    assert found["fault"]["kind"] == "ZeroDivisionError"


def test_status_names_the_shadow_and_no_alert_of_it(config: Path, box_settings: Settings, desk: Desk) -> None:
    open_store(box_settings.database).close()
    assert "tells nobody, not begun yet" in veilleur("status", "--config", config).stdout
    live(box_settings, desk, days=1)
    told = json.loads(veilleur("status", "--config", config, "--json").stdout)
    assert told["shadows"] == {
        PATIENT: {
            "protocol": f"low_watch v2 ({CANDIDATE.protocol_hash[:12]})",
            "since": "2025-11-22T08:26:40Z",
            "fault": None,
        }
    }
    assert {alert["rule"] for alert in told["alerts"]} & {rule.id for rule in CANDIDATE.rules} == set()
    assert (
        "à l'essai en silence depuis 2025-11-22T08:26:40Z" in veilleur("status", "--config", config, lang="fr").stdout
    )


# --- how one is set ---------------------------------------------------------------------------------------------


def faults_of(config: Path, lang: str = "en") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(config)
    return [getattr(fault, lang) for fault in caught.value.faults]


def test_a_refusal_is_in_the_language_asked_for_after_the_commands_name(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.toml"
    french = veilleur("shadow", "--config", missing, "--lang", "fr").stderr
    assert french == veilleur("shadow", "--config", missing, lang="fr").stderr
    assert french != veilleur("shadow", "--config", missing).stderr


def test_a_shadow_is_read_as_the_protocol_is_and_is_none_by_default(config: Path) -> None:
    first, second = read_settings(config).patients
    assert first.shadow is not None
    assert first.shadow.protocol_hash == CANDIDATE.protocol_hash
    assert second.shadow is None
    assert (
        "patient-7f3a (low_watch, shadow low_watch), patient-21c8 (heart_failure) " in veilleur("check", config).stdout
    )


def test_a_shadow_meant_for_the_patient_at_once_needs_nobody_to_tell_them(config: Path) -> None:
    text = config.read_text(encoding="utf-8").replace("relay = ", "# relay = ")
    config.write_text(text.replace('protocol = "heart_failure"', 'protocol = "active.toml"'), encoding="utf-8")
    assert read_settings(config).patients[0].shadow is not None
    config.write_text(text.replace('protocol = "active.toml"', 'protocol = "candidate.toml"'), encoding="utf-8")
    assert any("say who tells them" in fault for fault in faults_of(config))


def test_the_protocol_that_is_applied_is_no_shadow_of_itself(config: Path) -> None:
    shutil.copy(config.parent / "active.toml", config.parent / "candidate.toml")
    (fault,) = faults_of(config)
    assert fault.startswith(
        "patients[1].shadow: 'candidate.toml' is the protocol that patient-7f3a is judged by already"
    )
    (fault,) = faults_of(config, "fr")
    assert "est le protocole déjà appliqué à patient-7f3a" in fault


def test_every_fault_of_a_shadow_is_told_with_its_key(config: Path) -> None:
    (config.parent / "candidate.toml").write_text('name = "x"\n', encoding="utf-8")
    faults = faults_of(config)
    assert faults
    assert all(fault.startswith("patients[1].shadow candidate.toml: ") for fault in faults)
    (config.parent / "candidate.toml").unlink()
    (fault,) = faults_of(config)
    assert fault.startswith("patients[1].shadow: 'candidate.toml' is neither a file nor one of ")


# --- the database of the program before -------------------------------------------------------------------------


def test_a_database_from_before_shadows_is_brought_up_to_date_and_keeps_what_it_has(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "veilleur.db"
    shutil.copy(OLD, path)
    with pytest.raises(StoreError, match="older version"):
        reader(path)
    store = open_store(path)
    stream = store.stream(PATIENT)
    assert (stream.since, stream.cursor, len(store.history(PATIENT, since=0, until_row=10))) == (START, 5, 5)
    assert store.shadow_state(PATIENT) is None
    before = {one.record.rule: one for one in store.shadows.active_alerts(PATIENT)}
    # When it was first told is known as far as it was kept.
    assert before["hypo_level_1"].told_at == before["hypo_level_1"].record.raised_at
    standing = {one.rule: one for one in store.standing_alerts()}
    ended = replace(
        standing["hypo_level_1"], kind=ChangeKind.RESOLVED, resolved_at=START + HOUR, told_at=START + 30 * MINUTE
    )
    store.keep_judgement(
        Judgement(patient=PATIENT, cursor=5, snapshot=b"s", changes=(ended,)), desk.sealer, now_ms=START
    )
    (after,) = [one for one in store.shadows.active_alerts(PATIENT) if one.record.rule == "hypo_level_1"]
    assert (after.standing, after.told_at) == (False, START + 30 * MINUTE)
    store.close()
    # And a shadow begins on it.

    async def run() -> None:
        async with running(path, desk, one_patient(), clock=ManualClock(START + HOUR)) as box:
            await box.settle()

    asyncio.run(run())
    kept = reader(path)
    state = kept.shadow_state(PATIENT)
    kept.close()
    assert state is not None
    assert (state.since, state.cursor) == (START + HOUR, 5)


def test_an_alert_of_a_shadow_copied_among_those_that_are_told_does_not_open_and_is_counted(
    tmp_path: Path, desk: Desk
) -> None:
    path = tmp_path / "veilleur.db"
    engine = Engine(CANDIDATE, patient=PATIENT, zone=ZONE, since=START)
    changes = engine.feed([glucose("60", minute) for minute in range(0, 30, 5)])

    async def run() -> None:
        async with running(path, desk) as box:
            await box.settle()
            state = await box.store.call(Store.shadow_state, PATIENT)
            assert state is not None
            judgement = ShadowJudgement(state=state, changes=changes)
            await box.store.call(Store.keep_shadow, PATIENT, judgement, now_ms=START)

    asyncio.run(run())
    with sqlite3.connect(path) as connection:
        connection.execute(
            "insert into alert(digest, stream, standing, body) select digest, stream, 1, body from shadow_alert"
        )
    connection.close()
    store = reader(path)
    assert store.standing_alerts() == []
    assert store.take_altered() == {"alert": 1}
    store.close()
