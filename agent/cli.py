"""`veilleur`: the commands of the box.

Each command imports what it needs when it runs, so that `veilleur check` does not wait for the alerting kernel.
Exit codes: 0 fine, 1 faults found, 2 unusable input.
"""

import asyncio
import json
import locale
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from agent.audit_cli import audit
from agent.enrol_cli import enrol
from agent.errors import AgentError
from agent.key_commands import erase, rotate_keys
from agent.last_words import first_of, last_words
from alerting.alert import Sentence
from alerting.errors import AlertingError
from alerting.toml_text import MOST_CHARACTERS, parse_toml
from devices.errors import DeviceError
from exchange.bounded_file import read_bounded
from exchange.errors import ExchangeError, IdentityError

NOT_A_DEVICE = (
    "Veilleur n'est ni un dispositif médical certifié ni un service d'urgence : en cas d'urgence, appeler le 15.\n"
    "Veilleur is not a certified medical device and not an emergency service: in an emergency, call 15 or 112."
)


class Refusing(click.Group):
    """A group that turns every error of ours into one sentence with the next step, and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (AgentError, AlertingError, DeviceError, ExchangeError) as error:
            raise Refusal(_in_words(ctx, error)) from error
        except BaseExceptionGroup as group:
            # What stops one part of the box stops all of them, and comes out wrapped.
            ours, others = group.split((AgentError, AlertingError, DeviceError, ExchangeError))
            if ours is None or others is not None:
                raise
            raise Refusal(_in_words(ctx, first_of(ours))) from group


def _in_words(ctx: click.Context, error: BaseException) -> str:
    if isinstance(error, AgentError):
        return f"{_said(ctx, error.why)} {_said(ctx, error.hint)}"
    return " ".join((str(error), error.hint)) if isinstance(error, IdentityError) else str(error)


class Refusal(click.ClickException):
    """One sentence on standard error, exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Print the sentence."""
        del file
        click.echo(f"veilleur: {self.message}", err=True)


def reader_language() -> str:
    """Return "fr" where the reader's environment is French, "en" otherwise."""
    name = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or locale.getlocale()[0]
    return "fr" if (name or "").lower().startswith("fr") else "en"


def _said(ctx: click.Context, sentence: Sentence) -> str:
    return sentence.fr if ctx.find_root().params.get("lang") == "fr" else sentence.en


@click.group(cls=Refusing, epilog=NOT_A_DEVICE)
@click.version_option(package_name="veilleur")
@click.option("--lang", type=click.Choice(["fr", "en"]), default=reader_language, help="Langue / language.")
def main(lang: str) -> None:
    """Le boîtier Veilleur : lire, juger, garder, transmettre. / The Veilleur box: read, judge, keep, forward."""
    del lang
    sys.excepthook = last_words("veilleur")


main.add_command(enrol)
main.add_command(audit)
main.add_command(rotate_keys)
main.add_command(erase)


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
def run(config: Path) -> None:
    """Run the box until it is told to stop. / Faire tourner le boîtier."""
    from agent import logs
    from agent.settings_file import read_settings

    logs.to_stderr()
    settings = read_settings(config)
    from agent.write_execute import require_a_kernel_that_runs

    require_a_kernel_that_runs()
    from agent import daemon
    from agent.box_clock import BoxClock
    from agent.clock_trust import LinuxTime
    from devices.bleak_radio import BleakRadio
    from devices.bluez_adapter import BluezAdapter
    from devices.bluez_agent import refusing_surprises
    from devices.bluez_bonds import BluezBonds
    from devices.recovery import Controls
    from devices.sysfs_adapter import SysfsAdapter

    async def box() -> None:
        async with refusing_surprises():
            radio = BleakRadio(adapter=settings.radio.adapter)
            name = settings.radio.adapter_name
            control = Controls(BluezAdapter(name), SysfsAdapter(name))
            bonds = BluezBonds(adapter=settings.radio.adapter)
            await daemon.run(settings, clock=BoxClock(LinuxTime()), radio=radio, control=control, bonds=bonds)

    asyncio.run(until_told(box()))


async def until_told(work: Coroutine[object, object, None]) -> None:
    """Await `work`; SIGTERM and SIGINT end it in order."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--hash", "form", flag_value="hash", help="The protocol's whole hash. / Son empreinte entière.")
@click.option("--resolved", "form", flag_value="resolved", help="With its pack inlined. / Avec son pack.")
@click.option("--json", "form", flag_value="json", help="JSON.")
@click.option("--lang", "own_lang", type=click.Choice(["fr", "en"]), help="Langue / language.")
@click.pass_context
def check(ctx: click.Context, file: Path, form: str | None, own_lang: str | None) -> None:
    """Check a settings file or a care protocol. / Vérifier des réglages ou un protocole."""
    from agent.errors import SettingsError
    from agent.settings_file import packaged_protocols, read_settings

    if own_lang is not None:
        ctx.find_root().params["lang"] = own_lang
    if _is_desk_settings(file):
        raise Refusal(f"{file}: réglages de l'équipe / the team's settings: 'veilleur-desk alerts --config {file}'.")
    if str(file) in packaged_protocols() or _is_protocol(file):
        from agent.check_command import print_check

        if not print_check(file, form=form or "line", lang=ctx.find_root().params["lang"]):
            ctx.exit(1)
        return
    if form is not None:
        raise Refusal(f"{file}: --{form} est pour un protocole / is for a care protocol.")
    try:
        settings = read_settings(file)
        names = ", ".join(
            f"{patient.pseudonym} ({patient.protocol.name}{'' if tried is None else f', shadow {tried.name}'})"
            for patient in settings.patients
            for tried in (patient.shadow,)
        )
        click.echo(f"{file}: ok · {settings.box} · {names} · {len(settings.watched)} devices")
    except SettingsError as error:
        for fault in error.faults:
            click.echo(f"{file}: {_said(ctx, fault)}", err=True)
        ctx.exit(1)


def _is_desk_settings(file: Path) -> bool:
    try:
        return "boxes" in parse_toml(read_bounded(file, MOST_CHARACTERS).decode())
    except (OSError, ValueError):
        return False


def _is_protocol(file: Path) -> bool:
    from agent.check_command import is_protocol

    try:
        return is_protocol(read_bounded(file, MOST_CHARACTERS))
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}") from error


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def status(ctx: click.Context, config: Path, as_json: bool) -> None:  # noqa: FBT001 - click names its flags
    """Say what the box keeps, what waits and which alerts stand. / Dire l'état du boîtier."""
    from agent.status_command import print_status

    print_status(config, as_json=as_json, lang=ctx.find_root().params["lang"])


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--offline", is_flag=True, help="Do not speak to the broker. / Sans parler au serveur.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def doctor(ctx: click.Context, config: Path, *, offline: bool, as_json: bool) -> None:
    """Look for what is wrong, each with its next step. / Chercher ce qui ne va pas, et quoi faire."""
    from agent.doctor import DoctorRequest, run_doctor

    lang = ctx.find_root().params["lang"]
    ctx.exit(run_doctor(DoctorRequest(config=config, lang=lang, as_json=as_json, network=not offline)))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--patient", help="One patient. / Un seul patient.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.option("--lang", "own_lang", type=click.Choice(["fr", "en"]), help="Langue / language.")
@click.pass_context
def shadow(ctx: click.Context, config: Path, patient: str | None, own_lang: str | None, *, as_json: bool) -> None:
    """Compare a protocol that tells nobody with the applied one. / Comparer un protocole à l'essai en silence."""
    from agent.shadow_command import ShadowRequest, print_shadows

    lang = own_lang or ctx.find_root().params["lang"]
    ctx.find_root().params["lang"] = lang  # a refusal is in it too
    print_shadows(ShadowRequest(config=config, patient=patient, as_json=as_json, lang=lang))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def devices(ctx: click.Context, config: Path, as_json: bool) -> None:  # noqa: FBT001 - click names its flags
    """List devices: bonds, last seen, battery, why one is silent. / Les appareils du boîtier."""
    from agent.devices_command import read_devices, table
    from agent.key_places import open_vault
    from agent.settings_file import read_settings
    from devices.clock import SystemClock

    settings = read_settings(config)
    now = SystemClock().now_ms()
    rows = read_devices(settings, open_vault(settings), now=now)
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], ensure_ascii=False))
    else:
        click.echo(table(rows, now=now, lang=ctx.find_root().params["lang"]))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--address", help="Which one; it is asked for otherwise. / Lequel ; demandé sinon.")
@click.option("--forget", metavar="ADDRESS", help="Remove the box's half of a bond. / Oublier un appareil.")
@click.option("--seconds", type=click.FloatRange(1, 600), default=20.0, show_default=True, help="To listen. / Écoute.")
@click.option("--passkey", type=click.IntRange(0, 999_999), help="Shown by the device; asked for otherwise. / Code.")
@click.option(
    "--settle",
    type=click.FloatRange(0, 600),
    default=15.0,
    show_default=True,
    help="Without a terminal:"
    " seconds to leave the pairing mode. / Sans terminal : délai pour quitter le mode appairage.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def pair(  # noqa: PLR0917 - one parameter an option, given by name
    ctx: click.Context,
    config: Path,
    address: str | None,
    forget: str | None,
    seconds: float,
    passkey: int | None,
    settle: float,
    as_json: bool,  # noqa: FBT001 - click names its flags
) -> None:
    """Show the devices in the air, bond with one and prove it. / Appairer un appareil, et le prouver."""
    from functools import partial
    from zoneinfo import ZoneInfo

    from agent.audit_beside import enter_beside
    from agent.pair_command import PairCommand, PairRequest
    from agent.settings_file import read_settings
    from agent.terminal import Terminal
    from devices.bleak_radio import BleakRadio
    from devices.bluez_bonds import BluezBonds
    from devices.clock import SystemClock

    # A box is paired before its settings are written, too.
    settings = read_settings(config) if config.exists() else None
    adapter = None if settings is None else settings.radio.adapter
    patients = () if settings is None else settings.patients
    command = PairCommand(
        PairRequest(
            address=address,
            forget=forget,
            seconds=seconds,
            as_json=as_json,
            patients=tuple(patient.pseudonym for patient in patients),
            zone=patients[0].zone if patients else ZoneInfo("Europe/Paris"),
        ),
        radio=BleakRadio(adapter=adapter),
        bonds=BluezBonds(adapter=adapter),
        terminal=Terminal(
            lang=ctx.find_root().params["lang"],
            interactive=sys.stdin.isatty() and not as_json,
            code=passkey,
            settle=settle,
        ),
        clock=SystemClock(),
        note=None if settings is None else partial(enter_beside, settings, SystemClock()),
    )
    ctx.exit(asyncio.run(command.run()))


@main.command(hidden=True)
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"))
def fits(config: Path) -> None:
    """Say by the exit code whether this version can use the database that is there; for deploy/trial.sh."""
    from agent.database import connect_reading
    from agent.settings_file import read_settings

    settings = read_settings(config)
    if settings.database.exists():
        connect_reading(settings.database).close()


@main.command(name="goes-back", hidden=True)
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"))
def goes_back(config: Path) -> None:
    """Say by the exit code whether the version that ran last could go on after this one; for deploy/trial.sh."""
    from agent.database import keeps_the_way_back
    from agent.settings_file import read_settings

    settings = read_settings(config)
    if settings.database.exists() and not keeps_the_way_back(settings.database):
        sys.exit(1)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_context
def upgrade(ctx: click.Context, file: Path) -> None:
    """Verify a signed upgrade and put it on trial (root). / Mettre une version signée à l'essai."""
    from agent.upgrade import Places, put_on_trial, said_of

    name = put_on_trial(file, Places())
    click.echo(_said(ctx, said_of(name)))


@main.command()
@click.argument("characteristic", required=False)
@click.argument("frame", required=False)
@click.option("--advertisement", metavar="HEX", help="Advertising data instead of a value. / Une annonce.")
def decode(characteristic: str | None, frame: str | None, advertisement: str | None) -> None:
    """Decode one GATT value, such as: veilleur decode 2A35 1e7800.... / Décoder une trame."""
    from devices.decode import decode_advertisement, decode_frame

    try:
        if advertisement is not None:
            said = decode_advertisement(bytes.fromhex(advertisement))
        else:
            said = decode_frame(int(characteristic or "", 16), bytes.fromhex(frame or "")).as_json()
    except ValueError as error:
        shown = " ".join(word for word in (characteristic, frame, advertisement) if word)
        raise Refusal(
            f"{shown or 'decode'}: hexadecimal digits are expected, such as 'decode 2A35 1e' or "
            "'decode --advertisement 03031018'"
        ) from error
    click.echo(json.dumps(said, ensure_ascii=False))


@main.command()
@click.option("--protocol", "protocols", required=True, multiple=True, help="File, or name of a packaged one.")
@click.option("--readings", type=click.Path(path_type=Path), help="CSV[.gz], Parquet, or a folder. / Fichier, dossier.")
@click.option("--against", help="The protocol that holds now, beside it. / Le protocole actuel, à côté.")
@click.option("--patient", help="One patient of the recording. / Un seul patient.")
@click.option("--format", "form", type=click.Choice(["report", "jsonl", "table", "json"]), default="report")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png|svg", help="A picture. / Une image.")
@click.option("--zone", default="Europe/Paris", show_default=True, help="The patients' time zone. / Fuseau.")
@click.option("--since", help="Watching began then (ISO 8601); each patient's first reading otherwise.")
@click.option("--until", help="Time passes until then (ISO 8601); each patient's last reading otherwise.")
@click.option("--population", type=click.Path(path_type=Path), help="Folder of Parquet partitions. / Population.")
@click.option("--results", type=click.Path(path_type=Path), help="Where a population's results are kept.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; as many as processors otherwise. / Processus.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler instead, such as tcp://10.0.0.1:8786.")
@click.option("--lang", "own_lang", type=click.Choice(["fr", "en"]), help="Langue / language.")
@click.pass_context
def backtest(ctx: click.Context, /, own_lang: str | None, **asked: Any) -> None:  # noqa: ANN401 - click fills it by name
    """Say what a protocol would have done on recorded readings. / Essayer un protocole sur un historique."""
    from agent.backtest_request import run_backtest

    lang = own_lang or ctx.find_root().params["lang"]
    ctx.find_root().params["lang"] = lang  # a refusal is in it too
    ctx.exit(run_backtest(**asked, lang=lang))
