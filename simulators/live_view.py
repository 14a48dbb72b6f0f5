"""The demonstration's live view on a terminal (rich): devices, alerts, what waits, what happens."""

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from simulators.household import read_household
from simulators.stage import Stage
from simulators.world import HOUSEHOLD

ALERTS = 8
NOTES = 4
NAMES = {
    "cgm": ("Capteur de glucose", "Glucose sensor"),
    "glucose_meter": ("Lecteur de glycémie", "Glucose meter"),
    "blood_pressure": ("Tensiomètre", "Blood-pressure monitor"),
    "weight_scale": ("Balance", "Scale"),
    "pulse_oximeter": ("Oxymètre", "Pulse oximeter"),
    "thermometer": ("Thermomètre", "Thermometer"),
}
# Shape and word as well as colour: the list is readable in grey.
SHAPES = {"high": ("▲", "bold red"), "medium": ("◆", "yellow"), "low": ("●", "cyan")}


def picture(stage: Stage) -> Group:
    """Return the stage as it is now."""
    french = stage.lang == "fr"
    title = (
        "Veilleur · démonstration, tout est SIMULÉ" if french else "Veilleur · demonstration, everything is SIMULATED"
    )
    counts = (
        f"mesures {stage.taken} · chez l'équipe {stage.stored} · en attente au boîtier {stage.waiting}"
        if french
        else f"taken {stage.taken} · with the team {stage.stored} · waiting at the box {stage.waiting}"
    )
    # First, so that no small screen cuts it off.
    warning = (
        "Ni dispositif médical certifié, ni service d'urgence"
        if french
        else "Not a certified medical device, not an emergency service"
    )
    head = Text.assemble((stage.local(stage.clock.now_ms()), "bold"), "   ", counts)
    return Group(
        Panel(head, title=title, title_align="left", subtitle=warning, subtitle_align="left"),
        _devices(stage, french=french),
        _alerts(stage, french=french),
        Panel(Text("\n".join(list(stage.notes)[-NOTES:])), title="Journal" if french else "Log", title_align="left"),
    )


def _devices(stage: Stage, *, french: bool) -> Table:
    table = Table(expand=True, title_justify="left")
    for column in (
        ("Appareil", "Patient", "Lien", "Dernières mesures") if french else ("Device", "Patient", "Link", "Last")
    ):
        table.add_column(column)
    for furniture in read_household(HOUSEHOLD).devices:
        address, (fr, en) = furniture.address, NAMES[furniture.kind]
        values = [(at, text) for (device, _), (text, at) in stage.last.items() if device == address]
        newest = max((at for at, _ in values), default=0)
        shown = " · ".join(text for at, text in values if at == newest)
        when = stage.local(newest) if newest else "-"
        table.add_row(
            fr if french else en, furniture.owner, "●" if address in stage.linked else "○", f"{when}  {shown}"
        )
    return table


def _alerts(stage: Stage, *, french: bool) -> Table:
    table = Table(expand=True)
    for column in (
        ("Priorité", "Levée", "État", "Ce qui se passe") if french else ("Priority", "Raised", "State", "What happens")
    ):
        table.add_column(column, no_wrap=column not in {"Ce qui se passe", "What happens"})
    for alert in stage.alerts[:ALERTS]:
        shape, style = SHAPES[alert.priority]
        table.add_row(
            Text(f"{shape} {stage.priority(alert)}", style=style),
            stage.local(alert.raised_at),
            stage.word(alert),
            stage.sentence(alert),
        )
    if not stage.alerts:
        table.add_row("", "", "", "Aucune alerte pour l'instant." if french else "No alert so far.")
    return table
