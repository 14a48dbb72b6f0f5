"""The limits within which a nurse may adapt a pack: [bounds.RULE], both ways, and what lies outside them.

A rule's own value lies within its bounds, both ends included, in the pack and in every protocol that inherits it.

What is not here: what else a protocol may change of its pack (protocol_limits), and how it inherits it (protocol_pack).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from alerting.alert import Sentence
from alerting.care_protocol import Bound, CareProtocol
from alerting.protocol_amounts import Amount, Change, RefusedError
from alerting.protocol_document import Document
from alerting.protocol_expectations import expectation
from alerting.protocol_forms import form_of_rule, key_types, text, value_of
from alerting.protocol_rules import plain
from alerting.protocol_schema import TellingTable, TimingTable, TransmissionTable, convert
from alerting.protocol_values import Duration, duration_said
from alerting.rules import ChangeRule
from alerting.wording import shown_unit
from devices.reading import Quantity, facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A table whose numbers can have bounds.

    Attributes:
        types: of its keys.
        values: as the protocol has them.
        quantity: whose unit its amounts have.
        relative: its changes are counted as shares.
    """

    types: Mapping[str, object]
    values: Mapping[str, object]
    quantity: Quantity
    relative: bool = False

    def text(self, key: str, value: object) -> object:
        """Return a value of a key as a protocol is written."""
        return text(self.types[key], self.quantity, value, relative=self.relative)

    def said(self, key: str, value: object) -> Sentence:
        """Return a value of a key as a reader writes it."""
        kind = self.types[key]
        if isinstance(kind, type) and issubclass(kind, Duration) and isinstance(value, int):
            return duration_said(value)
        written = self.text(key, value)
        shown = ", ".join(map(str, written)) if isinstance(written, list) else str(written)
        if isinstance(kind, type) and issubclass(kind, Amount):
            unit = facts(self.quantity).unit
            shown = shown.removesuffix(unit) + shown_unit(unit) if shown.endswith(f" {unit}") else shown
        shown = "1 point" if shown == "1 points" else shown
        return Sentence(fr=shown, en=shown)


def places(protocol: CareProtocol) -> dict[str, Place]:
    """Return every table of a protocol whose numbers can have bounds, by the name that its bounds have."""
    # These two have no amounts: any quantity serves.
    whatever = Quantity.BODY_WEIGHT
    found = {
        "transmission": Place(
            types=key_types(TransmissionTable),
            values={"not_transmitted_after": protocol.not_transmitted_after},
            quantity=whatever,
        ),
        "telling": Place(
            types=key_types(TellingTable),
            values={key: getattr(protocol.telling, key) for key in ("at_most", "within", "longest_shelf")},
            quantity=whatever,
        ),
    }
    for quantity, timing in protocol.timings.items():
        values = {"cadence": timing.cadence, "gap": timing.gap}
        found[quantity.value] = Place(types=key_types(TimingTable), values=values, quantity=quantity)
    for rule in protocol.rules:
        types = key_types(form_of_rule(rule))
        found[rule.id] = Place(
            types=types,
            values={key: value_of(rule, key) for key in types},
            quantity=rule.quantity,
            relative=isinstance(rule, ChangeRule) and rule.relative,
        )
    return found


def bound_text(protocol: CareProtocol, bound: Bound) -> list[object]:
    """Return both ends of a bound as a protocol is written."""
    place = places(protocol)[bound.rule]
    return [place.text(bound.key, bound.low), place.text(bound.key, bound.high)]


def read_bounds(
    document: Document, tables: Mapping[str, object], protocol: CareProtocol, ids: Collection[str]
) -> tuple[Bound, ...]:
    """Return the bounds that a file gives.

    Args:
        document: the file.
        tables: its [bounds].
        protocol: what else it means; bounds of a rule that could not be read are left out.
        ids: of all rules, those that could not be read included.
    """
    known = places(protocol)
    bounds: list[Bound] = []
    for name, table in tables.items():
        if name not in known:
            if name not in ids:
                document.unknown(("bounds", name), name, known)
        elif not isinstance(table, dict):
            document.fault(("bounds", name), _PAIRS)
        else:
            for key, pair in table.items():
                bound = _bound(document, known[name], (name, key), pair)
                if bound is not None:
                    bounds.append(bound)
    return tuple(bounds)


def _bound(document: Document, place: Place, at: tuple[str, str], pair: object) -> Bound | None:
    name, key = at
    if key not in place.types:
        document.unknown(("bounds", name, key), key, place.types)
        return None
    ends = [_end(place, key, value) for value in pair] if isinstance(pair, list) else []
    try:
        low, high = (end for end in ends if isinstance(end, int) and not isinstance(end, bool))
    except ValueError:
        wrong = next((end for end in ends if isinstance(end, Sentence)), _PAIRS)
        document.fault(("bounds", name, key), wrong)
        return None
    if low > high:
        document.fault(("bounds", name, key), _PAIRS)
        return None
    return Bound(rule=name, key=key, low=low, high=high)


def _end(place: Place, key: str, value: object) -> object:
    """Return one end of a bound as a count, or what to write instead."""
    try:
        converted = convert(value, place.types[key])
        if isinstance(converted, Change) and place.relative:
            return converted.share(place.quantity)
        return converted.counts(place.quantity) if isinstance(converted, Amount) else plain(converted)
    except RefusedError as error:
        return error.why
    except msgspec.ValidationError:
        return expectation(key, place.types[key], value, place.quantity)


def outside(protocol: CareProtocol) -> Iterator[tuple[Bound, Sentence]]:
    """Yield each bound that the protocol's own value lies outside of, and what to say of it."""
    known = places(protocol)
    for bound in protocol.bounds:
        place = known[bound.rule]
        value = place.values.get(bound.key)
        if not isinstance(value, int) or not bound.low <= value <= bound.high:
            low, high = place.said(bound.key, bound.low), place.said(bound.key, bound.high)
            yield (
                bound,
                Sentence(
                    fr=f"hors des limites : de {low.fr} à {high.fr} ; seul le médecin peut les élargir, dans le pack",
                    en=f"outside the bounds: {low.en} to {high.en}; the physician must widen them, in the pack",
                ),
            )


_PAIRS = Sentence(
    fr='écrire la plus petite et la plus grande valeur permises : delta = ["1.5 kg", "3.0 kg"]',
    en='write the least and the greatest value allowed: delta = ["1.5 kg", "3.0 kg"]',
)
