"""TOML bytes -> CareProtocol, or every fault at once in words a nurse can act on.

What is not here: where protocol files lie, and who signed them.
"""

import re
from dataclasses import dataclass

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.contradictions import contradictions
from alerting.errors import Fault, ProtocolError
from alerting.protocol_document import Document
from alerting.protocol_rules import RuleReader, sentence
from alerting.protocol_schema import FileTable, TransmissionTable
from alerting.protocol_telling import read_signatures, read_telling, read_timings, read_units

_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")


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
    remarks: tuple[Fault, ...] = ()


def read_protocol(data: bytes, *, name_hint: str) -> CareProtocol:
    """Read a protocol file.

    Args:
        data: the bytes of a TOML file, UTF-8.
        name_hint: what to call the file when it is at fault.

    Raises:
        ProtocolError: something is wrong; it carries every fault.
    """
    checked = check_protocol(data)
    if checked.protocol is None:
        raise ProtocolError(name_hint, checked.faults)
    return checked.protocol


def check_protocol(data: bytes) -> Checked:
    """Read a protocol file and say everything that there is to say about it."""
    try:
        document = Document.parse(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = Sentence(fr="le fichier doit être enregistré en UTF-8", en="the file must be saved as UTF-8")
        return Checked(protocol=None, faults=(Fault(line=line, key="", message=message),))
    except (ValueError, RecursionError) as error:
        # Besides its own error the parser lets through those of a number too long and of brackets too deep.
        return Checked(protocol=None, faults=(_syntax_fault(str(error), data.count(b"\n") + 1),))
    protocol = _read(document)
    faults, remarks = _in_order(document.faults), _in_order(document.remarks)
    return Checked(protocol=None if faults else protocol, faults=faults, remarks=remarks)


def _in_order(found: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(found, key=lambda fault: fault.line or 0))


def _syntax_fault(reason: str, last_line: int) -> Fault:
    place = _TOML_PLACE.search(reason)
    return Fault(
        line=int(place[1]) if place else last_line,
        key="",
        message=Sentence(
            fr=f"ce n'est pas du TOML lisible (guillemet, crochet ou signe = oublié ?) : {reason}",
            en=f"this is not readable TOML (a quote, a bracket or an = forgotten?): {reason}",
        ),
    )


def _read(document: Document) -> CareProtocol | None:
    """Return the protocol as far as it could be read; None when a part of it could not."""
    header = document.table(document.content, FileTable, ()).values
    transmission = document.subtable("transmission", TransmissionTable).values
    timings = read_timings(document, header.get("quantities", {}))
    sources: dict[str, str] = header.get("sources", {})
    reader = RuleReader(document, sources)
    reader.read(header.get("rules", []))
    for index, rule in reader.rules:
        for found in contradictions(rule, timings.get(rule.quantity)):
            document.fault(("rules", index, found.field), found.message)
    telling = read_telling(document)
    units = read_units(document, header.get("units", {}))
    signatures = read_signatures(document, header.get("signatures", []))
    if not {"name", "version", "title"} <= header.keys() or not transmission:
        return None
    return CareProtocol(
        name=header["name"],
        version=header["version"],
        title=sentence(header["title"]),
        not_transmitted_after=transmission["not_transmitted_after"].ms,
        timings=timings,
        rules=tuple(rule for _, rule in reader.rules),
        sources=sources,
        telling=telling,
        units=units,
        signatures=signatures,
    )
