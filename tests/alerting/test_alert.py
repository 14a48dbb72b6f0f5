"""Where an alert is in its life."""

from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import Acknowledgement, AlertState, ChangeKind, state_of


@given(
    change=st.sampled_from(ChangeKind),
    resolved_at=st.none() | st.integers(0, 2**40),
    seen=st.none() | st.builds(Acknowledgement, by=st.text(min_size=1), at=st.integers(0, 2**40)),
)
def test_seeing_an_alert_never_ends_it_nor_brings_it_back(
    change: ChangeKind, resolved_at: int | None, seen: Acknowledgement | None
) -> None:
    unseen, now = state_of(change, resolved_at, None), state_of(change, resolved_at, seen)
    assert (unseen in {AlertState.RESOLVED, AlertState.RETRACTED}) == (
        now in {AlertState.RESOLVED, AlertState.RETRACTED}
    )
    assert (now is AlertState.ACKNOWLEDGED) == (unseen is AlertState.RAISED and seen is not None)
