import pytest

from exchange.topics import COMMANDS, OBSERVATIONS, RECEIPTS, box_of, every_box, topic, valid_box


@pytest.mark.parametrize("box", ["box-0001", "abc", "0-0", "a" * 48])
def test_a_box_id_makes_a_topic_that_names_it(box: str) -> None:
    assert valid_box(box)
    assert box_of(topic(box, OBSERVATIONS)) == box


@pytest.mark.parametrize(
    "box", ["", "ab", "a" * 49, "Box-0001", "-box", "box/0001", "box+", "box#", "box 1", "box-0001\n", "bôx", "../box"]
)
def test_what_could_escape_a_topic_or_a_file_name_is_no_box_id(box: str) -> None:
    assert not valid_box(box)


@pytest.mark.parametrize(
    "name",
    [
        "veilleur/v1/box-0001",
        "veilleur/v1/box-0001/obs/more",
        "veilleur/v2/box-0001/obs",
        "other/v1/box-0001/obs",
        "veilleur/v1/+/obs",
        "veilleur/v1//obs",
        "/veilleur/v1/box-0001",
        "",
    ],
)
def test_a_topic_that_is_not_ours_names_no_box(name: str) -> None:
    assert box_of(name) is None


def test_topics_are_those_the_broker_s_acl_speaks_of() -> None:
    assert topic("box-0001", RECEIPTS) == "veilleur/v1/box-0001/receipt"
    assert topic("box-0001", COMMANDS) == "veilleur/v1/box-0001/cmd"
    assert every_box(OBSERVATIONS) == "veilleur/v1/+/obs"
