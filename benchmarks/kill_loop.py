"""SIGKILL over box, broker and inbox while readings flow: what is lost, what is there twice, what is missing.

KILLS=24 SEED=1 by default. The world is that of the demonstration; the account is the demonstration's own.
"""

import asyncio
import json
import os
import random
import tempfile
from pathlib import Path

from benchmarks.figure import machine
from simulators.account import Account
from simulators.clock import AcceleratedClock
from simulators.demo import Demonstration
from simulators.show import START
from simulators.world import START_WITHIN_S, World, WorldSettings

KILLS = int(os.environ.get("KILLS", "24"))
SEED = int(os.environ.get("SEED", "1"))
SPEED = 2400.0
DAYS = 14
VICTIMS = ("box", "box", "broker", "inbox")


def order(kills: int, dice: random.Random) -> list[str]:
    """Return who is killed when: each of the three at least once, the box most often."""
    victims = [*sorted(set(VICTIMS)), *dice.choices(VICTIMS, k=max(0, kills - 3))][:kills]
    dice.shuffle(victims)
    return victims


async def kill_one(world: World, victim: str, dice: random.Random) -> None:
    """Kill one of the three, and bring it back."""
    if victim == "broker":
        await asyncio.to_thread(world.broker.kill)
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        await asyncio.to_thread(world.broker.start)
        return
    child = world.box if victim == "box" else world.inbox
    await child.kill()
    await asyncio.sleep(dice.uniform(0.0, 0.5))
    await child.start()
    if dice.random() < 0.7:
        # Otherwise the next kill may fall into its start.
        await child.ready(within=START_WITHIN_S)


async def kill_loop(folder: Path, *, kills: int, seed: int) -> tuple[Account, dict[str, int]]:
    """Return the account of a world in which so many processes were killed, and how many of each."""
    dice = random.Random(seed)
    clock = AcceleratedClock.starting_now(start_ms=round(START.timestamp() * 1000), speed=SPEED)
    demonstration = Demonstration(
        WorldSettings(folder=folder, clock=clock, seed=seed, days=DAYS), say=lambda _name, _event: None
    )
    killed = dict.fromkeys(VICTIMS, 0)
    async with demonstration.world as world:
        await world.start()
        for victim in order(kills, dice):
            await asyncio.sleep(dice.uniform(0.1, 1.5))
            await kill_one(world, victim, dice)
            killed[victim] += 1
        for child in (world.box, world.inbox):
            await child.ready(within=START_WITHIN_S)
        return await demonstration.finish(), killed


def figures() -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-") as name:
        account, killed = asyncio.run(kill_loop(Path(name), kills=KILLS, seed=SEED))
    line = {
        "figure": "kill_loop",
        "kills": killed,
        "readings": account.taken,
        "lost": account.lost,
        "duplicated": account.duplicated,
        "gaps": account.gaps,
        "alerts": account.alerts,
        "alerts_wrong": len(account.untold) + len(account.unfounded),
        "balanced": account.balanced,
        "seed": SEED,
        "machine": machine(),
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)
