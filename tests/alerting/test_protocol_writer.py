"""A protocol written and read back is the same; a spoiled file is refused in words and nothing else happens."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import Audience, Priority, Sentence
from alerting.care_protocol import Bound, CareProtocol, Rule, Signature, Step, TellingPolicy, Timing, canonical
from alerting.errors import ProtocolError
from alerting.protocol_doses import dose_in
from alerting.protocol_file import check_protocol, read_protocol
from alerting.protocol_writer import write_protocol
from alerting.rules import (
    BaselineRule,
    ChangeRule,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    RuleLife,
    RuleWords,
    ShareRule,
)
from alerting.scheduled_rules import MeanRule, MissingRule, QualityRule, ScoreRule
from devices.reading import Quality, Quantity, Unit, facts
from tests.alerting import protocols
from tests.alerting.protocols import DAY, FORMS, HOUR, MINUTE, absence, only_form, packaged, read, shelf
from tests.alerting.test_protocol_kinds import TELLING
from tests.alerting.test_protocol_pack import HEIR, PACK

# A text with a dose in it is refused, which test_protocol_doses holds.
_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda text: not dose_in(text))
_SENTENCE = st.builds(Sentence, fr=_TEXT, en=_TEXT)
_SECONDS = st.integers(1, 86_400).map(lambda seconds: seconds * 1000)
_TIME = st.integers(0, 1439)
_RULES: dict[str, Rule] = {name: protocols.rule(only_form(name), name) for name in FORMS}
_ABSENCES = {rule.quantity: rule for rule in read("".join([protocols.HEAD, *map(absence, Quantity)])).rules}


def below(draw: st.DrawFn, most: int) -> tuple[int, int]:
    """Draw what raises, at least 1 and at most `most`, and what ends, no more than it."""
    first = draw(st.integers(1, most))
    return first, draw(st.integers(1, first))


@st.composite
def varied(draw: st.DrawFn, rule: Rule) -> Rule:
    """Draw a rule of the same form with other numbers that fit together."""
    known = facts(rule.quantity)
    width = known.high - known.low
    rule = replace(
        rule,
        priority=draw(st.sampled_from((Priority.LOW, Priority.MEDIUM))),
        words=RuleWords(title=draw(_SENTENCE), check=draw(_SENTENCE), sources=("paper",)),
        life=RuleLife(
            refractory=draw(_SECONDS),
            per_day=draw(st.integers(0, 100)),
            latched=draw(st.booleans()),
            digest=draw(st.booleans()),
        ),
    )
    match rule:
        case LevelRule():
            low = draw(st.integers(known.low + 1, known.high))
            end = draw(st.integers(low, known.high))
            return replace(rule, threshold=low, end_threshold=end, persist=draw(_SECONDS), end_persist=draw(_SECONDS))
        case RateRule():
            begin, end = below(draw, 2 * width * 1000 * MINUTE // rule.window)
            return replace(rule, per_minute=begin, end_per_minute=end)
        case ForecastRule() if rule.model is Model.KALMAN:
            begin, end = below(draw, 10_000)
            return replace(rule, probability=begin, end_probability=end)
        case ForecastRule():
            low = draw(st.integers(known.low, known.high))
            return replace(rule, threshold=low, end_threshold=draw(st.integers(low, known.high)))
        case ChangeRule():
            begin, end = below(draw, 10_000 if rule.relative else width)
            return replace(rule, delta=begin, end_delta=end, slack=draw(_SECONDS))
        case BaselineRule():
            begin, end = below(draw, 20_000 if rule.expected_sd else width)
            return replace(rule, delta=begin, end_delta=end)
        case ShareRule():
            begin, end = below(draw, 10_000)
            return replace(rule, share=begin, end_share=end)
        case MeanRule():
            high = draw(st.integers(known.low + 1, known.high))
            return replace(rule, threshold=high, end_threshold=draw(st.integers(known.low, high)))
        case MissingRule() if rule.by is not None:
            return replace(rule, by=draw(st.integers(1, 1439)), days=draw(st.integers(1, 127)))
        case MissingRule():
            return replace(rule, grace=draw(_SECONDS), expected=draw(st.integers(3, 400)) * DAY)
        case QualityRule() if rule.flags:
            flags = draw(
                st.sets(st.sampled_from([flag for flag in Quality if flag is not Quality.IMPLAUSIBLE]), min_size=1)
            )
            return replace(rule, flags=Quality(sum(flags)), times=draw(st.integers(1, 100)))
        case QualityRule() if rule.per_minute:
            night = draw(st.lists(_TIME, min_size=2, max_size=2, unique=True))
            return replace(rule, per_minute=draw(st.integers(1, width * 1000)), night=(night[0], night[1]))
        case ScoreRule():
            begin, end = below(draw, 14 if rule.oxygen else 25_000)
            return replace(rule, threshold=begin + 2, end_threshold=end, single=True)
        case _:
            return rule


@st.composite
def care_protocols(draw: st.DrawFn) -> CareProtocol:
    """Draw a protocol without contradictions."""
    names = draw(st.lists(st.sampled_from(tuple(FORMS)), min_size=1, max_size=5, unique=True))
    if "composite" in names:
        names = [*("change", "baseline", "baseline_macd"), *(name for name in names if name not in _MEMBERS)]
    rules = [draw(varied(_RULES[name])) for name in names]
    judged = {quantity for rule in rules for quantity in rule.inputs}
    rules += [_ABSENCES[quantity] for quantity in sorted(judged)]
    cadence = draw(st.integers(180, 360)) * 1000
    glucose = Timing(cadence=cadence, gap=draw(st.integers(2, 20)) * cadence)
    timings = {Quantity.GLUCOSE_INTERSTITIAL: glucose}
    if "forecast_kalman" in names:
        timings[Quantity.GLUCOSE_CAPILLARY] = Timing(cadence=15 * MINUTE, gap=45 * MINUTE)
    weight = [rule for rule in rules if rule.id == "change"]
    return CareProtocol(
        name=draw(st.from_regex(r"[a-z][a-z0-9_]{1,47}", fullmatch=True)),
        version=draw(st.integers(1, 1_000_000)),
        title=draw(_SENTENCE),
        not_transmitted_after=draw(_SECONDS),
        timings=timings,
        rules=tuple(rules),
        sources={"paper": draw(_TEXT)} | dict.fromkeys(draw(st.lists(_TEXT, max_size=2)), "cited"),
        telling=draw(_TELLINGS),
        units=draw(
            st.sampled_from(({}, {Quantity.GLUCOSE_INTERSTITIAL: Unit.G_PER_L, Quantity.BODY_WEIGHT: Unit.POUND}))
        ),
        bounds=tuple(
            Bound(rule=rule.id, key="delta", low=1, high=draw(st.integers(rule.delta, 399_000)))
            for rule in weight
            if isinstance(rule, ChangeRule)
        ),
        keep=tuple(rule.id for rule in weight),
        signatures=tuple(draw(st.lists(_SIGNATURES, max_size=2))),
    )


_MEMBERS = ("change", "baseline", "baseline_macd")
_SIGNATURES = st.builds(
    Signature,
    person=_TEXT,
    role=st.just("nurse"),
    at=st.integers(0, 4_000_000_000_000),
    key=_TEXT,
    signature=_TEXT,
)
_TELLINGS = st.builds(
    TellingPolicy,
    quiet=st.none() | st.lists(_TIME, min_size=2, max_size=2, unique=True).map(lambda pair: (pair[0], pair[1])),
    at_most=st.just(3),
    within=_SECONDS,
    due=st.sampled_from(({}, {Priority.LOW: DAY, Priority.HIGH: MINUTE})),
    steps=st.sampled_from(
        (
            {},
            {
                Priority.HIGH: (
                    Step(after=MINUTE, audience=Audience.NURSE),
                    Step(after=HOUR, audience=Audience.PATIENT_NOW),
                )
            },
        )
    ),
    digest_at=_TIME,
    longest_shelf=_SECONDS,
)


@settings(max_examples=80, deadline=None)
@given(care_protocols())
def test_a_protocol_written_and_read_back_is_the_same(protocol: CareProtocol) -> None:
    text = write_protocol(protocol)
    again = read_protocol(text.encode(), name_hint="written")
    assert again == protocol
    assert write_protocol(again) == text
    assert again.protocol_hash == protocol.protocol_hash


@pytest.mark.parametrize("name", ["diabetes_cgm", "heart_failure"])
def test_a_packaged_protocol_written_and_read_back_is_the_same(name: str) -> None:
    protocol = packaged(name)
    assert read(write_protocol(protocol)) == replace(protocol, pack=None)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_written_and_read_back_is_the_same(name: str) -> None:
    protocol = read(only_form(name) + TELLING)
    assert read(write_protocol(protocol)) == protocol


def test_a_protocol_that_says_nothing_of_telling_is_written_so() -> None:
    protocol = read(only_form("level"))
    assert "[telling]" not in write_protocol(protocol)
    assert read(write_protocol(protocol)) == protocol


def test_the_resolved_protocol_is_what_an_heir_means() -> None:
    heir = read(HEIR + '[adapt.gain]\ndelta = "2.5 kg"\n', service=PACK)
    written = read(write_protocol(heir))
    assert written == replace(heir, pack=None)
    assert written.protocol_hash == heir.protocol_hash


def test_the_hash_of_a_known_protocol_has_not_changed() -> None:
    """What was signed must stay signed: a new hash of an old protocol is a decision, never an accident."""
    protocol = read(HEIR + '[adapt.gain]\ndelta = "2.5 kg"\n', service=PACK)
    assert b'"delta":2500' in canonical(protocol)
    assert protocol.protocol_hash == "c42f0593e766acba46e0867677fbdc45c58110b438448fce267de9e2e80b3346"
    signed = replace(protocol, signatures=(Signature(person="n", role="nurse", at=0, key="k", signature="s"),))
    assert signed.protocol_hash == protocol.protocol_hash


# --- spoiled files ------------------------------------------------------------------------------------------

_IN_THE_PACK = {"change", "change_relative", "level", "forecast_kalman", "quality_stuck", "missing", "missing_by"}
_MORE = "".join(protocols.table(f"{name}_too", text) for name, text in FORMS.items() if name not in _IN_THE_PACK)
_EVERYTHING = (
    PACK
    + _MORE.replace('"change", "baseline", "baseline_macd"', '"gain", "baseline_too"')
    + "".join(absence(one) for one in ("blood_pressure_systolic", "spo2", "pulse_rate", "body_temperature"))
    + TELLING[TELLING.index("[units]") :]
)
_HEIR = (
    HEIR
    + 'remove = ["loss"]\nkeep = ["low"]\n[adapt.gain]\ndelta = "2.5 kg"\n[telling]\ndue = { high = "10 min" }\n'
    + '[[telling.steps]]\npriority = "low"\nafter = "1 h"\naudience = "nurse"\n'
    + '[bounds.gain]\ndelta = ["2 kg", "3 kg"]\n'
    + '[quantities.glucose_interstitial]\ncadence = "6 min"\n[transmission]\nnot_transmitted_after = "3 h"\n'
    + protocols.table("mine", FORMS["baseline_ewma"].replace("2.0 kg", "3.0 kg"))
)
_VALUES = st.sampled_from(
    (
        "3",
        "-1",
        "[]",
        "{}",
        '""',
        '"x"',
        "nan",
        "1e400",
        "9" * 400,
        "true",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "07:00:00",
        "[{ a = 1 }]",
        "[[1], 2]",
        '{ fr = "a", en = 3 }',
        '["22:00", "07:00", "08:00"]',
        '"999999.999999 kg"',
        '"-0 mg/dL"',
        '"999999 weeks"',
        '"0 s"',
        '"٣ kg"',
        '["gain", "gain"]',
        '"mine.toml"',
        '"service"',
    )
)


@st.composite
def spoiled(draw: st.DrawFn, text: str) -> str:
    """Draw a text with a few of its lines changed."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(lines) - 1))
        key, equals, value = lines[place].partition("=")
        other = lines[draw(st.integers(0, len(lines) - 1))]
        spoiled = ("", other, f"{key}{equals}{draw(_VALUES)}", value, f"{key}={other.partition('=')[2]}")
        lines[place] = draw(st.sampled_from((*spoiled, lines[place] + draw(st.text(max_size=3)))))
    return "\n".join(lines)


def test_what_is_spoiled_was_sound() -> None:
    assert protocols.faults(_EVERYTHING) == ()
    assert protocols.faults(_HEIR, service=_EVERYTHING) == ()


@settings(max_examples=150, deadline=None)
@given(spoiled(_EVERYTHING), spoiled(_HEIR), st.booleans())
def test_spoiled_files_and_spoiled_packs_are_read_or_refused(pack: str, heir: str, own: bool) -> None:  # noqa: FBT001
    text = (pack if own else heir).encode("utf-8", "replace")
    with contextlib.suppress(ProtocolError):
        assert read_protocol(text, name_hint="spoiled", packs=shelf({"service": pack, "mine.toml": heir})).rules


@settings(max_examples=100, deadline=None)
@given(spoiled(_HEIR))
def test_what_a_spoiled_heir_means_stays_within_the_limits_of_its_pack(heir: str) -> None:
    checked = check_protocol(heir.encode("utf-8", "replace"), packs=shelf({"service": PACK}))
    if checked.protocol is not None and checked.protocol.pack is not None:
        gain = next(rule for rule in checked.protocol.rules if rule.id == "gain")
        assert isinstance(gain, ChangeRule)
        assert 1500 <= gain.delta <= 3000
        assert {"no_weight", "no_glucose_interstitial"} <= {rule.id for rule in checked.protocol.rules}
        assert checked.protocol.not_transmitted_after <= 12 * HOUR


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_protocol_are_refused(data: bytes) -> None:
    assert check_protocol(data).faults
