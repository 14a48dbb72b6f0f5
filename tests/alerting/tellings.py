"""One rule of every kind, and alerts of them as the engine tells them, for the tests of the sentences."""

from collections.abc import Iterable, Sequence
from typing import Final

from alerting.alert import Audience, Evidence, Finding, Priority, Sentence
from alerting.care_protocol import Rule
from alerting.explain import Telling, explain
from alerting.rules import (
    Baseline,
    BaselineRule,
    ChangeRule,
    Direction,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    RuleWords,
    ShareRule,
    Side,
    Statistic,
)
from alerting.scheduled_rules import (
    CompositeRule,
    Concern,
    MeanRule,
    MissingRule,
    QualityRule,
    Score,
    ScoreRule,
)
from devices.reading import Quality, Quantity
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, PARIS, START, SYSTOLIC, WEIGHT

TITLE: Final = Sentence(fr="Titre", en="Title")
WORDS: Final = RuleWords(title=TITLE, check=Sentence(fr="voir", en="look"), sources=("paper",))


def words(fr: str, en: str) -> RuleWords:
    """Return what a rule is called."""
    return RuleWords(title=Sentence(fr=fr, en=en), check=WORDS.check, sources=WORDS.sources)


LOW = LevelRule(
    id="low", quantity=CGM, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    side=Side.BELOW, threshold=700, end_threshold=700, persist=15 * MINUTE,
)  # fmt: skip
FALLING = RateRule(
    id="falling", quantity=CGM, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    direction=Direction.FALL, per_minute=30_000, end_per_minute=20_000, window=15 * MINUTE,
)  # fmt: skip
LOW_SOON = ForecastRule(
    id="low_soon", quantity=CGM, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    model=Model.HOLT_AR2, side=Side.BELOW, threshold=700, end_threshold=700, horizon=20 * MINUTE,
)  # fmt: skip
LOW_RISK = ForecastRule(
    id="low_risk", quantity=CGM, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    model=Model.KALMAN, side=Side.BELOW, threshold=700, end_threshold=700, horizon=20 * MINUTE,
    probability=5_000, end_probability=4_000,
)  # fmt: skip
GAIN = ChangeRule(
    id="gain", quantity=WEIGHT, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    direction=Direction.RISE, delta=2_000, end_delta=1_000, window=3 * DAY, slack=12 * HOUR, statistic=Statistic.LOWEST,
)  # fmt: skip
LOSS = ChangeRule(
    id="loss", quantity=WEIGHT, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    direction=Direction.FALL, delta=500, end_delta=400, window=30 * DAY, statistic=Statistic.HIGHEST, relative=True,
)  # fmt: skip
OVER_BASELINE = BaselineRule(
    id="over_baseline", quantity=WEIGHT, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    statistic=Baseline.MEAN, direction=Direction.RISE, delta=2_000, end_delta=1_500, window=28 * DAY,
)  # fmt: skip
LONG_HIGH = ShareRule(
    id="long_high", quantity=CGM, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    side=Side.ABOVE, threshold=2_500, share=7_500, end_share=5_000, window=120 * MINUTE, min_readings=18,
)  # fmt: skip
HOME_PRESSURE = MeanRule(
    id="home_pressure", quantity=SYSTOLIC, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    side=Side.AT_LEAST, threshold=1_350, end_threshold=1_350, days=7, occasions=((360, 600), (1_080, 1_320)),
    per_occasion=2, drop_first=True, min_readings=12,
)  # fmt: skip
NO_WEIGHT = MissingRule(
    id="no_weight", quantity=WEIGHT, priority=Priority.LOW, audience=Audience.NURSE, words=WORDS,
    expected=24 * HOUR, grace=12 * HOUR,
)  # fmt: skip
NO_MORNING_WEIGHT = MissingRule(
    id="no_morning_weight", quantity=WEIGHT, priority=Priority.LOW, audience=Audience.NURSE, words=WORDS,
    expected=0, grace=HOUR, by=11 * 60,
)  # fmt: skip
LOOSE_CUFF = QualityRule(
    id="loose_cuff", quantity=SYSTOLIC, priority=Priority.LOW, audience=Audience.NURSE, words=WORDS,
    concern=Concern.FLAGS, flags=Quality.CUFF_TOO_LOOSE | Quality.BODY_MOVEMENT,
)  # fmt: skip
STUCK = QualityRule(
    id="stuck", quantity=CGM, priority=Priority.LOW, audience=Audience.NURSE, words=WORDS,
    concern=Concern.STUCK, window=2 * HOUR,
)  # fmt: skip
JUMP = QualityRule(
    id="jump", quantity=CGM, priority=Priority.LOW, audience=Audience.NURSE, words=WORDS,
    concern=Concern.JUMP, window=10 * MINUTE, delta=400,
)  # fmt: skip
COMPRESSION = QualityRule(
    id="compression", quantity=CGM, priority=Priority.LOW, audience=Audience.NURSE, words=WORDS,
    concern=Concern.COMPRESSION_LOW, window=HOUR, per_minute=5_000,
)  # fmt: skip
NEWS2 = ScoreRule(
    id="news2", quantity=Quantity.SPO2, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    score=Score.NEWS2, of=(Quantity.SPO2, SYSTOLIC, Quantity.PULSE_RATE, Quantity.BODY_TEMPERATURE),
    threshold=5, end_threshold=5, freshness=12 * HOUR,
)  # fmt: skip
HEART = ScoreRule(
    id="heart", quantity=WEIGHT, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    score=Score.HEART_FAILURE, of=(WEIGHT, Quantity.HEART_RATE, Quantity.SPO2, SYSTOLIC),
    threshold=5_650, end_threshold=4_000, freshness=36 * HOUR,
)  # fmt: skip
TOGETHER = CompositeRule(
    id="together", quantity=WEIGHT, priority=Priority.MEDIUM, audience=Audience.NURSE, words=WORDS,
    of=("gain", "low_saturation", "fast_pulse"), at_least=2, window=24 * HOUR,
    of_quantities=(WEIGHT, Quantity.SPO2, Quantity.PULSE_RATE),
)  # fmt: skip

EVERY_RULE: Sequence[Rule] = (
    LOW, FALLING, LOW_SOON, LOW_RISK, GAIN, LOSS, OVER_BASELINE, LONG_HIGH, HOME_PRESSURE, NO_WEIGHT,
    NO_MORNING_WEIGHT, LOOSE_CUFF, STUCK, JUMP, COMPRESSION, NEWS2, HEART, TOGETHER,
)  # fmt: skip


def evidence(quantity: Quantity, count: int, at: int = START, quality: Quality = Quality.NONE) -> Evidence:
    """Return a reading that an alert rests on."""
    return Evidence(
        quantity=quantity, count=count, measured_at=at, received_at=at, device="d", key="k", quality=int(quality)
    )


def finding(rule: Rule, value: int, *, baseline: int | None = None, readings: int = 0, span: int = 0) -> Finding:
    """Return the numbers of an alert as the engine gives them."""
    threshold = None if isinstance(rule, MissingRule) else rule.limits.threshold
    return Finding(
        measure=rule.measure.value, value=value, threshold=threshold, baseline=baseline, readings=readings, span=span
    )


def read(text: str) -> str:
    """Return a French text with "~" for each space that no line may break at."""
    return text.replace("\u00a0", "~")


def told(telling: Telling) -> tuple[str, str]:
    """Return what an alert says in French and in English, without the words that every test rule has."""
    sentence = explain(telling, PARIS)
    french = read(sentence.fr).removeprefix("Titre~: ").removesuffix("~; à vérifier~: voir")
    return french, sentence.en.removeprefix("Title: ").removesuffix("; to check: look")


def raised(rule: Rule, *shown: Evidence, onset: int | None = None, **more: object) -> Telling:
    """Return an alert raised by the last of the readings shown, begun then too unless said otherwise."""
    at = max((one.measured_at for one in shown), default=START)
    return Telling(rule=rule, onset=at if onset is None else onset, raised_at=at, evidence=shown, **more)  # type: ignore[arg-type]


def titled(*names: str) -> list[Sentence]:
    """Return titles, the same in both languages."""
    return [Sentence(fr=name, en=name) for name in names]


def series(quantity: Quantity, counts: Iterable[int], step: int = 5 * MINUTE) -> tuple[Evidence, ...]:
    """Return readings one each `step` ms from START on."""
    return tuple(evidence(quantity, count, START + index * step) for index, count in enumerate(counts))
