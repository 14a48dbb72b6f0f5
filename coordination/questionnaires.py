"""Questionnaires: what a person is asked about how they feel, as files that ship with the program.

A file is `configs/questionnaires/NAME-VERSION.toml`. Once somebody has answered a version it is never changed: a change
is a file of the next version, and a link leads to the version that it was made for. Questions of one quantity add up
(the two items of the PHQ-2), and each says where it comes from.

What is not here: links (questionnaire_links), what answers become (answers), and what they mean (self_report_judging).
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Sentence
from alerting.toml_text import MOST_CHARACTERS
from coordination.errors import CoordinationError
from devices.reading import SYMPTOMS, Quantity, facts

SCHEMA = 1
_FILE = re.compile(r"([a-z][a-z0-9_]{1,47})-([1-9][0-9]{0,5})\.toml")

Said = Annotated[str, Meta(min_length=1, max_length=300)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,47}\Z")]
Source = Annotated[str, Meta(min_length=3, max_length=300)]
Points = Annotated[int, Meta(ge=0, le=10)]


class Words(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A text in both languages."""

    fr: Said
    en: Said

    @property
    def sentence(self) -> Sentence:
        """As the house has it."""
        return Sentence(fr=self.fr, en=self.en)


class Choice(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One answer that can be chosen; after an `urgent` one the page says first whom to call."""

    points: Points
    text: Words
    urgent: bool = False


class Question(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One question; its points are counts of `quantity`. An `optional` one may be left without an answer."""

    name: Name
    quantity: Quantity
    text: Words
    source: Source
    choices: Annotated[tuple[Choice, ...], Meta(min_length=2, max_length=11)]
    optional: bool = False

    def choice(self, points: int) -> Choice:
        """Return the answer of so many points.

        Raises:
            LookupError: there is none.
        """
        return next(one for one in self.choices if one.points == points)


class Questionnaire(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of a questionnaire.

    Attributes:
        schema: form of the file.
        name: without its version.
        version: counts up from 1.
        title: as the team calls it; whoever answers does not see it.
        intro: what whoever answers reads first.
        help: whom the page says to call when it presses: "15", or "3114" as well where psychiatry is concerned.
        valid_hours: for how long a link can be answered.
        questions: in their order.
    """

    schema: Literal[1]
    name: Name
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: Words
    intro: Words
    help: Literal["15", "3114"]
    valid_hours: Annotated[int, Meta(ge=1, le=720)]
    questions: Annotated[tuple[Question, ...], Meta(min_length=1, max_length=12)]

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What it asks, each once, in the order of the questions."""
        return tuple(dict.fromkeys(question.quantity for question in self.questions))


class QuestionnaireError(CoordinationError):
    """A questionnaire that is not as it must be, or is not there."""


def read_questionnaire(data: bytes, *, file: str) -> Questionnaire:
    """Return the questionnaire of a file.

    Raises:
        QuestionnaireError: its first fault.
    """
    try:
        text = data.decode()
        if len(text) > MOST_CHARACTERS:
            raise _fault(file, "le fichier est trop long", "the file is too long")
        found = msgspec.toml.decode(text, type=Questionnaire)
    except (UnicodeDecodeError, msgspec.ValidationError, msgspec.DecodeError) as error:
        raise _fault(file, f"forme non valable ({error})", f"not well formed ({error})") from error
    _check(found, file)
    return found


def _check(found: Questionnaire, file: str) -> None:
    names = [question.name for question in found.questions]
    if len(set(names)) != len(names):
        raise _fault(file, "deux questions ont le même name", "two questions have the same name")
    for question in found.questions:
        points = [choice.points for choice in question.choices]
        if question.quantity not in SYMPTOMS:
            raise _fault(
                file,
                f"{question.name} : {question.quantity} se mesure et ne se demande pas",
                f"{question.name}: {question.quantity} is measured and not asked",
            )
        if points != sorted(set(points)):
            raise _fault(
                file,
                f"{question.name} : les points doivent monter, chacun une fois",
                f"{question.name}: points must go up, each once",
            )
    for quantity in found.quantities:
        asked = [question for question in found.questions if question.quantity is quantity]
        low = sum(question.choices[0].points for question in asked)
        high = sum(question.choices[-1].points for question in asked)
        known = facts(quantity)
        if (low, high) != (known.low, known.high):
            raise _fault(
                file,
                f"{quantity} va de {known.low} à {known.high} points, les réponses de {low} à {high}",
                f"{quantity} goes from {known.low} to {known.high} points, its answers from {low} to {high}",
            )


def _fault(file: str, fr: str, en: str) -> QuestionnaireError:
    return QuestionnaireError(
        Sentence(fr=f"{file} : {fr}.", en=f"{file}: {en}."),
        hint=Sentence(fr="Corriger le fichier.", en="Correct the file."),
    )


@cache
def shipped_questionnaires() -> Mapping[tuple[str, int], Questionnaire]:
    """Return every version of every questionnaire that ships, by (name, version).

    Raises:
        QuestionnaireError: one of them is not as it must be.
    """
    found: dict[tuple[str, int], Questionnaire] = {}
    for item in sorted(files("configs").joinpath("questionnaires").iterdir(), key=lambda one: one.name):
        match = _FILE.fullmatch(item.name)
        if match is None:
            continue
        one = read_questionnaire(item.read_bytes(), file=item.name)
        if (one.name, one.version) != (match[1], int(match[2])):
            raise _fault(
                item.name, "name et version doivent être ceux du fichier", "name and version must be the file's"
            )
        found[one.name, one.version] = one
    return found


def newest() -> dict[str, Questionnaire]:
    """Return the newest version of each questionnaire, by name."""
    return {name: one for (name, _), one in sorted(shipped_questionnaires().items())}


def questionnaire(name: str, version: int | None = None) -> Questionnaire:
    """Return a questionnaire, its newest version when none is named.

    Raises:
        QuestionnaireError: there is no such one.
    """
    found = newest().get(name) if version is None else shipped_questionnaires().get((name, version))
    if found is None:
        raise QuestionnaireError(
            Sentence(fr=f"Il n'y a pas de questionnaire « {name} ».", en=f"There is no questionnaire '{name}'."),
            hint=Sentence(fr=f"Il y a : {', '.join(newest())}.", en=f"There are: {', '.join(newest())}."),
        )
    return found


def asking(quantities: frozenset[Quantity]) -> tuple[Questionnaire, ...]:
    """Return the questionnaires, newest versions only, that ask all of these."""
    return tuple(one for one in newest().values() if quantities <= set(one.quantities))
