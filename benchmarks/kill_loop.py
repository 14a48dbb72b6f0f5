"""SIGKILL over box, broker and two inbox workers while readings flow over a bad network: what is lost, what is there
twice, what is missing.

    make chaos                            # 200 kills, some ten minutes
    KILLS=24 SEED=1 make bench ARGS=kill_loop

The network between box and broker loses, repeats, swaps and swallows messages and breaks in the middle of them
(simulators.proxy). The world is that of the demonstration, and so is the account.
"""

import asyncio
import json
import os
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figure import machine
from simulators.account import Account
from simulators.clock import AcceleratedClock
from simulators.demo import Demonstration
from simulators.forgetful import Links, forgotten
from simulators.proxy import Fate, Proxy, Weather
from simulators.show import START
from simulators.world import BOX, START_WITHIN_S, World, WorldSettings

KILLS = int(os.environ.get("KILLS", "24"))
SEED = int(os.environ.get("SEED", "1"))
SPEED = 600.0
"""A day passes in 144 s: a box that is killed again and again has a day to fetch what it missed."""
VICTIMS = ("box", "box", "broker", "inbox-1", "inbox-2")
WEATHER = {Fate.DROP: 0.03, Fate.TWICE: 0.05, Fate.LATER: 0.05, Fate.SWALLOW: 0.02, Fate.CUT: 0.01}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What came of a loop.

    Attributes:
        account: of what was taken and told.
        killed: how often each was.
        befell: how often each fate befell a message between box and broker.
        linked: how often the box was killed while a device had its link, by device.
    """

    account: Account
    killed: dict[str, int]
    befell: dict[str, int]
    linked: Counter[str]

    @property
    def forgotten(self) -> set[tuple[str, int]]:
        """The lost measurements, (device, ms UTC), that their own device may have forgotten."""
        return forgotten(self.account.missing, self.linked)

    @property
    def balanced(self) -> bool:
        """Whether everything arrived once that no device had forgotten, and exactly the right alerts were told."""
        excused = sum((device, at) in self.forgotten for device, _, at, _ in self.account.missing)
        return replace(self.account, lost=self.account.lost - excused).balanced


def order(kills: int, dice: random.Random) -> list[str]:
    """Return who is killed when: each at least once, the box most often."""
    each = sorted(set(VICTIMS))
    victims = [*each, *dice.choices(VICTIMS, k=max(0, kills - len(each)))][:kills]
    dice.shuffle(victims)
    return victims


async def kill_one(world: World, victim: str, dice: random.Random) -> None:
    """Kill one of the three, and bring it back."""
    if victim == "broker":
        await asyncio.to_thread(world.broker.kill)
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        await asyncio.to_thread(world.broker.start)
        return
    child = {child.name: child for child in (world.box, *world.inboxes)}[victim]
    await child.kill()
    await asyncio.sleep(dice.uniform(0.0, 0.5))
    await child.start()
    if dice.random() < 0.7:
        # Otherwise the next kill may fall into its start.
        await child.ready(within=START_WITHIN_S)


async def kill_loop(folder: Path, *, kills: int, seed: int) -> Chaos:
    """Return what came of a world in which so many processes were killed."""
    dice = random.Random(seed)
    clock = AcceleratedClock.starting_now(start_ms=round(START.timestamp() * 1000), speed=SPEED)
    links = Links()
    settings = WorldSettings(folder=folder, clock=clock, seed=seed, days=14 + kills // 30, workers=2)
    demonstration = Demonstration(settings, say=links.hear)
    killed = dict.fromkeys(VICTIMS, 0)
    world = demonstration.world
    weather = Weather(seed=seed, shares=WEATHER)
    async with world, Proxy(world.broker, world.broker.certificates.client(BOX), weather) as proxy:
        world.reach_broker_at(proxy.port)
        await world.start()
        for victim in order(kills, dice):
            await asyncio.sleep(dice.uniform(0.1, 1.5))
            if victim == "box":
                links.box_is_killed()
            await kill_one(world, victim, dice)
            killed[victim] += 1
        for child in (world.box, *world.inboxes):
            await child.ready(within=START_WITHIN_S)
        account = await demonstration.finish()
    befell = {fate.name: count for fate, count in proxy.befell.items()}
    return Chaos(account=account, killed=killed, befell=befell, linked=links.cut)


def figures() -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-") as name:
        chaos = asyncio.run(kill_loop(Path(name), kills=KILLS, seed=SEED))
    account = chaos.account
    line = {
        "figure": "kill_loop",
        "kills": chaos.killed,
        "network": chaos.befell,
        "readings": account.taken,
        "lost": account.lost,
        "duplicated": account.duplicated,
        "gaps": account.gaps,
        "alerts": account.alerts,
        "alerts_wrong": len(account.untold) + len(account.unfounded),
        "forgotten_by_a_device": len(chaos.forgotten),
        "balanced": chaos.balanced,
        "seed": SEED,
        "machine": machine(),
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)
    if not chaos.balanced:
        raise SystemExit(f"The account does not balance: {account.line()}")
