"""Links that a command of the team's own sends: with a real command, that fails, hangs, dies, and prints secrets."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from coordination.errors import CoordinationError
from coordination.link_relay import PAUSES_MS, Relay, queue_due, send_due
from coordination.questionnaire_links import Way, find, hash_of, queue
from coordination.self_report import plan
from coordination.self_report_cli import relay_of
from coordination.self_report_worker import Worker
from tests.coordination.followed import Followed
from tests.coordination.kit import HOUR, PATIENT, START, ManualClock, Team, rows

DAY = 24 * HOUR
COMMAND = """
import json, os, sys
message = json.load(sys.stdin)
print("secret", message["link"])
print("secret", message["link"], file=sys.stderr)
with open(sys.argv[1], "a") as sent:
    sent.write(json.dumps(message) + "\\n")
sys.exit(int(open(sys.argv[2]).read()))
"""


class Outside:
    """A team's own command, and what it was handed."""

    def __init__(self, folder: Path) -> None:
        self._sent, self._code = folder / "sent", folder / "code"
        self._sent.touch()
        (folder / "command.py").write_text(COMMAND)
        self.relay = Relay(
            command=(sys.executable, str(folder / "command.py"), str(self._sent), str(self._code)),
            address="https://poste.example.org",
        )
        self.answers(0)

    def answers(self, code: int) -> None:
        self._code.write_text(str(code))

    @property
    def sent(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self._sent.read_text().splitlines()]


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(Team(tmp_path))


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path)


def queued(followed: Followed, at: int = START) -> None:
    with followed.within() as connection:
        queue(connection, followed.patient, followed.pathway.questionnaire, by="C. Martin", at=at)


def state(followed: Followed) -> list[tuple[object, ...]]:
    return rows(followed.team.database, "SELECT state, attempts FROM questionnaire_link ORDER BY id")


def test_the_command_is_told_the_pseudonym_the_link_and_both_languages_and_the_link_works(
    followed: Followed, outside: Outside
) -> None:
    queued(followed)
    assert send_due(followed.within, outside.relay, now=lambda: START) == 1
    ((message),) = outside.sent
    assert message["patient"] == PATIENT
    assert message["link"].startswith("https://poste.example.org/q/")
    assert message["link"] in message["fr"]
    assert message["link"] in message["en"]
    assert message["expires_at"] == "2025-11-26T08:26:40+00:00"
    link = find(followed.sql, message["link"].rpartition("/")[2])
    assert link is not None
    assert link.answerable(START)
    assert state(followed) == [("open", 1)]
    assert send_due(followed.within, outside.relay, now=lambda: START + DAY) == 0


def test_what_is_refused_is_sent_again_later_with_another_link_and_given_up_in_the_end(
    followed: Followed, outside: Outside
) -> None:
    queued(followed)
    outside.answers(1)
    at = START
    for attempt, pause in enumerate((*PAUSES_MS, 0)):
        assert send_due(followed.within, outside.relay, now=lambda: at) == 0  # noqa: B023 - called at once
        assert send_due(followed.within, outside.relay, now=lambda: at) == 0  # noqa: B023 - called at once
        assert len(outside.sent) == attempt + 1
        at += pause
    assert state(followed) == [("failed", len(PAUSES_MS) + 1)]
    links = [message["link"] for message in outside.sent]
    assert len(set(links)) == len(links)
    assert find(followed.sql, links[0].rpartition("/")[2]) is None, "the last one made is the only one there was"


def test_a_link_that_arrived_is_good_even_if_the_command_said_no(followed: Followed, outside: Outside) -> None:
    queued(followed)
    outside.answers(1)
    send_due(followed.within, outside.relay, now=lambda: START)
    link = find(followed.sql, outside.sent[0]["link"].rpartition("/")[2])
    assert link is not None
    assert link.answerable(START + 1)


@pytest.mark.parametrize("command", [("/nonexistent/relay",), (sys.executable, "-c", "import time; time.sleep(60)")])
def test_a_command_that_is_not_there_or_hangs_holds_nothing_up(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("coordination.link_relay.LONGEST_S", 0.2)
    queued(followed)
    assert send_due(followed.within, Relay(command=command, address="https://x.example"), now=lambda: START) == 0
    assert state(followed) == [("queued", 1)]


def test_nothing_of_a_link_is_logged_or_kept(
    followed: Followed, outside: Outside, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    queued(followed)
    send_due(followed.within, outside.relay, now=lambda: START)
    token = outside.sent[0]["link"].rpartition("/")[2]
    said = capfd.readouterr()
    assert token not in caplog.text + said.out + said.err
    assert rows(followed.team.database, "SELECT token_hash FROM questionnaire_link") == [(hash_of(token),)]


def test_a_rhythm_sends_a_link_each_time_and_makes_up_for_no_day_without_a_worker(
    followed: Followed, outside: Outside
) -> None:
    with followed.within() as connection:
        assert plan(connection, followed.patient, every_days=7, way=Way.RELAY, seen=1, at=START)
    clock = ManualClock(START)
    worker = Worker(followed.team.database, clock, outside.relay)
    for day in (0, 0, 6, 7, 30, 30, 35):
        clock.now = START + day * DAY + HOUR
        worker.look()
    worker.close()
    assert len(outside.sent) == 4, "on days 0, 7, 30 for the three that were missed, and 35"


def test_two_workers_send_a_due_link_once(followed: Followed, outside: Outside) -> None:
    with followed.within() as connection:
        plan(connection, followed.patient, every_days=7, way=Way.RELAY, seen=1, at=START)
        queue_due(connection, at=START)
    with followed.within() as connection:
        queue_due(connection, at=START)
    sent = [send_due(followed.within, outside.relay, now=lambda: START) for _ in range(2)]
    assert sent == [1, 0]


def test_without_a_relay_nothing_is_sent_and_with_one_the_address_must_be_said(tmp_path: Path) -> None:
    team = Team(tmp_path)
    assert relay_of(team.settings()) is None
    settings = team.settings()
    with_relay = msgspec.structs.replace(settings.desk, relay=("send",))
    assert with_relay.address == ""
    with pytest.raises(CoordinationError, match=r"desk\.address"):
        relay_of(replace(settings, desk=with_relay))
