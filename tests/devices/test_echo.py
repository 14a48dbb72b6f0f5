"""One weighing that a scale sends twice in different words is one; two weighings are two."""

from dataclasses import replace
from typing import Any

from devices.echo import Echoes
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity

AT = 1_795_334_400_000


def reading(key: str, count: int = 70_040, *, at: int = AT, dated: bool = True, **changes: Any) -> Reading:
    user = changes.pop("user", None)
    made = Reading(
        quantity=Quantity.BODY_WEIGHT,
        count=count,
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED if dated else ClockTrust.UNKNOWN,
        received_at=at,
        device="C4:B0:00:00:00:03",
        key=key,
        provenance=Provenance(source="device", value=None, unit=Unit.KILOGRAM, user=user),
    )
    return replace(made, **changes)


def kept(*records: list[Reading], by_user: bool = False) -> list[str]:
    """Return key and quantity of what is handed on of records that come one after the other."""
    echoes = Echoes(by_user=by_user)
    return [f"{one.key} {one.quantity}" for record in records for one in echoes.without(record)]


def weight(key: str, **changes: Any) -> list[Reading]:
    return [reading(key, **changes)]


def test_live_then_stored_is_one() -> None:
    assert kept(weight("live", dated=False), weight("stored", user=1)) == ["live body_weight"]


def test_where_users_decide_the_record_that_names_one_is_handed_on_once() -> None:
    live, stored = weight("live", dated=False), weight("stored", user=1)
    assert kept(live, stored, weight("again", user=1), by_user=True) == ["live body_weight", "stored body_weight"]
    assert kept(stored, live, by_user=True) == ["stored body_weight"]


def test_stored_then_live_is_one() -> None:
    assert kept(weight("stored", user=1), weight("live", dated=False)) == ["stored body_weight"]


def test_a_minute_apart_is_still_one_and_more_is_two() -> None:
    live = weight("live", dated=False)
    assert kept(live, weight("stored", at=AT - 60_000)) == ["live body_weight"]
    assert len(kept(live, weight("stored", at=AT - 60_001))) == 2
    assert len(kept(live, weight("stored", at=AT + 60_001))) == 2


def test_another_weight_is_another_weighing() -> None:
    assert len(kept(weight("live", dated=False), weight("stored", count=70_045))) == 2


def test_the_same_weight_at_another_time_is_another_weighing() -> None:
    assert len(kept(weight("one"), weight("two", at=AT + 1000))) == 2


def test_the_same_record_in_other_words_at_the_same_time_is_one() -> None:
    assert kept(weight("one", user=1), weight("two")) == ["one body_weight"]


def test_two_users_are_two_even_at_the_same_time_with_the_same_weight() -> None:
    assert len(kept(weight("one", user=1), weight("two", user=2))) == 2
    assert len(kept(weight("live", dated=False, user=1), weight("stored", user=2))) == 2


def test_two_people_of_the_same_weight_within_a_minute_stay_two() -> None:
    """Whichever of the records come first: two live and two stored, or one live and two stored."""
    live = [weight("live 1", dated=False, at=AT), weight("live 2", dated=False, at=AT + 20_000)]
    stored = [weight("stored 1", user=1, at=AT), weight("stored 2", user=2, at=AT + 20_000)]
    assert len(kept(*live, *stored)) == 2
    assert len(kept(live[0], *stored)) == 2
    assert len(kept(live[0], stored[0], live[1], stored[1])) == 2
    assert len(kept(*stored, *live)) == 2


def test_twice_within_a_minute_stays_twice() -> None:
    """One person who steps on again: the records name the same user."""
    live = [weight("live 1", dated=False, at=AT), weight("live 2", dated=False, at=AT + 30_000)]
    stored = [weight("stored 1", user=1, at=AT), weight("stored 2", user=1, at=AT + 30_000)]
    assert len(kept(*live)) == 2
    assert len(kept(*live, *stored)) == 2
    assert len(kept(live[0], *stored)) == 2
    assert len(kept(stored[0], *live)) == 2


def test_a_stored_record_that_comes_again_is_still_the_echo_of_the_live_one() -> None:
    stored = weight("stored", user=1)
    assert kept(weight("live", dated=False), stored, stored) == ["live body_weight"]


def test_once_its_user_is_known_a_live_record_is_no_other_users() -> None:
    live = weight("live", dated=False)
    assert len(kept(live, weight("stored 1", user=1), weight("stored 2", user=2))) == 2


def composition(key: str, **changes: Any) -> list[Reading]:
    fat = reading(key, 262, quantity=Quantity.BODY_FAT, **changes)
    return [fat, reading(key, **changes)]


def test_the_weight_within_a_composition_is_the_weight_said_before() -> None:
    assert kept(weight("weight", user=1), composition("fat", user=1)) == ["weight body_weight", "fat body_fat"]
    # Both again, in another visit: their keys tell the store, and nothing new is said.
    assert kept(weight("weight", user=1), composition("fat", user=1), composition("fat", user=1)) == [
        "weight body_weight",
        "fat body_fat",
    ]


def test_what_only_the_stored_record_says_is_new() -> None:
    assert kept(weight("live", dated=False), composition("stored", user=1)) == [
        "live body_weight",
        "stored body_fat",
    ]
    assert kept(weight("live", dated=False), weight("stored", user=1), composition("fat", user=1)) == [
        "live body_weight",
        "fat body_fat",
    ]


def test_records_that_share_one_value_and_differ_in_another_are_two() -> None:
    other = [
        replace(item, key="other", count=300) if item.quantity is Quantity.BODY_FAT else replace(item, key="other")
        for item in composition("fat")
    ]
    assert len(kept(composition("fat"), other)) == 4


def test_a_value_that_counts_is_no_echo_of_the_same_number_that_did_not() -> None:
    doubted = weight("live", at=AT, validity=Validity.QUESTIONABLE)
    assert kept(doubted, weight("settled", at=AT, dated=False)) == ["live body_weight", "settled body_weight"]


def test_records_without_a_value_in_common_are_two() -> None:
    assert len(kept(weight("weight"), composition("fat")[:1])) == 2


def test_one_batch_of_several_records_is_looked_through_one_by_one() -> None:
    echoes = Echoes()
    together = [*weight("live", dated=False), *weight("stored", user=1), *weight("other", count=81_500)]
    assert [one.key for one in echoes.without(together)] == ["live", "other"]


def test_only_the_newest_records_are_remembered() -> None:
    others = [weight(f"{number}", count=number * 5) for number in range(1, 65)]
    assert kept(weight("live", dated=False), *others, weight("stored", user=1))[-1] == "stored body_weight"
