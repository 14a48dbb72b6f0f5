"""What `veilleur backtest` is asked for: one history or a population, and which options go together."""

from pathlib import Path

from agent.backtest_command import BacktestRequest, moment, print_backtest
from agent.backtest_extra import need
from agent.errors import RequestError
from alerting.alert import Sentence

PICTURES = (".png", ".svg")
POPULATION_FORMS = ("report", "json")


def run_backtest(
    *,
    protocols: tuple[str, ...],
    readings: Path | None,
    against: str | None,
    patient: str | None,
    form: str,
    plot: Path | None,
    zone: str,
    since: str | None,
    until: str | None,
    population: Path | None,
    results: Path | None,
    jobs: int | None,
    scheduler: str | None,
    lang: str,
) -> int:
    """Run the command with its options as they were given, and return the exit code.

    Raises:
        RequestError: options do not go together, or what they name cannot be used.
    """
    begin, end = moment(since), moment(until)
    if population is not None:
        _refuse(
            "--population",
            {
                "--readings": readings,
                "--against": against,
                "--patient": patient,
                "--plot": plot,
                f"--format {form}": form not in POPULATION_FORMS,
            },
        )
        need("pyarrow", str(population))
        from agent.backtest_population import PopulationRequest, print_population  # noqa: PLC0415 - not on a box

        return print_population(
            PopulationRequest(
                folder=population,
                protocols=protocols,
                form=form,
                results=results,
                jobs=jobs,
                scheduler=scheduler,
                zone=zone,
                since=begin,
                until=end,
                lang=lang,
            )
        )
    _refuse("--readings", {"--results": results, "--jobs": jobs, "--scheduler": scheduler})
    if readings is None:
        raise RequestError(
            Sentence(fr="Il faut --readings ou --population.", en="Either --readings or --population is needed."),
            Sentence(fr="Nommer un fichier de mesures, ou un dossier.", en="Name a file of readings, or a folder."),
        )
    if len(protocols) > 1:
        raise RequestError(
            Sentence(fr="Un historique se juge avec un seul --protocol.", en="A history takes one --protocol."),
            Sentence(fr="Nommer l'autre avec --against.", en="Name the other one with --against."),
        )
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise RequestError(
            Sentence(fr=f"{plot} n'est pas une image.", en=f"{plot} is no picture."),
            Sentence(fr="Finir son nom par .png ou .svg.", en="End its name with .png or .svg."),
        )
    print_backtest(
        BacktestRequest(
            protocol=protocols[0],
            against=against,
            readings=readings,
            patient=patient,
            form=form,
            plot=plot,
            zone=zone,
            since=begin,
            until=end,
            lang=lang,
        )
    )
    return 0


def _refuse(beside: str, others: dict[str, object]) -> None:
    """Refuse options that were given and do not go with another."""
    for name, value in others.items():
        if value:
            raise RequestError(
                Sentence(fr=f"{name} ne va pas avec {beside}.", en=f"{name} does not go with {beside}."),
                Sentence(fr="L'enlever.", en="Leave it out."),
            )
