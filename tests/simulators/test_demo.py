"""The main job, end to end, as a newcomer sees it: every part a process of its own, killed once, nothing lost."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from simulators.processes import command

pytestmark = [
    pytest.mark.process,
    pytest.mark.broker,
    pytest.mark.radio,
    pytest.mark.alone,
    pytest.mark.timeout(300),
]

LAST_LINE = re.compile(r"readings (\d+) = \1 · lost 0 · duplicated 0 · gaps 0 · alerts (\d+)")


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    line = [command("veilleur-sim"), "demo", "--headless", "--keep", str(folder), "--days", "1", "--speed", "4800"]
    # A group of its own: a demonstration that takes too long is ended with all that it started.
    pipe = subprocess.PIPE
    with subprocess.Popen([*line, "--lang", "fr"], stdout=pipe, stderr=pipe, text=True, start_new_session=True) as demo:
        try:
            said, complained = demo.communicate(timeout=240)
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGKILL)
    return folder, subprocess.CompletedProcess(line, demo.returncode, said, complained)


def test_the_account_balances(demonstration: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = demonstration
    assert done.returncode == 0, done.stdout + done.stderr
    account = LAST_LINE.search(done.stdout)
    assert account is not None, done.stdout
    assert int(account[1]) > 250
    assert int(account[2]) >= 2


def test_the_desk_shows_what_waits_for_somebody_of_three_patients(
    demonstration: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = demonstration
    desk = re.search(
        r"^desk http://127\.0\.0\.1:\d+ · patients (\d) · alerts shown (\d+) of \2$", done.stdout, re.MULTILINE
    )
    assert desk is not None, done.stdout
    assert int(desk[1]) >= 2
    assert int(desk[2]) >= 2
    # Passwords are for a terminal on which somebody looks on, never for a log.
    assert "demo.invalid" not in done.stdout + done.stderr


def test_alerts_reach_the_reader_with_their_numbers(
    demonstration: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = demonstration
    assert re.search(r"\[Moyenne\].*Hypoglycémie.*\d+\s?mg/dL", done.stdout), done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_one_alert_is_shown_whole_as_the_team_reads_it(
    demonstration: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = demonstration
    shown = re.search(r"^veilleur-desk alert ([0-9a-f]{8})\n((?:  .*\n)+)", done.stdout, re.MULTILINE)
    assert shown is not None, done.stdout
    for word in ("à vérifier", "Repose sur", "Dernières valeurs", "Protocole"):
        assert word in shown[2]
    line = [command("veilleur-desk"), "alert", shown[1], "--database", str(folder / "desk.db")]
    listed = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout
    assert listed.splitlines()[1] == shown[2].splitlines()[1].strip()


def test_the_team_is_told_of_the_box_that_was_killed(
    demonstration: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = demonstration
    line = [command("veilleur-desk"), "alerts", "--json", "--database", str(folder / "desk.db")]
    listed = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    silences = [alert for alert in map(json.loads, listed) if alert["rule"] == "not_transmitted"]
    assert [alert["patient"] for alert in silences] == ["patient-7f3a"]
    assert silences[0]["resolved_at"] is not None


def test_somebody_judges_what_is_answered_at_the_desk(
    demonstration: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = demonstration
    assert (folder / "questionnaires.log").read_text(encoding="utf-8") == ""
    connection = sqlite3.connect(folder / "desk.db")
    try:
        assert connection.execute("SELECT count(*) FROM self_report_pass").fetchone() == (1,)
    finally:
        connection.close()


def test_no_process_is_left_running(demonstration: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = demonstration
    # Each of them is told of the folder.
    left = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = line.read_bytes().split(b"\0")
            if any(word.startswith(bytes(folder)) or b":" + bytes(folder) in word for word in words):
                left.append(words)
    assert left == []


def test_nothing_in_clear_lies_in_the_box_or_passes_the_broker(
    demonstration: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = demonstration
    for place in ("box", "broker"):
        raw = b"".join(path.read_bytes() for path in (folder / place).rglob("*") if path.is_file())
        words = (b"patient-", b"glucose", b"mg/dL", b"hypo_level", b"diabetes", b"C4:B0", b"2133-015")
        assert [word for word in words if word in raw] == []
