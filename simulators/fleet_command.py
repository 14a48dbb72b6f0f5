"""`veilleur-sim fleet`: a region's server on this machine, its boxes, and what came of it in a few lines."""

import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.fleet_run import Steady, Storm, steady, storm
from simulators.region import Region, RegionSettings

SPREAD_S = 30.0
"""Boxes whose broker was away try again within this time, as their longest pause is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried; as the options of the command."""

    boxes: int
    workers: int
    postgresql: bool
    seconds: int
    every_s: int
    storm: bool
    alerts: int
    readings: int


async def run_trial(trial: Trial, *, say: Callable[[str], None]) -> Steady | Storm:
    """Make the region in a folder that is removed afterwards, try it, say what came of it, and return that.

    Raises:
        SimulatorError: a part of the server did not come up.
    """
    _allow_connections(trial.boxes)
    with tempfile.TemporaryDirectory(prefix="veilleur-fleet-") as folder:
        settings = RegionSettings(
            folder=Path(folder), boxes=trial.boxes, workers=trial.workers, postgresql=trial.postgresql, say=say
        )
        async with Region(settings) as region:
            if trial.storm:
                came = await storm(
                    region,
                    alerts=trial.alerts,
                    readings=trial.readings,
                    within_s=SPREAD_S,
                    wait_for_all=False,
                    say=say,
                )
                say(in_words_of_storm(came))
                return came
            calm = await steady(region, seconds=trial.seconds, period_s=trial.every_s, say=say)
            say(in_words_of_steady(calm))
            return calm


def in_words_of_steady(calm: Steady) -> str:
    """Return the line that steady time ends with."""
    median, late, worst = calm.lag_ms
    return (
        f"{calm.boxes} boxes, {calm.readings} readings stored; from box to database {median} ms (median), {late} ms"
        f" (99 %), {worst} ms (worst); {calm.reconnections} reconnections. Simulated boxes, this machine."
    )


def in_words_of_storm(came: Storm) -> str:
    """Return the line that a storm ends with."""
    return (
        f"{came.boxes} boxes tried to come back within {SPREAD_S:.0f} s, and were after {came.back_s:.1f} s, with"
        f" {came.alerts} alerts and {came.readings} readings:"
        f" the first alert was stored after {came.first_alert_s:.1f} s, half of them after {came.half_alerts_s:.1f} s,"
        f" all after {came.all_alerts_s:.1f} s, when {came.readings_then} readings were; {came.reconnections}"
        " reconnections. Simulated boxes, this machine."
    )


def _allow_connections(boxes: int) -> None:
    """Let this process, and those that it starts, have a connection a box."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = boxes + 1000
    if resource.RLIM_INFINITY not in {soft, hard} and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
