"""Traces: what the glucose sensors of some people said.

A recorded cohort was measured on people; a simulated one says so in every row. Slower cadences are made by leaving
readings out (`decimated`), never by interpolation: a value between two readings knows the later one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median_low

from alerting.recordings import read_recording
from devices.reading import JUDGED, Quantity

MINUTE = 60_000
DAY = 86_400_000
ROOT = Path(__file__).parents[3]
EXCERPT = ROOT / "simulators" / "recordings" / "hall_2018_excerpt.csv.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One person's readings.

    Attributes:
        patient: the pseudonym of the recording.
        times: ms UTC, increasing.
        counts: quanta of glucose (0.1 mg/dL).
        cadence: ms between two readings of the sensor.
    """

    patient: str
    times: tuple[int, ...]
    counts: tuple[int, ...]
    cadence: int

    @property
    def values(self) -> tuple[float, ...]:
        """mg/dL."""
        return tuple(count / 10 for count in self.counts)

    @property
    def days(self) -> float:
        """How long the sensor was read: readings times cadence."""
        return len(self.times) * self.cadence / DAY

    def until(self, index: int) -> "Trace":
        """Return the readings up to `index`, inclusive."""
        return replace(self, times=self.times[: index + 1], counts=self.counts[: index + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Some people.

    Attributes:
        name: what a row calls them.
        traces: by patient.
        simulated: True when nobody wore the sensor.
        decimated: every how many-eth reading was kept; 1 for the recording itself.
    """

    name: str
    traces: tuple[Trace, ...]
    simulated: bool
    decimated: int = 1

    @property
    def cadence(self) -> int:
        """Minutes between two readings."""
        return self.traces[0].cadence // MINUTE

    def every(self, step: int) -> "Cohort":
        """Return the same people with every `step`-th reading, from the first on."""
        traces = tuple(
            replace(one, times=one.times[::step], counts=one.counts[::step], cadence=one.cadence * step)
            for one in self.traces
        )
        return replace(self, traces=traces, decimated=step)


def gap_after(cadence: int) -> int:
    """Return the ms of silence after which a forecast starts afresh: more than 20 min and 2.2 cadences."""
    return max(20 * MINUTE, cadence * 22 // 10)


def read_traces(path: Path) -> tuple[Trace, ...]:
    """Read the interstitial glucose of a recording; a time that occurs twice counts once."""
    traces = []
    for patient, readings in read_recording(path).readings.items():
        by_time = {
            one.measured_at: one.count
            for one in readings
            if one.quantity is Quantity.GLUCOSE_INTERSTITIAL and one.validity in JUDGED
        }
        times = tuple(sorted(by_time))
        if len(times) > 1:
            steps = [later - earlier for earlier, later in pairwise(times)]
            cadence = round(median_low(steps) / MINUTE) * MINUTE
            traces.append(
                Trace(patient=patient, times=times, counts=tuple(by_time[one] for one in times), cadence=cadence)
            )
    return tuple(traces)


def folder() -> Path | None:
    """Return the folder of recordings that DATA names, None when it names none.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    name = os.environ.get("DATA", "")
    if name and not Path(name).is_dir():
        raise FileNotFoundError(f"DATA={name}: there is no such folder")
    return Path(name) if name else None


def recordings(data: Path | None) -> dict[str, tuple[Trace, ...]]:
    """Return name -> people of what was recorded: the files of the folder, or the excerpt that ships."""
    if data is None:
        return {"hall_excerpt": read_traces(EXCERPT)}
    return {
        path.name.removeprefix("cgm_").removesuffix(".csv.gz"): read_traces(path)
        for path in sorted(data.glob("cgm_*.csv.gz"))
    }


def cohorts(data: Path | None) -> tuple[Cohort, ...]:
    """Return whom the forecasts are scored on: fine cadence and 15 minutes, recorded and simulated."""
    recorded = recordings(data)
    people: Sequence[Trace] = [trace for traces in recorded.values() for trace in traces]
    fine = Cohort(
        name="+".join(recorded), traces=tuple(one for one in people if one.cadence == 5 * MINUTE), simulated=False
    )
    found = [fine, fine.every(3)]
    if data is not None and (data / "sim_simglucose6.csv.gz").exists():
        simulated = Cohort(name="simglucose6", traces=read_traces(data / "sim_simglucose6.csv.gz"), simulated=True)
        found += [simulated, simulated.every(5)]
    return tuple(found)
