"""What a fleet is put through: steady days, and the storm of its return after an outage.

Figures are of everything on one machine: the boxes, the broker, the inbox's workers and the database share its
processors.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from coordination.team_database import connect_to_read
from simulators.fleet import FleetBox
from simulators.region import Region

LOOK_S = 0.1
TELL_S = 5.0
CONNECTED_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """What came of steady time.

    Attributes:
        boxes: how many were connected.
        readings: stored in that time.
        lag_ms: (median, 99th percentile, worst) from the moment when a box had a reading to when the team had it.
        reconnections: connections that were made again.
    """

    boxes: int
    readings: int
    lag_ms: tuple[int, int, int]
    reconnections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What came of a storm; seconds since the first box could reach the broker.

    Attributes:
        boxes: how many came back.
        back_s: when the last of them was connected.
        alerts: that waited at them.
        readings: that waited at them.
        first_alert_s: when the first alert was stored.
        half_alerts_s: when half of them were.
        all_alerts_s: when all of them were.
        readings_then: how many readings were stored by then.
        all_s: when everything was; None when that was not waited for.
        reconnections: connections that were made again.
    """

    boxes: int
    back_s: float
    alerts: int
    readings: int
    first_alert_s: float
    half_alerts_s: float
    all_alerts_s: float
    readings_then: int
    all_s: float | None
    reconnections: int


@asynccontextmanager
async def connecting(boxes: Sequence[FleetBox], *, within_s: float) -> AsyncIterator[None]:
    """Let boxes connect and forward for as long as the block lasts, the first time within so many seconds."""
    tasks = [asyncio.create_task(box.run(within_s=within_s)) for box in boxes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def steady(region: Region, *, seconds: float, period_s: float, say: Callable[[str], None]) -> Steady:
    """Let every box give a reading each period for some time, and return what came of it.

    Args:
        region: under way.
        seconds: how long, once every box is connected.
        period_s: between two readings of one box.
        say: is told how far it is.
    """
    async with connecting(region.boxes, within_s=len(region.boxes) / 100):
        await _connected(region, say)
        begun = now_ms()
        homes = [asyncio.create_task(_home(box, period_s)) for box in region.boxes]
        for passed in range(0, int(seconds), int(TELL_S)):
            await asyncio.sleep(min(TELL_S, seconds - passed))
            say(f"{int(min(passed + TELL_S, seconds))} s, {sum(box.backlog for box in region.boxes)} envelopes wait")
        for home in homes:
            home.cancel()
        await asyncio.gather(*homes, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await _empty(region.boxes)
    lags = _lags(region, begun)
    at = [lags[min(len(lags) - 1, int(len(lags) * part))] if lags else 0 for part in (0.5, 0.99, 1.0)]
    return Steady(
        boxes=len(region.boxes),
        readings=len(lags),
        lag_ms=(at[0], at[1], at[2]),
        reconnections=sum(box.connections - 1 for box in region.boxes),
    )


async def storm(
    region: Region, *, alerts: int, readings: int, within_s: float, wait_for_all: bool, say: Callable[[str], None]
) -> Storm:
    """Let every box come back with what waits, and return how long the team takes.

    Args:
        region: under way; nothing has been stored yet.
        alerts: that wait at each box.
        readings: that wait at each box, one an envelope.
        within_s: each box tries again at a moment within so many seconds, as its backoff has it.
        wait_for_all: whether to wait for the readings too.
        say: is told how far it is.
    """
    boxes = region.boxes
    await asyncio.to_thread(_fill, boxes, alerts, readings, say)
    expected = alerts * len(boxes)
    begun = time.monotonic()
    at: dict[int, float] = {}
    marks = (1, (expected + 1) // 2, expected)
    told = back_s = 0.0
    async with connecting(boxes, within_s=within_s):
        while len(at) < len(set(marks)):
            back = sum(box.connections > 0 for box in boxes)
            stored = await asyncio.to_thread(region.count, "SELECT count(*) FROM alert WHERE origin = 'box'")
            passed = time.monotonic() - begun
            if back == len(boxes) and not back_s:
                back_s = passed
            at.update({mark: passed for mark in marks if stored >= mark and mark not in at})
            if passed - told >= TELL_S:
                told = passed
                say(f"{passed:.0f} s: {back} boxes are back, {stored} of {expected} alerts are at the team")
            await asyncio.sleep(LOOK_S)
        then = await asyncio.to_thread(region.count, "SELECT count(*) FROM observation")
        if wait_for_all:
            await _empty(boxes)
        everything_s = time.monotonic() - begun if wait_for_all else None
    return Storm(
        boxes=len(boxes),
        back_s=back_s,
        alerts=expected,
        readings=readings * len(boxes),
        first_alert_s=at[marks[0]],
        half_alerts_s=at[marks[1]],
        all_alerts_s=at[marks[2]],
        readings_then=then,
        all_s=everything_s,
        reconnections=sum(box.connections - 1 for box in boxes),
    )


async def _connected(region: Region, say: Callable[[str], None]) -> None:
    async with asyncio.timeout(CONNECTED_WITHIN_S):
        told = time.monotonic()
        while (there := sum(box.connections > 0 for box in region.boxes)) < len(region.boxes):
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                say(f"{there} of {len(region.boxes)} boxes are connected")
            await asyncio.sleep(LOOK_S)


async def _empty(boxes: Sequence[FleetBox]) -> None:
    """Return once nothing waits at any of them."""
    while any(box.backlog for box in boxes):  # noqa: ASYNC110 - of thousands
        await asyncio.sleep(LOOK_S)


async def _home(box: FleetBox, period_s: float) -> None:
    await asyncio.sleep(period_s * random.random())  # noqa: S311 - homes are not in step
    while True:
        box.measure(at=now_ms())
        await asyncio.sleep(period_s)


def _fill(boxes: Sequence[FleetBox], alerts: int, readings: int, say: Callable[[str], None]) -> None:
    """Let a week's readings and alerts wait, evenly spread over it."""
    week_ms, now = 7 * 86_400_000, now_ms()
    for number, box in enumerate(boxes):
        if number % 500 == 0:
            say(f"{number} of {len(boxes)} boxes have sealed what waits")
        moments = [(at * week_ms // max(1, readings), False) for at in range(readings)]
        moments += [(at * week_ms // max(1, alerts) + 1, True) for at in range(alerts)]
        for moment, is_alert in sorted(moments):
            (box.alert if is_alert else box.measure)(at=now - week_ms + moment)


def _lags(region: Region, since: int) -> list[int]:
    connection = connect_to_read(region.database)
    try:
        rows = connection.execute("SELECT stored_at - received_at FROM observation WHERE received_at >= ?", (since,))
        return sorted(int(lag) for (lag,) in rows)
    finally:
        connection.close()


def now_ms() -> int:
    """Return ms UTC, real time."""
    return time.time_ns() // 1_000_000
