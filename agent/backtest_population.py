"""`veilleur backtest --population`: candidate protocols over partitions of recorded patients, by several processes.

Each partition is judged by one process at a time and leaves its result; a second run takes what is there. A partition
that cannot be read is told at the end, and the others count. What each process does is backtest_partitions'.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from agent.backtest_command import cannot_read, protocol_named, unreadable, zone_named
from agent.backtest_extra import need
from agent.backtest_partitions import Judged, Task, judge_partition, partitions_of
from agent.backtest_report import Report, report_lines
from agent.backtest_words import Words
from agent.errors import RequestError
from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.errors import RecordingError
from alerting.trial import together


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationRequest:
    """What was asked for; times in ms UTC.

    Attributes:
        folder: of the partitions.
        protocols: names or files, each judged beside the others.
        form: "report" or "json".
        results: folder in which each partition's result is kept; beside `folder` when None.
        jobs: processes; as many as processors when None.
        scheduler: address of a Dask scheduler that hands the partitions out instead, None for processes here.
    """

    folder: Path
    protocols: tuple[str, ...]
    form: str
    results: Path | None
    jobs: int | None
    scheduler: str | None
    zone: str
    since: int | None
    until: int | None
    lang: str


def print_population(request: PopulationRequest) -> int:
    """Print what the protocols do over a population; return the exit code: 1 when a partition could not be judged.

    Raises:
        RequestError: there is no such file, folder or time zone, a protocol has faults, or no process could finish
            its work.
    """
    if request.scheduler is not None:
        need("distributed", "--scheduler")
    words = Words(request.lang, zone_named(request.zone))
    protocols = tuple(protocol_named(name) for name in request.protocols)
    _told_apart(protocols)
    tasks = _tasks(request, protocols)
    done = sorted(_watched(tasks, _run(tasks, request)), key=lambda one: one.name)
    faults = [one.fault for one in done if one.fault is not None] + _in_two_places(done)
    for fault in faults:
        click.echo(f"veilleur: {words.of(fault)}", err=True)
    taken = sum(not one.judged for one in done)
    if taken:
        said = words.say(f"{taken} partitions déjà jugées, reprises", f"{taken} partitions were judged before: taken")
        click.echo(f"veilleur: {said}", err=True)
    trials = [
        together(protocol, [one.kept[place].trial for one in done if one.kept])
        for place, protocol in enumerate(protocols)
    ]
    if request.form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(trials), indent=2).decode())
    else:
        report = Report(
            source=f"{request.folder.name} ({len(done)} partitions)",
            protocols=protocols,
            trials=trials,
            set_aside=_set_aside(done),
            simulated=any(kept.simulated for one in done for kept in one.kept),
            naive_at=next((kept.naive_at for one in done for kept in one.kept if kept.naive_at is not None), None),
        )
        for text in report_lines(report, words):
            click.echo(text)
    return 1 if faults else 0


def run_here(tasks: Sequence[Task], jobs: int) -> Iterator[Judged]:
    """Yield what tasks give as they are done, by `jobs` processes; in this one when it is one.

    Raises:
        RequestError: a process ended before its work.
    """
    if jobs == 1:
        yield from map(judge_partition, tasks)
        return
    with ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=multiprocessing.get_context("spawn"), initializer=_live_with_parent
    ) as pool:
        try:
            for future in as_completed([pool.submit(judge_partition, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            raise RequestError(
                Sentence(
                    fr="Un des processus a été arrêté, sans doute faute de mémoire.",
                    en="One of the processes was ended, for want of memory perhaps.",
                ),
                Sentence(
                    fr="Relancer la même commande avec moins de --jobs : ce qui est jugé est gardé.",
                    en="Run the same command again with fewer --jobs: what was judged is kept.",
                ),
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run(tasks: Sequence[Task], request: PopulationRequest) -> Iterator[Judged]:
    if request.scheduler is None:
        return run_here(tasks, request.jobs or os.cpu_count() or 1)
    from agent.backtest_cluster import run_on_cluster  # noqa: PLC0415 - a cluster is rare

    return run_on_cluster(tasks, request.scheduler)


def _tasks(request: PopulationRequest, protocols: tuple[CareProtocol, ...]) -> list[Task]:
    folder = request.folder.resolve()
    results = request.results or folder.with_name(f"{folder.name}-backtest")
    try:
        partitions = partitions_of(folder)
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_read(error) from error
    except RecordingError as error:
        raise unreadable(error) from error
    return [
        Task(
            partition=partition,
            protocols=protocols,
            results=results.resolve(),
            zone=request.zone,
            since=request.since,
            until=request.until,
        )
        for partition in partitions
    ]


def _watched(tasks: Sequence[Task], done: Iterable[Judged]) -> Iterator[Judged]:
    """Yield what is done, with a progress bar for who looks."""
    sizes = {task.partition.name: task.partition.size for task in tasks}
    bar = (
        click.progressbar(length=sum(sizes.values()), label="population", file=sys.stderr)
        if sys.stderr.isatty()
        else nullcontext()
    )
    with bar as shown:
        for one in done:
            if shown is not None:
                shown.update(sizes[one.name])
            yield one


def _told_apart(protocols: Sequence[CareProtocol]) -> None:
    if len({protocol.protocol_hash for protocol in protocols}) < len(protocols):
        raise RequestError(
            Sentence(fr="Deux des protocoles sont le même.", en="Two of the protocols are the same."),
            Sentence(fr="Nommer chacun une fois.", en="Name each once."),
        )


def _in_two_places(done: Iterable[Judged]) -> list[Sentence]:
    """Return a sentence for each patient who is in two partitions: judged in halves, their alerts are wrong."""
    where: dict[str, str] = {}
    faults = []
    for one in done:
        for patient in one.kept[0].patients if one.kept else ():
            other = where.setdefault(patient, one.name)
            if other != one.name:
                faults.append(
                    Sentence(
                        fr=f"{patient} est dans {other} et dans {one.name} : un patient doit tenir dans une partition",
                        en=f"{patient} is in {other} and in {one.name}: a patient must lie in one partition",
                    )
                )
    return faults


def _set_aside(done: Iterable[Judged]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in done:
        for name, count in one.kept[0].set_aside.items() if one.kept else ():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def _live_with_parent() -> None:
    """End this process when the one that started it is gone, also when that was killed; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
