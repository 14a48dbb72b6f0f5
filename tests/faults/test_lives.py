"""Great misfortunes, through all real processes: nothing lost, nothing twice, and the service comes back by itself.

The short form lives each for a day and joins what can be joined in one life; FAULTS_ALL=1 (`make chaos`) lives for
months, and has clocks leap by more distances, at more times.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.retiming import RIGHT_NOW
from alerting.alert import ChangeKind
from coordination.keyring_file import read_state
from coordination.view import View
from exchange.identity import key_id
from exchange.team_list import read_signed
from simulators.account import Account, ToldAlert
from simulators.clock import AcceleratedClock
from simulators.forgetful import KEEPS
from simulators.world import START_WITHIN_S, WorldSettings
from tests.faults.lives import Cable, Life, require, require_order
from tests.faults.wrong_clock import Machine

ALL = bool(os.environ.get("FAULTS_ALL"))
SPEED = 1200.0
"""A day passes in 72 s: what a slow machine makes late is still judged."""
DAY_MS = 86_400_000
MONTHS_SPEED = DAY_MS / 4000
"""A day passes in 4 s, two months in some four minutes; readings of five weeks ago are still judged."""
SILENT_HOURS = 3.5
MONTHS = Path(__file__).with_name("months.toml")

pytestmark = [
    pytest.mark.broker,
    pytest.mark.process,
    pytest.mark.radio,
    pytest.mark.long,
    pytest.mark.timeout(900),
]


# --- a broker and a team that forget ------------------------------------------------------------------------------


async def broker_forgets(life: Life) -> None:
    """The broker loses everything while the box is away, and with it an order that it was keeping for the box."""
    await life.settled()
    await life.kill_box()
    life.desk("resend", "--everything", "--database", str(life.world.desk_database))
    await life.until("the broker has the order", lambda: life.orders("resend") == ["sent"])
    await life.forget_at_broker()
    await life.world.box.start()
    await life.until("the box has done it", lambda: life.orders("resend") == ["applied"], within=150)
    await life.until("the box is heard again", lambda: life.at_team("SELECT state FROM box_status") == [("online",)])
    await life.taken(20)
    await life.settled()


async def team_forgets(life: Life) -> None:
    """The team's database is deleted: the inbox asks the box for what it had, and gets it."""
    await life.settled()
    had = life.world.stored()
    await life.without_team(life.lose_team_database)
    await life.until("what was receipted comes again", lambda: life.world.stored() >= had)
    await life.until("the box says so", lambda: "applied" in life.orders("resend"))
    await life.settled()


async def team_is_set_back(life: Life) -> None:
    """Yesterday's copy of the team's database is put back: the inbox asks the box for what it lacks."""
    copy = life.world.folder / "yesterday.db"
    await life.settled()
    life.copy_team_database(copy)
    await life.taken(40)
    await life.settled()
    had, asked = life.world.stored(), len(life.orders("resend"))
    await life.without_team(lambda: life.put_back(copy))
    assert life.world.stored() < had
    await life.until("what the copy lacked comes again", lambda: life.world.stored() >= had)
    # The copy had the orders of before it was taken.
    assert len(life.orders("resend")) > asked


# --- sixty days without a network ---------------------------------------------------------------------------------


class Office:
    """The team's keys as `veilleur-desk keys` makes and renews them, on the team's own machine."""

    def __init__(self, life: Life, machine: Machine) -> None:
        world = life.world
        self.keys, self.root = world.folder / "keys" / "team", world.folder / "root.key"
        self._life, self._machine = life, machine
        self._keys("createteam", "--only-team")
        given = world.folder / "keys" / "list-of-the-first-day"
        given.write_bytes((self.keys / "team-list").read_bytes())
        settings = world.agent_settings.read_text(encoding="utf-8")
        pinned = f'"keys/{given.name}"\nteam_roots = ["{read_state(self.keys).root}"]'
        world.agent_settings.write_text(settings.replace('"keys/team.json"', pinned), encoding="utf-8")
        settings = world.desk_settings.read_text(encoding="utf-8")
        settings = settings.replace('"keys/opening.key"', '"keys/team/opening"').replace(
            '"keys/receipt.key"', '"keys/team"'
        )
        world.desk_settings.write_text(settings, encoding="utf-8")

    def _keys(self, *words: str) -> None:
        self._life.desk("keys", *words, "--folder", str(self.keys), "--root", str(self.root), machine=self._machine)

    def new_month(self) -> None:
        """Renew the keys and send the list, as an operator does every month."""
        self._keys("rotate")
        database = str(self._life.world.desk_database)
        self._life.desk("send-list", str(self.keys / "team-list"), "--database", database, machine=self._machine)


@dataclass(frozen=True, kw_only=True)
class Return:
    """The box is back: when (ms UTC, by the clock of all), with how many waiting envelopes of alerts, and how long the
    broker's log was then (bytes)."""

    at: int
    alerts: int
    log_size: int


async def away(life: Life, office: Office, cable: Cable, machines: Sequence[Machine]) -> Return:
    """Cut the box off for two months and a bit, and let the team renew its keys each month.

    Args:
        life: under way.
        office: renews the keys.
        cable: of the box.
        machines: whose clocks leap by a month; none: the months pass as they are lived.

    Returns:
        How it is back.
    """
    cable.cut()
    if machines:
        # The sensor falls silent for longer than its protocol waits: an alert is among what waits.
        for fault in ({"kind": "cut_link"}, {"kind": "refuse_connections", "seconds": SILENT_HOURS * 3600 / SPEED}):
            await life.world.home.tell({"fault": {"device": "cgm", **fault}})
    begun = life.settings.clock.now_ms()
    for month in (31, 62):
        if machines:
            await life.taken(20)
            for machine in machines:
                machine.leap(month * DAY_MS, vouched=True)
        else:
            goal = begun + month * DAY_MS
            await life.until("a month passes", lambda goal=goal: life.settings.clock.now_ms() >= goal, within=400)  # type: ignore[misc]
        office.new_month()
    waiting = "SELECT count(*) FROM outbox WHERE lane = 0 AND receipted_at IS NULL"
    await life.until("an alert waits at the box", lambda: life.at_box(waiting) > [(0,)])
    # A broker keeps what waits for a box for a week, and this one has lost even that.
    await life.forget_at_broker()
    back: list[Return] = []

    def mend() -> None:
        cable.mend()
        log_size = life.world.broker.log.stat().st_size
        back.append(
            Return(at=life.settings.clock.now_ms(), alerts=int(str(life.at_box(waiting)[0][0])), log_size=log_size)
        )

    # Its power fails as well, on the day on which the network is back: it begins from an expired list.
    await life.power_cut(mend)
    return back[0]


@dataclass(frozen=True, kw_only=True)
class Days:
    """How a life is lived.

    Attributes:
        before: misfortunes on the days before the box is cut off.
        months: whether the sixty days are lived through by the people too, and not by the machines' clocks alone.
    """

    before: tuple[Callable[[Life], Awaitable[None]], ...]
    months: bool = False


LIVES = {"all in one life": Days(before=(broker_forgets, team_forgets, team_is_set_back))}
if ALL:
    LIVES |= {"months of readings": Days(before=(), months=True)}


@pytest.mark.parametrize("days", LIVES.values(), ids=LIVES)
async def test_a_broker_and_a_team_that_forget_a_team_set_back_and_sixty_days_away_lose_nothing(
    tmp_path: Path, days: Days
) -> None:
    """What people do: an operator renews the keys and sends the list, every month. All else is done by itself."""
    start = time.time_ns() // 1_000_000
    clock = AcceleratedClock.starting_now(start_ms=start, speed=MONTHS_SPEED if days.months else SPEED)
    settings = WorldSettings(folder=tmp_path / "world", clock=clock, days=90, workers=2)
    life = Life(replace(settings, household=str(MONTHS)) if days.months else settings)
    real = clock if days.months else AcceleratedClock(start_ms=start, origin_ns=clock.origin_ns, speed=1.0)
    of_box, of_team = (Machine(tmp_path, name, clock=real) for name in ("box", "team"))
    office = Office(life, of_team)
    life.world.box.environment = of_box.environment
    for inbox in life.world.inboxes:
        inbox.environment = of_team.environment
    life.world.broker.log_messages()
    async with Cable(life.world.broker) as cable:
        life.world.reach_broker_at(cable.port)
        async with life:
            await life.taken(20)
            for misfortune in days.before:
                await misfortune(life)
            await life.settled()
            machines = [] if days.months else [of_box, of_team]
            back = await away(life, office, cable, machines)
            await life.until("the box has the list of now", lambda: life.orders("team_list")[-1] == "applied")
            await life.settled()
            require(await life.finish(), life)
            arrived = life.received_of_box(back.log_size)
            require_order(life, back_at=back.at, alerts=back.alerts, arrived=arrived)
            root = bytes.fromhex(read_state(office.keys).root)
            kept = (life.world.box_database.parent / "team-list").read_bytes()
            assert read_signed(kept, roots={key_id(root): root}).team.version == 3


# --- a clock that leaps -------------------------------------------------------------------------------------------

HOURS, YEARS = 5 * 3_600_000, 3 * 365 * DAY_MS
EPOCH_BEGINS = -(2**62)
"""A machine without a clock starts in 1970, whenever that is."""
WAYS = {
    "in 1970 after a power cut": ("boots", EPOCH_BEGINS),
    "years ahead while it runs": ("runs", YEARS),
    "years behind while it runs": ("runs", -YEARS),
    "hours ahead while it runs": ("runs", HOURS),
    "hours behind while it runs": ("runs", -HOURS),
    "years ahead after a power cut": ("boots", YEARS),
    "hours ahead after a power cut": ("boots", HOURS),
    "hours behind after a power cut": ("boots", -HOURS),
}
SHORT = 2
"""How many of the ways the short form takes, all in one life."""


async def leaps(life: Life, machine: Machine, when: str, wrong_ms: int) -> int:
    """Let the machine's clock be wrong while nobody vouches for it; return when (ms UTC) it was known again."""
    wrong = max(wrong_ms, -life.settings.clock.now_ms())
    if when == "boots":
        await life.kill_box()
        machine.boot()
        machine.leap(wrong)
        await life.world.box.start()
        await life.world.box.ready(within=START_WITHIN_S)
    else:
        machine.leap(wrong)
    # Whoever connects now looks at certificates by that clock.
    await asyncio.to_thread(life.world.broker.kill)
    await asyncio.to_thread(life.world.broker.start)
    await life.taken(15)
    machine.leap(0, vouched=True)
    if when == "boots" and not ALL:
        # A program that is started again looks at once, one that runs within a quarter of a minute.
        await life.power_cut()
    await life.until(
        "the box knows the time",
        lambda: life.at_box("SELECT trusted FROM clock_stretch ORDER BY id DESC LIMIT 1") == [(1,)],
    )
    right_at = life.settings.clock.now_ms()
    await life.taken(10)
    await life.settled()
    return right_at


def require_kept(account: Account, life: Life, *, right_at: int) -> None:
    """Hold the account of a box that did not always know the time.

    Every measurement is there once, by the time of its device or flagged. What stands, and what was raised since the
    time is known, is what a backtest finds; of what a backtest finds to have ended before that each was told: as it
    happened, or by an alert that rests on the same readings, or else after the fact, and then once. What was told by
    the wrong time cannot be untold, and may have come in pieces: it stands no more.
    """
    taken = {one: json.loads(one) for one in life.world.ledger.read_text(encoding="utf-8").splitlines()}.values()
    on_devices = Counter((item["device"], item["quantity"], item["count"]) for item in taken)
    exact = {(item["device"], item["quantity"], item["count"], item["measured_at"]) for item in taken}
    stored = life.at_team(
        "SELECT device.name, quantity, count, t, clock FROM observation JOIN device ON device.id = device_id"
    )
    apart = [json.loads(str(content)) for (content,) in life.at_team("SELECT content FROM to_attribute")]
    at_team = Counter((device, quantity, count) for device, quantity, count, _, _ in stored)
    at_team.update((item["device"], item["quantity"], item["count"]) for item in apart)
    strange, missing = at_team - on_devices, on_devices - at_team
    # Its measurements may be dated wrong, so they are counted: one at most of a kind for each link that a kill cut.
    lost = {one: times for one, times in missing.items() if one[0] in KEEPS or times > life.links.cut[one[0]]}
    assert not strange, (strange, life.last_words())
    assert not lost, (lost, life.last_words())
    assert account.gaps == 0
    unflagged = [row for row in stored if row[:4] not in exact and row[4] not in {"corrected", "unknown"}]
    assert not unflagged
    late = dict(told_once_known(account, right_at=right_at))
    untold = [one for one in account.untold if one not in late]
    assert not [one for one in untold if one[4] is None or one[3] > right_at], account
    told = list(told_by_right_time(life))
    for patient, rule, onset, _, resolved_at in untold:
        assert resolved_at is not None
        of_rule = [one for one in told if (one.patient, one.rule) == (patient, rule)]
        meant = [one for one in of_rule if onset - RESTS_ON_MS <= one.at and one.rests_from <= resolved_at]
        assert meant, said_of(life, patient, rule, f"{onset} to {resolved_at} was never told")
        within = [one for one in of_rule if onset <= one.at <= resolved_at]
        afterwards = [one for one in within if one.after_the_fact]
        assert len(within) == 1 or not afterwards, said_of(life, patient, rule, f"told again: {within}")
    unfounded = [one for one in account.unfounded if one not in late.values()]
    assert not [one for one in unfounded if one[4] is None or one[3] > right_at], account


def told_once_known(account: Account, *, right_at: int) -> Iterator[tuple[ToldAlert, ToldAlert]]:
    """Yield what stands and a wrong time had hidden, as a backtest finds it and as it was told: when the time was known
    (`right_at`, ms UTC) at the latest."""
    for due in account.untold:
        for told in account.unfounded:
            hidden = due[4] is None and due[:3] == told[:3] and told[4] is None
            if hidden and due[3] < told[3] <= right_at:
                yield due, told


RESTS_ON_MS = 30 * 60_000
"""How far before an alert the readings that it rests on may lie, by the rules of the simulated household."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """An alert that the team was told, by the time that it knows its readings to be of (ms UTC).

    Attributes:
        patient: pseudonym.
        rule: its id.
        rests_from: the oldest reading that it rests on.
        at: when it was raised.
        after_the_fact: whether it was told once the time was known.
    """

    patient: str
    rule: str
    rests_from: int
    at: int
    after_the_fact: bool


def told_by_right_time(life: Life) -> Iterator[Told]:
    """Yield the alerts that were told; what was taken back, also for a time that was wrong, or goes on as another one
    is left out."""
    # What a late reading raises is told as added too: by a wrong time as well, where the box found out since.
    by_wrong_time = "SELECT 1 FROM clock_correction AS one WHERE one.epoch = said.epoch AND seq BETWEEN first AND last"
    query = f"SELECT alert_id FROM alert_event AS said WHERE kind = 'added' AND NOT EXISTS ({by_wrong_time})"
    added = {str(one) for (one,) in life.at_team(query)}
    view = View(life.world.desk_database)
    try:
        times = {(item.device, item.key, item.quantity): item.measured_at for item in view.readings()}
        for alert in view.alerts():
            gone = alert.change is ChangeKind.RETRACTED or alert.superseded_by is not None or alert.why == RIGHT_NOW
            if alert.origin != "box" or not alert.protocol or gone:
                continue
            # Of what never came no reading tells the right time.
            right = [times[item.device, item.key, item.quantity] for item in alert.evidence]
            moved = right[-1] - alert.evidence[-1].measured_at if right else 0
            yield Told(
                patient=alert.patient or "",
                rule=alert.rule,
                rests_from=min(right, default=alert.onset),
                at=alert.raised_at + moved,
                after_the_fact=alert.id in added,
            )
    finally:
        view.close()


def said_of(life: Life, patient: str, rule: str, what: str) -> str:
    """Return what the team was told by a rule, for whoever reads why a test failed."""
    query = (
        "SELECT kind, origin, onset, raised_at, resolved_at, late, supersedes, evidence, text_en"
        " FROM alert JOIN patient ON patient.id = patient_id WHERE pseudonym = ? AND rule_id = ? ORDER BY onset"
    )
    return "\n".join([f"{patient} {rule} {what}", *map(str, life.at_team(query, patient, rule))])


@pytest.mark.parametrize(
    "ways", [[way] for way in WAYS] if ALL else [list(WAYS)[:SHORT]], ids=list(WAYS) if ALL else ["two of them"]
)
async def test_a_clock_that_leaps_loses_nothing_and_is_followed_once_somebody_vouches(
    tmp_path: Path, ways: list[str]
) -> None:
    clock = AcceleratedClock.starting_now(start_ms=time.time_ns() // 1_000_000, speed=SPEED)
    life = Life(WorldSettings(folder=tmp_path / "world", clock=clock, days=30, workers=2, own_time=True))
    machine = Machine(tmp_path, "box", clock=clock)
    life.world.box.environment = machine.environment
    async with life:
        await life.taken(10)
        await life.settled()
        right_at = 0
        for way in ways:
            right_at = await leaps(life, machine, *WAYS[way])
        require_kept(await life.finish(), life, right_at=right_at)
