"""A proposed threshold loses no alert that was of use, and spares some that were not."""

from hypothesis import given
from hypothesis import strategies as st

from coordination.proposals import FEWEST, Judged, propose, worth_a_look


def judged(*pairs: tuple[int, bool], threshold: int = 100) -> list[Judged]:
    return [Judged(value=value, threshold=threshold, useful=useful) for value, useful in pairs]


def test_a_threshold_is_proposed_that_would_have_raised_what_was_of_use_and_little_else() -> None:
    proposal = propose(judged((105, False), (110, False), (120, False), (150, True), (180, True), (151, False)))
    assert proposal is not None
    assert (proposal.now, proposal.then, proposal.spared) == (100, 149, 3)


def test_below_is_the_other_way_round() -> None:
    proposal = propose(judged((95, False), (90, False), (88, False), (60, True), (59, False)))
    assert proposal is not None
    assert (proposal.then, proposal.spared) == (61, 3)


def test_nothing_is_proposed_from_few_alerts_or_where_most_were_of_use() -> None:
    assert propose(judged(*[(150, False)] * (FEWEST - 1))) is None
    assert propose(judged((105, False), (110, False), (150, True), (160, True), (170, True))) is None


def test_where_none_was_of_use_no_number_is_made_up() -> None:
    proposal = propose(judged(*[(150, False)] * FEWEST))
    assert proposal is not None
    assert proposal.then is None


def test_where_the_side_cannot_be_told_no_number_is_said() -> None:
    assert propose(judged((90, False), (110, False), (90, False), (120, True), (95, False))) is None
    assert propose(judged((100, False), (110, False), (105, False), (120, True), (104, False))) is None


@given(
    st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=30),
    st.integers(-500, 500),
    st.sampled_from([1, -1]),
)
def test_whatever_came_of_alerts_a_proposal_keeps_all_that_were_of_use(
    beyond: list[tuple[int, bool]], threshold: int, sign: int
) -> None:
    said = [Judged(value=threshold + sign * far, threshold=threshold, useful=useful) for far, useful in beyond]
    proposal = propose(said)
    useful = [one for one in said if one.useful]
    if proposal is None:
        return
    assert worth_a_look(len(useful), len(said))
    if proposal.then is None:
        assert not useful
        return
    then = proposal.then
    assert sign * then > sign * proposal.now
    assert all(sign * one.value > sign * then for one in useful)
    assert proposal.spared == sum(sign * one.value <= sign * then for one in said if not one.useful) > 0
