"""`veilleur doctor`: looks at what an installer can get wrong, and names each problem with its next step.

It changes nothing, and may run beside the box: it opens the database for reading, and speaks to the broker under a
client id of its own, so that the box is not thrown out. What it cannot look at (a key that systemd alone hands over)
is said too.

Not here: the looks themselves (doctor_files, doctor_machine, doctor_broker) and their words (doctor_words).
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from agent.doctor_broker import broker_findings
from agent.doctor_files import file_findings
from agent.doctor_finding import Finding
from agent.doctor_machine import machine_findings
from agent.errors import SettingsError
from agent.settings_file import read_settings
from alerting.alert import Sentence
from devices.clock import SystemClock

FINE = Sentence(fr="Rien à signaler : le boîtier est prêt.", en="Nothing to report: the box is ready.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """What was asked for on the command line; `network` False: the broker is not spoken to."""

    config: Path
    lang: str
    as_json: bool
    network: bool = True


def run_doctor(request: DoctorRequest) -> int:
    """Look, print what was found, and return the exit code: 0 nothing grave, 1 something, 2 unusable settings."""
    try:
        settings = read_settings(request.config)
    except SettingsError as error:
        _print([Finding.of_fault(fault, error.hint) for fault in error.faults], request)
        return 2
    now = SystemClock().now_ms()
    found = [*file_findings(settings, now=now), *asyncio.run(machine_findings(settings))]
    if request.network:
        found += asyncio.run(broker_findings(settings))
    _print(found, request)
    return 1 if any(finding.grave for finding in found) else 0


def _print(found: Sequence[Finding], request: DoctorRequest) -> None:
    if request.as_json:
        click.echo(json.dumps([finding.as_json() for finding in found], ensure_ascii=False))
        return
    for finding in sorted(found, key=lambda one: not one.grave):
        mark = "✗" if finding.grave else "·"
        click.echo(f"{mark} {_said(finding.why, request.lang)} {_said(finding.step, request.lang)}")
    if not found:
        click.echo(_said(FINE, request.lang))


def _said(sentence: Sentence, lang: str) -> str:
    return sentence.fr if lang == "fr" else sentence.en
