"""`veilleur-sim`: the simulated world and its demonstration. Nothing here runs on a patient's box."""

import asyncio
import sys
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from agent.cli import until_told
from agent.errors import AgentError
from agent.last_words import last_words
from coordination.errors import CoordinationError
from simulators.clock import AcceleratedClock
from simulators.errors import ClockError, SimulatorError

FASTEST = 10_000.0
"""Beyond, starting a process takes longer than what the protocols wait for."""
SIMULATED = (
    "Tout ici est simulé, sauf les enregistrements. Ni dispositif médical certifié, ni service d'urgence.\n"
    "Everything here is simulated, except the recordings. Not a certified medical device, not an emergency service."
)


class _Refusal(click.ClickException):
    """One sentence on standard error, exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Print the sentence."""
        del file
        click.echo(f"veilleur-sim: {self.message}", err=True)


class _Refusing(click.Group):
    """A group that turns every error of ours into one sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (AgentError, CoordinationError) as error:
            raise _Refusal(f"{error.why.en} {error.hint.en}") from error
        except TimeoutError as error:
            raise _Refusal(
                "A part took too long to come up: this machine has too much to do. Try with less."
            ) from error
        except OSError as error:
            raise _Refusal(f"{error.filename or ''}: {error.strerror}") from error
        except SimulatorError as error:
            raise _Refusal(" ".join((str(error), getattr(error, "hint", ""))).strip()) from error


class _Clock(click.ParamType[AcceleratedClock]):
    """The accelerated clock of a world, as one word."""

    name = "clock"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> AcceleratedClock:
        """Return the clock."""
        if isinstance(value, AcceleratedClock):
            return value
        try:
            return AcceleratedClock.from_argument(str(value))
        except ClockError as error:
            self.fail(str(error), param, ctx)


class _Zone(click.ParamType[ZoneInfo]):
    """An IANA time zone, by name."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Return the time zone."""
        try:
            return ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"'{value}' is not an IANA time zone such as Europe/Paris", param, ctx)


_clock = click.option("--clock", type=_Clock(), required=True, help="start_ms:origin_ns:speed, shared by all.")
_file = click.Path(path_type=Path)


@click.group(cls=_Refusing, epilog=SIMULATED)
@click.version_option(package_name="veilleur")
def main() -> None:
    """Le monde simulé de Veilleur. / Veilleur's simulated world."""
    sys.excepthook = last_words("veilleur-sim")


@main.command(epilog=SIMULATED)
@click.option("--headless", is_flag=True, help="Lignes simples / plain lines.")
@click.option("--speed", type=click.FloatRange(1, FASTEST, min_open=True), default=3600.0, show_default=True)
@click.option(
    "--days", type=click.IntRange(1, 90), default=2, show_default=True, help="Jours simulés / simulated days."
)
@click.option("--recording", type=_file, help="CSV[.gz] patient,time,quantity,value,unit; an excerpt ships.")
@click.option("--person", help="Whose trace of the recording; otherwise the one with the most values.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the modelled heart failure.")
@click.option("--keep", type=_file, help="Leave everything in this folder.")
@click.option("--lang", type=click.Choice(["fr", "en"]), help="Langue des phrases / language of the sentences.")
def demo(  # noqa: PLR0917 - one parameter an option, given by name
    headless: bool,  # noqa: FBT001 - click names its flags
    speed: float,
    days: int,
    recording: Path | None,
    person: str | None,
    seed: int,
    keep: Path | None,
    lang: str | None,
) -> None:
    """Montrer le travail principal, de bout en bout. / Show the main job, end to end."""
    from agent.cli import reader_language
    from simulators.show import Show, show_demonstration

    wanted = Show(
        speed=speed, days=days, recording=recording, person=person, seed=seed, keep=keep, lang=lang or reader_language()
    )
    sys.exit(show_demonstration(wanted, headless=headless or not sys.stdout.isatty()))


@main.command(epilog=SIMULATED)
@click.option("--hci", required=True, metavar="unix-server:PATH", help="Where a box finds its controller.")
@click.option("--ledger", type=_file, required=True, help="What the devices took, JSON lines.")
@click.option("--clock", type=_Clock(), help="start_ms:origin_ns:speed; otherwise now, at --speed.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--recording", type=_file, help="CSV[.gz] patient,time,quantity,value,unit; an excerpt ships.")
@click.option("--person", help="Whose trace of the recording; otherwise the one with the most values.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the modelled heart failure.")
@click.option("--days", type=click.IntRange(1, 90), default=2, show_default=True)
@click.option("--zone", type=_Zone(), default="Europe/Paris", show_default=True)
@click.option("--home", "household", default="default", show_default=True, help="Un foyer fourni, ou un fichier TOML.")
def home(  # noqa: PLR0917 - one parameter an option, given by name
    hci: str,
    ledger: Path,
    clock: AcceleratedClock | None,
    speed: float,
    recording: Path | None,
    person: str | None,
    seed: int,
    days: int,
    zone: ZoneInfo,
    household: str,
) -> None:
    """Être un foyer d'appareils virtuels. / Be a home of virtual devices (commands: JSON lines on stdin)."""
    from devices.clock import SystemClock
    from simulators.home import HomeSettings, serve
    from simulators.patients import DEFAULT_RECORDING

    clock = clock or AcceleratedClock.starting_now(start_ms=SystemClock().now_ms(), speed=speed)
    serve(
        HomeSettings(
            hci=hci,
            ledger=ledger,
            clock=clock,
            zone=zone,
            household=household,
            recording=recording or DEFAULT_RECORDING,
            person=person,
            seed=seed,
            days=days,
        )
    )


@main.command(epilog=SIMULATED)
@click.option(
    "--home", "household", default="every_kind", show_default=True, help="Un foyer fourni, ou un fichier TOML."
)
@click.option("--address", help="Which one; it is asked for otherwise. / Lequel ; demandé sinon.")
@click.option("--seconds", type=click.FloatRange(1, 600), default=3.0, show_default=True, help="To listen. / Écoute.")
@click.option("--settle", type=click.FloatRange(0, 600), default=1.0, show_default=True, help="Without a terminal.")
@click.option("--passkey", type=click.IntRange(0, 999_999), help="Shown by the device; asked for otherwise. / Code.")
@click.option("--lang", type=click.Choice(["fr", "en"]), help="Langue des phrases / language of the sentences.")
def pair(  # noqa: PLR0917 - one parameter an option, given by name
    household: str,
    address: str | None,
    seconds: float,
    settle: float,
    passkey: int | None,
    lang: str | None,
) -> None:
    """S'exercer à appairer des appareils simulés. / Practise pairing on simulated devices."""
    from agent.cli import reader_language
    from simulators.practice import Practice, practise_pairing

    wanted = Practice(
        household=household,
        address=address,
        seconds=seconds,
        settle=settle,
        passkey=passkey,
        lang=lang or reader_language(),
        interactive=sys.stdin.isatty(),
    )
    sys.exit(practise_pairing(wanted))


@main.command(epilog=SIMULATED)
@click.option("--form", type=click.Choice(["xdrip", "nightscout"]), default="xdrip", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=17580, show_default=True, help="0: un port libre.")
@click.option("--secret-file", type=_file, help="Secret demandé / the API secret that it asks for.")
def relay(form: str, port: int, secret_file: Path | None) -> None:
    """Être un téléphone qui relaie un capteur. / Be a telephone that relays a sensor, on this machine only."""
    from simulators.telephone import Telephone, be_a_telephone

    be_a_telephone(Telephone(form=form, port=port, secret_file=secret_file))


@main.command(hidden=True)
@click.option("--config", type=_file, required=True)
@click.option("--hci", required=True)
@click.option("--bonds", type=_file, required=True)
@click.option("--own-time", is_flag=True, help="Keep time as a box does, by its machine's clock.")
@_clock
def box(config: Path, hci: str, bonds: Path, clock: AcceleratedClock, *, own_time: bool) -> None:
    """Run the box of a simulated world."""
    from agent import logs
    from simulators.box import OwnTime, run_box

    logs.to_stderr()
    kept = OwnTime(clock.speed) if own_time else clock
    asyncio.run(until_told(run_box(config, hci=hci, bonds=bonds, clock=kept)))


@main.command(hidden=True)
@click.option("--config", type=_file, required=True)
@_clock
@click.option("--worker", required=True)
def inbox(config: Path, clock: AcceleratedClock, worker: str) -> None:
    """Run a worker of the inbox of a simulated world."""
    from agent import logs
    from coordination.inbox import run
    from coordination.settings import read_settings
    from simulators.processes import say

    logs.to_stderr()
    settings = read_settings(config, worker=worker)
    say({"event": "ready"})
    asyncio.run(until_told(run(settings, clock)))


@main.command(hidden=True)
@click.option("--config", type=_file, required=True)
@_clock
def desk(config: Path, clock: AcceleratedClock) -> None:
    """Serve the desk of a simulated world."""
    from agent import logs
    from simulators.desk_server import run_desk

    logs.to_stderr()
    run_desk(config, clock)


@main.command(hidden=True)
@click.option("--config", type=_file, required=True)
@_clock
def questionnaires(config: Path, clock: AcceleratedClock) -> None:
    """Judge what is answered at the desk of a simulated world."""
    from agent import logs
    from coordination.self_report_cli import relay_of
    from coordination.self_report_worker import serve
    from coordination.settings import read_settings
    from simulators.processes import say

    logs.to_stderr()
    settings = read_settings(config)
    say({"event": "ready"})
    serve(settings.database, clock, relay_of(settings))


@main.command(epilog=SIMULATED)
@click.option("--boxes", type=click.IntRange(1, 10_000), default=200, show_default=True)
@click.option("--workers", type=click.IntRange(1, 2), default=2, show_default=True, help="Récepteurs / inbox workers.")
@click.option("--postgresql", is_flag=True, help="Base PostgreSQL au lieu de SQLite / PostgreSQL instead of SQLite.")
@click.option(
    "--seconds", type=click.IntRange(5, 86_400), default=60, show_default=True, help="De jours calmes / steady."
)
@click.option(
    "--every", type=click.IntRange(1, 3600), default=300, show_default=True, help="Secondes / between readings."
)
@click.option(
    "--storm", is_flag=True, help="Le retour après une semaine de coupure / the return after a week's outage."
)
@click.option(
    "--alerts", type=click.IntRange(1, 50), default=3, show_default=True, help="En attente par boîtier / waiting."
)
@click.option("--readings", type=click.IntRange(0, 2016), default=20, show_default=True, help="En attente / waiting.")
def fleet(  # noqa: PLR0917 - one parameter an option, given by name
    boxes: int,
    workers: int,
    postgresql: bool,  # noqa: FBT001 - click names its flags
    seconds: int,
    every: int,
    storm: bool,  # noqa: FBT001
    alerts: int,
    readings: int,
) -> None:
    """Mettre un serveur à l'épreuve d'une région de boîtiers. / Try a server with a region of boxes."""
    from simulators.fleet_command import Trial, run_trial

    trial = Trial(
        boxes=boxes, workers=workers, postgresql=postgresql, seconds=seconds, every_s=every,
        storm=storm, alerts=alerts, readings=readings,
    )  # fmt: skip
    asyncio.run(run_trial(trial, say=click.echo))
