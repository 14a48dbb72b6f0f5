"""What the rules mean, written as slowly and plainly as possible, sharing no code with the engine.

One file a kind, each with `values`: what a rule is worth at each reading that it looks at, None where it has no value.
Everything is taken from the words of `alerting.rules` and `alerting.scheduled_rules`: fractions and whole numbers where
the rule is exact, Python's own floats and `math` where it is not, and the calendar of `zoneinfo`.

    expected_alerts(protocol, readings, since=begun, until=now)
    expected_values(protocol, readings, "weight_macd")
"""

from tests.alerting.oracle.episodes import Expected
from tests.alerting.oracle.expectation import expected_alerts, expected_values

__all__ = ["Expected", "expected_alerts", "expected_values"]
