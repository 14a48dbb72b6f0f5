"""What the fleet's operator may know of a box: whether it works, and nothing about anybody's health.

The figures are written as a text file for Prometheus at each heartbeat (node_exporter's textfile collector takes it
up); `veilleur status` shows the same. No patient, device, quantity, rule or protocol is in them: what a box counts of
its devices is left out on purpose, since a kind of device tells what somebody suffers from.

Not here: the state of a box for its nurse and installer (status).
"""

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from agent.clock_trust import LinuxTime
from agent.logs import EVENT, REASON
from agent.settings import Settings
from agent.store import Store
from agent.store_reader import StoreReader
from agent.store_thread import StoreThread
from alerting import compiled
from devices.clock import Clock
from exchange.certificates import Certificate
from exchange.errors import IdentityError

logger = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
STARTS: Final = "box.start"
"""The counter of starts in which the box became ready."""
_LANES: Final = {0: "alerts", 1: "readings", 2: "dense"}
_TOLD_COUNTERS: Final = ("publish.", "receipt.")
"""Counters of forwarding; all others are about devices or patients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """Figures of one box; times in ms UTC.

    Attributes:
        version: of the program.
        kernel: how what judges was compiled.
        waiting: records without receipt, by lane.
        next_seq: how many records were made in this epoch.
        last_receipt_at: when the team last confirmed something, None: not that is remembered.
        proofs: commits that proved that a reading can be kept.
        starts: how often the box became ready.
        certificate_expires_at: None when it cannot be read.
        free_bytes: on the disk of the state folder.
        clock_synchronised: whether somebody keeps the machine's clock right, as far as the box can know.
        clock_trusted: whether somebody, be it the team by a receipt, has vouched for the box's time in this boot.
        counters: of forwarding.
    """

    version: str
    kernel: str
    waiting: Mapping[int, int]
    next_seq: int
    last_receipt_at: int | None
    proofs: int
    starts: int
    certificate_expires_at: int | None
    free_bytes: int
    clock_synchronised: bool
    clock_trusted: bool
    counters: Mapping[str, int]


def read_fleet_state(store: StoreReader, settings: Settings) -> FleetState:
    """Return the figures of the box that keeps `store`.

    Raises:
        sqlite3.Error: the database cannot be read now.
        OSError: the state folder cannot be looked at.
    """
    counters, machine = store.counters(), LinuxTime()
    expires_at = None
    with contextlib.suppress(IdentityError):
        expires_at = Certificate.load(settings.broker.certificate).not_after
    return FleetState(
        version=version("veilleur"),
        kernel=compiled.kind,
        waiting=store.outbox.depth(),
        next_seq=store.outbox.next_seq(),
        last_receipt_at=store.outbox.last_receipt(),
        proofs=store.proofs(),
        starts=counters.get(STARTS, 0),
        certificate_expires_at=expires_at,
        free_bytes=shutil.disk_usage(settings.state).free,
        clock_synchronised=machine.synchronised(),
        clock_trusted=store.clock_trusted(machine.boot()),
        counters={name: n for name, n in counters.items() if name.startswith(_TOLD_COUNTERS)},
    )


def exposition(state: FleetState, *, box: str, now_ms: int) -> str:
    """Return the figures in Prometheus's text format (0.0.4)."""
    lines: list[str] = []

    def add(name: str, kind: str, told: str, values: Mapping[str, float | None]) -> None:
        known = {labels: value for labels, value in values.items() if value is not None}
        if known:
            lines.extend((f"# HELP veilleur_{name} {told}", f"# TYPE veilleur_{name} {kind}"))
            lines.extend(f"veilleur_{name}{labels} {value:.15g}" for labels, value in known.items())

    info = _labels(box=box, version=state.version, kernel=state.kernel)
    add("box_info", "gauge", "Which box this is, and what runs on it.", {info: 1})
    add("written_timestamp_seconds", "gauge", "When these figures were written.", {"": now_ms / 1000})
    waiting = {_labels(lane=name): state.waiting.get(lane, 0) for lane, name in _LANES.items()}
    add("records_waiting", "gauge", "Records that wait for the team's receipt.", waiting)
    add("records_total", "counter", "Records made since this database began.", {"": state.next_seq})
    receipt = None if state.last_receipt_at is None else state.last_receipt_at / 1000
    add("last_receipt_timestamp_seconds", "gauge", "When the team last confirmed records.", {"": receipt})
    age = None if state.last_receipt_at is None else max(0, now_ms - state.last_receipt_at) / 1000
    add("last_receipt_age_seconds", "gauge", "How long ago that was.", {"": age})
    add("commits_proven_total", "counter", "Commits that proved that the disk takes readings.", {"": state.proofs})
    add("starts_total", "counter", "How often the box became ready since this database began.", {"": state.starts})
    expires = state.certificate_expires_at
    days = None if expires is None else (expires - now_ms) / DAY_MS
    add("certificate_days_left", "gauge", "Days until the box's certificate expires.", {"": days})
    add("disk_free_bytes", "gauge", "Free space where the box keeps its data.", {"": state.free_bytes})
    add(
        "clock_synchronised", "gauge", "Whether the machine's clock is kept right.", {"": int(state.clock_synchronised)}
    )
    counted = {_labels(what=name): n for name, n in sorted(state.counters.items())}
    add("forwarding_events_total", "counter", "What was refused or repeated on the way to the team.", counted)
    return "\n".join(lines) + "\n"


def _labels(**values: str) -> str:
    escaped = ((name, value.replace("\\", "\\\\").replace('"', '\\"')) for name, value in values.items())
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, readable by all. It is not synced: a power cut may lose it, and the next one comes.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


class FleetFigures:
    """Writes the figures of a box that runs."""

    def __init__(self, *, store: StoreThread, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._told = ""

    async def run(self) -> None:
        """Count this start, write them now and at each heartbeat; a disk that refuses is no reason to stop."""
        await self._store.persist(Store.keep_counts, {STARTS: 1})
        while True:
            await self._write()
            await asyncio.sleep(self._settings.forwarder.heartbeat)

    async def _write(self) -> None:
        try:
            state = await self._store.call(partial(read_fleet_state, settings=self._settings))
            text = exposition(state, box=self._settings.box, now_ms=self._clock.now_ms())
            await asyncio.to_thread(write_whole, self._settings.metrics, text)
        except (OSError, sqlite3.Error) as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("the fleet's figures were not written", extra={EVENT: "metrics", REASON: self._told})
        else:
            self._told = ""
