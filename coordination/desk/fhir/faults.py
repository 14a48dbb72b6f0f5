"""What another system is told when its request cannot be answered: a sentence in both languages, as HL7 carries it."""

from alerting.alert import Sentence
from coordination.desk.fhir.words import Resource


class FhirError(Exception):
    """A request that cannot be answered.

    Attributes:
        sentence: why, and what to do.
        status: of HTTP.
        code: HL7's code of the kind of issue (IssueType).
    """

    def __init__(self, sentence: Sentence, *, status: int, code: str) -> None:
        super().__init__(sentence.en)
        self.sentence = sentence
        self.status = status
        self.code = code


def refused(fr: str, en: str) -> FhirError:
    """Return the error of a parameter that is not understood: nothing is left out silently."""
    return FhirError(Sentence(fr=fr, en=en), status=400, code="invalid")


def missing() -> FhirError:
    """Return the error of what is not there, or is another team's."""
    return FhirError(
        Sentence(
            fr="Il n'y a rien à cette adresse, ou cela appartient à une autre équipe.",
            en="There is nothing at this address, or it belongs to another team.",
        ),
        status=404,
        code="not-found",
    )


def outcome(error: FhirError) -> Resource:
    """Return the OperationOutcome of an error."""
    text = f"{error.sentence.fr} / {error.sentence.en}"
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": error.code, "diagnostics": text, "details": {"text": text}}],
    }
