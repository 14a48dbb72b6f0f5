"""What a protocol that inherits a pack may do with it, and everything that it does beyond that.

Besides changing what is said about a rule, it may

- set a number anywhere within the pack's bounds for it;
- set an `end_*` key that has no bounds itself when the key it ends has: it is kept on its right side anyway;
- ask for more: a higher priority, an alert that stays until seen, a reading expected sooner, a shorter time before
  somebody must look, fewer alerts held back;
- add rules and remove rules, but none that tells an absence, and none that the pack keeps.

Anything else is the physician's, in the pack. In particular nothing here makes an alert of the pack quieter.

What is not here: bounds themselves (protocol_bounds), and what is refused while inheriting (protocol_pack).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from alerting.alert import Priority, Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_bounds import Place, places
from alerting.protocol_forms import WORDS
from alerting.scheduled_rules import MissingRule

_RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}
_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """Something that the pack does not let be done.

    Attributes:
        table: id of the rule, or "transmission", "telling", a quantity.
        key: in that table.
        message: what is wrong and who can allow it.
    """

    table: str
    key: str
    message: Sentence


def beyond(pack: CareProtocol, protocol: CareProtocol) -> Iterator[Beyond]:
    """Yield what a protocol does beyond what its pack lets it do, values outside bounds left out."""
    adapted = places(protocol)
    for name, place in places(pack).items():
        if name in adapted:
            yield from _place(pack, name, place, adapted[name])
    yield from _bounds(pack, protocol)
    yield from _telling(pack, protocol)
    yield from _added(pack, protocol)


def _place(pack: CareProtocol, name: str, before: Place, after: Place) -> Iterator[Beyond]:
    bounded = {bound.key for bound in pack.bounds if bound.rule == name}
    free = {*WORDS, *bounded, *(f"end_{key}" for key in bounded)}
    if any(rule.id == name and isinstance(rule, MissingRule) for rule in pack.rules):
        asks_more = {**_ASKS_MORE, **_MISSED_SOONER}
    else:
        asks_more = dict(_ASKS_MORE)
    for key in sorted((before.values.keys() | after.values.keys()) - free):
        old, new = before.values.get(key), after.values.get(key)
        if old != new and (None in (old, new) or key not in asks_more or not asks_more[key](old, new)):
            shown = before.said(key, old) if key in before.types and old is not None else None
            yield Beyond(table=name, key=key, message=_fixed(name, key, shown))


def _bounds(pack: CareProtocol, protocol: CareProtocol) -> Iterator[Beyond]:
    """Bounds of the pack can be made narrower, never wider."""
    given = {(bound.rule, bound.key): bound for bound in pack.bounds}
    theirs = places(pack)
    for bound in protocol.bounds:
        if bound.rule in theirs:
            before = given.get((bound.rule, bound.key))
            if before is None or not before.low <= bound.low <= bound.high <= before.high:
                yield Beyond(table=f"bounds.{bound.rule}", key=bound.key, message=_NARROWER)


def _telling(pack: CareProtocol, protocol: CareProtocol) -> Iterator[Beyond]:
    before, after = pack.telling, protocol.telling
    if before.quiet != after.quiet and not _quieter_less(before.quiet, after.quiet):
        yield Beyond(table="telling", key="quiet", message=_QUIET)
    for priority, due in before.due.items():
        if after.due.get(priority, due) > due:
            yield Beyond(table="telling.due", key=priority.value, message=_LATER)
    for priority, steps in before.steps.items():
        if after.steps.get(priority) != steps:
            yield Beyond(table="telling", key="steps", message=_STEPS)


def _quieter_less(before: tuple[int, int] | None, after: tuple[int, int] | None) -> bool:
    """Return whether every quiet minute after was quiet before."""
    if before is None or after is None:
        return after is None
    begin, end = ((minute - before[0]) % _DAY for minute in after)
    return begin < end <= (before[1] - before[0]) % _DAY


def _added(pack: CareProtocol, protocol: CareProtocol) -> Iterator[Beyond]:
    ids = {rule.id for rule in pack.rules}
    for rule in protocol.rules:
        if rule.id not in ids and ids.intersection(rule.life.absorbs):
            yield Beyond(table=rule.id, key="absorbs", message=_ABSORBS)
    judged = {quantity for rule in pack.rules for quantity in rule.inputs}
    for quantity in sorted((protocol.timings.keys() - pack.timings.keys()) & judged):
        yield Beyond(table=quantity.value, key="cadence", message=_fixed(quantity.value, "cadence", None))


def _fixed(table: str, key: str, shown: Sentence | None) -> Sentence:
    fr, en = (f" ({shown.fr})", f" ({shown.en})") if shown is not None else ("", "")
    return Sentence(
        fr=f"le pack fixe cette valeur{fr} sans donner de limites : seul le médecin peut en donner, dans le pack, sous "
        f"[bounds.{table}] {key}",
        en=f"the pack fixes this value{en} and gives no bounds: only the physician can give some, in the pack, under "
        f"[bounds.{table}] {key}",
    )


_ASKS_MORE: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "priority": lambda before, after: _RANK[after] > _RANK[before],
        "latched": lambda _, after: after,
        "digest": lambda _, after: not after,
        "refractory": lambda before, after: after < before,
        "per_day": lambda before, after: after == 0 or 0 < before < after,
        "absorbs": lambda before, after: set(after) <= set(before),
        "not_transmitted_after": lambda before, after: after < before,
        "longest_shelf": lambda before, after: after < before,
    }
)
"""Key -> whether setting it so tells more, or sooner, than before."""

_MISSED_SOONER: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "expected": lambda before, after: after < before,
        "grace": lambda before, after: after < before,
        "by": lambda before, after: after < before,
        "on": lambda before, after: before & ~after == 0,
    }
)
"""The same of a missing rule."""

_NARROWER = Sentence(
    fr="ici les limites du pack ne peuvent qu'être resserrées : seul le médecin peut les élargir, dans le pack",
    en="here the pack's bounds can only be made narrower: the physician must widen them, in the pack",
)
_QUIET = Sentence(
    fr="les heures calmes du pack ne peuvent qu'être raccourcies : seul le médecin peut les allonger, dans le pack",
    en="the pack's quiet hours can only be made shorter: only the physician can lengthen them, in the pack",
)
_LATER = Sentence(
    fr="ce délai ne peut qu'être raccourci : seul le médecin peut l'allonger, dans le pack",
    en="this time can only be made shorter: only the physician can lengthen it, in the pack",
)
_STEPS = Sentence(
    fr="le pack fixe déjà les étapes de cette priorité : en ajouter pour une autre, ou les changer dans le pack",
    en="the pack already fixes the steps of this priority: add some for another one, or change them in the pack",
)
_ABSORBS = Sentence(
    fr="une règle ajoutée ne peut pas faire taire une règle du pack : enlever son id de absorbs",
    en="a rule that was added cannot silence a rule of the pack: remove its id from absorbs",
)
