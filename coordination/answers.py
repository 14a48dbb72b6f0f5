"""Answers to a questionnaire as readings: ordinal counts of `symptom_*`, kept beside those of devices.

Their source is "questionnaire" and their origin the team itself (team_origin). They are measured when they are given.
A link's answers are numbered by the link, so that the database takes them once whatever happens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordination.questionnaire_links import Link, spend
from coordination.questionnaires import Choice, Questionnaire
from coordination.sql import Sql
from coordination.team_origin import origin
from devices.reading import ClockTrust, Quality, Quantity, Unit, Validity

SOURCE = "questionnaire"
EPOCH_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What somebody chose: question -> answer; questions that were left out are not there."""

    questionnaire: Questionnaire
    chosen: Mapping[str, Choice]

    @property
    def urgent(self) -> bool:
        """Whether the page must say first whom to call."""
        return any(choice.urgent for choice in self.chosen.values())

    @property
    def counts(self) -> dict[Quantity, int]:
        """Quantity -> points; one of which a question was left out is not there."""
        found: dict[Quantity, int] = {}
        for quantity in self.questionnaire.quantities:
            asked = [question.name for question in self.questionnaire.questions if question.quantity is quantity]
            if all(name in self.chosen for name in asked):
                found[quantity] = sum(self.chosen[name].points for name in asked)
        return found


def keep(connection: Sql, link: Link, answers: Answers, *, at: int) -> bool:
    """Keep the answers to a link, in a transaction; False when it was answered already, or no longer can be.

    Args:
        connection: in a transaction.
        link: as it was found.
        answers: to its questionnaire.
        at: ms UTC, when they were given.
    """
    if not spend(connection, link, at=at):
        return False
    box = origin(connection, link.team)
    name, epoch = f"{SOURCE}:{link.questionnaire.name}", link.token_hash[:EPOCH_DIGITS]
    connection.execute(
        "INSERT INTO device (box_id, name, first_data_at, last_data_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (box_id, name) DO UPDATE SET last_data_at = greatest(device.last_data_at, excluded.last_data_at)",
        (box, name, at, at),
    )
    device = connection.execute("SELECT id FROM device WHERE box_id = ? AND name = ?", (box, name)).fetchone()[0]
    for seq, (quantity, count) in enumerate(answers.counts.items()):
        connection.execute(
            "INSERT INTO observation (patient_id, box_id, epoch, seq, device_id, quantity, count, unit, validity, t,"
            " clock, received_at, stored_at, key, quality, source, device_value, device_unit, device_time, frame)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                link.patient,
                box,
                epoch,
                seq,
                device,
                quantity.value,
                count,
                Unit.SCORE.value,
                Validity.VALID.value,
                at,
                ClockTrust.TRUSTED.value,
                at,
                at,
                epoch,
                int(Quality.NONE),
                SOURCE,
                str(count),
                Unit.SCORE.value,
                None,
                b"",
            ),
        )
    return True
