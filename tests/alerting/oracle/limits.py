"""Where a rule's value is beyond, and where it is back."""

from alerting.care_protocol import ValueRule
from alerting.rules import (
    BaselineRule,
    ChangeRule,
    Direction,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    ShareRule,
    Side,
)
from alerting.scheduled_rules import CompositeRule, Concern, MeanRule, QualityRule, ScoreRule


def far(side: Side, value: int, threshold: int) -> bool:
    """Whether a value lies on the far side of a threshold."""
    return {
        Side.BELOW: value < threshold,
        Side.AT_MOST: value <= threshold,
        Side.AT_LEAST: value >= threshold,
        Side.ABOVE: value > threshold,
    }[side]


def beyond(rule: ValueRule, value: int) -> bool:
    """Whether a value raises."""
    side, threshold, _ = _limits(rule)
    return far(side, value, threshold)


def back(rule: ValueRule, value: int) -> bool:
    """Whether a value ends."""
    side, _, end_threshold = _limits(rule)
    return not far(side, value, end_threshold)


def _limits(rule: ValueRule) -> tuple[Side, int, int]:
    match rule:
        case LevelRule() | MeanRule():
            return rule.side, rule.threshold, rule.end_threshold
        case ForecastRule(model=Model.KALMAN):
            return Side.AT_LEAST, rule.probability, rule.end_probability
        case ForecastRule():
            return rule.side, rule.threshold, rule.end_threshold
        case RateRule():
            return _moving(rule.direction, rule.per_minute, rule.end_per_minute)
        case ChangeRule() | BaselineRule():
            return _moving(rule.direction, rule.delta, rule.end_delta)
        case ShareRule():
            return Side.AT_LEAST, rule.share, rule.end_share
        case ScoreRule():
            return Side.AT_LEAST, rule.threshold, rule.end_threshold
        case CompositeRule():
            return Side.AT_LEAST, rule.at_least, rule.at_least
        case QualityRule():
            reached = {
                Concern.FLAGS: rule.times,
                Concern.STUCK: rule.window,
                Concern.JUMP: rule.delta,
                Concern.COMPRESSION_LOW: 1,
            }[rule.concern]
            return Side.AT_LEAST, reached, reached


def _moving(direction: Direction, delta: int, end_delta: int) -> tuple[Side, int, int]:
    if direction is Direction.RISE:
        return Side.AT_LEAST, delta, end_delta
    return Side.AT_MOST, -delta, -end_delta
