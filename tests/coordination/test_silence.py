"""`not_transmitted` with a clock by hand: neither a false alert nor a missed one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import AlertChange, Category, ChangeKind, alert_id
from coordination.database import Arrival, Listened, Moment, Presence, Watched
from coordination.settings import Settings, read_settings
from coordination.silence import Listening, Watch
from coordination.sql_database import SqlDatabase
from coordination.view import AlertView, View
from tests.coordination.kit import (
    BOX,
    HOUR,
    MINUTE,
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

GRACE = 6 * HOUR  # diabetes_cgm


@dataclass
class Desk:
    """The inbox's loop without a broker: every step looks at the clock, stores what came, and judges."""

    team: Team
    clock: ManualClock
    settings: Settings
    database: SqlDatabase = field(init=False)
    watch: Watch = field(init=False)
    listening: Listening = field(init=False)
    connection: int | None = 1

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.database = self.team.open_database(self.settings, at=self.clock.now)
        self.watch = Watch(self.settings.protocols)
        self.listening = Listening(self.clock, shortest=self.watch.shortest)
        self._judge(self.listening.look(self.connection))

    def stop(self) -> None:
        self.database.close()

    def passes(self, milliseconds: int, *arrivals: Arrival) -> None:
        """Let time pass in steps of half an hour; `arrivals` come at the end."""
        end = self.clock.now + milliseconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 30 * MINUTE)
            moment = self.listening.look(self.connection)
            if self.clock.now == end and arrivals:
                self.database.store(arrivals, moment=moment, receipt_at=0, sign=self.team.sign)
            self._judge(moment)

    def _judge(self, moment: Moment) -> None:
        self.database.watch(self.watch.judge, moment=moment)

    def alerts(self) -> list[AlertView]:
        view = View(self.team.database)
        try:
            return list(view.alerts())
        finally:
            view.close()


@pytest.fixture
def desk(team: Team, clock: ManualClock) -> Desk:
    return Desk(team, clock, team.settings())


def test_it_is_raised_at_the_deadline_and_resolved_by_the_next_message(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    heard_at = desk.clock.now
    assert desk.watch.next_at == heard_at + GRACE
    desk.passes(GRACE - 1)
    assert desk.alerts() == []
    desk.passes(1)
    (alert,) = desk.alerts()
    assert alert.id == alert_id(patient=PATIENT, protocol="diabetes_cgm", rule="not_transmitted", onset=heard_at)
    assert (alert.onset, alert.raised_at, alert.resolved_at) == (heard_at, heard_at + GRACE, None)
    assert (alert.category, alert.origin, alert.box) == (Category.TECHNICAL, "team", BOX)
    assert alert.protocol_hash == desk.settings.protocols[PATIENT].protocol_hash
    assert "box-0001" in alert.why.fr
    assert "le 22/11/2025 à 10:26 (6\u00a0h)" in alert.why.fr  # 09:26:40 UTC, in Paris
    assert "2025-11-22 at 10:26 (6 h)" in alert.why.en
    assert desk.watch.silent_boxes == {BOX}
    desk.passes(30 * MINUTE, desk.team.opened(1, [glucose(1)]))
    (alert,) = desk.alerts()
    assert (alert.change, alert.resolved_at) == (ChangeKind.RESOLVED, desk.clock.now)
    assert "6\u00a0h\u00a030\u00a0min" in alert.why.fr
    silence = rows(desk.team.database, 'SELECT device_id, "from", "to", cause FROM device_silence')
    assert silence == [(None, heard_at, desk.clock.now, "not_transmitted")]
    desk.passes(2 * GRACE)
    assert [item.resolved_at is None for item in desk.alerts()] == [False, True], "a second silence is a second alert"


def test_a_box_never_heard_is_told_from_its_assignment(team: Team, clock: ManualClock) -> None:
    desk = Desk(team, clock, team.settings((PATIENT, BOX, "2025-11-22T10:00:00Z", "diabetes_cgm")))
    begins = desk.settings.assignments[0].since
    assert begins > START
    desk.passes(begins + GRACE - 1 - START)
    assert desk.alerts() == []
    desk.passes(1)
    (alert,) = desk.alerts()
    assert (alert.onset, alert.raised_at) == (begins, begins + GRACE)
    assert "son attribution" in alert.why.fr


def test_an_assignment_that_began_before_the_inbox_ever_ran_gets_the_whole_delay(desk: Desk) -> None:
    desk.passes(GRACE - 1)
    assert desk.alerts() == []
    desk.passes(1)
    (alert,) = desk.alerts()
    assert (alert.onset, alert.raised_at) == (desk.settings.assignments[0].since, START + GRACE)
    assert "pendant lesquelles l'équipe ne recevait pas" in alert.why.fr


def test_the_inboxs_own_absence_is_nobodys_silence(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    desk.passes(2 * HOUR)
    desk.stop()
    desk.clock.now += 100 * HOUR
    desk.start()
    assert desk.alerts() == []
    desk.passes(GRACE - 2 * HOUR - 10 * MINUTE)
    assert desk.alerts() == []
    desk.passes(10 * MINUTE)
    (alert,) = desk.alerts()
    assert alert.raised_at - alert.onset == GRACE + 100 * HOUR
    assert "4\u00a0j\u00a010\u00a0h, dont 4\u00a0j\u00a04\u00a0h pendant lesquelles" in alert.why.fr


def test_time_without_the_broker_is_not_counted_but_what_was_counted_stays(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    for connection in range(2, 7):
        desk.passes(HOUR + 5 * MINUTE)
        desk.connection = None
        desk.passes(50 * HOUR)
        desk.connection = connection
        desk.passes(5 * MINUTE)
        assert desk.alerts() == []
    desk.passes(30 * MINUTE)
    assert desk.alerts() == []
    desk.passes(5 * MINUTE)
    assert [alert.resolved_at for alert in desk.alerts()] == [None], "a link that keeps breaking hides no dead box"


def test_a_suspended_machine_accuses_nobody(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    desk.clock.now += 20 * HOUR
    desk._judge(desk.listening.look(desk.connection))
    assert desk.alerts() == []


def test_a_restart_neither_repeats_nor_forgets_a_standing_alert(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    desk.passes(GRACE)
    (before,) = desk.alerts()
    desk.stop()
    desk.clock.now += HOUR
    desk.start()
    desk.passes(3 * GRACE)
    assert desk.alerts() == [before]
    desk.passes(5 * MINUTE, Presence(status=desk.team.status(at=START + 1), retained=False))
    assert [alert.resolved_at for alert in desk.alerts()] == [desk.clock.now]


def test_a_crash_between_storing_and_judging_loses_no_resolution(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    desk.passes(GRACE)
    desk.clock.now += MINUTE
    moment = desk.listening.look(1)
    desk.database.store([desk.team.opened(1, [glucose(1)])], moment=moment, receipt_at=0, sign=desk.team.sign)
    heard_at = desk.clock.now
    desk.stop()
    desk.clock.now += HOUR
    desk.start()
    assert [alert.resolved_at for alert in desk.alerts()] == [heard_at]


def test_a_repeat_or_a_retained_status_does_not_hide_a_dead_box(desk: Desk) -> None:
    envelope = desk.team.opened(0, [glucose(0)])
    desk.passes(HOUR, envelope)
    desk.passes(GRACE - HOUR, envelope, Presence(status=desk.team.status(at=START + HOUR), retained=True))
    desk.passes(HOUR)
    assert len(desk.alerts()) == 1


def test_each_patient_of_a_box_has_the_delay_of_their_own_protocol(team: Team, clock: ManualClock) -> None:
    usual_other = (OTHER_PATIENT, BOX, "2025-11-01T00:00:00Z", "heart_failure")
    desk = Desk(team, clock, team.settings(USUAL, usual_other))
    desk.passes(HOUR, team.opened(0, [glucose(0)]))
    desk.passes(GRACE)
    assert [alert.patient for alert in desk.alerts()] == [PATIENT]
    desk.passes(30 * HOUR)
    assert [alert.patient for alert in desk.alerts()] == [OTHER_PATIENT, PATIENT]
    assert len(rows(team.database, "SELECT * FROM device_silence")) == 1
    desk.passes(MINUTE, team.opened(1, [glucose(1)]))
    assert all(alert.resolved_at == clock.now for alert in desk.alerts())


def test_another_box_speaking_does_not_help(team: Team, clock: ManualClock) -> None:
    desk = Desk(team, clock, team.settings())
    desk.passes(HOUR, team.opened(0, [glucose(0)]))
    desk.passes(GRACE - HOUR, Presence(status=team.status(box=OTHER_BOX), retained=False))
    desk.passes(HOUR)
    assert len(desk.alerts()) == 1


def test_an_alert_ends_with_its_assignment(desk: Desk) -> None:
    desk.passes(GRACE)
    desk.stop()
    desk.settings = desk.team.settings((OTHER_PATIENT, BOX, "2025-11-22T14:00:00Z", "diabetes_cgm"))
    desk.start()
    (alert,) = desk.alerts()
    assert (alert.patient, alert.change, alert.resolved_at) == (PATIENT, ChangeKind.RESOLVED, desk.clock.now)
    desk.stop()
    desk.settings = desk.team.settings()
    desk.start()
    desk.passes(GRACE)
    (again,) = desk.alerts()
    assert (again.id, again.change, again.resolved_at) == (alert.id, ChangeKind.RAISED, None)


def test_until_a_move_in_the_future_the_old_box_is_still_watched(desk: Desk) -> None:
    desk.passes(HOUR, desk.team.opened(0, [glucose(0)]))
    desk.stop()
    desk.settings = desk.team.settings((PATIENT, OTHER_BOX, "2025-11-22T17:00:00Z", "diabetes_cgm"))
    moves = desk.settings.assignments[0].since
    desk.start()
    desk.passes(GRACE + 5 * MINUTE)
    assert [(alert.box, alert.resolved_at) for alert in desk.alerts()] == [(BOX, None)]
    assert desk.clock.now < moves
    desk.passes(moves - desk.clock.now)
    assert [(alert.box, alert.resolved_at) for alert in desk.alerts()] == [(BOX, moves)]
    desk.passes(GRACE)
    assert [(alert.box, alert.resolved_at) for alert in desk.alerts()] == [(BOX, moves), (OTHER_BOX, None)]


def test_without_patients_nobody_is_awaited(team: Team, clock: ManualClock) -> None:
    path = team.write_settings(patients=[])
    desk = Desk(team, clock, read_settings(path))
    desk.passes(100 * HOUR, team.opened(0, [glucose(0)], box=OTHER_BOX))
    assert desk.watch.next_at is None
    assert [alert.rule for alert in desk.alerts()] == ["to_attribute"]


def listened(desk: Desk) -> object:
    return rows(desk.team.database, "SELECT listened FROM inbox_listening")[0][0]


def test_what_two_workers_listened_to_together_counts_once(desk: Desk) -> None:
    def reports(at: int, fresh: int) -> None:
        desk.database.watch(lambda _now, _watched: (), moment=Moment(at=START + at, fresh=fresh))

    reports(HOUR, HOUR)
    reports(HOUR, HOUR)
    assert listened(desk) == HOUR
    reports(2 * HOUR, 90 * MINUTE)
    reports(2 * HOUR - MINUTE, 20 * MINUTE)
    assert listened(desk) == 2 * HOUR
    reports(5 * HOUR, HOUR)
    assert listened(desk) == 3 * HOUR


def test_no_more_was_listened_to_than_the_time_in_which_somebody_listened(desk: Desk) -> None:
    @given(st.lists(st.tuples(st.integers(60, 600), st.integers(0, 60)), max_size=20))
    @settings(max_examples=60, deadline=None)
    def check(spells: list[tuple[int, int]]) -> None:
        """Each spell is of one worker: until when (ms), and for how long up to then."""
        desk.database._connection.execute("UPDATE inbox_listening SET listened = 0, until = 0")
        for until, long in spells:
            desk.database.watch(lambda _now, _watched: (), moment=Moment(at=START + until, fresh=long))
        (counted,) = desk.database._connection.execute("SELECT listened FROM inbox_listening").fetchone()
        assert counted <= len({at for until, long in spells for at in range(until - long, until)})
        if all(until - long >= before for (before, _), (until, long) in pairwise(spells)):
            assert counted == sum(long for _, long in spells), "one worker's own spells are all counted"

    check()


def test_a_clock_that_was_ahead_does_not_stop_the_count(desk: Desk) -> None:
    for at, fresh in ((HOUR, HOUR), (9000 * HOUR, 3 * HOUR), (2 * HOUR, HOUR), (3 * HOUR, HOUR)):
        desk.database.watch(lambda _now, _watched: (), moment=Moment(at=START + at, fresh=fresh))
    assert listened(desk) == 6 * HOUR


def test_two_workers_raise_and_resolve_one_alert(team: Team, clock: ManualClock) -> None:
    first = Desk(team, clock, team.settings())
    second = Desk(team, clock, first.settings)
    first.passes(HOUR, team.opened(0, [glucose(0)]))
    for _ in range(2 * 6 + 1):
        clock.now += 30 * MINUTE
        for desk in (first, second):
            desk._judge(desk.listening.look(1))
    (alert,) = first.alerts()
    assert alert.raised_at - alert.onset == GRACE, "listened to by two is not listened to twice"
    moment = second.listening.look(1)
    second.database.store([team.opened(1, [glucose(1)])], moment=moment, receipt_at=0, sign=team.sign)
    for desk in (first, second, first):
        desk._judge(desk.listening.look(1))
    (alert,) = first.alerts()
    assert alert.resolved_at == clock.now
    assert rows(team.database, "SELECT count(*) FROM alert_event") == [(2,)]


def test_a_box_that_only_the_other_worker_hears_is_not_silent(team: Team, clock: ManualClock) -> None:
    first = Desk(team, clock, team.settings())
    second = Desk(team, clock, first.settings)
    for number in range(40):
        clock.now += 30 * MINUTE
        moment = second.listening.look(1)
        second.database.store([team.opened(number, [glucose(number)])], moment=moment, receipt_at=0, sign=team.sign)
        first._judge(first.listening.look(1))
        # The one that hears is itself not always there.
        second._judge(second.listening.look(1 if number % 3 else None))
    assert first.alerts() == []


def test_the_alert_is_complete_in_itself(desk: Desk) -> None:
    desk.passes(GRACE)
    moment = desk.listening.look(1)
    seen: list[AlertChange | None] = []

    def look(_now: Listened, watched: Sequence[Watched]) -> tuple[()]:
        seen.extend(item.standing for item in watched)
        return ()

    desk.database.watch(look, moment=moment)
    (standing,) = seen
    assert standing is not None
    assert (standing.patient, standing.rule, standing.evidence) == (PATIENT, "not_transmitted", ())
