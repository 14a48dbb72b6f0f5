"""TOML bytes -> CareProtocol, or every fault at once in words a nurse can act on.

What is not here: where protocol files lie, and who signed them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.contradictions import contradictions
from alerting.errors import Fault, ProtocolError
from alerting.protocol_bounds import outside, read_bounds
from alerting.protocol_document import Document
from alerting.protocol_limits import beyond
from alerting.protocol_pack import inherit
from alerting.protocol_rules import RuleReader, sentence
from alerting.protocol_schema import FileTable, PackName, TransmissionTable, convert
from alerting.protocol_telling import read_signatures, read_telling, read_timings, read_units
from alerting.rule_checks import Contradiction
from alerting.rule_conflicts import conflicts
from alerting.toml_lines import Path
from devices.reading import Quantity

Packs = Callable[[str], bytes]
"""Name of a pack -> the bytes of its file. Raises LookupError when there is none of that name."""

_DEEPEST = 4
"""So many packs may inherit one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is to be said of a protocol file.

    Attributes:
        protocol: what it means, None when it has faults.
        faults: why it is refused, in the order of the file.
        remarks: what is allowed and probably not meant, in the order of the file.
    """

    protocol: CareProtocol | None
    faults: tuple[Fault, ...]
    remarks: tuple[Fault, ...]


def no_packs(name: str) -> bytes:
    """Find no pack.

    Raises:
        LookupError: always.
    """
    raise LookupError(name)


def read_protocol(data: bytes, *, name_hint: str, packs: Packs = no_packs) -> CareProtocol:
    """Read a protocol file.

    Args:
        data: the bytes of a TOML file, UTF-8.
        name_hint: what to call the file when it is at fault.
        packs: finds the pack that the file inherits.

    Raises:
        ProtocolError: something is wrong; it carries every fault.
    """
    checked = check_protocol(data, packs=packs)
    if checked.protocol is None:
        raise ProtocolError(name_hint, checked.faults)
    return checked.protocol


def check_protocol(data: bytes, *, packs: Packs = no_packs) -> Checked:
    """Read a protocol file and say everything that there is to say about it."""
    document, protocol = _resolve(data, packs, ())
    faults, remarks = _in_order(document.faults), _in_order(document.remarks)
    return Checked(protocol=None if faults else protocol, faults=faults, remarks=remarks)


def _in_order(found: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(found, key=lambda fault: fault.line or 0))


def _resolve(data: bytes, packs: Packs, heirs: tuple[str, ...]) -> tuple[Document, CareProtocol | None]:
    """Return a file with its pack inlined, and what it means as far as it could be read."""
    document = Document.parse(data)
    if document.faults:
        return document, None
    if "pack" not in document.content:
        for key in ("adapt", "remove"):
            if key in document.content:
                document.fault((key,), _WITHOUT_PACK)
                del document.content[key]
        return document, _read(document, None)
    found = _pack(document, packs, heirs)
    if found is None:
        return document, None
    pack_document, pack = found
    heir = inherit(document, pack_document)
    return heir, _read(heir, pack)


def _pack(document: Document, packs: Packs, heirs: tuple[str, ...]) -> tuple[Document, CareProtocol] | None:
    """Return the pack that a file inherits, None when there is no such or it is at fault."""
    try:
        name = str(convert(document.content["pack"], PackName))
        if name in heirs or len(heirs) == _DEEPEST:
            document.fault(("pack",), _CIRCLE)
            return None
        data = packs(name)
    except (msgspec.ValidationError, LookupError):
        document.fault(("pack",), _NO_PACK)
        return None
    pack, protocol = _resolve(data, packs, (*heirs, name))
    for fault in _in_order(pack.faults):
        place = " ".join(part for part in (fault.key, f"(l. {fault.line})" if fault.line else "") if part)
        document.fault(
            ("pack",),
            Sentence(fr=f"dans {name}, {place} : {fault.message.fr}", en=f"in {name}, {place}: {fault.message.en}"),
        )
    return None if protocol is None or pack.faults else (pack, protocol)


def _read(document: Document, pack: CareProtocol | None) -> CareProtocol:
    """Return the protocol as far as it could be read; what could not has left a fault."""
    header = document.table(document.content, FileTable, ()).values
    transmission = document.subtable("transmission", TransmissionTable).values
    timings = read_timings(document, header.get("quantities", {}))
    sources: dict[str, str] = header.get("sources", {})
    reader = RuleReader(document, sources)
    reader.read(header.get("rules", []))
    silence = transmission.get("not_transmitted_after")
    protocol = CareProtocol(
        name=header.get("name", ""),
        version=header.get("version", 0),
        title=sentence(header["title"]) if "title" in header else Sentence(fr="", en=""),
        not_transmitted_after=silence.ms if silence else 0,
        timings=timings,
        rules=tuple(rule for _, rule in reader.rules),
        sources=sources,
        telling=read_telling(document),
        units=read_units(document, header.get("units", {})),
        pack=None if pack is None else f"{pack.name} {pack.version}",
        keep=tuple(header.get("keep", ())),
        signatures=read_signatures(document, header.get("signatures", [])),
    )
    _judge(document, protocol, reader)
    places: dict[str, Path] = {rule.id: ("rules", index) for index, rule in reader.rules}
    for name in protocol.keep:
        if name not in reader.ids:
            document.unknown(("keep",), name, reader.ids)
    protocol = replace(protocol, bounds=read_bounds(document, header.get("bounds", {}), protocol, reader.ids))
    for bound, message in outside(protocol):
        document.fault((*_path(bound.rule, places), bound.key), message)
    for thing in beyond(pack, protocol) if pack else ():
        document.fault((*_path(thing.table, places), thing.key), thing.message)
    return protocol


def _judge(document: Document, protocol: CareProtocol, reader: RuleReader) -> None:
    """Say what does not fit together in and between the rules."""
    indexes: dict[str, int] = {}
    for index, rule in reader.rules:
        indexes.setdefault(rule.id, index)
        for found in contradictions(rule, protocol.timings.get(rule.quantity)):
            _say(document, index, found)
    for conflict in conflicts(protocol.rules, protocol.telling, reader.ids):
        _say(document, indexes[conflict.rule], conflict.found)
    judged = {quantity for rule in protocol.rules for quantity in (rule.quantity, *rule.inputs)}
    for quantity in protocol.timings.keys() - judged:
        document.remark(("quantities", quantity.value), _NOT_JUDGED)


def _say(document: Document, index: int, found: Contradiction) -> None:
    say = document.fault if found.certain else document.remark
    say(("rules", index, found.field), found.message)


def _path(table: str, places: Mapping[str, Path]) -> Path:
    """Return where a table is that bounds speak of."""
    if table in places:
        return places[table]
    return ("quantities", table) if table in _QUANTITIES else tuple(table.split("."))


_QUANTITIES = {quantity.value for quantity in Quantity}
_NOT_JUDGED = Sentence(
    fr="aucune règle ne juge cette mesure : sa cadence ne sert à rien",
    en="no rule judges this quantity: its cadence is of no use",
)
_WITHOUT_PACK = Sentence(
    fr='ne sert qu\'avec un pack : commencer le fichier par pack = "heart_failure", par exemple',
    en='means something with a pack only: begin the file with pack = "heart_failure", for example',
)
_CIRCLE = Sentence(
    fr="ce pack hérite de lui-même, ou de trop d'autres (4 au plus)",
    en="this pack inherits itself, or too many others (at most 4)",
)
_NO_PACK = Sentence(
    fr="ce pack est introuvable : écrire le nom d'un pack livré, tel que heart_failure, ou d'un fichier posé à côté, "
    "tel que service.toml",
    en="no such pack: write the name of one that ships, such as heart_failure, or of a file beside this one, such "
    "as service.toml",
)
