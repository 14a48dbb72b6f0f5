"""Worlds arranged by hand for what no drawn world comes to: due times, several inputs, weeks, full windows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

from alerting.care_protocol import Rule
from alerting.rules import (
    ChangeRule,
    Direction,
    LevelRule,
    Side,
    Statistic,
)
from alerting.scheduled_rules import (
    ALL_DAYS,
    CompositeRule,
    Concern,
    MeanRule,
    MissingRule,
    QualityRule,
    Score,
    ScoreRule,
)
from devices.reading import Quantity, Reading
from tests.alerting.oracle.local_clock import day_of, utc_of
from tests.alerting.worlds import (
    DAY,
    HOUR,
    MARCH,
    MINUTE,
    OCTOBER,
    PARIS,
    PULSE,
    SPO2,
    START,
    SYSTOLIC,
    TEMPERATURE,
    WEIGHT,
    World,
    common,
    protocol_of,
    reading,
)

HEART = Quantity.HEART_RATE
BREATHS = Quantity.RESPIRATORY_RATE
_ZONES = (PARIS, ZoneInfo("Pacific/Chatham"), ZoneInfo("America/St_Johns"), ZoneInfo("UTC"))
_OFF = (0, 0, 1, -1)
_VALUES = {
    SPO2: (830, 840, 850, 880, 910, 930, 950, 970),
    SYSTOLIC: (900, 1_000, 1_100, 1_300, 2_200),
    PULSE: (400, 500, 700, 910, 1_110, 1_310),
    HEART: (400, 500, 700, 910, 1_110, 1_310),
    TEMPERATURE: (3_500, 3_600, 3_700, 3_810, 3_910),
    BREATHS: (80, 110, 160, 210, 250),
}


def arranged(size: int) -> Iterator[tuple[str, list[World]]]:
    """Yield names and worlds, the same in every run."""
    yield "appointments", [appointments(number) for number in range(8 * size)]
    yield "starts", list(starts())
    yield "inputs", [inputs(number) for number in range(4 * size)]
    yield "weighings", [weighings(number) for number in range(4 + size)]
    yield "quiet", [quiet(number) for number in range(6 + size)]
    yield "occasions", [occasions(number) for number in range(2 * size)]
    yield "members", [members(number) for number in range(6 * size)]
    yield "made of composites", [made_of_composites(number) for number in range(12 * size)]
    yield "blocks", list(blocks())


def change_of(quantity: Quantity, window: int = DAY) -> ChangeRule:
    """Return a rule that makes readings of before the start of watching matter."""
    return ChangeRule(
        **common(quantity, "before"),
        direction=Direction.RISE,
        statistic=Statistic.LOWEST,
        delta=1_000,
        end_delta=1_000,
        window=window,
    )


def appointments(number: int) -> World:
    """Return readings beside due times, deadlines and midnights; watching begins at one of them."""
    chance = Random(number)
    zone = chance.choice(_ZONES)
    by = chance.choice((0, 1, 150, 540, 1_380))
    grace = chance.choice((0, 0, MINUTE, 59 * MINUTE))
    days = chance.choice((ALL_DAYS, ALL_DAYS, 0b0010101, 0b1000000))
    rules: list[Rule] = [MissingRule(**common(WEIGHT), expected=0, grace=grace, by=by, days=days)]
    if chance.random() < 0.7:
        rules.append(change_of(WEIGHT, 3 * DAY))
    if chance.random() < 0.3:
        ages = [DAY, DAY - 1, DAY + 1]
        chance.shuffle(ages)
        rules += [MissingRule(**common(WEIGHT, f"age{age}"), expected=age, grace=0) for age in ages[:2]]
    begin = chance.choice((MARCH + 18 * DAY, OCTOBER + 4 * DAY, START))
    moments = []
    for ahead in range(5):
        day = day_of(begin, zone) + timedelta(days=ahead)
        due, midnight = utc_of(day, by, zone), utc_of(day, 0, zone)
        moments += [due, due + grace, midnight, midnight + 7 * HOUR]
    since = chance.choice((moments[0], moments[4], *moments[:8])) + chance.choice(_OFF)
    times = sorted({one + chance.choice(_OFF) for one in chance.sample(moments, chance.randint(0, 6))})
    if chance.random() < 0.3:
        since = utc_of(day_of(begin, zone) + timedelta(days=1), 0, zone)
        times = sorted({since - 1, *times})
    found = [reading(WEIGHT, 70_000 + place, at, key=f"k{place}") for place, at in enumerate(times)]
    if chance.random() < 0.5:
        # No rule judges these, but time passes by them.
        last = max([since, *times])
        found += [reading(SPO2, 970, last + place * 30 * HOUR, key=f"s{place}") for place in range(1, 4)]
    return World(protocol_of(*rules), tuple(found), since, zone)


def starts() -> Iterator[World]:
    """Yield worlds without a reading that are watched from a due time on, or from one ms before or after."""
    for by in (0, 540, 1_380):
        for off in (-1, 0, 1):
            since = utc_of(day_of(START, PARIS), by, PARIS) + off
            yield World(protocol_of(MissingRule(**common(WEIGHT), expected=0, grace=0, by=by)), (), since)


def inputs(number: int) -> World:
    """Return readings of all that NEWS2 reads, as old as they may be."""
    chance = Random(number)
    quantities = tuple(chance.sample(list(_VALUES), chance.randint(2, 6)))
    freshness = chance.choice((10 * MINUTE, HOUR))
    rule = ScoreRule(
        **common(quantities[0]),
        score=Score.NEWS2,
        of=quantities,
        threshold=chance.choice((1, 3, 5, 7)),
        end_threshold=chance.choice((1, 1, 2)) if number % 2 else 1,
        freshness=freshness,
        scale=chance.choice((1, 2)),
        oxygen=chance.random() < 0.5,
        single=chance.random() < 0.5,
    )
    at, found = START, list[Reading]()
    for place in range(24):
        quantity = chance.choice(quantities)
        at += max(0, chance.choice((0, 0, MINUTE, freshness // 2, freshness)) + chance.choice(_OFF))
        if chance.random() < 0.2 and {PULSE, HEART} <= set(quantities):
            found.append(reading(PULSE, 700, at, key=f"j{place:02}"))
            quantity, at = HEART, at + 1
        count = chance.choice(_VALUES[quantity]) + chance.choice((0, 0, -5, -6, 4, 5))
        found.append(reading(quantity, count, at, key=f"k{place:02}"))
    return World(protocol_of(rule), tuple(found), START)


def weighings(number: int) -> World:
    """Return two months of daily measurements at the same minute, which the log-odds of a decompensation reads."""
    chance = Random(number)
    others = [SYSTOLIC] if number % 4 == 3 else chance.sample([PULSE, HEART, SPO2, SYSTOLIC], chance.randint(1, 4))
    threshold = chance.choice((1, 500, 2_000, 4_000))
    rule = ScoreRule(
        **common(WEIGHT),
        score=Score.HEART_FAILURE,
        of=(WEIGHT, *others),
        threshold=threshold,
        end_threshold=min(threshold, 500),
        freshness=chance.choice((HOUR, DAY, 2 * DAY)),
    )
    base = {WEIGHT: 70_000, PULSE: 700, HEART: 720, SPO2: 960, SYSTOLIC: 1_300}
    spread = {WEIGHT: chance.choice((100, 700, 1_600)), PULSE: 60, HEART: 60, SPO2: 12, SYSTOLIC: 120}
    begin, found = MARCH + 8 * HOUR, list[Reading]()
    since = begin + chance.choice((0, 0, 0, 14 * DAY))
    low, high = chance.choice(((0, 56), (4, 50)))
    away = 36 if number % 3 == 1 else 0
    stopped = others[0] if number % 2 else None
    for day in range(low, high):
        # Beyond a week of each the median and the deviation have few readings: so few that it matters how many.
        seldom = chance.choice((1, 1, 1, 4))
        for quantity in (WEIGHT, *others):
            if (quantity is not WEIGHT and (day * 7 + len(quantity)) % seldom) or (quantity is stopped and day > 36):
                continue
            drift = (day - 40) * chance.choice((0, 1, 2)) if day > 40 else 0
            count = base[quantity] + chance.randint(-spread[quantity], spread[quantity]) + drift * spread[quantity] // 4
            off = 0 if quantity is WEIGHT or chance.random() < 0.7 else chance.choice((-HOUR, -1, 1, -HOUR - 1))
            found.append(
                reading(quantity, count, begin + (day + away * (day > 40)) * DAY + off, key=f"{quantity}{day:02}")
            )
        if chance.random() < 0.2:
            extra = chance.choice((1, HOUR, 15 * HOUR + 59 * MINUTE, 16 * HOUR))
            count = base[WEIGHT] + chance.choice((0, 4_500, 4_501, -4_500, 5_200))
            found.append(reading(WEIGHT, count, begin + (day + away * (day > 40)) * DAY + extra, key=f"again{day:02}"))
    return World(protocol_of(rule), tuple(found), since)


def quiet(number: int) -> World:
    """Return inputs that hardly ever moved, often measured: their least deviation counts."""
    chance = Random(number)
    quantity, count, moves = (
        (PULSE, 700, (0, 30, 60, 90)),
        (SPO2, 970, (0, -15, -20, -25, -60)),
        (SYSTOLIC, 1_300, (0, 100, -150, 200)),
    )[number % 3]
    rule = ScoreRule(
        **common(WEIGHT),
        score=Score.HEART_FAILURE,
        of=(WEIGHT, quantity),
        threshold=1_000,
        end_threshold=500,
        freshness=DAY,
    )
    begin, found = MARCH + 8 * HOUR, list[Reading]()
    for day in range(41):
        for hour in range(0, 16, 4):
            moved = chance.choice(moves) if day > 34 and hour == 0 else 0
            found.append(reading(quantity, count + moved, begin + day * DAY - hour * HOUR, key=f"{day:02}-{hour:02}"))
        # A weight that rises: or the sum would stay at nothing.
        weight = 70_000 + chance.randint(-100, 100) + 150 * max(0, day - 30)
        found.append(reading(WEIGHT, weight, begin + day * DAY + 1, key=f"w{day:02}"))
    return World(protocol_of(rule), tuple(found), begin - DAY)


def occasions(number: int) -> World:
    """Return measurements at the edges of a schedule's occasions."""
    chance = Random(number)
    zone = chance.choice(_ZONES)
    hours = chance.choice((((360, 600), (1_080, 1_320)), ((0, 120), (120, 180), (420, 660), (700, 1_439))))
    limit = chance.choice((1_300, 1_301, 1_350))
    rule = MeanRule(
        **common(SYSTOLIC),
        side=Side.AT_LEAST,
        threshold=limit,
        end_threshold=limit - chance.choice((0, 1, 10)),
        days=chance.choice((1, 2, 3)) + 1,
        occasions=hours,
        per_occasion=chance.randint(1, 3),
        drop_first=chance.random() < 0.5,
        min_readings=chance.randint(1, 4),
    )
    begin, found = chance.choice((MARCH + 18 * DAY, OCTOBER + 4 * DAY)), list[Reading]()
    # What follows the schedule in the program is no occasion: neither minute of it.
    after = change_of(SYSTOLIC)
    minutes = [0, 1, *(edge for pair in hours for edge in pair)]
    for ahead in range(6):
        day = day_of(begin, zone) + timedelta(days=ahead)
        for minute in sorted(chance.sample(minutes, chance.randint(1, 4))):
            at = utc_of(day, minute, zone)
            for _ in range(chance.randint(1, 3)):
                at += chance.choice((0, -1, 1, -MINUTE, MINUTE))
                count = 1_300 + chance.randint(-60, 60)
                found.append(reading(SYSTOLIC, count, at, key=f"k{len(found):03}"))
    return World(protocol_of(rule, after), tuple(found), begin - DAY, zone)


def members(number: int) -> World:
    """Return readings at the edges of a composite's window, with absences among its members."""
    chance = Random(number)
    window = chance.choice((10 * MINUTE, HOUR))
    of: list[Rule] = []
    for place in range(chance.randint(1, 4)):
        quantity = chance.choice((SYSTOLIC, PULSE))
        limit = _VALUES[quantity][3]
        if chance.random() < 0.3:
            of.append(MissingRule(**common(quantity, f"m{place}"), expected=window, grace=chance.choice((0, MINUTE))))
        else:
            persist = chance.choice((0, 0, MINUTE))
            of.append(
                LevelRule(
                    **common(quantity, f"m{place}"),
                    side=Side.AT_LEAST,
                    threshold=limit,
                    end_threshold=limit,
                    persist=persist,
                    end_persist=persist,
                )
            )
    quantities = tuple(sorted({one.quantity for one in of}))
    whole = [
        CompositeRule(
            **common(quantities[0], f"of{least}_{length}"),
            of=tuple(one.id for one in of[:length]),
            at_least=least,
            window=window,
            of_quantities=tuple(sorted({one.quantity for one in of[:length]})),
        )
        for least, length in {(1, chance.randint(1, len(of))), (max(1, len(of) - 1), len(of)), (len(of), len(of))}
    ]
    whole = [replace(one, quantity=one.of_quantities[0]) for one in whole]
    if chance.random() < 0.6:
        whole.append(_of_composites(chance, whole, of, window))
    at, found = START, list[Reading]()
    for place in range(chance.choice((6, 24, 200))):
        quantity = quantities[0] if chance.random() < 0.7 else quantities[-1]
        at += max(0, chance.choice((0, MINUTE, MINUTE, window // 2, window)) + chance.choice(_OFF))
        count = _VALUES[quantity][3] + (chance.choice((0, -1)) if chance.random() < 0.6 else -1)
        found.append(reading(quantity, count, at, key=f"k{place:03}"))
    times = [one.measured_at for one in found]
    since = START if chance.random() < 0.5 else chance.choice(times) + chance.choice(_OFF)
    if chance.random() < 0.5:
        of.append(change_of(quantities[0], HOUR))
    return World(protocol_of(*of, *whole), tuple(found), since)


def _of_composites(chance: Random, whole: list[CompositeRule], of: list[Rule], window: int) -> CompositeRule:
    """Return a composite of some composites, and mostly of another rule."""
    members: list[Rule] = [*chance.sample(whole, chance.randint(1, len(whole))), *of[: chance.choice((0, 1, 1))]]
    quantities = tuple(sorted({quantity for one in members for quantity in one.inputs}))
    return CompositeRule(
        **common(quantities[0], "whole"),
        of=tuple(one.id for one in members),
        at_least=chance.randint(1, len(members)),
        window=chance.choice((window, 5 * MINUTE, 2 * HOUR)),
        of_quantities=quantities,
    )


def made_of_composites(number: int) -> World:
    """Return the same, with rules made of those composites and of one of their members."""
    chance, world = Random(number), members(number)
    of = [rule for rule in world.protocol.rules if isinstance(rule, CompositeRule)]
    plain = chance.choice([rule for rule in world.protocol.rules if rule.id in of[0].of])
    inner: list[Rule] = [*of, plain]
    quantities = tuple(sorted({quantity for rule in inner for quantity in rule.inputs}))
    outer = [
        CompositeRule(
            **common(quantities[0], f"over_{least}_{number}"),
            of=tuple(rule.id for rule in inner),
            at_least=least,
            window=chance.choice((0, MINUTE, of[0].window, 2 * of[0].window)),
            of_quantities=quantities,
        )
        for least, number in ((1, 0), (len(inner), 1), (max(1, len(inner) - 1), 2), (len(inner), 3))
    ]
    return World(protocol_of(*world.protocol.rules, *outer), world.readings, world.since)


def blocks() -> Iterator[World]:
    """Yield two of two, of two quantities: what one was matters at the first reading of a block of the other."""
    pulse = LevelRule(**common(PULSE, "pulse"), side=Side.AT_LEAST, threshold=1_000, end_threshold=1_000)
    high = LevelRule(**common(SYSTOLIC, "high"), side=Side.AT_LEAST, threshold=1_500, end_threshold=1_500)
    jump = QualityRule(**common(SYSTOLIC, "jump"), concern=Concern.JUMP, window=10 * MINUTE, delta=100)
    # What a rule made of rules is at the end of a quiet block matters to another one, at a reading of another quantity.
    inner = CompositeRule(**common(SYSTOLIC, "inner"), of=("high",), at_least=1, window=HOUR, of_quantities=(SYSTOLIC,))
    outer = CompositeRule(
        **common(PULSE, "outer"),
        of=("pulse", "inner"),
        at_least=1,
        window=HOUR,
        of_quantities=(PULSE, SYSTOLIC),
    )
    quiet = [reading(SYSTOLIC, 1_200, START + place * MINUTE, key=f"q{place}") for place in range(4)]
    beats = [reading(PULSE, 1_100, START + place * MINUTE, key=f"p{place}") for place in (5, 64)]
    yield World(protocol_of(pulse, high, inner, outer), (*quiet, *beats), START - DAY)
    for other in (high, jump):
        both = CompositeRule(
            **common(PULSE, "both"),
            of=("pulse", other.id),
            at_least=2,
            window=HOUR,
            of_quantities=(PULSE, SYSTOLIC),
        )
        for off in (-1, 0, 1):
            for counts in ((1_600, 1_400), (1_600, 1_600), (1_400, 1_600)):
                for pause in (MINUTE, 11 * MINUTE):
                    at = START + HOUR + off
                    found = [
                        reading(SYSTOLIC, 1_200, at - 5 * MINUTE, key="a"),
                        reading(PULSE, 1_100, START, key="b"),
                        reading(PULSE, 1_100 if pause == MINUTE else 900, START + 1, key="c"),
                        reading(PULSE, 900, at - MINUTE, key="d"),
                        *(
                            reading(SYSTOLIC, count, at + place * pause, key=f"e{place}")
                            for place, count in enumerate(counts)
                        ),
                    ]
                    yield World(protocol_of(pulse, other, both), tuple(found), START - DAY)
