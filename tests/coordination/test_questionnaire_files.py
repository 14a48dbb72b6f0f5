"""What questionnaires may be, and that those that ship ask what the protocols that judge answers need."""

import re
from importlib.resources import files

import pytest

from coordination.protocol_sources import packaged_protocols
from coordination.questionnaires import (
    QuestionnaireError,
    asking,
    newest,
    questionnaire,
    read_questionnaire,
    shipped_questionnaires,
)
from coordination.self_report import asking_pathways
from devices.reading import SYMPTOMS
from tests.coordination.followed import shipped

SOUND = """
schema = 1
name = "small"
version = 1
title = { fr = "Petit", en = "Small" }
intro = { fr = "Répondez.", en = "Answer." }
help = "15"
valid_hours = 24

[[questions]]
name = "legs"
quantity = "symptom_oedema"
text = { fr = "Gonflé ?", en = "Swollen?" }
source = "Own wording"
choices = [
    { points = 0, text = { fr = "Non", en = "No" } },
    { points = 1, text = { fr = "Peu", en = "Little" } },
    { points = 3, text = { fr = "Oui", en = "Yes" } },
]
"""


def test_a_sound_file_is_read() -> None:
    assert read_questionnaire(SOUND.encode(), file="small-1.toml").quantities == ("symptom_oedema",)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("symptom_oedema", "body_weight", "is measured and not asked"),
        ("symptom_oedema", "symptom_tiredness", "not well formed"),
        ("points = 3", "points = 1", "must go up"),
        ("points = 3", "points = 2", "from 0 to 3 points, its answers from 0 to 2"),
        ("points = 3", "points = 11", "not well formed"),
        ('help = "15"', 'help = "0800"', "not well formed"),
        ("valid_hours = 24", "valid_hours = 0", "not well formed"),
        ('source = "Own wording"', "", "not well formed"),
        ('en = "Yes"', 'en = ""', "not well formed"),
        ("schema = 1", "schema = 1\nsecret = 1", "not well formed"),
        ("schema = 1", "schema = 2", "not well formed"),
        ("schema = 1", "schema = [", "not well formed"),
    ],
)
def test_a_fault_is_told_in_a_sentence_with_the_file(before: str, after: str, said: str) -> None:
    with pytest.raises(QuestionnaireError) as error:
        read_questionnaire(SOUND.replace(before, after, 1).encode(), file="small-1.toml")
    assert error.value.why.en.startswith("small-1.toml: ")
    assert said in error.value.why.en
    assert error.value.why.fr != error.value.why.en


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * 2_000_000, b""])
def test_what_is_no_questionnaire_is_refused(data: bytes) -> None:
    with pytest.raises(QuestionnaireError):
        read_questionnaire(data, file="x")


def test_two_questions_of_one_name_are_refused() -> None:
    second = SOUND[SOUND.index("[[questions]]") :]
    with pytest.raises(QuestionnaireError, match="the same name"):
        read_questionnaire((SOUND + second).encode(), file="x")


def test_each_file_that_ships_is_one_version_and_each_question_says_where_it_comes_from() -> None:
    names = [item.name for item in files("configs").joinpath("questionnaires").iterdir() if item.name.endswith(".toml")]
    assert sorted(names) == sorted(f"{name}-{version}.toml" for name, version in shipped_questionnaires())
    for one in shipped_questionnaires().values():
        for question in one.questions:
            assert re.search(r"[Oo]wn wording|no permission required", question.source), question.name


def test_psychiatry_names_3114_and_lets_a_question_be_left_out() -> None:
    mood = questionnaire("mood")
    assert mood.help == "3114"
    assert [question.name for question in mood.questions if question.optional] == ["thoughts"]
    assert all(choice.urgent for choice in mood.questions[-1].choices[1:])


def test_each_pathway_has_a_questionnaire_that_asks_all_it_judges() -> None:
    found = {one.pack: one for one in asking_pathways({name: shipped(name) for name in packaged_protocols()})}
    assert set(found) == {"heart_failure_symptoms", "mood_follow_up", "oral_chemotherapy_symptoms"}
    for one in found.values():
        assert one.protocol.asked <= set(one.questionnaire.quantities)
    assert {name for one in newest().values() for name in one.quantities} == set(SYMPTOMS)
    assert asking(frozenset(SYMPTOMS)) == ()


def test_one_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(QuestionnaireError, match="There are: heart_failure, mood, oral_chemotherapy"):
        questionnaire("none")
    with pytest.raises(QuestionnaireError):
        questionnaire("mood", 99)
