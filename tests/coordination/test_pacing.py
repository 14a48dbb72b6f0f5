"""How much each box may have on its way: shared out, never nothing."""

from hypothesis import given
from hypothesis import strategies as st

from coordination.pacing import LEAST_BYTES, ROOM, ROOM_BYTES, SENDING_S, Pacing


def test_a_box_alone_has_all_the_room_and_many_share_it() -> None:
    pacing = Pacing()
    assert pacing.credit(0.0).envelopes == ROOM
    pacing.heard("box-0001", 0.0)
    assert pacing.credit(0.0).envelopes == ROOM
    for number in range(100):
        pacing.heard(f"box-{number:04}", 1.0)
    assert (pacing.credit(1.0).envelopes, pacing.credit(1.0).size) == (ROOM // 100, ROOM_BYTES // 100)


def test_five_thousand_boxes_back_from_an_outage_get_one_envelope_each_and_more_as_they_get_done() -> None:
    pacing = Pacing()
    for number in range(5000):
        pacing.heard(f"box-{number}", number / 1000)
    assert (pacing.credit(5.0).envelopes, pacing.credit(5.0).size) == (1, LEAST_BYTES)
    assert pacing.credit(5.0 + SENDING_S).envelopes == ROOM, "nobody sends any more"


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 5))))
def test_what_all_may_have_on_their_way_fits_the_room_and_nobody_is_shut_out(heard: list[tuple[int, float]]) -> None:
    pacing, now = Pacing(), 0.0
    last: dict[int, float] = {}
    for box, later in heard:
        now += later
        last[box] = now
        pacing.heard(f"box-{box}", now)
    sending = sum(now - at < SENDING_S for at in last.values())
    credit = pacing.credit(now)
    assert credit.envelopes >= 1
    assert credit.size >= LEAST_BYTES
    assert credit.envelopes * sending <= max(ROOM, sending)
    assert credit.envelopes * (max(1, sending) + 1) > ROOM - sending, "and none of the room is left unused"
