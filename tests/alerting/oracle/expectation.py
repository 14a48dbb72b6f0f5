"""A protocol and everything that was measured in, the alerts that hold out."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from alerting.care_protocol import CareProtocol, Rule, ValueRule
from alerting.rules import (
    BaselineRule,
    ChangeRule,
    ForecastRule,
    LevelRule,
    RateRule,
    ShareRule,
    Statistic,
)
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Reading
from tests.alerting.oracle import (
    baseline,
    change,
    composite,
    forecast,
    heart_failure,
    level,
    mean,
    news2,
    quality,
    rate,
    share,
)
from tests.alerting.oracle.composite import Told
from tests.alerting.oracle.episodes import Expected, History, Step, episodes, latest, moment_of
from tests.alerting.oracle.missing import absences
from tests.alerting.oracle.reach import reach
from tests.alerting.oracle.sight import Setting, looked_at, unique

ReadingRule = (
    LevelRule | RateRule | ForecastRule | ChangeRule | BaselineRule | ShareRule | MeanRule | QualityRule | ScoreRule
)

PARIS = ZoneInfo("Europe/Paris")


def expected_alerts(
    protocol: CareProtocol, readings: Sequence[Reading], *, since: int, until: int, zone: ZoneInfo = PARIS
) -> list[Expected]:
    """Return every alert that holds once all of `readings` are known and time has gone to `until`, sorted."""
    alerts, _ = _judge(protocol, readings, since, until, zone)
    return sorted(alerts, key=lambda one: (one.raised_at, one.rule, one.onset))


def expected_values(
    protocol: CareProtocol,
    readings: Sequence[Reading],
    rule_id: str,
    zone: ZoneInfo = PARIS,
    *,
    since: int | None = None,
) -> list[int | None]:
    """Return the value of a rule at each reading that it looks at, in canonical order."""
    times = [one.measured_at for one in readings] or [0]
    _, told = _judge(protocol, readings, min(times) if since is None else since, max(times), zone)
    return [step.value for step in told.histories[rule_id] if step.reading is not None]


def _judge(
    protocol: CareProtocol, readings: Sequence[Reading], since: int, until: int, zone: ZoneInfo
) -> tuple[list[Expected], Told]:
    setting = Setting(protocol.timings, zone)
    near = [one for one in unique(readings) if one.measured_at >= since - reach(protocol.rules, one, setting)]
    newest = max([until, since, *(one.measured_at for one in near)])
    alerts: list[Expected] = []
    told = Told()
    for rule in protocol.rules:
        mine = [one for one in near if looked_at(rule, one, protocol.rules)]
        if isinstance(rule, MissingRule):
            told.absences[rule.id] = absences(rule, mine, setting, since=since, newest=newest)
            alerts += [one.alert(rule.id) for one in told.absences[rule.id]]
            continue
        steps = _steps(rule, mine, setting, protocol.rules, told)
        found, told.histories[rule.id] = _episodes(rule, mine, steps, setting, since)
        alerts += found
    return alerts, told


def _steps(
    rule: ValueRule, readings: Sequence[Reading], setting: Setting, rules: Sequence[Rule], told: Told
) -> list[Step]:
    if isinstance(rule, CompositeRule):
        return composite.steps(rule, rules, readings, told)
    values = _values(rule, readings, setting)
    return [Step(moment_of(one), one, value) for one, value in zip(readings, values, strict=True)]


def _values(rule: ReadingRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    match rule:
        case LevelRule():
            return level.values(rule, readings, setting)
        case RateRule():
            return rate.values(rule, readings, setting)
        case ForecastRule():
            return forecast.values(rule, readings, setting)
        case ChangeRule():
            return change.values(rule, readings, setting)
        case BaselineRule():
            return baseline.values(rule, readings, setting)
        case ShareRule():
            return share.values(rule, readings, setting)
        case MeanRule():
            return mean.values(rule, readings, setting)
        case QualityRule():
            return quality.values(rule, readings, setting)
        case ScoreRule(score=Score.NEWS2):
            return news2.values(rule, readings, setting)
        case ScoreRule():
            return heart_failure.values(rule, readings, setting)


def _episodes(
    rule: ValueRule, readings: Sequence[Reading], steps: Sequence[Step], setting: Setting, since: int
) -> tuple[list[Expected], History]:
    def evidence(run: Sequence[Step]) -> Sequence[Reading]:
        last = run[-1].reading
        if isinstance(rule, ChangeRule) and rule.statistic is not Statistic.MEAN and last is not None:
            compared = change.reference(rule, readings, readings.index(last), setting)
            return [last] if compared is None else [compared, last]
        return latest(run)

    return episodes(rule, steps, setting=setting, since=since, evidence=evidence)
