"""The units of the team's programs: what systemd thinks of them, and that each runs under what it forbids."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordination.cli import main as veilleur_desk
from exchange.identity import SigningKey
from simulators.broker import free_port
from simulators.processes import command
from tests.agent.box_kit import ROOT
from tests.coordination.desk.browser.enrolment import add_enrolment
from tests.coordination.kit import Team
from tests.deploy.service_manager import Manager, adapted, service_manager
from tests.deploy.systemd_tools import find_analyze
from tests.deploy.test_under_systemd import sandboxed
from tests.deploy.test_unit import exposure

HERE = ROOT / "deploy" / "desk"
HARDENING = HERE / "hardening.conf"
SERVICES = sorted(HERE.glob("*.service"))
STAYING = [unit for unit in SERVICES if "Type=exec" in unit.read_text(encoding="utf-8")]
ONCE = [unit for unit in SERVICES if unit not in STAYING]
WITHIN_S = 60
MOST = 1.5
"""As of the box (test_unit)."""


def hardened(unit: Path, folder: Path) -> Path:
    """What systemd makes of a unit and of what hardens all of them, as one file."""
    both = folder / unit.name.replace("@", "")
    both.write_text("\n".join(part.read_text(encoding="utf-8") for part in (unit, HARDENING)), encoding="utf-8")
    return both


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_systemd_finds_each_exposed_to_little(unit: Path, tmp_path: Path) -> None:
    assert exposure(hardened(unit, tmp_path)) <= MOST


def test_a_line_of_hardening_that_goes_missing_is_seen(tmp_path: Path) -> None:
    whole = hardened(HERE / "veilleur-desk-serve.service", tmp_path)
    before = exposure(whole)
    whole.write_text(whole.read_text(encoding="utf-8").replace("NoNewPrivileges=yes\n", ""), encoding="utf-8")
    assert exposure(whole) > before


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    for unit in sorted([*SERVICES, *HERE.glob("*.timer"), *HERE.glob("*.target")]):
        (tmp_path / unit.name).write_text(unit.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "veilleur-desk-.service.d").mkdir()
    (tmp_path / "veilleur-desk-.service.d" / HARDENING.name).write_text(HARDENING.read_text(encoding="utf-8"))
    for unit in sorted(tmp_path.glob("veilleur-desk*.*")):
        if unit.is_file():
            # A template is looked at as one of its instances.
            named = unit.with_name(unit.name.replace("@", "@inbox-1"))
            told = find_analyze().run("verify", "--man=no", str(named))
            assert [
                line for line in told.stderr.splitlines() if "veilleur-desk" in line and "not executable" not in line
            ] == []


def test_each_program_that_stays_has_a_unit_and_restarts_for_ever() -> None:
    started = set()
    for unit in STAYING:
        text = unit.read_text(encoding="utf-8")
        assert {"Restart=always", "StartLimitIntervalSec=0", "WantedBy=veilleur-desk.target"} <= set(text.splitlines())
        found = re.search(r"^ExecStart=/opt/veilleur-desk/bin/veilleur-desk (\S+)", text, re.MULTILINE)
        assert found is not None
        started.add(found[1])
    # A command that stays says so in its help; the office stays when it is asked to.
    stay = {name for name, one in veilleur_desk.commands.items() if "SIGTERM" in (one.help or "")}
    assert started == stay | {"enrol"}


def test_the_programs_are_in_the_operators_page() -> None:
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    names = [unit.name.removesuffix(".service") for unit in SERVICES]
    assert [name for name in names if f"`{name}" not in page] == []


@pytest.fixture(scope="module")
def manager() -> Iterator[Manager]:
    """A systemd with the units, over a team's settings whose broker answers nobody."""
    with service_manager() as made:
        folder = made.folder / "team"
        folder.mkdir()
        team = Team(folder)
        settings = team.write_settings()
        with settings.open("a", encoding="utf-8") as file:
            file.write(f"\n[desk]\nport = {free_port()}\nhttps = false\n")
        add_enrolment(settings, SigningKey.load(folder / "receipt.key"), now=time.time_ns() // 1_000_000)
        dropped = made.units / "veilleur-desk-.service.d"
        dropped.mkdir()
        kept = [
            line
            for line in HARDENING.read_text(encoding="utf-8").splitlines()
            if not line.startswith(("User=", "Group=", "ProtectHome="))
        ]
        (dropped / HARDENING.name).write_text("\n".join(kept), encoding="utf-8")
        for unit in SERVICES:
            text = unit.read_text(encoding="utf-8")
            start = text.partition("ExecStart=")[2].partition("\n")[0]
            start = start.replace("/opt/veilleur-desk/bin/veilleur-desk", command("veilleur-desk"))
            start = start.replace("/etc/veilleur/desk.toml", str(settings))
            text = text.replace("/var/lib/veilleur-desk-copies", str(made.folder / "copies"))
            (made.units / unit.name).write_text(adapted(text, made.folder, start=start), encoding="utf-8")
        (made.folder / "copies").mkdir()
        made.ctl("daemon-reload")
        yield made
        for unit in STAYING:
            made.ctl("stop", _instance(unit), check=False)


def _instance(unit: Path) -> str:
    return unit.name.replace("@", "@inbox-1")


@pytest.mark.process
@pytest.mark.timeout(300)
def test_every_program_runs_sandboxed_and_ends_in_order(manager: Manager) -> None:
    # The pages make the database and the keys.
    for unit in sorted(STAYING, key=lambda unit: "serve" not in unit.name):
        name = _instance(unit)
        manager.ctl("start", name)
        if "serve" in name:
            _answers(manager)
    for unit in STAYING:
        name = _instance(unit)
        assert manager.shown(name, "SubState") == "running", name
        assert manager.shown(name, "NRestarts") == "0", (name, _log(manager))
        assert sandboxed(int(manager.shown(name, "MainPID"))), name
    for unit in ONCE:
        manager.ctl("start", unit.name)
        assert manager.shown(unit.name, "Result") == "success"
    (copy,) = (manager.folder / "copies").iterdir()
    assert copy.stat().st_size > 0
    for unit in STAYING:
        name = _instance(unit)
        manager.ctl("stop", name)
        assert manager.shown(name, "Result") == "success", (name, _log(manager))


def _log(manager: Manager) -> str:
    return (manager.folder / "box.log").read_text(encoding="utf-8", errors="replace")[-2000:]


def _answers(manager: Manager) -> None:
    port = re.findall(r"\[desk\]\nport = (\d+)", (manager.folder / "team" / "desk.toml").read_text(encoding="utf-8"))[0]
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/sante", timeout=5) as answer:
                assert answer.status == 200
                return
        except urllib.error.URLError:
            # Nothing tells when it listens: it is asked again, a little later.
            time.sleep(0.1)
    raise AssertionError(_log(manager))
