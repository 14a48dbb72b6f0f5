"""A box or a patient that desk.toml names anew is received while the inbox runs."""

import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coordination import inbox
from coordination.database import Listened
from coordination.settings import Settings
from coordination.settings_news import LOOK_S, SettingsNews
from coordination.silence import NOT_TRANSMITTED, Watch
from coordination.sql_alerts import Alerts
from coordination.sql_database import SqlDatabase
from coordination.sqlite_file import as_error
from exchange.identity import SigningKey
from exchange.topics import OBSERVATIONS, topic
from simulators.broker import Broker
from tests.coordination.kit import (
    BOX,
    HOUR,
    OTHER_BOX,
    OTHER_PATIENT,
    PATIENT,
    START,
    USUAL,
    ManualClock,
    Team,
    glucose,
    rows,
)
from tests.coordination.test_over_a_broker import connected
from tests.coordination.wire import Wire

THIRD_BOX, THIRD_PATIENT = "box-0003", "patient-0003"
THIRD = (THIRD_PATIENT, THIRD_BOX, "2025-11-01T00:00:00Z", "diabetes_cgm")
OTHER = (OTHER_PATIENT, OTHER_BOX, "2025-11-01T00:00:00Z", "diabetes_cgm")


class Hand:
    """A monotonic clock by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


# --- when a file is taken up ------------------------------------------------------------------------------------


def test_a_file_is_taken_up_once_it_has_stood_still(team: Team, hand: Hand) -> None:
    news = SettingsNews(team.settings(), now=hand)
    assert news.take_up() is None
    team.write_settings(patients=(USUAL, OTHER))
    assert news.take_up() is None, "it may be half a file"
    hand.now += LOOK_S / 2
    team.write_settings(patients=())
    assert news.take_up() is None
    hand.now += LOOK_S / 2
    team.write_settings(patients=(USUAL, OTHER))
    assert news.take_up() is None
    hand.now += LOOK_S
    settings = news.take_up()
    assert settings is news.settings
    assert set(settings.protocols) == {PATIENT, OTHER_PATIENT}
    assert news.take_up() is None


def test_asked_it_is_read_at_once_and_somebody_who_waits_is_woken(team: Team, hand: Hand) -> None:
    news, woken = SettingsNews(team.settings(), now=hand), []
    news.wake = lambda: woken.append(1)
    news.ask()
    assert news.waiting
    assert news.take_up() is None, "nothing is new"
    team.write_settings(patients=(USUAL, OTHER))
    news.ask()
    assert news.take_up() is not None
    assert len(woken) == 2


def test_a_file_that_cannot_be_used_changes_nothing_and_is_said_once(
    team: Team, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    before = team.settings()
    news = SettingsNews(before, now=hand)
    with caplog.at_level(logging.WARNING):
        for text in ("half a [tab", "[broker]\n", "half a [tab"):
            before.path.write_text(text)
            news.ask()
            assert news.take_up() is None
        before.path.unlink()
        news.ask()
        assert news.take_up() is None
    assert news.settings is before
    assert [record.message.startswith("the settings changed and cannot be used") for record in caplog.records] == [
        True
    ] * 4
    team.write_settings(patients=(USUAL, OTHER))
    hand.now += 1
    assert not news.waiting
    hand.now += LOOK_S
    assert news.take_up() is not None


def test_where_the_broker_and_the_database_are_stays_and_that_is_said(
    team: Team, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    before = team.settings()
    news = SettingsNews(before, now=hand)
    path = team.write_settings(patients=(USUAL, OTHER))
    path.write_text(path.read_text().replace("'desk.db'", "'other.db'").replace("port = 1\n", "port = 2\n"))
    news.ask()
    with caplog.at_level(logging.WARNING):
        settings = news.take_up()
    assert settings is not None
    assert (settings.database, settings.broker) == (before.database, before.broker)
    assert len(settings.assignments) == 2
    assert [record.message for record in caplog.records] == ["taken up only at the next start: broker, database"]


# --- what it does -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def receiving(
    settings: Settings, clock: ManualClock, wire: Wire, news: SettingsNews, **other: Any
) -> AsyncIterator[None]:
    work = asyncio.create_task(inbox.run(settings, clock, link=wire.link, news=news, **other))
    try:
        await wire.until(lambda: work.done() or bool(wire.links and len(wire.links[-1].every_topic) == 4))
        yield
    finally:
        work.cancel()
        await asyncio.wait([work])
    if not work.cancelled():
        work.result()


def add_third(team: Team) -> None:
    team.boxes[THIRD_BOX] = SigningKey.generate()
    team.write_settings(patients=(USUAL, THIRD))


async def test_a_box_and_its_patient_are_received_as_soon_as_they_are_named(
    team: Team, clock: ManualClock, hand: Hand
) -> None:
    wire, settings = Wire(), team.settings()
    news = SettingsNews(settings, now=hand)
    team.boxes[THIRD_BOX] = SigningKey.generate()
    sealed = team.seal(0, [glucose(0, patient=THIRD_PATIENT)], box=THIRD_BOX)
    async with receiving(settings, clock, wire, news):
        wire.arrives(topic(THIRD_BOX, OBSERVATIONS), sealed)
        await wire.until(lambda: len(wire.acknowledged) == 1)
        assert rows(team.database, "SELECT reason FROM inbox_dead_letter") == [("signer",)]
        team.write_settings(patients=(USUAL, THIRD))
        news.ask()
        wire.arrives(topic(THIRD_BOX, OBSERVATIONS), sealed)
        await wire.until(lambda: len(wire.acknowledged) == 2)
        wire.arrives(topic(THIRD_BOX, OBSERVATIONS), sealed)
        await wire.until(lambda: len(wire.published) >= 1)
        assert len(wire.links) == 1, "on the same links"
    query = (
        "SELECT pseudonym, box.name FROM observation JOIN patient ON patient.id = patient_id JOIN box"
        " ON box.id = box_id"
    )
    assert rows(team.database, query) == [(THIRD_PATIENT, THIRD_BOX)]
    acts = [act for (act,) in rows(team.database, "SELECT act FROM audit ORDER BY n")]
    assert acts.count("settings_changed") == 2
    assert acts.count("box_assigned") == 2
    assert acts.count("started") == 1


async def test_a_patient_who_is_taken_out_is_watched_no_more_and_one_taken_in_is(
    team: Team, clock: ManualClock, hand: Hand
) -> None:
    wire, settings = Wire(), team.settings()
    news = SettingsNews(settings, now=hand)
    held = 'SELECT pseudonym FROM box_assignment JOIN patient ON patient.id = patient_id WHERE "to" IS NULL'
    async with receiving(settings, clock, wire, news):
        team.write_settings(patients=(OTHER,))
        clock.now += HOUR
        news.ask()
        await wire.until(lambda: rows(team.database, held) == [(OTHER_PATIENT,)])


async def test_a_database_that_is_busy_when_settings_change_is_caught_up_with(
    team: Team, clock: ManualClock, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "FIRST_PAUSE_S", 0.001)
    wire, settings = Wire(), team.settings()
    news = SettingsNews(settings, now=hand)
    failed: list[int] = []

    class Busy(SqlDatabase):
        def enrol(self, boxes: Any, assignments: Any, *, at: int) -> None:
            if len(assignments) > 1 and len(failed) < 2:
                failed.append(1)
                raise as_error(_full())
            super().enrol(boxes, assignments, at=at)

    async with receiving(settings, clock, wire, news, database=Busy):
        add_third(team)
        news.ask()
        query = "SELECT count(*) FROM audit WHERE act IN ('settings_changed', 'box_assigned')"
        await wire.until(lambda: rows(team.database, query) == [(4,)])
    assert len(failed) == 2


def _full() -> sqlite3.Error:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def test_a_worker_with_older_settings_leaves_those_whom_it_does_not_know_to_the_others(
    team: Team, clock: ManualClock
) -> None:
    older = Watch(team.settings().protocols)
    newer = Watch(team.settings(USUAL, OTHER).protocols)
    database = team.open_database(team.settings(USUAL, OTHER))
    seen: list[Any] = []
    try:
        for watch, listened in ((older, 0), (newer, 0), (older, 400 * HOUR), (newer, 400 * HOUR)):
            moment = Listened(at=START + listened, listened=listened)
            watched = database._watched(inbox_alerts(database), moment.at)
            seen.append(watch.judge(moment, watched))
    finally:
        database.close()
    assert [sorted(team.change.patient for team in changes) for changes in seen] == [
        [],
        [],
        [PATIENT],
        sorted([PATIENT, OTHER_PATIENT]),
    ]
    assert {team.change.rule for changes in seen for team in changes} == {NOT_TRANSMITTED}


def inbox_alerts(database: SqlDatabase) -> Any:
    return Alerts(database._connection)


# --- a real process -----------------------------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


@pytest.mark.broker
@pytest.mark.process
async def test_a_running_inbox_takes_a_new_box_up_at_sighup(team: Team, broker: Broker) -> None:
    files = broker.certificates.client("inbox-1")
    line = (
        f"host = '{broker.host}'\nport = {broker.port}\nca = '{files.ca}'\n"
        f"certificate = '{files.certificate}'\nkey = '{files.key}'"
    )
    config = team.write_settings(broker=line)
    code = "from coordination.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "inbox", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60), connected(team, broker, BOX, 3) as box:
            await box.until_waiting(0)
            team.boxes[THIRD_BOX] = SigningKey.generate()
            broker.certificates.client(THIRD_BOX)
            team.write_settings(patients=(USUAL, THIRD), broker=line)
            process.send_signal(signal.SIGHUP)
            async with connected(team, broker, THIRD_BOX, 3) as third:
                await third.until_waiting(0)
        # The same process all the time.
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
        assert process.returncode == 0
        assert b"other settings taken up: 3 boxes, 2 patients" in said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    received = "SELECT name, count(*) FROM received_range JOIN box ON box.id = box_id GROUP BY name"
    assert rows(team.database, received) == [(BOX, 1), (THIRD_BOX, 1)]
