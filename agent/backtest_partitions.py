"""A population's partitions, and what judging one of them leaves behind.

Rules of this room:

- A partition holds its patients whole: a Parquet file, or the files of one folder named `patient=NAME`.
- What was judged is kept as two files for each protocol: the alerts (CSV, gzipped), then a small JSON file that says
  what it rests on: the partition's files with size and time of change, protocol, engine, zone and times. Each is
  written beside its place and renamed, the second only when the first is on disk: a run that was killed leaves no half.
- Another run takes what is there when all of that is the same, and judges the rest.
- A partition is decoded once for all protocols, one patient in memory at a time (see `recordings_parquet`).

What is not here: which process or machine does it (backtest_population, backtest_cluster).
"""

import csv
import gzip
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from agent.backtest_words import system_said
from alerting.alert import Sentence
from alerting.backtest import AlertOutcome, judge_patient, line
from alerting.care_protocol import CareProtocol
from alerting.engine import ENGINE_VERSION
from alerting.errors import RecordingError
from alerting.recordings import PARQUET
from alerting.recordings_parquet import ParquetRecording
from alerting.trial import Trial, together, trial_of, watching

ALERT_COLUMNS = (
    "patient",
    "rule",
    "priority",
    "audience",
    "onset",
    "raised_at",
    "resolved_at",
    "told_at",
    "suppressed",
    "alert_id",
)
_FORM = 2
"""Of the files this room writes; another one is not read."""
_TRIALS_APART = 256
"""So many are added up at a time: memory does not grow with the patients of a partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Files that hold their patients whole.

    Attributes:
        name: its path within the population, without the ending.
        files: at least one.
    """

    name: str
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A partition to be judged, complete in itself: it may travel to another process or machine.

    Attributes:
        partition: what.
        protocols: by what; at least one.
        results: folder of the results.
        zone: IANA name.
        since, until: as in `alerting.backtest.backtest`.
    """

    partition: Partition
    protocols: tuple[CareProtocol, ...]
    results: Path
    zone: str
    since: int | None
    until: int | None


class Input(Struct, frozen=True, kw_only=True):
    """A file that was judged, as it was then."""

    name: str
    size: int
    changed_ns: int


class Kept(Struct, kw_only=True):
    """What judging a partition by one protocol gave, and what it rests on."""

    form: int
    engine: str
    protocol_hash: str
    zone: str
    since: int | None
    until: int | None
    inputs: list[Input]
    trial: Trial
    patients: list[str] = field(default_factory=list)
    set_aside: dict[str, int] = field(default_factory=dict)
    simulated: bool = False
    naive_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a task gave.

    Attributes:
        name: of the partition.
        kept: one a protocol, in order; empty when it could not be read.
        fault: what is wrong with it, None when nothing is.
        judged: False when all was there already.
    """

    name: str
    kept: tuple[Kept, ...]
    fault: Sentence | None
    judged: bool


def partitions_of(folder: Path) -> list[Partition]:
    """Return a population's partitions, sorted by name.

    Raises:
        RecordingError: there is none.
        OSError: the folder cannot be read.
    """
    files = sorted(file for file in folder.rglob(f"*{PARQUET}") if file.is_file())
    if not files:
        folder.stat()
        raise RecordingError(
            str(folder),
            None,
            Sentence(fr="aucun fichier .parquet dans ce dossier", en="there is no .parquet file in this folder"),
        )

    def whole(file: Path) -> Path:
        return file.parent if file.parent.name.startswith("patient=") else file

    return [
        Partition(name=str(place.relative_to(folder)).removesuffix(PARQUET), files=tuple(several))
        for place, several in ((place, list(group)) for place, group in groupby(sorted(files, key=whole), key=whole))
    ]


def judge_partition(task: Task) -> Judged:
    """Return what each protocol gives over a partition: what is kept of it, or else judged and kept now."""
    try:
        inputs = [_input(file) for file in task.partition.files]
        found = {protocol.protocol_hash: _read(task, protocol, inputs) for protocol in task.protocols}
        lacking = [protocol for protocol in task.protocols if found[protocol.protocol_hash] is None]
        if lacking:
            found.update(_judge(task, lacking, inputs))
        kept = tuple(one for protocol in task.protocols if (one := found[protocol.protocol_hash]) is not None)
    except RecordingError as error:
        return Judged(name=task.partition.name, kept=(), fault=error.why, judged=True)
    except OSError as error:
        why = system_said(error)
        fault = Sentence(fr=f"{error.filename}\u00a0: {why.fr}", en=f"{error.filename}: {why.en}")
        return Judged(name=task.partition.name, kept=(), fault=fault, judged=True)
    return Judged(name=task.partition.name, kept=kept, fault=None, judged=bool(lacking))


def alerts_file(task: Task, protocol: CareProtocol) -> Path:
    """Return where the alerts of a partition lie once it was judged."""
    return _place(task, protocol, "alerts.csv.gz")


def _judge(task: Task, protocols: Sequence[CareProtocol], inputs: list[Input]) -> dict[str, Kept | None]:
    zone = ZoneInfo(task.zone)
    recording = ParquetRecording(task.partition.files)
    writers = {protocol.protocol_hash: _AlertsFile(alerts_file(task, protocol)) for protocol in protocols}
    trials: dict[str, list[Trial]] = {protocol.protocol_hash: [] for protocol in protocols}
    patients: list[str] = []
    for history in recording.histories():
        watched = watching(history, zone, task.since, task.until)
        if watched is None:
            continue
        patients.append(history.patient)
        for protocol in protocols:
            never: dict[str, frozenset[str]] = {}
            outcomes = judge_patient(
                protocol, history, zone=zone, since=task.since, until=task.until, never_judged=never
            )
            mine = trials[protocol.protocol_hash]
            mine.append(trial_of(protocol, history, outcomes, watched, never.get(history.patient)))
            if len(mine) >= _TRIALS_APART:
                mine[:] = [together(protocol, mine)]
            writers[protocol.protocol_hash].add(outcomes)
    kept: dict[str, Kept | None] = {}
    for protocol in protocols:
        one = Kept(
            form=_FORM,
            engine=ENGINE_VERSION,
            protocol_hash=protocol.protocol_hash,
            zone=task.zone,
            since=task.since,
            until=task.until,
            inputs=inputs,
            trial=together(protocol, trials[protocol.protocol_hash]),
            patients=sorted(patients),
            set_aside=dict(sorted(recording.set_aside.items())),
            simulated=recording.simulated,
            naive_at=recording.naive_at,
        )
        writers[protocol.protocol_hash].close()
        _write(_place(task, protocol, "json"), msgspec.json.encode(one))
        kept[protocol.protocol_hash] = one
    return kept


def _read(task: Task, protocol: CareProtocol, inputs: list[Input]) -> Kept | None:
    """Return what is kept of judging exactly this, None when nothing is."""
    try:
        kept = msgspec.json.decode(_place(task, protocol, "json").read_bytes(), type=Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    asked = (_FORM, ENGINE_VERSION, protocol.protocol_hash, task.zone, task.since, task.until, inputs)
    found = (kept.form, kept.engine, kept.protocol_hash, kept.zone, kept.since, kept.until, kept.inputs)
    return kept if asked == found and alerts_file(task, protocol).exists() else None


class _AlertsFile:
    """The alerts of a partition under one protocol, patient by patient."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._text = io.StringIO(newline="")
        self._packed = io.BytesIO()
        self._gzip = gzip.GzipFile(fileobj=self._packed, mode="wb", mtime=0)
        self._table = csv.writer(self._text, lineterminator="\n")
        self._table.writerow(ALERT_COLUMNS)

    def add(self, outcomes: Sequence[AlertOutcome]) -> None:
        for outcome in outcomes:
            said = line(outcome) | {"alert_id": outcome.alert_id}
            self._table.writerow([said[column] for column in ALERT_COLUMNS])
        self._gzip.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()

    def close(self) -> None:
        self._gzip.close()
        _write(self._target, self._packed.getvalue())


def _place(task: Task, protocol: CareProtocol, ending: str) -> Path:
    return task.results / task.partition.name / f"{protocol.name}-{protocol.protocol_hash[:16]}.{ending}"


def _input(file: Path) -> Input:
    known = file.stat()
    return Input(name=file.name, size=known.st_size, changed_ns=known.st_mtime_ns)


def _write(target: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)
