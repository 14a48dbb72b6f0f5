"""What boxes say of themselves: a time that was wrong, and a canary that comes or stays away."""

from dataclasses import replace

import pytest

from alerting.alert import AlertChange
from coordination import canary
from coordination.canary import CANARY_MISSING, DELAY_MS, HEARD_MS, Sung
from coordination.database import Listened, Presence
from coordination.fleet import box_table, boxes
from coordination.tables import Language
from coordination.view import ReadingView, View
from devices.reading import ClockTrust
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.messages import ObservationRecord
from tests.coordination.kit import (
    BOX,
    EPOCH,
    HOUR,
    MINUTE,
    OTHER_BOX,
    OTHER_EPOCH,
    PATIENT,
    START,
    ManualClock,
    Team,
    contents,
    glucose,
    rows,
)
from tests.coordination.test_silence import Desk

YEAR = 365 * 24 * HOUR


def correction(offset: int, first: int, last: int, *, epoch: str = EPOCH) -> ClockCorrection:
    return ClockCorrection(
        boot="b" * 32, mono_from=0, mono_to=5, offset=offset, epoch=epoch, first=first, last=last, at=START + HOUR
    )


def readings(team: Team) -> list[ReadingView]:
    view = View(team.database)
    try:
        return list(view.readings())
    finally:
        view.close()


def undated(number: int, at: int) -> object:
    return glucose(number, measured_at=at, received_at=at, clock=ClockTrust.UNKNOWN, key=f"{at}:made")


@pytest.mark.parametrize("wrong_by", [YEAR, -YEAR, 5 * HOUR])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_times_are_put_right_whatever_comes_first(team: Team, wrong_by: int, order: tuple[int, int, int]) -> None:
    at = START + wrong_by
    envelopes = [
        team.opened(0, [undated(0, at), undated(1, at + MINUTE)]),  # type: ignore[list-item]
        # Dated by its device: the box's time does not matter to it.
        team.opened(2, [glucose(0, received_at=at + 2 * MINUTE)]),
        team.opened(3, [correction(-wrong_by, 0, 2), glucose(5)]),
    ]
    database = team.open_database()
    for number in order:
        team.store(database, envelopes[number], at=START + number)
        team.store(database, envelopes[number], at=START + 10 + number)
    database.close()
    found = {item.seq: item for item in readings(team)}
    assert {seq: item.measured_at - START for seq, item in found.items()} == {0: 0, 1: MINUTE, 2: 0, 4: 25 * MINUTE}
    assert {seq: item.received_at - START for seq, item in found.items()} == {
        0: 0,
        1: MINUTE,
        2: 2 * MINUTE,
        4: 25 * MINUTE + 800,
    }
    assert {seq: item.clock for seq, item in found.items()} == {
        0: ClockTrust.CORRECTED,
        1: ClockTrust.CORRECTED,
        2: ClockTrust.TRUSTED,
        4: ClockTrust.TRUSTED,
    }
    assert rows(team.database, "SELECT count(*) FROM to_attribute") == [(0,)]
    spoke = rows(team.database, "SELECT first_data_at, last_data_at FROM device")[0]
    assert min(START, START + wrong_by) <= spoke[0] <= START  # type: ignore[operator]
    assert spoke[1] >= START + 25 * MINUTE  # type: ignore[operator]


def of_epoch(epoch: str) -> ObservationRecord:
    """A reading of no time of its own, under each epoch another one."""
    return glucose(0, measured_at=START, received_at=START, clock=ClockTrust.UNKNOWN, key=epoch)


def test_a_correction_of_one_box_or_epoch_touches_no_other(team: Team) -> None:
    database = team.open_database()
    for box, epoch in ((BOX, EPOCH), (BOX, OTHER_EPOCH), (OTHER_BOX, EPOCH)):
        team.store(database, team.opened(0, [of_epoch(epoch)], box=box, epoch=epoch))
    before = contents(team.database, "observation", "to_attribute")
    team.store(database, team.opened(5, [correction(-HOUR, 0, 3)], box=OTHER_BOX))
    after = contents(team.database, "observation", "to_attribute")
    assert before == after, "the other box's own record is set apart: it is nobody's of theirs"
    team.store(database, team.opened(5, [correction(HOUR, 0, 3)]))
    database.close()
    assert [item.measured_at - START for item in readings(team)] == [0, HOUR]


def test_signs_of_life_by_a_time_put_back_are_news_again(team: Team) -> None:
    database = team.open_database()
    ahead = team.status(at=START + YEAR)
    team.store(database, Presence(status=ahead, retained=False), at=START + 1)
    right = team.status(at=START + 2 * HOUR)
    team.store(database, Presence(status=right, retained=False), at=START + 2)
    assert rows(team.database, f"SELECT heard_at FROM box WHERE name = '{BOX}'") == [(START + 1,)]
    team.store(database, team.opened(0, [correction(-YEAR, 0, 0)]), at=START + 3)
    team.store(database, Presence(status=right, retained=False), at=START + 4)
    database.close()
    assert rows(team.database, f"SELECT heard_at FROM box WHERE name = '{BOX}'") == [(START + 4,)]
    assert rows(team.database, "SELECT at FROM box_status") == [(right.at,)]


# --- canaries ---------------------------------------------------------------------------------------------------


def sings(team: Team, seq: int, *, box: str = BOX, asked: str = "") -> object:
    return team.opened(seq, [CanaryRecord(at=START, count=seq, asked=asked)], box=box)


def missing(desk: Desk) -> list[tuple[int, int | None]]:
    return [(alert.raised_at, alert.resolved_at) for alert in desk.alerts() if alert.rule == CANARY_MISSING]


def lives(desk: Desk, hours: int) -> None:
    """Let hours pass in which the box gives signs of life."""
    for _ in range(hours):
        desk.passes(HOUR, Presence(status=desk.team.status(at=desk.clock.now), retained=False))


def test_a_canary_is_kept_and_shown_as_nobodys_reading(team: Team) -> None:
    database = team.open_database()
    team.store(database, sings(team, 0), sings(team, 0), sings(team, 1, asked="command-7"))  # type: ignore[arg-type]
    database.close()
    assert readings(team) == []
    assert rows(team.database, "SELECT seq, count, asked FROM canary ORDER BY seq") == [(0, 0, ""), (1, 1, "command-7")]
    assert rows(team.database, "SELECT count(*) FROM to_attribute") == [(0,)]
    view = View(team.database)
    assert view.canaries() == {BOX: START, OTHER_BOX: None}
    view.close()


def test_a_canary_that_stays_away_from_a_box_that_lives_is_told_and_its_return_ends_that(
    team: Team, clock: ManualClock
) -> None:
    desk = Desk(team, clock, team.settings())
    desk.passes(HOUR, sings(team, 0))  # type: ignore[arg-type]
    sung_at = clock.now
    lives(desk, 29)
    assert missing(desk) == []
    lives(desk, 3)
    ((raised, ended),) = missing(desk)
    (line, *_) = boxes(team.database, desk.settings.signers, at=clock.now)
    assert (line.box, line.canary_at, line.mute, line.silent) == (BOX, sung_at, True, False)
    assert "ABSENT" in box_table((line,), Language.FR, at=clock.now)
    assert line.as_json()["canary_missing"] is True
    assert (raised, ended) == (sung_at + DELAY_MS, None)
    (alert,) = [item for item in desk.alerts() if item.rule == CANARY_MISSING]
    assert (alert.patient, alert.box, alert.origin) == (None, BOX, "team")
    assert BOX in alert.why.fr
    assert "veilleur status" in alert.why.fr
    assert alert.standing
    desk.stop()
    desk.start()
    desk.passes(HOUR, sings(team, 1))  # type: ignore[arg-type]
    assert missing(desk) == [(raised, clock.now)]
    lives(desk, 20)
    assert missing(desk) == [(raised, sung_at + 33 * HOUR)]


def test_a_box_that_is_off_is_told_by_its_silence_alone_and_has_a_day_once_it_is_back(
    team: Team, clock: ManualClock
) -> None:
    desk = Desk(team, clock, team.settings())
    desk.passes(HOUR, sings(team, 0))  # type: ignore[arg-type]
    desk.passes(100 * HOUR)
    assert [alert.rule for alert in desk.alerts()] == ["not_transmitted"]
    lives(desk, 29)
    assert missing(desk) == []
    lives(desk, 3)
    assert len(missing(desk)) == 1


def test_a_box_nobody_has_owes_no_canary(team: Team, clock: ManualClock) -> None:
    desk = Desk(team, clock, team.settings())
    for _ in range(40):
        desk.passes(HOUR, Presence(status=team.status(at=clock.now, box=OTHER_BOX), retained=False))
    assert missing(desk) == []


def test_two_workers_tell_one_alert(team: Team, clock: ManualClock) -> None:
    first = Desk(team, clock, team.settings())
    second = Desk(team, clock, first.settings)
    first.passes(HOUR, sings(team, 0))  # type: ignore[arg-type]
    for _ in range(33):
        lives(first, 1)
        second._judge(second.listening.look(1))
    assert len(missing(first)) == 1
    assert rows(
        team.database,
        f"SELECT count(*) FROM alert_event JOIN alert ON alert.id = alert_id WHERE rule_id = '{CANARY_MISSING}'",
    ) == [(1,)]


def _alert_of(box: Sung) -> AlertChange:
    (team_change,) = canary.judge(Listened(at=START + DELAY_MS, listened=DELAY_MS), [box])
    return team_change.change


def test_the_limits_are_exact() -> None:
    box = Sung(box=BOX, sung_at=None, due_since=0, heard_listened=DELAY_MS, standing=None)
    assert _alert_of(box).raised_at == START + DELAY_MS
    early = Listened(at=START + DELAY_MS - 1, listened=DELAY_MS - 1)
    assert list(canary.judge(early, [box])) == []
    now = Listened(at=START + DELAY_MS, listened=DELAY_MS)
    away = replace(box, heard_listened=DELAY_MS - HEARD_MS)
    assert list(canary.judge(now, [away])) == []
    assert list(canary.judge(now, [replace(away, heard_listened=DELAY_MS - HEARD_MS + 1)]))
    stands = replace(box, standing=_alert_of(box))
    assert list(canary.judge(now, [stands])) == []
    assert PATIENT not in _alert_of(box).why.fr
