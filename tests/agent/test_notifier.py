"""The box's own voice: when it tells the patient, what it says, and what becomes of programs that fail or hang."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from agent import notifier as room
from agent.cli import main
from agent.counts import Counts
from agent.notifier import Notifier
from agent.settings import NotifierSettings
from agent.settings_file import read_settings
from agent.store import Store
from agent.store_thread import StoreThread
from agent.telling_here import Standing, TellingPlan, due
from alerting.alert import (
    AlertChange,
    Audience,
    Category,
    ChangeKind,
    Escalation,
    Outcome,
    Priority,
    Reason,
    Sentence,
    Suppression,
)
from exchange.messages import Range
from exchange.receipts import Received
from tests.agent.kit import MINUTE, PATIENT, START, Desk, glucose, open_store
from tests.agent.test_pipeline import ManualClock
from tests.agent.test_pipeline import running as running_judging

ROOT = Path(__file__).parents[2]
CGM = "diabetes_cgm"
SECOND = 1000


def fake(path: Path, log: Path, *, then: str = "") -> Path:
    """A program that writes down how it was called."""
    path.write_text(
        f'#!/bin/sh\nfor word in "{path.name}" "$@"; do printf "%s|" "$word"; done >>{log}\necho >>{log}\n{then}\n'
    )
    path.chmod(0o755)
    return path


@dataclass
class Home:
    """A notifier over a real store, and what its programs were told."""

    notifier: Notifier
    store: StoreThread
    clock: ManualClock
    counts: Counts
    log: Path
    desk: Desk
    attended: set[str] = field(default_factory=set)
    silent: list[bool] = field(default_factory=list)

    @property
    def heard(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    async def at(self, seconds: float) -> list[str]:
        """What has been heard once it is so many seconds after the start."""
        self.clock.now = START + int(seconds * SECOND)
        await self.notifier.look()
        return self.heard

    async def keep(self, *changes: AlertChange) -> None:
        """What judging does with changes."""
        self.notifier.take(changes)
        await self.store.call(Store.keep_technical, PATIENT, changes, self.desk.sealer, now_ms=self.clock.now)

    async def confirmed(self) -> None:
        """What a receipt for everything so far does."""
        epoch, (ends, _) = await self.store.call(Store.this_epoch), await self.store.call(Store.backlog)
        part = Received(epoch=epoch, ranges=(Range(first=0, last=ends - 1),), high=ends - 1)
        await self.store.call(Store.receipted, part, now_ms=START)


def low(onset: int = START, **changed: Any) -> AlertChange:
    """An alert for the patient, told now."""
    made = AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=f"{onset:032x}",
        patient=PATIENT,
        rule="hypo_level_1",
        priority=Priority.HIGH,
        category=Category.CLINICAL,
        onset=onset,
        raised_at=onset,
        resolved_at=None,
        evidence=(),
        why=Sentence(fr="Glucose à 62 mg/dL", en="Glucose at 62 mg/dL"),
        late=False,
        supersedes=None,
        protocol="diabetes_cgm",
        protocol_version=1,
        protocol_hash="ab" * 32,
        engine_version="2",
        audience=Audience.PATIENT_NOW,
        check=Sentence(fr="Contrôlez au bout du doigt.", en="Check with a finger stick."),
        told_at=onset,
    )
    return replace(made, **changed)


@asynccontextmanager
async def home(
    folder: Path,
    desk: Desk,
    *,
    at_once: bool = False,
    settings: NotifierSettings | None = None,
    alone: bool = True,
    clock: ManualClock | None = None,
) -> AsyncIterator[Home]:
    log = folder / "heard"
    if settings is None:
        settings = NotifierSettings(command=(str(fake(folder / "ring", log)), "a b", "$HOME;`id`"))
    clock, store, counts = clock or ManualClock(), StoreThread(), Counts()
    await store.open(lambda: open_store(folder / "box.db"))
    attended: set[str] = set()
    silent: list[bool] = []
    notifier = Notifier(
        settings=settings,
        at_once=at_once,
        alone=alone,
        store=store,
        clock=clock,
        counts=counts,
        attended=lambda _, alert: alert in attended,
        on_failed=lambda: silent.append(True),
    )
    try:
        await notifier.take_up()
        yield Home(notifier, store, clock, counts, log, desk, attended, silent)
    finally:
        await store.close()


# --- when -------------------------------------------------------------------------------------------------


async def test_where_the_box_is_the_channel_it_tells_at_once(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low())
        assert await here.at(0) == ["ring|a b|$HOME;`id`|"]


async def test_where_the_team_is_it_tells_when_the_team_does_not_confirm_in_time(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk) as here:
        await here.keep(low())
        assert await here.at(119) == []
        assert len(await here.at(120)) == 1


async def test_what_the_team_has_is_left_to_it_until_the_deadline(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk) as here:
        await here.keep(low(due_by=START + 10 * MINUTE))
        await here.confirmed()
        assert await here.at(599) == []
        assert len(await here.at(600)) == 1
    (tmp_path / "other").mkdir()
    async with home(tmp_path / "other", desk) as here:
        await here.keep(low(due_by=None))
        await here.confirmed()
        assert await here.at(899) == []
        assert len(await here.at(900)) == 1


async def test_it_repeats_and_stops_once_somebody_has_attended_to_it(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low())
        assert [len(await here.at(at)) for at in (0, 299, 300, 599, 600)] == [1, 1, 2, 2, 3]
        here.attended.add(low().alert_id)
        assert len(await here.at(10_000)) == 3


async def test_it_gives_up_after_so_many_tellings(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low())
        assert len([await here.at(at) for at in range(0, 36_000, 300)][-1]) == 6


async def test_what_ended_is_taken_back_or_held_is_told_no_more(tmp_path: Path, desk: Desk) -> None:
    held: Any = Suppression(reason=Reason.SHELVED, since=START, until=None)
    ends: tuple[dict[str, Any], ...] = (
        {"kind": ChangeKind.RESOLVED, "resolved_at": START + MINUTE},
        {"kind": ChangeKind.RETRACTED},
        {"kind": ChangeKind.SUPPRESSED, "suppressed": held, "told_at": None},
    )
    async with home(tmp_path, desk, at_once=True) as here:
        for number, end in enumerate(ends):
            await here.keep(low(START + number), low(START + number, **end))
        assert await here.at(10_000) == []


@pytest.mark.parametrize(
    "changed",
    [{"audience": Audience.NURSE}, {"late": True}, {"category": Category.TECHNICAL}],
    ids=["for the nurse", "late", "technical"],
)
async def test_what_is_not_for_the_patient_now_is_not_told(tmp_path: Path, desk: Desk, changed: dict[str, Any]) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low(**changed))
        assert await here.at(10_000) == []


async def test_what_escalation_brings_to_the_patient_is_told(tmp_path: Path, desk: Desk) -> None:
    step = Escalation(at=START, audience=Audience.PATIENT_NOW)
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low(audience=Audience.NURSE))
        assert await here.at(0) == []
        await here.keep(low(kind=ChangeKind.ESCALATED, audience=Audience.NURSE, escalated=(step,)))
        assert len(await here.at(1)) == 1


async def test_an_alert_whose_onset_moves_goes_on_and_is_not_cried_anew(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low())
        await here.at(0)
        await here.keep(low(START - MINUTE, kind=ChangeKind.REVISED, supersedes=low().alert_id, late=True))
        assert [len(await here.at(at)) for at in (1, 299, 300)] == [1, 1, 2]


async def test_several_at_once_are_one_telling(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(*(low(START + number) for number in range(20)))
        assert len(await here.at(0)) == 1
        await here.keep(low(START + 30))
        assert [len(await here.at(at)) for at in (10, 59, 60)] == [1, 1, 2]


async def test_a_restart_does_not_cry_again_and_goes_on_repeating(tmp_path: Path, desk: Desk) -> None:
    clock = ManualClock()
    async with home(tmp_path, desk, at_once=True, clock=clock) as here:
        await here.keep(low())
        assert len(await here.at(0)) == 1
    async with home(tmp_path, desk, at_once=True, clock=clock) as here:
        assert [len(await here.at(at)) for at in (40, 299, 300)] == [1, 1, 2]


async def test_a_clock_that_is_set_back_does_not_silence_it(tmp_path: Path, desk: Desk) -> None:
    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low())
        assert len(await here.at(7200)) == 1
        assert len(await here.at(0)) == 2


async def test_a_disk_that_refuses_silences_nobody(tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with home(tmp_path, desk) as here:
        here.notifier.take([low()])
        with monkeypatch.context() as patched:
            for name in ("unconfirmed_alerts_since", "remember_told"):
                patched.setattr(Store, name, full)
            assert len(await here.at(120)) == 1


# --- what and through what --------------------------------------------------------------------------------


async def test_it_sounds_speaks_and_lights_and_says_nothing_that_identifies(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "heard"
    for name in ("aplay", "espeak-ng"):
        fake(tmp_path / name, log)
    lamp = str(fake(tmp_path / "lamp", log))
    monkeypatch.setattr(room, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("VEILLEUR_SECRET", "not for programs")
    settings = NotifierSettings(
        sound=Path("/sounds/bell.wav"), speak=True, say_check=True, light_on=(lamp, "on"), light_off=(lamp, "off")
    )
    async with home(tmp_path, desk, at_once=True, settings=settings) as here:
        await here.keep(low())
        await here.at(0)
        spoken = f"espeak-ng|-v|fr|-s|140|--|{settings.sentence} Contrôlez au bout du doigt.|"
        assert here.heard == ["aplay|-q|/sounds/bell.wav|", spoken, "lamp|on|"]
        here.attended.add(low().alert_id)
        assert (await here.at(1))[-1] == "lamp|off|"
        assert len(await here.at(2)) == 4
    for secret in (PATIENT, "62", "mg/dL", "hypo", "box-0001", low().alert_id):
        assert secret not in spoken


async def test_where_several_live_it_does_not_say_what_to_verify(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "espeak-ng", tmp_path / "heard")
    monkeypatch.setattr(room, "PATH", f"{tmp_path}:/usr/bin:/bin")
    settings = NotifierSettings(speak=True, say_check=True)
    async with home(tmp_path, desk, at_once=True, settings=settings, alone=False) as here:
        await here.keep(low())
        assert "doigt" not in (await here.at(0))[0]


async def test_programs_see_nothing_of_the_boxs_environment(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/veilleur.service")
    program = tmp_path / "look"
    program.write_text(f"#!/bin/sh\nenv >{tmp_path}/seen\n")
    program.chmod(0o755)
    async with home(tmp_path, desk, at_once=True, settings=NotifierSettings(command=(str(program),))) as here:
        await here.keep(low())
        await here.at(0)
    names = {line.split("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert names <= {"PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}


async def test_a_program_that_fails_is_counted_and_the_others_still_tell(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "heard"
    fake(tmp_path / "aplay", log)
    monkeypatch.setattr(room, "PATH", f"{tmp_path}:/usr/bin:/bin")
    broken = fake(tmp_path / "ring", log, then="exit 3")
    settings = NotifierSettings(command=(str(broken),), sound=Path("/bell.wav"), speak=True)
    async with home(tmp_path, desk, at_once=True, settings=settings) as here:
        await here.keep(low())
        assert await here.at(0) == ["ring|", "aplay|-q|/bell.wav|"]
        assert here.counts.take() == {"notifier.command_failed": 1, "notifier.speech_failed": 1}
        assert here.silent == []
        assert len(await here.at(300)) == 4


async def test_where_every_channel_fails_somebody_is_told(tmp_path: Path, desk: Desk) -> None:
    settings = NotifierSettings(command=("/no/such/program",))
    async with home(tmp_path, desk, at_once=True, settings=settings) as here:
        await here.keep(low())
        await here.at(0)
        assert here.silent == [True]


async def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, desk: Desk) -> None:
    pids = tmp_path / "pids"
    program = tmp_path / "hang"
    program.write_text(f"#!/bin/sh\nsleep 600 &\necho $! >>{pids}\necho $$ >>{pids}\nwait\n")
    program.chmod(0o755)
    settings = NotifierSettings(command=(str(program),), timeout=1.0)
    async with home(tmp_path, desk, at_once=True, settings=settings) as here:
        await here.keep(low())
        await here.at(0)
        assert here.counts.take() == {"notifier.command_failed": 1}
    assert [pid for pid in pids.read_text().split() if runs(pid)] == []


def runs(pid: str) -> bool:
    """Whether a process runs: one that ended may still wait for whoever is its parent now to take note."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}


# --- joined -----------------------------------------------------------------------------------------------


async def test_judging_tells_the_notifier_and_a_disposition_stops_it(tmp_path: Path, desk: Desk) -> None:
    async with (
        running_judging(tmp_path / "judged.db", desk, protocol=CGM) as box,
        home(tmp_path, desk, at_once=True) as here,
    ):
        box.judging._on_alerts = here.notifier.take
        here.notifier._attended = lambda _, alert: box.judging._engines[PATIENT].attended(alert)
        for minute, value in ((0, "95"), (5, "66"), (10, "64"), (15, "62"), (20, "61")):
            await box.give(glucose(value, minute))
        await box.settle()
        assert len(await here.at(0)) == 1
        engine = box.judging._engines[PATIENT]
        for alert in engine.open_alerts:
            engine.dispose(alert.alert_id, Outcome.ACTION, "nurse", START + 20 * MINUTE)
        assert len(await here.at(3600)) == 1


def test_a_rule_for_now_may_be_told_by_the_box_itself(tmp_path: Path) -> None:
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8")
    path = tmp_path / "agent.toml"
    start = text.index('relay = "the team')
    without = text[:start] + text[text.index("\n", start) :]
    path.write_text(without, encoding="utf-8")
    refused = CliRunner().invoke(main, ["--lang", "fr", "check", str(path)])
    assert refused.exit_code == 1
    assert "[notifier]" in refused.stderr
    path.write_text(without.replace("# speak = true", "speak = true"), encoding="utf-8")
    settings = read_settings(path)
    assert settings.tells_now == "le boîtier lui-même / the box itself"
    path.write_text(without.replace('# light_on = ["gpioset"', 'light_on = ["gpioset"'), encoding="utf-8")
    assert CliRunner().invoke(main, ["check", str(path)]).exit_code == 1


# --- the decision alone -----------------------------------------------------------------------------------

moments = st.lists(st.integers(0, 5000), min_size=1, max_size=60).map(sorted)


@given(
    times=moments,
    kept=st.lists(st.integers(0, 3000), min_size=1, max_size=5),
    plan=st.builds(
        TellingPlan,
        at_once=st.booleans(),
        receipt_within=st.just(120),
        attend_within=st.just(900),
        repeat=st.just(300),
        most=st.integers(1, 5),
        pause=st.just(60),
    ),
)
def test_it_is_never_told_too_often_too_early_or_too_many_times(
    times: list[int], kept: list[int], plan: TellingPlan
) -> None:
    alerts = {str(n): Standing(alert_id=str(n), patient="p", kept_at=at, due_by=None) for n, at in enumerate(kept)}
    tellings: list[int] = []
    for now in times:
        there = [alert for alert in alerts.values() if alert.kept_at <= now]
        found = due(there, plan, now=now, unconfirmed_since=0, last=tellings[-1] if tellings else None)
        if found:
            tellings.append(now)
        for alert in found:
            assert alert.last is None or now - alert.last >= 300
            assert plan.at_once or now - alert.kept_at >= 120
            alerts[alert.alert_id] = replace(alert, tellings=alert.tellings + 1, last=now)
    assert all(after - before >= 60 for before, after in pairwise(tellings))
    assert all(alert.tellings <= plan.most for alert in alerts.values())
