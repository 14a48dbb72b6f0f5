"""Exports in bulk (HL7's Bulk Data Access): asked for, made in the background, there for a day, gone.

- A job is a row; whoever makes it holds a claim that it renews, so that another process takes it up where one died.
- It reads page by page: no long transaction holds the database, and a cancelled job stops at the next page.
- Files are written beside and renamed, readable by this account alone, and deleted when they expire: they hold health
  data, under pseudonyms, in the clear.

Not here: who may ask (views/fhir_export), and what a resource is.
"""

import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import Q

from coordination.desk.fhir.answers import encoded, versioned
from coordination.desk.fhir.catalogue import KINDS, Source
from coordination.desk.fhir.query import whole
from coordination.desk.fhir.reading_acts import enter
from coordination.desk.fhir.words import Resource, moment
from coordination.desk.models import Alert, ExportJob, Observation, Patient, Team
from coordination.desk.shared_database import acting
from devices.clock import SystemClock
from exchange.audit_chain import Act, Detail

RUNNING, DONE, FAILED, CANCELLED, EXPIRED = "running", "done", "failed", "cancelled", "expired"
MOST_AT_ONCE = 2
"""Jobs of one team under way."""
KEPT_MS: Final = 24 * 3_600_000
_PAGE: Final = 500
_LINES: Final = 10_000
"""Resources in one file."""
_CLAIM_MS: Final = 120_000
"""Real milliseconds for which whoever makes a job is believed to be at it, from each page on."""

threads: dict[str, threading.Thread] = {}
"""Id of a job -> what makes it in this process."""


def folder_of(job: ExportJob) -> Path:
    """Return where the files of a job are."""
    return Path(settings.DESK.exports) / job.pk


def ask(
    team: Team, *, by: str, user: Any, client: Any, request: str, kinds: list[str], since: int | None,
    patients_only: bool, now: int,
) -> ExportJob | None:  # fmt: skip
    """Keep that an export was asked for, and begin it; None when the team has too many under way.

    Args:
        team: whose data.
        by: who asks, as the record of acts has it.
        user: the physician, None for a system.
        client: the system, None for a physician.
        request: the address that was asked.
        kinds: of which resources.
        since: ms UTC; only what changed since, included; None: all.
        patients_only: only what is about patients.
        now: ms UTC.
    """
    sweep(now)
    with acting() as database:
        if ExportJob.objects.filter(team=team, state=RUNNING).count() >= MOST_AT_ONCE:
            return None
        job = ExportJob.objects.create(
            id=secrets.token_hex(16),
            team=team,
            user=user,
            client=client,
            by=by,
            request=request,
            kinds=",".join(kinds),
            since=since,
            patients_only=patients_only,
            at=now,
            state=RUNNING,
            expires_at=now + KEPT_MS,
        )
        detail = {"step": "asked", "kinds": job.kinds}
        enter(database, Act.FHIR_EXPORTED, at=now, by=by, reference=job.pk, detail=detail)
    begin(job)
    return job


def begin(job: ExportJob) -> None:
    """Make a job in the background, unless somebody is believed to be at it."""
    if job.state != RUNNING or job.claimed_until > SystemClock().now_ms():
        return
    thread = threading.Thread(target=_in_background, args=(job.pk,), name=f"export {job.pk[:8]}", daemon=True)
    threads[job.pk] = thread
    thread.start()


def _in_background(key: str) -> None:
    try:
        make(key)
    finally:
        connections.close_all()
        threads.pop(key, None)


def make(key: str) -> None:
    """Make a job that nobody is at, whole; what it could not do is its state afterwards."""
    claim, real = secrets.token_hex(16), SystemClock().now_ms()
    mine = ExportJob.objects.filter(pk=key, state=RUNNING, claimed_until__lte=real)
    if not mine.update(claim=claim, claimed_until=real + _CLAIM_MS, progress=0):
        return
    job = ExportJob.objects.select_related("team").get(pk=key)
    folder = folder_of(job)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, mode=0o700)
        files = _written(job, claim, folder)
    except (OSError, DatabaseError):
        shutil.rmtree(folder, ignore_errors=True)
        ExportJob.objects.filter(pk=key, claim=claim, state=RUNNING).update(state=FAILED)
        return
    now = settings.DESK.clock.now_ms()
    with acting() as database:
        if files is not None and ExportJob.objects.filter(pk=key, claim=claim, state=RUNNING).update(
            state=DONE, files=json.dumps(files), expires_at=now + KEPT_MS
        ):
            detail: Detail = {"step": "made", "resources": sum(int(one["count"]) for one in files)}
            enter(database, Act.FHIR_EXPORTED, at=now, by=job.by, reference=key, detail=detail)
            return
    if not ExportJob.objects.filter(pk=key, state__in=(RUNNING, DONE)).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _written(job: ExportJob, claim: str, folder: Path) -> list[Resource] | None:
    """Write the files of a job; return what there is, None when it was cancelled or taken over meanwhile."""
    files: list[Resource] = []
    done = 0
    for name in job.kinds.split(","):
        lines: list[bytes] = []
        number = 0
        for page in pages(job, name):
            lines += page
            done += len(page)
            alive = SystemClock().now_ms() + _CLAIM_MS
            mine = ExportJob.objects.filter(pk=job.pk, claim=claim, state=RUNNING)
            if not mine.update(progress=done, claimed_until=alive):
                return None
            while len(lines) >= _LINES:
                number += 1
                files.append(_file(folder, name, number, lines[:_LINES]))
                lines = lines[_LINES:]
        if lines:
            files.append(_file(folder, name, number + 1, lines))
    return files


def _file(folder: Path, name: str, number: int, lines: list[bytes]) -> Resource:
    content = b"\n".join(lines) + b"\n"
    file = f"{name}.{number}.ndjson"
    beside = folder / f"{file}.part"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    beside.rename(folder / file)
    return {"type": name, "count": len(lines), "file": file, "sha256": hashlib.sha256(content).hexdigest()}


def pages(job: ExportJob, name: str) -> Iterator[list[bytes]]:
    """Yield the resources of one kind that a job asks for, some at a time, each a line of JSON."""
    for source in KINDS[name].sources:
        if job.patients_only and source.of_patient is None:
            continue
        for whose in _each(source, job):
            yield from _of(source, job, whose)


def _each(source: Source, job: ExportJob) -> Iterator[Q]:
    """Yield which rows are read after each other: one patient at a time where there are many, by their index."""
    model = source.rows(job.team).model
    if model not in {Observation, Alert}:
        yield source.of_patient if job.patients_only and source.of_patient is not None else Q()
        return
    for patient in Patient.objects.filter(team=job.team).order_by("pk").values_list("pk", flat=True):
        yield Q(patient=patient)
    if model is Alert and not job.patients_only:
        yield Q(patient=None)


def _of(source: Source, job: ExportJob, whose: Q) -> Iterator[list[bytes]]:
    after = Q()
    while True:
        rows = source.rows(job.team).filter(whose, after).order_by(source.order, "pk")
        if job.since is not None:
            rows = rows.filter(updated__gte=job.since)
        places = list(rows.values_list(source.order, "pk")[:_PAGE])
        if places:
            yield [encoded(versioned(*one)) for one in whole(source, job.team, places)]
        if len(places) < _PAGE:
            return
        at, key = places[-1]
        later = Q(**{f"{source.order}__gt": at}) | Q(**{source.order: at, "pk__gt": key})
        after = Q(**{f"{source.order}__gte": at}) & later


def cancel(job: ExportJob, *, now: int) -> None:
    """Stop a job, or throw away what it made."""
    with acting() as database:
        ExportJob.objects.filter(pk=job.pk).update(state=CANCELLED)
        enter(database, Act.FHIR_EXPORTED, at=now, by=job.by, reference=job.pk, detail={"step": "cancelled"})
    shutil.rmtree(folder_of(job), ignore_errors=True)


def discard(team: Team, *, now: int) -> int:
    """Throw away every export of a team, made or under way: somebody in it was erased. Return how many there were."""
    jobs = list(ExportJob.objects.filter(team=team, state__in=(RUNNING, DONE)))
    for job in jobs:
        cancel(job, now=now)
    return len(jobs)


def sweep(now: int) -> None:
    """Delete the files of jobs that have expired (by `now`, ms UTC), and of what is no job any more."""
    ExportJob.objects.filter(expires_at__lte=now).exclude(state__in=(CANCELLED, EXPIRED)).update(state=EXPIRED)
    folder = Path(settings.DESK.exports)
    there = {path.name: path for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}
    kept = ExportJob.objects.filter(pk__in=list(there), state__in=(RUNNING, DONE)).values_list("pk", flat=True)
    for name in set(there) - set(kept):
        if name.startswith(".") and SystemClock().now_ms() - there[name].stat().st_mtime * 1000 < _CLAIM_MS * 30:
            # An evaluation export that is being written; one that was left by a crash is older.
            continue
        shutil.rmtree(there[name], ignore_errors=True)


def manifest(job: ExportJob, address: str) -> Resource:
    """Return what a finished job says of itself; `address` is that of its status."""
    return {
        "transactionTime": moment(job.at),
        "request": job.request,
        "requiresAccessToken": True,
        "output": [
            {
                "type": one["type"],
                "url": f"{address}/{one['file']}",
                "count": one["count"],
                "extension": {"urn:veilleur:sha256": one["sha256"]},
            }
            for one in json.loads(job.files)
        ],
        "error": [],
    }
