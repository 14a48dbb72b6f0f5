"""A database put back gives no number twice, and the team's receipts tell it: with the inbox's own database."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent import store_transactions
from agent.store import Judgement, Store
from agent.store_outbox import Receipted
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from coordination.sql_database import SqlDatabase
from coordination.view import View
from exchange.identity import Recipient, RecipientRole
from exchange.messages import Range, lineage
from exchange.sealing import Opener, Sealer
from tests.agent.kit import BOX, PATIENT, START, arrivals, glucose, open_store, receipt
from tests.coordination.kit import Team, rows


@dataclass
class Scene:
    """A box's store and the team's database, with nothing but envelopes and receipts between them."""

    folder: Path
    team: Team
    sealer: Sealer
    opener: Opener
    database: SqlDatabase
    store: Store

    @classmethod
    def begin(cls, folder: Path) -> "Scene":
        (folder / "team").mkdir(parents=True)
        team = Team(folder / "team")
        sealer = Sealer(
            box=BOX, signing_key=team.boxes[BOX], recipients=[Recipient.of(team.opening, RecipientRole.TEAM)]
        )
        opener = Opener(keys=[team.opening], signer_of=lambda box, _signer: team.boxes[box].public)
        store = open_store(folder / "box" / "veilleur.db")
        return cls(folder, team, sealer, opener, team.open_database(), store)

    def accept(self, *minutes: int) -> None:
        self.store.accept(arrivals(*(glucose("100", minute) for minute in minutes)), self.sealer, now_ms=START)

    def exchange(self, *, limit: int = 1000) -> list[Receipted]:
        """Send up to so many entries, one by one, and take up their receipts."""
        came: list[Receipted] = []
        for entry in self.store.waiting(limit=limit):
            opened = self.opener.open(entry.body, box=BOX)
            receipts = map(self.team.read_receipt, self.team.store(self.database, opened))
            parts = (part for one in receipts for part in one.epochs)
            came += [self.store.receipted(part, now_ms=START) for part in parts]
        return came

    def stop(self) -> None:
        self.store.close()

    def start(self) -> None:
        self.store = open_store(self.folder / "box" / "veilleur.db")

    def copy(self, source: str, target: str) -> None:
        shutil.rmtree(self.folder / target, ignore_errors=True)
        shutil.copytree(self.folder / source, self.folder / target)

    def at_team(self) -> list[int]:
        """The minutes of every glucose reading that the team has, in any epoch."""
        found = rows(self.team.database, "SELECT t FROM observation")
        return sorted((int(str(at)) - START) // 60_000 for (at,) in found)

    def close(self) -> None:
        self.store.close()
        self.database.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene.begin(tmp_path)
    yield scene
    scene.close()


def test_each_opening_numbers_under_an_epoch_of_its_own_and_numbers_go_on(scene: Scene) -> None:
    names = [scene.store.epoch]
    for minute in range(3):
        scene.accept(minute)
        scene.stop()
        scene.start()
        names.append(scene.store.epoch)
    assert len(set(names)) == 4
    assert len({lineage(name) for name in names}) == 1
    assert not any(outcome.ahead for outcome in scene.exchange())
    assert rows(scene.team.database, "SELECT epoch, first, last FROM received_range ORDER BY first") == [
        (name, number, number) for number, name in enumerate(names[:3])
    ]


def test_a_commit_that_fails_leaves_the_epoch_under_which_everything_is_freed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refused(connection: sqlite3.Connection) -> Iterator[None]:
        connection.execute("begin immediate")
        yield
        connection.rollback()
        raise sqlite3.OperationalError("disk I/O error")

    scene.accept(0, 1)
    before = scene.store.epoch
    with monkeypatch.context() as disk:
        disk.setattr(store_transactions, "immediate", refused)
        with pytest.raises(sqlite3.OperationalError):
            scene.store.begin_anew(scene.sealer, now_ms=START)
    assert scene.store.epoch == before
    scene.accept(2, 3)
    assert all(outcome.known for outcome in scene.exchange())
    assert scene.store.backlog()[1] == 0
    assert scene.at_team() == [0, 1, 2, 3]


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("offline", [0, 50])
def test_a_database_put_back_loses_nothing_it_takes_from_then_on_and_is_told(
    scene: Scene, offline: int, starts: int
) -> None:
    """Also where it was started again, and has given more numbers than the one before, until the team hears of it."""
    scene.accept(0, 1, 2)
    scene.exchange()
    scene.stop()
    scene.copy("box", "backup")
    scene.start()
    scene.accept(*range(10, 20))
    scene.exchange()
    scene.stop()
    scene.copy("backup", "box")
    scene.start()
    scene.accept(*range(100, 105 + offline))
    for number in range(1, starts):
        scene.stop()
        scene.start()
        scene.accept(300 + number)
    came = scene.exchange()
    assert any(outcome.ahead for outcome in came)
    assert all(outcome.known for outcome in came)
    before = scene.store.epoch
    after = scene.store.begin_anew(scene.sealer, now_ms=START)
    assert lineage(after) != lineage(before)
    scene.accept(200)
    assert not any(outcome.ahead for outcome in scene.exchange())
    assert scene.store.backlog()[1] == 0
    assert scene.at_team() == [0, 1, 2, *range(10, 20), *range(100, 105 + offline), 200, *range(301, 300 + starts)]


def test_what_waited_in_a_database_put_back_still_leaves(scene: Scene) -> None:
    scene.accept(0, 1)
    scene.stop()
    scene.copy("box", "backup")
    scene.start()
    scene.stop()
    scene.copy("backup", "box")
    scene.start()
    assert scene.store.backlog()[1] == 2
    assert not any(outcome.ahead for outcome in scene.exchange())
    assert scene.at_team() == [0, 1]


def test_two_copies_that_go_on_at_once_are_never_taken_for_each_other(scene: Scene) -> None:
    scene.accept(0)
    scene.exchange()
    scene.stop()
    scene.copy("box", "clone")
    scene.start()
    clone = changed(scene, store=open_store(scene.folder / "clone" / "veilleur.db"))
    for minute in range(1, 6):
        scene.accept(minute)
        clone.accept(10 * minute)
        clone.exchange()
        scene.exchange()
    clone.stop()
    assert scene.at_team() == [0, 1, 2, 3, 4, 5, 10, 20, 30, 40, 50]


def test_a_receipt_frees_only_what_its_own_epoch_numbered(scene: Scene) -> None:
    first = scene.store.epoch
    scene.accept(0)
    scene.stop()
    scene.start()
    scene.accept(1)
    assert scene.store.receipted(receipt(scene.store, (0, 5), epoch=first), now_ms=START) == Receipted(
        freed=(0,), ahead=True
    )
    assert scene.store.receipted(receipt(scene.store, (0, 1), epoch="0" * 32), now_ms=START) == Receipted(known=False)
    assert [entry.first for entry in scene.store.waiting(limit=9)] == [1]
    assert scene.store.receipted(receipt(scene.store, (0, 1), others=0), now_ms=START) == Receipted(freed=(1,))


def _hypo(kind: ChangeKind) -> AlertChange:
    return AlertChange(
        kind=kind,
        alert_id="1" * 32,
        patient=PATIENT,
        rule="hypo_level_1",
        priority=Priority.MEDIUM,
        category=Category.CLINICAL,
        onset=START,
        raised_at=START,
        resolved_at=START + 60_000 if kind is ChangeKind.RESOLVED else None,
        evidence=(),
        why=Sentence(fr="Glucose à 62 mg/dL.", en="Glucose at 62 mg/dL."),
        late=False,
        supersedes=None,
        protocol="diabetes_cgm",
        protocol_version=1,
        protocol_hash="0" * 64,
        engine_version="1",
    )


def test_an_alert_that_ended_after_the_database_was_put_back_has_ended_at_the_team(scene: Scene) -> None:
    def say(kind: ChangeKind) -> None:
        judged = Judgement(patient=PATIENT, cursor=0, snapshot=b"s", changes=(_hypo(kind),))
        scene.store.keep_judgement(judged, scene.sealer, now_ms=START)

    scene.stop()
    scene.copy("box", "backup")
    scene.start()
    scene.accept(*range(20))
    say(ChangeKind.RAISED)
    scene.exchange()
    scene.stop()
    scene.copy("backup", "box")
    scene.start()
    say(ChangeKind.RESOLVED)
    assert any(outcome.ahead for outcome in scene.exchange())
    # A minute later: lineages follow each other by when the box sealed.
    scene.store.begin_anew(scene.sealer, now_ms=START + 60_000)
    scene.exchange()
    view = View(scene.team.database)
    (alert,) = view.alerts()
    assert alert.resolved_at == START + 60_000
    view.close()


def test_what_the_team_asks_for_again_waits_again_as_far_as_it_is_kept(scene: Scene) -> None:
    first = scene.store.epoch
    scene.accept(0)
    scene.accept(1)
    scene.stop()
    scene.start()
    scene.accept(2, 3)
    scene.exchange()
    assert scene.store.backlog() == (4, 0)
    assert scene.store.forget_receipted(before_ms=START) == 0
    scene.store._connection.execute("delete from outbox where first = 0")
    # The team restored from yesterday knows the newest epoch only, from the box's status.
    assert scene.store.resend(scene.store.epoch, [Range(0, 2), Range(5, 6)], now_ms=START) == [Range(0, 0), Range(5, 6)]
    assert [entry.first for entry in scene.store.waiting(limit=9)] == [2, 1]
    assert scene.store.resend(first, [Range(0, 0)], now_ms=START) == [Range(0, 0)]
    assert scene.store.resend("f" * 32, [Range(1, 3)], now_ms=START) == [Range(1, 3)]


def test_a_team_database_restored_from_yesterday_gets_back_what_it_lost(scene: Scene) -> None:
    scene.accept(0, 1)
    scene.exchange()
    scene.database.close()
    scene.copy("team", "yesterday")
    scene.database = scene.team.open_database()
    for minute in (2, 3, 4):
        scene.accept(minute)
        scene.stop()
        scene.start()
    scene.exchange()
    scene.database.close()
    scene.copy("yesterday", "team")
    scene.database = scene.team.open_database()
    next_seq, _ = scene.store.backlog()
    assert scene.store.resend(scene.store.epoch, [Range(2, next_seq - 1)], now_ms=START) == []
    scene.exchange()
    assert scene.at_team() == [0, 1, 2, 3, 4]


def test_epochs_that_gave_nothing_are_forgotten_and_the_others_are_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.epochs.KEPT", 4)
    for minute in range(10):
        scene.accept(minute)
        scene.stop()
        scene.start()
        scene.stop()
        scene.start()
    counted = "select count(*) from epoch"
    assert scene.store._connection.execute(counted).fetchone() == (11,)
    scene.exchange()
    scene.store.forget_receipted(before_ms=START + 1)
    scene.stop()
    scene.start()
    assert scene.store._connection.execute(counted).fetchone() == (5,)


class Puttings(RuleBasedStateMachine):
    """Readings, restarts, copies put back and deliveries in any order: what a database took and kept is at the team."""

    @initialize()
    def begin(self) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="veilleur-")
        self.scene = Scene.begin(Path(self.home.name))
        self.minute = 0
        self.ours: list[int] = []
        """What the database holds that is there now."""
        self.in_copy: list[int] | None = None
        self.was_put_back = False
        self.told = False

    @rule(number=st.integers(1, 4))
    def accept(self, number: int) -> None:
        fresh = range(self.minute, self.minute + number)
        self.minute += number
        self.scene.accept(*fresh)
        self.ours += fresh

    @rule(limit=st.integers(1, 5))
    def exchange(self, limit: int) -> None:
        if any(outcome.ahead for outcome in self.scene.exchange(limit=limit)):
            self.told = True
            self.scene.store.begin_anew(self.scene.sealer, now_ms=START)

    @rule()
    def restart(self) -> None:
        self.scene.stop()
        self.scene.start()

    @rule()
    def take_copy(self) -> None:
        self.scene.stop()
        self.scene.copy("box", "backup")
        self.scene.start()
        self.in_copy = list(self.ours)

    @rule()
    def put_back(self) -> None:
        if self.in_copy is not None:
            self.scene.stop()
            self.scene.copy("backup", "box")
            self.scene.start()
            self.ours = list(self.in_copy)
            self.was_put_back = True

    @invariant()
    def nothing_is_there_twice(self) -> None:
        assert len(set(self.scene.at_team())) == len(self.scene.at_team())

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        for _ in range(3):
            self.exchange(1000)
        assert self.scene.store.backlog()[1] == 0
        assert set(self.ours) <= set(self.scene.at_team())
        twice = (
            "SELECT 1 FROM received_range AS a JOIN received_range AS b ON a.epoch < b.epoch"
            " AND substr(a.epoch, 1, 16) = substr(b.epoch, 1, 16) AND a.first <= b.last AND b.first <= a.last"
        )
        if rows(self.scene.team.database, twice):
            assert self.told
        if not self.was_put_back:
            assert not self.told
        self.scene.close()
        self.home.cleanup()


Puttings.TestCase.settings = settings(
    max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
test_whatever_is_put_back_when_nothing_that_is_kept_misses_the_team = Puttings.TestCase
