"""Replays that people asked for: queued in the team's database, claimed by one worker, cancelled, answered.

- A worker holds a job by a lease that it renews as the work goes on. One that stopped loses it, and another begins the
  job again; after three beginnings it is given up, since something in it ends its workers.
- A draft has one job at a time: asking anew cancels the one before.

Times are ms UTC, real time. What is not here: the work (replay_run), and who does it (replay_worker).
"""

from dataclasses import dataclass

from alerting.alert import Sentence
from coordination.sql import Sql

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
LEASE_MS = 20_000
MOST_TRIES = 3
MOST_WAITING = 200
"""Jobs of all teams that may wait; whoever asks then is told to wait."""

_FREE = "(state = 'queued' OR (state = 'running' AND lease < ?))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be tried: resolved protocols, for whom, over how many days before `until` (ms UTC)."""

    team: int
    patient: int
    draft: int
    revision: int
    days: int
    before: str
    after: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its worker has it; `zone` is the patient's."""

    id: int
    patient: str
    zone: str
    days: int
    before: str
    after: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as people see it; `done` is thousandths, `result` JSON of `replay_result`."""

    id: int
    revision: int
    state: str
    done: int
    days: int
    by: str
    at: int
    until: int
    result: str
    fault: Sentence

    @property
    def waits(self) -> bool:
        """Whether it is not finished."""
        return self.state in {QUEUED, RUNNING}


def ask(connection: Sql, asked: Asked, *, by: str, now: int) -> int | None:
    """Queue a job inside a transaction of the caller's; return its row, None when too many wait already."""
    (waiting,) = connection.execute("SELECT count(*) FROM replay_job WHERE state IN ('queued', 'running')").fetchone()
    if waiting >= MOST_WAITING:
        return None
    for (job,) in connection.execute(
        "SELECT id FROM replay_job WHERE draft_id = ? AND state IN ('queued', 'running')", (asked.draft,)
    ).fetchall():
        cancel(connection, job, team=asked.team, now=now)
    row = connection.execute(
        "INSERT INTO replay_job (team_id, patient_id, draft_id, revision, days, before, after, by, at, until, state,"
        " stop, done, tries, worker, lease, ended_at, result, fault_fr, fault_en)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', 0, 0, 0, '', 0, NULL, '', '', '') RETURNING id",
        (
            asked.team,
            asked.patient,
            asked.draft,
            asked.revision,
            asked.days,
            asked.before,
            asked.after,
            by,
            now,
            asked.until,
        ),
    ).fetchone()
    return int(row[0])


def cancel(connection: Sql, job: int, *, team: int, now: int) -> bool:
    """Stop a job of a team inside a transaction of the caller's; False when it is not there or finished already."""
    changed = connection.execute(
        "UPDATE replay_job SET stop = 1, ended_at = CASE WHEN state = 'queued' THEN ? ELSE ended_at END,"
        " state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END"
        " WHERE id = ? AND team_id = ? AND state IN ('queued', 'running')",
        (now, job, team),
    ).rowcount
    return bool(changed)


def newest(connection: Sql, *, team: int, draft: int) -> JobView | None:
    """Return the newest job of a draft, None when nobody asked for one."""
    row = connection.execute(
        "SELECT id, revision, state, done, days, by, at, until, result, fault_fr, fault_en FROM replay_job"
        " WHERE team_id = ? AND draft_id = ? ORDER BY id DESC LIMIT 1",
        (team, draft),
    ).fetchone()
    if row is None:
        return None
    *fields, fr, en = row
    names = ("id", "revision", "state", "done", "days", "by", "at", "until", "result")
    return JobView(**dict(zip(names, fields, strict=True)), fault=Sentence(fr=fr, en=en))


# --- for workers ------------------------------------------------------------------------------------------


def waits(connection: Sql, *, now: int) -> bool:
    """Return whether there is a job to be claimed; looked at before anything is locked."""
    return connection.execute(f"SELECT 1 FROM replay_job WHERE {_FREE} LIMIT 1", (now,)).fetchone() is not None  # noqa: S608


def claim(connection: Sql, worker: str, *, now: int) -> Job | None:
    """Take the oldest job that waits, or whose worker stopped, inside a transaction of the caller's."""
    execute = connection.execute
    execute(
        "UPDATE replay_job SET state = 'failed', ended_at = ?, fault_fr = ?, fault_en = ?"
        " WHERE state = 'running' AND lease < ? AND tries >= ?",
        (now, _GIVEN_UP.fr, _GIVEN_UP.en, now, MOST_TRIES),
    )
    execute(
        "UPDATE replay_job SET state = 'cancelled', ended_at = ? WHERE state = 'running' AND lease < ? AND stop = 1",
        (now, now),
    )
    row = execute(f"SELECT id FROM replay_job WHERE {_FREE} ORDER BY at, id LIMIT 1", (now,)).fetchone()  # noqa: S608
    if row is None:
        return None
    execute(
        "UPDATE replay_job SET state = 'running', worker = ?, lease = ?, done = 0, tries = tries + 1 WHERE id = ?",
        (worker, now + LEASE_MS, row[0]),
    )
    number, patient, zone, days, before, after, until = execute(
        "SELECT replay_job.id, pseudonym, time_zone, days, before, after, until FROM replay_job"
        " JOIN patient ON patient.id = patient_id WHERE replay_job.id = ?",
        (row[0],),
    ).fetchone()
    return Job(id=number, patient=patient, zone=zone, days=days, before=before, after=after, until=until)


def renew(connection: Sql, job: int, worker: str, *, done: int, now: int) -> bool:
    """Say how far a job is and hold it longer; False when it was cancelled, or is another worker's by now."""
    changed = connection.execute(
        "UPDATE replay_job SET done = ?, lease = ? WHERE id = ? AND worker = ? AND state = 'running' AND stop = 0",
        (done, now + LEASE_MS, job, worker),
    ).rowcount
    return bool(changed)


def finish(connection: Sql, job: int, worker: str, *, state: str, result: str, fault: Sentence, now: int) -> None:
    """Keep what a job came to, unless it was cancelled or is another worker's by now."""
    connection.execute(
        "UPDATE replay_job SET state = CASE WHEN stop = 1 THEN 'cancelled' ELSE ? END, done = 1000, result = ?,"
        " fault_fr = ?, fault_en = ?, ended_at = ? WHERE id = ? AND worker = ? AND state = 'running'",
        (state, result, fault.fr, fault.en, now, job, worker),
    )


_GIVEN_UP = Sentence(
    fr="Le rejeu a été interrompu trois fois ; le signaler si cela se reproduit.",
    en="The replay was interrupted three times; report it if this happens again.",
)
