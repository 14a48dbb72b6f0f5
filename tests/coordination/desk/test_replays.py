"""A draft tried on a patient's history: by the box's engine, cancellable, bounded, and said with what it is worth."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from zoneinfo import ZoneInfo

import msgspec
import pytest

from alerting.backtest import backtest
from alerting.protocol_file import check_protocol
from coordination import replay_jobs, replay_worker
from coordination.desk.access import Role
from coordination.desk.models import ReplayJob
from coordination.desk.shared_database import acting, looking
from coordination.replay_result import ReplayResult
from coordination.replaying import readings_of
from tests.coordination.desk.kit import Desk, without_tokens
from tests.coordination.desk.workshop_kit import ADDRESS, DAY, begun, changed, draft_of, watched, weight, worked
from tests.coordination.kit import OTHER_BOX, OTHER_PATIENT, POSTGRESQL, START, is_file

PARIS = ZoneInfo("Europe/Paris")


def asked(desk: Desk, *, days: int = 60, over: int = 90) -> ReplayJob:
    """A nurse lowers the fast gain and asks for a replay."""
    watched(desk, days=days)
    nurse = desk.client(Role.NURSE)
    begun(nurse)
    changed(nurse, weight_gain_3_days__delta="1,6", weight_gain_3_days__end_delta="0,9")
    nurse.post(f"{ADDRESS}/rejouer", {"jours": str(over)})
    return ReplayJob.objects.get()


def result_of(job: ReplayJob) -> ReplayResult:
    return msgspec.json.decode(job.result, type=ReplayResult)


def test_a_replay_tells_what_a_backtest_of_the_teams_readings_does(desk: Desk) -> None:
    job = asked(desk)
    done = worked(desk)
    assert done.state == "done"
    result = result_of(done)
    readings = readings_of(looking(), OTHER_PATIENT)
    since = min(one.measured_at for one in readings)
    for text, side in ((job.before, result.before), (job.after, result.after)):
        protocol = check_protocol(text.encode()).protocol
        assert protocol is not None
        assert side is not None
        expected = list(backtest(protocol, {OTHER_PATIENT: readings}, zone=PARIS, since=since, until=START))
        assert [(one.rule, one.raised_at, one.told_at) for one in side.alerts] == [
            (one.rule, one.raised_at, one.told_at) for one in expected
        ]
        assert side.trial.protocol_hash == protocol.protocol_hash
    fast = [one for one in result.after.alerts if one.rule == "weight_gain_3_days"]
    assert fast, "the lowered threshold raises what it did not before"
    assert result.verdicts["only_second"] >= len(fast)


def test_a_replay_of_the_last_weeks_looks_back_as_far_as_its_rules_do(desk: Desk) -> None:
    asked(desk, over=28)
    result = result_of(worked(desk))
    assert result.since == START - 28 * DAY
    assert result.readings == 60, "those before are what a rule of 28 days compares with"
    assert all(one.raised_at >= result.since for one in result.after.alerts)


def test_less_than_a_fortnight_of_readings_is_said_to_be_indicative(desk: Desk) -> None:
    asked(desk, days=9)
    worked(desk)
    page = desk.client(Role.NURSE).get(ADDRESS).content.decode()
    assert "Moins de 14 jours de mesures : rejeu indicatif seulement." in page


def test_no_readings_at_all_say_nothing(desk: Desk) -> None:
    asked(desk, days=0)
    worked(desk)
    page = desk.client(Role.NURSE).get(ADDRESS).content.decode()
    assert "le rejeu ne dit rien" in page
    assert "nan" not in without_tokens(page).lower().replace("finance", "").replace("venant", "")


def test_the_page_says_what_changes_for_the_patient_and_the_team_with_what_was_left_out(desk: Desk) -> None:
    asked(desk)
    worked(desk)
    page = desk.client(Role.NURSE).get(ADDRESS).content.decode()
    for words in (
        "Alertes dites à quelqu&#39;un",
        "Charge de l&#39;équipe, tous patients",
        "budget : 10\u00a0h\u00a000",
        "seulement avec le projet",
        "Mesures exclues, que rien ne peut juger : 0",
        "moteur du boîtier, version",
        "Le passé ne garantit pas l&#39;avenir.",
    ):
        assert words in page, words
    assert page.count('class="chart wide"') == 2, "two pictures side by side"
    changed(desk.client(Role.NURSE), weight_gain_3_days__delta="1,8")
    assert "Le projet a changé depuis ce rejeu" in desk.client(Role.NURSE).get(ADDRESS).content.decode()


def test_a_load_is_not_lightened_by_more_than_it_was(desk: Desk) -> None:
    watched(desk, days=0)
    # Two and a half kilograms in three days, three weeks ago: the team had nothing of it in its last week.
    gained = {20: 0.8, 19: 1.7, 18: 2.5, 17: 2.5, 16: 1.0}
    desk.receive(*(weight(day, 82.0 + gained.get(day, 0.0)) for day in range(28, 0, -1)), box=OTHER_BOX)
    nurse = desk.client(Role.NURSE)
    begun(nurse)
    changed(nurse, weight_gain_3_days__delta="3,0")
    nurse.post(f"{ADDRESS}/rejouer", {"jours": "28"})
    result = result_of(worked(desk))
    assert result.before is not None
    assert result.before.trial.burden.told > result.after.trial.burden.told
    row = nurse.get(ADDRESS).content.decode().partition("tous patients (budget")[2].partition("</tr>")[0]
    assert re.findall(r"<td[^>]*>(.*?)</td>", row) == ["0\u00a0min", "0\u00a0min", "="]


def test_a_replay_of_a_few_hours_is_of_a_day(desk: Desk) -> None:
    watched(desk, days=0)
    desk.receive(weight(0.2, 82.0), weight(0.1, 85.0), box=OTHER_BOX)
    nurse = desk.client(Role.NURSE)
    begun(nurse)
    changed(nurse, weight_gain_3_days__delta="1,6", weight_gain_3_days__end_delta="0,9")
    nurse.post(f"{ADDRESS}/rejouer", {"jours": "28"})
    assert result_of(worked(desk)).after.trial.burden.told == 1
    page = nurse.get(ADDRESS).content.decode()
    assert "alertes dites sur un jour" in page
    row = page.partition("Alertes dites à quelqu&#39;un")[2].partition("</tr>")[0]
    assert "7,0 par semaine" in row


def test_a_replay_that_waits_or_runs_is_cancelled_and_shows_nothing(desk: Desk) -> None:
    asked(desk)
    nurse = desk.client(Role.NURSE)
    assert nurse.get(f"{ADDRESS}/rejeu").json() == {"state": "queued", "done": 0}
    nurse.post(f"{ADDRESS}/rejeu/annuler")
    assert nurse.get(f"{ADDRESS}/rejeu").json()["state"] == "cancelled"
    assert worked(desk).state == "cancelled"
    nurse.post(f"{ADDRESS}/rejouer", {"jours": "90"})
    with acting() as database:
        job = replay_jobs.claim(database, "somebody", now=START)
    assert job is not None
    nurse.post(f"{ADDRESS}/rejeu/annuler")
    with acting() as database:
        assert not replay_jobs.renew(database, job.id, "somebody", done=10, now=START)
        done = {"state": "done", "result": "{}", "fault": replay_jobs._GIVEN_UP, "now": START}
        replay_jobs.finish(database, job.id, "somebody", **done)  # type: ignore[arg-type]
    assert ReplayJob.objects.latest("pk").state == "cancelled"


def test_another_teams_job_is_not_cancelled(desk: Desk) -> None:
    job = asked(desk)
    with acting() as database:
        assert not replay_jobs.cancel(database, job.pk, team=2, now=START)
    assert ReplayJob.objects.get().state == "queued"


def test_asking_anew_cancels_what_was_asked_before(desk: Desk) -> None:
    asked(desk)
    desk.client(Role.NURSE).post(f"{ADDRESS}/rejouer", {"jours": "28"})
    assert list(ReplayJob.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "queued"]


def test_one_worker_has_a_job_at_a_time_and_another_takes_it_over_when_it_stopped(desk: Desk) -> None:
    asked(desk)
    with acting() as database:
        first = replay_jobs.claim(database, "first", now=START)
        assert first is not None
        assert replay_jobs.claim(database, "second", now=START) is None
        late = START + replay_jobs.LEASE_MS + 1
        assert replay_jobs.claim(database, "second", now=late) is not None
        assert not replay_jobs.renew(database, first.id, "first", done=1, now=late), "it is another's by now"
    assert ReplayJob.objects.get().worker == "second"


def test_a_job_that_ends_its_workers_is_given_up(desk: Desk) -> None:
    asked(desk)
    at = START
    for _ in range(replay_jobs.MOST_TRIES):
        with acting() as database:
            assert replay_jobs.claim(database, "one", now=at) is not None
        at += replay_jobs.LEASE_MS + 1
    with acting() as database:
        assert replay_jobs.claim(database, "one", now=at) is None
    assert ReplayJob.objects.get().state == "failed"
    assert "interrompu trois fois" in desk.client(Role.NURSE).get(ADDRESS).content.decode()


def test_a_replay_that_breaks_off_is_told_in_words(desk: Desk) -> None:
    asked(desk)
    ReplayJob.objects.update(after="not a protocol")
    assert worked(desk).state == "failed"
    assert "ne lit plus l&#39;un des deux protocoles" in desk.client(Role.NURSE).get(ADDRESS).content.decode()


def test_a_replay_without_the_memory_that_it_wants_is_told_and_the_worker_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(desk)
    real = subprocess.Popen
    # A child that wants twice as much as its limit lets it have.
    code = (
        "import coordination.replay_run as run; run.MEMORY_BYTES = 1 << 30;"
        "run.memory_of = lambda protocol: len(bytearray(2 << 30)); run.main()"
    )
    monkeypatch.setattr(subprocess, "Popen", lambda _line, **more: real([sys.executable, "-c", code], **more))
    assert worked(desk).state == "failed"
    assert "mémoire ou temps dépassés" in ReplayJob.objects.get().fault_fr
    monkeypatch.undo()
    desk.client(Role.NURSE).post(f"{ADDRESS}/rejouer", {"jours": "28"})
    assert worked(desk).state == "done"


@pytest.mark.process
@pytest.mark.skipif(POSTGRESQL in os.environ, reason="the program is told of a file")
def test_a_job_whose_worker_was_killed_is_done_by_the_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(desk)
    assert is_file(desk.boxes.database)
    # A worker that holds the job for good: its child never answers.
    code = (
        "import sys, subprocess; from pathlib import Path; from threading import Event\n"
        "from coordination import replay_worker as w\n"
        "real = subprocess.Popen\n"
        "def held(line, **more):\n"
        "    print('held', flush=True)\n"
        "    return real([sys.executable, '-c', 'import sys, time; sys.stdin.read(); time.sleep(600)'], **more)\n"
        "w.subprocess.Popen = held\n"
        f"w.work(Path({str(desk.boxes.database)!r}), Event())\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    with worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"held\n"
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
    assert ReplayJob.objects.get().state == "running"
    ReplayJob.objects.update(lease=time.time_ns() // 1_000_000 - 1)
    assert worked(desk).state == "done"
    assert ReplayJob.objects.get().tries == 2


def test_a_worker_beside_the_pages_does_what_waits_and_stops_with_them(desk: Desk) -> None:
    asked(desk)
    with replay_worker.beside(desk.boxes.database):
        deadline = time.monotonic() + 60
        while ReplayJob.objects.get().state in {"queued", "running"}:
            assert time.monotonic() < deadline, "it does not come"
            threading.Event().wait(0.05)
    assert ReplayJob.objects.get().state == "done"
    assert "jobs" not in {one.name for one in threading.enumerate()}
    assert draft_of().state == "draft"
