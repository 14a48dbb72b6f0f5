"""What a person can say came of an alert: in the desk's words, and as the alert's box is told.

The box knows five outcomes (`alerting.alert.Outcome`); a nurse says more. "Could not be reached" is none: nothing came
of the alert yet, so it stays in her hands until the time of the call that she plans (`handling.recall`).

An outcome counts as *useful* when somebody did something because of the alert. Of one that was said twice nothing can
be learnt about its rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from alerting.alert import Outcome, Sentence


class Said(StrEnum):
    """What came of an alert, as the desk calls it; the values stand in the database for good."""

    ADVISED = "advised"
    PHYSICIAN = "physician"
    MEASURED_AGAIN = "measured_again"
    EQUIPMENT = "equipment"
    EMERGENCY = "emergency"
    NOTHING_NEEDED = "nothing_needed"
    WRONG_PERSON = "wrong_person"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one outcome means.

    Attributes:
        words: as a nurse reads it.
        outcome: as the box is told.
        minutes: of work that an alert with it takes, until a team sets its own: assumed, not measured.
    """

    words: Sentence
    outcome: Outcome
    minutes: int


MEANINGS: Final[Mapping[Said, Meaning]] = MappingProxyType(
    {
        Said.ADVISED: Meaning(
            words=Sentence(fr="Patient appelé, conseil donné", en="Patient called, advice given"),
            outcome=Outcome.ACTION,
            minutes=10,
        ),
        Said.PHYSICIAN: Meaning(
            words=Sentence(fr="Médecin prévenu", en="Physician told"), outcome=Outcome.ACTION, minutes=12
        ),
        Said.MEASURED_AGAIN: Meaning(
            words=Sentence(fr="Mesure refaite, normale", en="Measured again, normal"),
            outcome=Outcome.ARTEFACT,
            minutes=6,
        ),
        Said.EQUIPMENT: Meaning(
            words=Sentence(fr="Matériel en cause", en="Equipment at fault"), outcome=Outcome.ARTEFACT, minutes=8
        ),
        Said.EMERGENCY: Meaning(
            words=Sentence(fr="Orienté vers le 15", en="Sent to the emergency number"),
            outcome=Outcome.ACTION,
            minutes=20,
        ),
        Said.NOTHING_NEEDED: Meaning(
            words=Sentence(fr="Vraie, rien à faire de plus", en="True, nothing more to do"),
            outcome=Outcome.NO_ACTION,
            minutes=3,
        ),
        Said.WRONG_PERSON: Meaning(
            words=Sentence(fr="Mesure d'une autre personne", en="Somebody else's reading"),
            outcome=Outcome.WRONG_PERSON,
            minutes=4,
        ),
        Said.DUPLICATE: Meaning(words=Sentence(fr="En double", en="Said twice"), outcome=Outcome.DUPLICATE, minutes=1),
    }
)
RECALL: Final = "recall"
"""Names, beside the outcomes, that the patient could not be reached; no outcome, and yet minutes of work."""
RECALL_WORDS: Final = Sentence(fr="Injoignable, rappel prévu", en="Not reached, to be called again")
RECALL_MINUTES: Final = 4
_FIRST: Final[Mapping[Outcome, Said]] = MappingProxyType(
    {
        Outcome.ACTION: Said.ADVISED,
        Outcome.NO_ACTION: Said.NOTHING_NEEDED,
        Outcome.ARTEFACT: Said.MEASURED_AGAIN,
        Outcome.WRONG_PERSON: Said.WRONG_PERSON,
        Outcome.DUPLICATE: Said.DUPLICATE,
    }
)


def work_of(outcome: Outcome, said: str) -> Said:
    """Return whose minutes count for a closed alert: of what was said at the desk, else of the nearest to it."""
    return Said(said) if said in set(Said) else _FIRST[outcome]
