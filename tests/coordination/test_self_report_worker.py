"""The worker as a running program: it looks until it is told to stop, and waits out a database that takes nothing."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.alert import Sentence
from coordination import self_report_worker
from coordination.errors import DatabaseBusyError, DatabaseUnusableError
from coordination.self_report_worker import Worker, serve
from tests.coordination.followed import Followed
from tests.coordination.kit import HOUR, START, Team, rows


class Ending:
    """A clock that has the process told to stop when it has been asked so often."""

    def __init__(self, now: int, looks: int) -> None:
        self.now, self.left = now, looks

    def now_ms(self) -> int:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return float(max(0, at_ms - self.now))


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(self_report_worker, "LOOK_S", 0.001)
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_it_judges_until_it_is_told_to_stop(tmp_path: Path) -> None:
    followed = Followed(Team(tmp_path))
    followed.answer(START + HOUR, effort=4)
    serve(followed.team.database, Ending(START + 2 * HOUR, looks=3), None)
    assert "dyspnoea_at_rest" in {rule for _, rule, *_ in followed.told()}
    followed.close()


def test_a_database_that_takes_nothing_is_waited_out_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    followed = Followed(Team(tmp_path))
    look, refused = Worker.look, iter([True, True, True])

    def sometimes(worker: Worker) -> None:
        if next(refused, False):
            raise DatabaseBusyError(Sentence(fr="disque plein", en="the disk is full"), hint=Sentence(fr="-", en="-"))
        look(worker)

    monkeypatch.setattr(Worker, "look", sometimes)
    with caplog.at_level(logging.WARNING):
        serve(followed.team.database, Ending(START + HOUR, looks=2), None)
    assert [record.getMessage() for record in caplog.records] == ["answers wait: the disk is full"]
    assert rows(followed.team.database, "SELECT at FROM self_report_pass") == [(START + HOUR,)]
    followed.close()


def test_a_database_that_is_none_stops_it_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "desk.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(DatabaseUnusableError):
        serve(tmp_path / "desk.db", Ending(START, looks=5), None)
