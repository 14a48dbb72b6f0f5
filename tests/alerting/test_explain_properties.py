"""Whatever an alert rests on, what is said of it can be read: no fault, no overlong sentence, no slip of typography."""

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import get_args
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import Evidence, Finding, Priority, Sentence
from alerting.care_protocol import Rule
from alerting.explain import LONGEST, Members, Telling, explain, what_happened, what_is_missing, why_not_higher
from alerting.phrases import LONGEST_CORE
from alerting.rules import Baseline, ChangeRule, Measure, Model, RuleWords, Statistic
from alerting.scheduled_rules import MissingRule, ScoreRule
from devices.reading import Quality, Quantity, Unit, facts
from tests.alerting.tellings import EVERY_RULE, LOW, LOW_SOON, OVER_BASELINE, WORDS, evidence, raised
from tests.alerting.worlds import CGM, DAY, PARIS

ZONES = [PARIS, ZoneInfo("America/St_Johns"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Australia/Lord_Howe")]
LONG = Sentence(fr="é" * 300, en="e" * 300)
FORMS: list[Rule] = [
    *EVERY_RULE,
    *(replace(LOW_SOON, model=model) for model in Model),
    *(replace(OVER_BASELINE, statistic=statistic, short=3, long=14) for statistic in Baseline),
    *(replace(rule, statistic=one) for rule in EVERY_RULE if isinstance(rule, ChangeRule) for one in Statistic),
    *(replace(rule, of=tuple(Quantity), oxygen=True) for rule in EVERY_RULE if isinstance(rule, ScoreRule)),
]
ENGLISH_FORM = re.compile(r"[0-9]\.[0-9]|[0-9]%| per | readings?\b")
BARE_SPACE = re.compile(r" [;:%?!»]|« |[0-9] (?:%|mg|mmol|g/L|kg|mmHg|°C|h\b|min\b|s\b|jours|mesures?|pesées?|points?)")

times = st.integers(946_684_800_000, 4_070_908_800_000)
units = st.fixed_dictionaries(
    {
        quantity: st.sampled_from([facts(quantity).unit, *facts(quantity).conversions, Unit.KILOGRAM])
        for quantity in Quantity
    }
)
titles = st.lists(st.sampled_from([WORDS.title, LONG]), max_size=64)
members = st.builds(Members, true=titles, unknown=titles, false=titles)


@st.composite
def readings(draw: st.DrawFn, quantities: Iterable[Quantity]) -> tuple[Evidence, ...]:
    drawn = []
    for quantity in draw(st.lists(st.sampled_from(sorted(quantities)), max_size=4)):
        known = facts(quantity)
        count = draw(st.integers(known.low, known.high) | st.sampled_from([0, known.low, known.high]))
        quality = Quality(draw(st.sampled_from([0, sum(Quality)]) | st.sampled_from(list(Quality))))
        drawn.append(evidence(quantity, count, draw(times), quality))
    return tuple(drawn)


@st.composite
def findings(draw: st.DrawFn, rule: Rule) -> Finding:
    near = 0 if isinstance(rule, MissingRule) else rule.limits.threshold
    far = 4 * max(1_000, abs(near))
    least = 0 if rule.measure in {Measure.POINTS, Measure.MILLISECONDS} else -far
    return Finding(
        measure=rule.measure.value,
        value=draw(st.none() | st.integers(max(least, near - 3), near + 3) | st.integers(least, far)),
        threshold=draw(st.none() | st.just(near)),
        baseline=draw(st.none() | st.integers(0, facts(rule.quantity).high)),
        readings=draw(st.integers(0, 400)),
        span=draw(st.integers(0, 400 * DAY)),
    )


@st.composite
def tellings(draw: st.DrawFn) -> Telling:
    rule = draw(st.sampled_from(FORMS))
    rule = replace(rule, words=draw(st.sampled_from([WORDS, RuleWords(title=LONG, check=LONG, sources=("paper",))])))
    at = draw(times)
    return Telling(
        rule=rule,
        onset=draw(st.just(at) | st.integers(at - 3 * DAY, at)),
        raised_at=at,
        evidence=draw(readings(rule.inputs)),
        late=draw(st.booleans()),
        withdrawn=draw(st.booleans()),
        finding=draw(st.just(Finding()) | findings(rule)),
        signals=draw(readings(Quantity)),
        lacking=draw(st.lists(st.sampled_from(rule.inputs), unique=True, max_size=4)),
        units=draw(st.just({}) | units),
        members=draw(st.just(Members()) | members),
        weights=draw(st.just({}) | st.dictionaries(st.sampled_from(list(Quantity)), st.integers(-600, 8_000))),
    )


def test_every_kind_of_rule_has_a_sentence_of_its_own() -> None:
    assert {type(rule) for rule in EVERY_RULE} == set(get_args(Rule))
    said = {explain(raised(rule), PARIS).fr for rule in EVERY_RULE}
    assert len(said) == len(EVERY_RULE)


@given(tellings(), st.sampled_from(ZONES))
@settings(max_examples=120, deadline=None)
def test_any_alert_can_be_said_and_read(telling: Telling, zone: ZoneInfo) -> None:
    grave = replace(telling.rule, id="grave", priority=Priority.HIGH)
    rule = replace(telling.rule, priority=Priority.LOW)
    higher = why_not_higher(replace(telling, rule=rule), [rule, grave], members={"grave": telling.members})
    core = what_happened(telling, zone)
    assert higher is not None
    assert max(len(core.fr), len(core.en)) <= LONGEST_CORE
    for sentence in (core, explain(telling, zone), higher, what_is_missing(telling, zone)):
        if sentence is None:
            continue
        assert max(len(sentence.fr), len(sentence.en)) <= LONGEST
        french, english = sentence.fr.replace(LONG.fr, ""), sentence.en.replace(LONG.en, "")
        assert not ENGLISH_FORM.search(french)
        assert not BARE_SPACE.search(french)
        assert "\u00a0" not in english
        assert not re.search(r"[0-9],[0-9]", english)
        assert "{" not in french + english
        assert not re.search(r"-[0-9]", french + english)


@given(st.integers(400, 699), st.sampled_from([(Unit.MG_PER_DL, 10), (Unit.G_PER_L, 1_000)]))
@settings(max_examples=60, deadline=None)
def test_what_is_shown_is_what_was_compared(count: int, shown_in: tuple[Unit, int]) -> None:
    unit, counts = shown_in
    said = explain(raised(LOW, evidence(CGM, count), units={CGM: unit}), PARIS).en
    shown = re.search(r"([0-9.]+) " + unit, said)
    assert shown is not None
    assert Decimal(shown[1]) * counts == count


def test_words_that_leave_no_room_leave_what_to_check_to_its_own_field() -> None:
    long = RuleWords(title=LONG, check=LONG, sources=("paper",))
    alerts = [
        raised(
            replace(EVERY_RULE[-1], words=long),
            members=Members(true=[Sentence(fr="a" * size, en="a" * size)] * 64),
            late=True,
            withdrawn=True,
        )
        for size in range(1, 40)
    ]
    alert = max(alerts, key=lambda one: len(what_happened(one, PARIS).fr))
    told = explain(alert, PARIS)
    assert told.fr.startswith(f"{LONG.fr}\u00a0: {what_happened(alert, PARIS).fr}\u00a0; mesure reçue en retard")
    short = explain(raised(replace(LOW, words=long)), PARIS)
    assert short.fr.endswith(f"à vérifier\u00a0: {LONG.fr}")


def test_titles_cannot_be_taken_for_places_to_fill() -> None:
    words = replace(WORDS, title=Sentence(fr="~ {when} {0}", en="~ {when} {0}"))
    assert explain(raised(replace(LOW, words=words), evidence(CGM, 652)), PARIS).fr.startswith(
        "~ {when} {0}\u00a0: 65,2"
    )
