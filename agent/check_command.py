"""`veilleur check` of a care protocol: every fault and every remark, in the reader's language, and what it means.

Faults and remarks go to standard error, a line each; a remark refuses nothing. What is asked for goes to standard
output: one line, the whole hash, the resolved protocol as a file, or everything as JSON.

What is not here: settings files (settings_file), and which file it is (cli).
"""

import json
import re
from pathlib import Path

import click

from agent.settings_file import look_at_protocol
from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.errors import Fault
from alerting.protocol_file import Checked
from alerting.protocol_forms import said
from alerting.protocol_syntax import text_of_file
from alerting.protocol_writer import write_protocol
from alerting.toml_text import parse_toml

_OF_A_PROTOCOL = re.compile(
    rb"^\W*(?:pack|remove)\s*=|^\W*\[+\s*(?:rules|adapt|transmission|telling|bounds|quantities)\b", re.MULTILINE
)
"""What stands at the beginning of a line of a protocol, and of no settings."""
_REMARK = Sentence(fr="remarque : ", en="remark: ")


def is_protocol(data: bytes) -> bool:
    """Return whether a file that is no list of boxes is meant as a care protocol, not as the settings of a box."""
    try:
        return "box" not in parse_toml(text_of_file(data))
    except ValueError:
        # Which of the two it was meant to be shows in its words, however broken, one byte or two a letter.
        return _OF_A_PROTOCOL.search(data.replace(b"\0", b"")) is not None


def print_check(file: Path, *, form: str, lang: str) -> bool:
    """Print what there is to say about a protocol, and return whether it has no fault.

    Args:
        file: a file, or the name of a packaged protocol.
        form: "line", "hash", "resolved" or "json".
        lang: "fr" or "en".

    Raises:
        OSError: there is no such file.
    """
    checked = look_at_protocol(str(file), Path())
    if form == "json":
        click.echo(json.dumps(_document(checked), ensure_ascii=False, indent=2))
        return not checked.faults
    for fault in checked.faults:
        click.echo(_line(file, fault, lang), err=True)
    for remark in checked.remarks:
        click.echo(_line(file, remark, lang, said=_REMARK), err=True)
    if checked.protocol is not None:
        click.echo(_shown(file, checked.protocol, form))
    return not checked.faults


def _line(file: Path, fault: Fault, lang: str, *, said: Sentence | None = None) -> str:
    place = f":{fault.line}" if fault.line else ""
    key = f" {fault.key}:" if fault.key else ""
    before = "" if said is None else _in(lang, said)
    return f"{file}{place}:{key} {before}{_in(lang, fault.message)}"


def _in(lang: str, sentence: Sentence) -> str:
    return sentence.fr if lang == "fr" else sentence.en


def _shown(file: Path, protocol: CareProtocol, form: str) -> str:
    match form:
        case "hash":
            return f"{protocol.protocol_hash}  {protocol.name} v{protocol.version}"
        case "resolved":
            return write_protocol(protocol).rstrip("\n")
        case _:
            rules = ", ".join(rule.id for rule in protocol.rules)
            return f"{file}: ok · {protocol.name} v{protocol.version} · {protocol.protocol_hash[:12]} · {rules}"


def _document(checked: Checked) -> dict[str, object]:
    protocol = checked.protocol
    about: dict[str, object] = {}
    if protocol is not None:
        about = {
            "name": protocol.name,
            "version": protocol.version,
            "title": _both(protocol.title),
            "hash": protocol.protocol_hash,
            "pack": protocol.pack,
            "rules": [
                said(rule) | {"title": _both(rule.words.title), "check": _both(rule.words.check)}
                for rule in protocol.rules
            ],
        }
    return about | {
        "faults": [_told(fault) for fault in checked.faults],
        "remarks": [_told(remark) for remark in checked.remarks],
    }


def _told(fault: Fault) -> dict[str, object]:
    return {"line": fault.line, "key": fault.key} | _both(fault.message)


def _both(sentence: Sentence) -> dict[str, object]:
    return {"fr": sentence.fr, "en": sentence.en}
