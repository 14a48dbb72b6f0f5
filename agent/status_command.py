"""`veilleur status`, as it is printed. What it says comes from `status`."""

import json
from pathlib import Path

import click
from tabulate import tabulate

from agent.devices_command import PRIORITIES
from agent.key_places import open_vault
from agent.settings_file import read_settings
from agent.status import KERNELS, BoxState, iso, read_state
from agent.technical import owner_of
from agent.technical_rules import OWNERS
from alerting.alert import Sentence
from devices.clock import SystemClock


def print_status(config: Path, *, as_json: bool, lang: str) -> None:
    """Print the state of the box, as JSON or in words.

    Raises:
        SettingsError, StoreError, VaultError: it cannot be read; the hint says what to do.
    """
    settings = read_settings(config)
    state = read_state(settings, open_vault(settings))
    if as_json:
        click.echo(json.dumps(state.as_json(), ensure_ascii=False))
        return
    click.echo(tabulate(_rows(state, lang), tablefmt="plain"))
    for alert in state.standing:
        owner = owner_of(alert)
        who = "" if owner is None else f" → {_said(OWNERS[owner], lang)}"
        click.echo(f"[{_said(PRIORITIES[alert.priority], lang)}] {alert.patient}{who}: {_said(alert.why, lang)}")


def _rows(state: BoxState, lang: str) -> list[tuple[str, object]]:
    why = "" if state.kernel_why is None else f" ({_said(state.kernel_why, lang)})"
    return [
        ("boîtier / box", f"{state.box} · epoch {state.epoch[:8]} · seq {state.next_seq}"),
        (
            "en attente / waiting",
            f"{state.waiting_alerts} alertes / alerts, {state.waiting_readings} mesures / readings",
        ),
        ("… de mesures continues / of streams", state.waiting_streamed),
        ("place / room", f"{state.buffer.used // 2**20} / {state.buffer_cap // 2**20} MiB"),
        ("clé / key", _said(state.key.words, lang) + (" (+ next)" if state.key.follows else "")),
        ("équipe / team", _said(state.team.words(), lang)),
        ("prévient tout de suite / tells at once", state.tells_now or "-"),
        ("noyau / kernel", _said(KERNELS[state.kernel], lang) + why),
        ("disque / disk", f"{state.free_bytes // 2**20} MiB"),
        *(("mis de côté / set aside", f"{one.at} · {one.folder}") for one in state.set_aside),
        *((name, _said(said, lang)) for name, said in state.fleet_rows(SystemClock().now_ms())),
        *(
            (patient, f"{protocol} · suivi depuis / watched since {'-' if since is None else iso(since)}")
            for patient, protocol in state.protocols.items()
            for since in (state.watched_since[patient],)
        ),
        *(
            (patient, f"mesures gardées depuis / readings kept since {'-' if since is None else iso(since)}")
            for patient, since in state.kept_from.items()
        ),
        *((who, _said(words, lang)) for who, words in state.beside()),
        *(
            (f"{device.driver} {device.address}", "-" if device.measured_at is None else iso(device.measured_at))
            for device in state.devices
        ),
        *state.counters.items(),
    ]


def _said(sentence: Sentence, lang: str) -> str:
    return sentence.fr if lang == "fr" else sentence.en
