"""CareProtocol: what the nurse coordinator set and the physician limits, resolved and checked.

Rules of this room:

- A threshold is an integer count of its rule's measure; a duration is milliseconds; a time of day is minutes after
  midnight in the patient's time zone.
- A rule is data (`rules`, `scheduled_rules`); its comparisons are exact.
- Telling that nothing arrives is mandatory (arrêté of 22 June 2023): a protocol without it is refused.

What is not here: reading the file (protocol_file), what does not fit together (contradictions), and judging (engine).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from alerting.alert import Audience, Priority, Sentence
from alerting.rules import BaselineRule, ChangeRule, ForecastRule, LevelRule, RateRule, ShareRule
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, QualityRule, ScoreRule
from devices.reading import SYMPTOMS, Quantity, Unit

ValueRule = (
    LevelRule
    | RateRule
    | ForecastRule
    | ChangeRule
    | BaselineRule
    | ShareRule
    | MeanRule
    | QualityRule
    | ScoreRule
    | CompositeRule
)
"""A rule with a value and limits."""

Rule = ValueRule | MissingRule

_NOT_JUDGED = ("signatures", "pack", "bounds", "keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a quantity is measured.

    Attributes:
        cadence: ms between two readings of a regular sensor; 0 when it is measured now and then.
        gap: ms; a silence longer than this breaks a run that was still waiting to persist.
    """

    cadence: int
    gap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Who is told when nobody has seen an alert `after` ms."""

    after: int
    audience: Audience


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingPolicy:
    """When and to whom alerts are told; raising them is not changed by it.

    Attributes:
        quiet: (from inclusive, to exclusive) minutes after local midnight, may pass midnight, in which low and medium
            alerts wait; None for none. A high alert never waits.
        at_most: low and medium alerts of the patient told within any `within` ms, the others suppressed; 0: no limit.
        within: ms.
        due: priority -> ms within which somebody must look.
        steps: priority -> whom else to tell, in order of `after`.
        digest_at: minutes after local midnight at which the rules of a digest are told.
        longest_shelf: ms; no alert is set aside for longer.
    """

    quiet: tuple[int, int] | None = None
    at_most: int = 0
    within: int = 0
    due: Mapping[Priority, int] = field(default_factory=dict)
    steps: Mapping[Priority, tuple[Step, ...]] = field(default_factory=dict)
    digest_at: int = 8 * 60
    longest_shelf: int = 7 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Between which values (inclusive, in the field's own unit) a nurse may set a field of a rule.

    Attributes:
        rule: id of the rule; "transmission", "telling" or a quantity for the keys of those tables.
        key: as a protocol file writes it.
        low: least.
        high: greatest.
    """

    rule: str
    key: str
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A person's signature over the protocol's hash; checked where keys are known, not here."""

    person: str
    role: str
    at: int
    key: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CareProtocol:
    """One protocol, resolved.

    Attributes:
        name: without its version; part of alert ids.
        version: counts up from 1.
        title: what the protocol is for.
        not_transmitted_after: ms without anything received after which the team's side raises an alert by itself.
        timings: of the quantities measured by a regular sensor.
        rules: in the order of the file, which is the canonical order of alerts at the same time.
        sources: key -> citation.
        telling: when and to whom alerts are told.
        units: in which unit a quantity is shown; its canonical one where it is not named.
        pack: name and version of the pack it inherits, None for a pack itself.
        bounds: within which a nurse may adapt it.
        keep: ids of rules that a protocol inheriting this one may not remove.
        signatures: over its hash.
    """

    name: str
    version: int
    title: Sentence
    not_transmitted_after: int
    timings: dict[Quantity, Timing]
    rules: tuple[Rule, ...]
    sources: dict[str, str]
    telling: TellingPolicy = TellingPolicy()
    units: Mapping[Quantity, Unit] = field(default_factory=dict)
    pack: str | None = None
    bounds: tuple[Bound, ...] = ()
    keep: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()

    @property
    def protocol_hash(self) -> str:
        """SHA-256 of the canonical JSON of the resolved protocol, hexadecimal."""
        return hashlib.sha256(canonical(self)).hexdigest()

    @property
    def asked(self) -> frozenset[Quantity]:
        """What of the quantities that it judges only a person's answers give: no box has them, the team judges them."""
        return frozenset(quantity for rule in self.rules for quantity in rule.inputs if quantity in SYMPTOMS)


def canonical(protocol: CareProtocol) -> bytes:
    """Return the canonical JSON of a resolved protocol: sorted keys, no spaces, UTF-8, quanta and milliseconds.

    Signatures are left out, and where it was inherited from: only what is judged and said counts.
    """
    document = {
        field.name: _plain(getattr(protocol, field.name)) for field in fields(protocol) if field.name not in _NOT_JUDGED
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: object) -> object:
    """Return dataclasses as tables that name their class, everything else as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        named: dict[str, object] = {"is": type(value).__name__}
        return named | {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
