"""Every table and column of the export, in both languages, with its formula where it follows from others."""

from dataclasses import dataclass
from typing import Final

from alerting.alert import Outcome

TEXT, WHOLE, DECIMAL, TIME, DAY = "text", "integer", "decimal", "time", "date"
DENSE_S: Final = 1_800
"""A quantity that comes at least every half hour is dense: a day counts when enough of it came, not for one reading."""
ENOUGH_PERCENT: Final = 70
"""Of the readings expected in a day: the share that the consensus on continuous glucose monitoring asks for.

Danne T et al., International Consensus on Use of Continuous Glucose Monitoring, Diabetes Care 2017;40:1631-1640.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name, type, unit, meaning, and the formula it follows from ("" for what was observed)."""

    name: str
    type: str
    unit: str = ""
    fr: str
    en: str
    formula: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: what one row is, and its columns in their order."""

    name: str
    fr: str
    en: str
    columns: tuple[Column, ...]


def _column(name: str, kind: str, fr: str, en: str, *, unit: str = "", formula: str = "") -> Column:
    return Column(name=name, type=kind, unit=unit, fr=fr, en=en, formula=formula)


_PATIENT = _column("patient", TEXT, "Pseudonyme fait pour cet export.", "Pseudonym made for this export.")
_QUANTITY = _column("quantity", TEXT, "Ce qui est mesuré.", "What is measured.")
_RULED = (
    _column("protocol", TEXT, "Nom du protocole de soins.", "Name of the care protocol."),
    _column("protocol_version", WHOLE, "Sa version.", "Its version."),
    _column("rule", TEXT, "La règle qui a levé l'alerte.", "The rule that raised the alert."),
)
_GRADED = (
    _column("priority", TEXT, "high, medium ou low.", "high, medium or low."),
    _column("category", TEXT, "clinical ou technical.", "clinical or technical."),
)


def _time(name: str, fr: str, en: str) -> Column:
    return _column(name, TIME, fr, en, unit="UTC")


def _delay(name: str, fr: str, en: str, formula: str) -> Column:
    return _column(name, WHOLE, fr, en, unit="s", formula=formula)


def _rank(of: str, column: str) -> tuple[Column, ...]:
    known = f"alerts.{column}"
    return (
        _column(f"{of}_n", WHOLE, "Combien d'alertes l'ont.", "How many alerts have it.", formula=f"count({known})"),
        *(
            _column(
                f"{of}_p{share}", WHOLE, f"Rang {share} % (au plus proche).",
                f"{share}th percentile (nearest rank).",
                unit="s", formula=f"sorted({known})[ceil({share} / 100 * {of}_n) - 1]",
            )
            for share in (50, 90)
        ),
        _column(f"{of}_max", WHOLE, "Le plus long.", "The longest.", unit="s", formula=f"max({known})"),
    )  # fmt: skip


TABLES: Final = (
    Table(
        name="exposure",
        fr="Un jour local d'un patient pendant lequel un boîtier lui était attribué.",
        en="A local day of a patient on which a box was assigned to them.",
        columns=(
            _PATIENT,
            _column("day", DAY, "Jour du fuseau du patient.", "Day of the patient's time zone."),
            _column("watched_min", WHOLE, "Minutes attribuées ce jour-là.", "Minutes assigned that day.", unit="min"),
        ),
    ),
    Table(
        name="readings",
        fr="Un jour local d'un patient et une grandeur : vue dans la période, ou regardée par son protocole.",
        en="A local day of a patient and a quantity: seen in the period, or looked at by their protocol.",
        columns=(
            _PATIENT,
            _column("day", DAY, "Jour du fuseau du patient.", "Day of the patient's time zone."),
            _QUANTITY,
            _column("readings", WHOLE, "Mesures jugeables ce jour-là.", "Readings of that day that can be judged."),
            _column(
                "cadence_s",
                WHOLE,
                "Écart médian entre deux mesures, sur la période ; vide sous deux mesures.",
                "Median time between two readings, over the period; empty below two readings.",
                unit="s",
            ),
            _column(
                "with_data",
                WHOLE,
                "1 : assez de mesures ce jour-là.",
                "1: enough readings that day.",
                formula=f"cadence_s <= {DENSE_S}: 100 * readings * cadence_s >= {ENOUGH_PERCENT} * 60 *"
                " exposure.watched_min; otherwise: readings >= 1",
            ),
        ),
    ),
    Table(
        name="adherence",
        fr="Un patient et une grandeur, sur toute la période.",
        en="A patient and a quantity, over the whole period.",
        columns=(
            _PATIENT,
            _QUANTITY,
            _column(
                "asked", WHOLE, "1 : une règle de son protocole la regarde.", "1: a rule of their protocol looks at it."
            ),
            _column("days", WHOLE, "Jours suivis.", "Days watched.", unit="d", formula="count(readings)"),
            _column(
                "days_with_data",
                WHOLE,
                "Jours avec assez de mesures.",
                "Days with enough readings.",
                unit="d",
                formula="sum(readings.with_data)",
            ),
            _column(
                "adherence",
                DECIMAL,
                "Part des jours suivis.",
                "Share of the days watched.",
                formula="days_with_data / days",
            ),
            _column(
                "readings",
                WHOLE,
                "Mesures jugeables.",
                "Readings that can be judged.",
                formula="sum(readings.readings)",
            ),
        ),
    ),
    Table(
        name="alerts",
        fr="Une alerte levée dans la période.",
        en="An alert that was raised in the period.",
        columns=(
            _column("alert", TEXT, "Identifiant fait pour cet export.", "Id made for this export."),
            _PATIENT,
            _column("box", TEXT, "Le boîtier, même pseudonyme que dans boxes.", "The box, as in boxes."),
            *_RULED,
            _column("protocol_sha256", TEXT, "Empreinte du protocole appliqué.", "Hash of the applied protocol."),
            *_GRADED,
            _column("origin", TEXT, "box ou team (surveillance par l'équipe).", "box or team (watched by the team)."),
            _column(
                "kind",
                TEXT,
                "Dernier changement ; retracted : n'aurait pas dû être.",
                "Last change; retracted: should never have been.",
            ),
            _time("onset", "Début de ce qu'elle dit.", "When what it says began."),
            _time("raised", "Levée.", "Raised."),
            _time("received", "Reçue par l'équipe.", "Received by the team."),
            _time("told", "Dite ; vide tant qu'elle est retenue.", "Told; empty while it is held back."),
            _time("due", "À prendre en charge avant.", "To be taken in hand by."),
            _time("taken", "Vue la première fois par une personne.", "First seen by a person."),
            _time("closed", "Close par une personne.", "Closed by a person."),
            _time("resolved", "Finie d'elle-même.", "Ended by itself."),
            _column("outcome", TEXT, "Suite donnée : " + ", ".join(Outcome), "What came of it: " + ", ".join(Outcome)),
            _column(
                "late", WHOLE, "1 : trouvée par des mesures arrivées en retard.", "1: found by readings that came late."
            ),
            _delay("transmit_s", "De levée à reçue.", "From raised to received.", "received - raised"),
            _delay(
                "take_s",
                "De dite et reçue à prise en charge.",
                "From told and received to taken.",
                "taken - max(told, received)",
            ),
            _delay("close_s", "De prise en charge à close.", "From taken to closed.", "closed - taken"),
        ),
    ),
    Table(
        name="outcomes",
        fr="Une règle d'une version de protocole.",
        en="A rule of a version of a protocol.",
        columns=(
            *_RULED,
            _column(
                "alerts",
                WHOLE,
                "Alertes levées, sans les retirées.",
                "Alerts raised, without those taken back.",
                formula="count(alerts where kind <> retracted)",
            ),
            _column("retracted", WHOLE, "Retirées.", "Taken back.", formula="count(alerts where kind = retracted)"),
            _column("told", WHOLE, "Dites.", "Told.", formula="count(alerts.told), kind <> retracted"),
            _column(
                "taken", WHOLE, "Prises en charge.", "Taken in hand.", formula="count(alerts.taken), kind <> retracted"
            ),
            _column("closed", WHOLE, "Closes.", "Closed.", formula="count(alerts.closed), kind <> retracted"),
            *(
                _column(
                    one.value,
                    WHOLE,
                    "Closes ainsi.",
                    "Closed so.",
                    formula=f"count(outcome = {one.value}), kind <> retracted",
                )
                for one in Outcome
            ),
            _column(
                "precision",
                DECIMAL,
                "Part des vraies parmi les closes, doublons à part ; vide sans aucune.",
                "Share of true ones among those closed, duplicates apart; empty without any.",
                formula="(action + no_action) / (closed - duplicate)",
            ),
            _column(
                "useful",
                DECIMAL,
                "Part de celles suivies d'une action.",
                "Share of those that something was done about.",
                formula="action / (closed - duplicate)",
            ),
            _column(
                "per_100_days",
                DECIMAL,
                "Alertes pour 100 jours-patients suivis.",
                "Alerts per 100 patient-days watched.",
                formula="100 * alerts / (sum(exposure.watched_min) / 1440)",
            ),
        ),
    ),
    Table(
        name="delays",
        fr="Une priorité et une catégorie : délais de toutes leurs alertes, sans les retirées.",
        en="A priority and a category: delays of all their alerts, without those taken back.",
        columns=(
            *_GRADED,
            *_rank("transmit", "transmit_s"),
            *_rank("take", "take_s"),
            *_rank("close", "close_s"),
            _column(
                "overdue",
                WHOLE,
                "Prises après l'échéance, ou pas encore et échéance passée à l'export.",
                "Taken after they were due, or not yet and overdue when exported.",
                formula="count(due < taken, or taken empty and due < made)",
            ),
        ),
    ),
    Table(
        name="boxes",
        fr="Un boîtier.",
        en="A box.",
        columns=(
            _column("box", TEXT, "Pseudonyme fait pour cet export.", "Pseudonym made for this export."),
            _column("patients", WHOLE, "Patients servis dans la période.", "Patients served in the period."),
            _column(
                "assigned_h",
                WHOLE,
                "Heures attribuées, patients additionnés.",
                "Hours assigned, patients added up.",
                unit="h",
            ),
            _column(
                "readings",
                WHOLE,
                "Mesures reçues, mesurées dans la période.",
                "Readings received, measured in the period.",
            ),
            _column(
                "silences",
                WHOLE,
                "Silences du boîtier commencés dans la période.",
                "Silences of the box begun in the period.",
            ),
            _column(
                "silent_h",
                WHOLE,
                "Heures de ces silences, jusqu'à l'export.",
                "Hours of these silences, up to the export.",
                unit="h",
            ),
            _column(
                "lost_readings", WHOLE, "Mesures que le boîtier a dit perdues.", "Readings that the box said were lost."
            ),
            _column(
                "backlog", WHOLE, "En attente d'envoi, au dernier message.", "Waiting to be sent, by its last message."
            ),
            _column("version", TEXT, "Version du logiciel.", "Version of the software."),
            _time("heard", "Dernier message.", "Last message."),
        ),
    ),
)
BY_NAME: Final = {table.name: table for table in TABLES}
