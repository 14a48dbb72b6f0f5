"""python -m benchmarks.quality.glucose.judge: the process that is asked about one reading at a time.

Lines in: `{"patient": ...}` begins a person (see `Sitting`), `MILLISECONDS COUNT` is one reading, in time order. One
line out for each reading, before the next is sent: its milliseconds again, the risk or `-`, a digit for each threshold
or rule (1 when it alarms now), and what the engine told, if anything, as JSON.

It keeps nothing from one person to the next, and is told nothing but readings.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from alerting.alert import AlertChange, ChangeKind
from benchmarks.quality.glucose.scorers import SCORERS, Alarm, Setting
from devices.reading import ClockTrust, Provenance, Quality, Quantity, Reading, Unit, Validity

MINUTE = 60_000
Answer = Callable[[int, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """A reference scorer with thresholds on its risk."""

    scorer: str
    setting: Setting
    thresholds: tuple[float, ...] = ()

    def line(self, patient: str) -> str:
        """Return the line that begins a person."""
        return json.dumps({"patient": patient, "scoring": asdict(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """The box's engine: the text of a care protocol, and which of its rules count as alarms, in order."""

    protocol: str
    rules: tuple[str, ...]

    def line(self, patient: str) -> str:
        """Return the line that begins a person."""
        return json.dumps({"patient": patient, "watching": asdict(self)})


Task = Scoring | Watching


def main() -> None:
    answer: Answer | None = None
    for line in sys.stdin:
        if line.startswith("{"):
            answer = begin(json.loads(line))
        elif answer is not None:
            time, count = line.split()
            sys.stdout.write(answer(int(time), int(count)) + "\n")
            sys.stdout.flush()


def begin(document: dict[str, Any]) -> Answer:
    """Return what answers for one person."""
    if "scoring" in document:
        task = document["scoring"]
        return _scoring(task["scorer"], Setting(**task["setting"]), task["thresholds"])
    task = document["watching"]
    return _watching(document["patient"], task["protocol"], task["rules"])


def _scoring(name: str, setting: Setting, thresholds: list[float]) -> Answer:
    scorer, alarm = SCORERS[name](setting), Alarm(setting, thresholds)
    begun: int | None = None

    def answer(time: int, count: int) -> str:
        nonlocal begun
        begun = time if begun is None else begun
        minutes, value = (time - begun) / MINUTE, count / 10
        risk = scorer.risk(minutes, value)
        digits = "".join("1" if one else "0" for one in alarm.raised(minutes, value, risk))
        return f"{time} {risk!r} {digits}"

    return answer


def _watching(patient: str, text: str, rules: list[str]) -> Answer:
    # Here, so that a scorer's process does not wait for the kernel.
    from alerting.engine import Engine  # noqa: PLC0415
    from alerting.protocol_file import read_protocol  # noqa: PLC0415

    protocol = read_protocol(text.encode(), name_hint="protocol")
    engine: Engine | None = None

    def answer(time: int, count: int) -> str:
        nonlocal engine
        if engine is None:
            engine = Engine(protocol, patient=patient, zone=ZoneInfo("UTC"), since=time)
        changes = engine.feed([_reading(time, count)])
        raised = {change.rule for change in changes if change.kind is ChangeKind.RAISED and change.raised_at == time}
        digits = "".join("1" if rule in raised else "0" for rule in rules)
        told = json.dumps([_told(change) for change in changes]) if changes else ""
        return f"{time} - {digits} {told}"

    return answer


def _told(change: AlertChange) -> dict[str, object]:
    return {
        "kind": change.kind.value,
        "rule": change.rule,
        "onset": change.onset,
        "raised_at": change.raised_at,
        "resolved_at": change.resolved_at,
    }


def _reading(time: int, count: int) -> Reading:
    return Reading(
        quantity=Quantity.GLUCOSE_INTERSTITIAL,
        count=count,
        validity=Validity.VALID,
        measured_at=time,
        clock=ClockTrust.TRUSTED,
        received_at=time,
        device="recording",
        key=f"{time}:{count}",
        quality=Quality.NONE,
        provenance=Provenance(source="recording", value=str(count / 10), unit=Unit.MG_PER_DL),
    )


if __name__ == "__main__":
    main()
