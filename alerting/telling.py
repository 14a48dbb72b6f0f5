"""Telling: what is to be told of one alert, as the engine knows it.

What is not here: the words (explain).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alerting.alert import Evidence, Finding, Sentence
from alerting.care_protocol import Rule
from devices.reading import Quantity, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """How the members of a composite rule stood: the titles of those true, of those unknown, of those false."""

    true: Sequence[Sentence] = ()
    unknown: Sequence[Sentence] = ()
    false: Sequence[Sentence] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is to be told of one alert; times in ms UTC.

    Attributes:
        rule: the rule that raised it.
        onset: when it began.
        raised_at: when the rule was satisfied.
        evidence: the readings it rests on, oldest first.
        late: it came from readings that arrived after their time.
        withdrawn: readings that arrived after their time do not bear it out.
        finding: the numbers, as the rule compared them.
        signals: the newest reading up to `raised_at` of each other quantity of the protocol.
        lacking: quantities of the rule without a fresh reading at `raised_at`.
        units: in which unit the reader wants a quantity; its canonical one where it is not named.
        members: of a composite rule.
        weights: what each input added to a HEART_FAILURE score at `raised_at`, in thousandths; empty when not known.
    """

    rule: Rule
    onset: int
    raised_at: int
    evidence: Sequence[Evidence]
    late: bool = False
    withdrawn: bool = False
    finding: Finding = field(default_factory=Finding)
    signals: Sequence[Evidence] = ()
    lacking: Sequence[Quantity] = ()
    units: Mapping[Quantity, Unit] = field(default_factory=dict)
    members: Members = Members()
    weights: Mapping[Quantity, int] = field(default_factory=dict)
