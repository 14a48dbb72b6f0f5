"""A telephone that relays a glucose sensor, as a process: for trying a relay in a box's settings without one.

It plays the shipped recording as if it had begun a day ago, and goes on with it in real time.
"""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from devices.clock import SystemClock
from devices.relay_address import RelayForm
from simulators.errors import WorldError
from simulators.patients import DEFAULT_RECORDING, glucose_trace
from simulators.relay_server import RelayServer, SimulatedValue

_BEFORE_MS: Final = 24 * 3_600_000
_LOOKS_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telephone:
    """What is relayed how.

    Attributes:
        form: "xdrip" or "nightscout".
        port: on loopback; 0: a free one.
        secret_file: holds the API secret that it asks for; None: it asks for none.
    """

    form: str
    port: int
    secret_file: Path | None


def be_a_telephone(telephone: Telephone) -> None:
    """Relay until SIGTERM or SIGINT.

    Raises:
        WorldError: the port is taken, or the secret cannot be read.
        RecordingError: the recording cannot be played.
    """
    clock, stop = SystemClock(), threading.Event()
    values = [
        SimulatedValue(at=value.at, sgv=round(value.count / 10))
        for value in glucose_trace(DEFAULT_RECORDING, start_ms=clock.now_ms() - _BEFORE_MS)
    ]
    measured, to_come = _by(clock.now_ms(), values)
    try:
        secret = None if telephone.secret_file is None else telephone.secret_file.read_text(encoding="utf-8").strip()
        server = RelayServer(form=RelayForm(telephone.form), secret=secret, values=measured)
        server.start(telephone.port)
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(f"the telephone cannot start ({error}): another --port or --secret-file may do") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"{server.url}  (simulated; Ctrl-C ends it)")
    try:
        while not stop.wait(_LOOKS_S):
            measured, to_come = _by(clock.now_ms(), to_come)
            server.values += measured
    finally:
        server.close()


def _by(now: int, values: Sequence[SimulatedValue]) -> tuple[list[SimulatedValue], list[SimulatedValue]]:
    """Return the values measured by now, and those to come."""
    return [value for value in values if value.at <= now], [value for value in values if value.at > now]
