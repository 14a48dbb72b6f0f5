"""The packs of a team: those that ship, and what its physicians made of them, by version.

A pack of the team's own, or a packaged one with limits that a physician set, is a row of `pack_version`; under the name
of a packaged one it stands for it in this team. The newest version holds for whatever is drafted from then on: what
boxes apply carries its pack within it and stays as it was signed.

What is not here: who may change a pack (the desk's access: physicians), and what a pack may say (alerting).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.errors import Fault
from alerting.protocol_file import Packs, check_protocol
from alerting.protocol_writer import write_protocol
from alerting.toml_text import MOST_CHARACTERS
from coordination.audit_log import AuditLog
from coordination.draft_text import pack_name_of, read_text, toml_of
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.protocol_sources import pack_bytes, packaged_protocols
from coordination.sql import Sql
from exchange.audit_chain import Act, Detail

NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,47}")
"""What a team may call a pack of its own."""
_DEEPEST = 4
"""So many packs may inherit one another (alerting.protocol_file)."""
_NOWHERE = Path("/nonexistent")
"""A team's packs name packaged ones and each other, never files of the server."""


class OutdatedError(CoordinationError):
    """Somebody else was first; nothing was changed."""


class FaultyError(CoordinationError):
    """A protocol file with faults; `faults` are in its order."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        first = faults[0].message
        more = len(faults) - 1
        super().__init__(
            Sentence(
                fr=f"{first.fr}{f' (et {more} autres fautes)' if more else ''}",
                en=f"{first.en}{f' (and {more} more faults)' if more else ''}",
            ),
            hint=Sentence(fr="Corriger, puis enregistrer de nouveau.", en="Correct this, then save again."),
        )
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack as a team has it.

    Attributes:
        name: what a protocol inherits it by.
        version: counts the team's changes; 0 for one that ships, as it ships.
        text: a protocol file.
        by: who changed it last, "" for one as it ships.
        at: ms UTC, when; 0 likewise.
    """

    name: str
    version: int
    text: str
    by: str = ""
    at: int = 0


def pack_of(connection: Sql, team: int, name: str) -> Pack | None:
    """Return a pack by its name, None when the team has none of that name and none ships."""
    row = connection.execute(
        "SELECT version, text, by, at FROM pack_version WHERE team_id = ? AND name = ? ORDER BY version DESC LIMIT 1",
        (team, name),
    ).fetchone()
    if row is not None:
        return Pack(name=name, version=row[0], text=row[1], by=row[2], at=row[3])
    if name in packaged_protocols():
        return Pack(name=name, version=0, text=pack_bytes(name, _NOWHERE).decode())
    return None


def all_packs(connection: Sql, team: int) -> list[Pack]:
    """Return every pack of a team, by name."""
    own = connection.execute("SELECT DISTINCT name FROM pack_version WHERE team_id = ?", (team,)).fetchall()
    names = sorted({*packaged_protocols(), *(name for (name,) in own)})
    found = (pack_of(connection, team, name) for name in names)
    return [pack for pack in found if pack is not None]


def finder(connection: Sql, team: int) -> Packs:
    """Return what finds the packs that a team's protocols inherit."""

    def find(name: str) -> bytes:
        pack = pack_of(connection, team, name)
        if pack is None:
            raise LookupError(name)
        return pack.text.encode()

    return find


def meaning_of(connection: Sql, team: int, pack: Pack) -> CareProtocol | None:
    """Return what a pack means, None when this version of the program refuses it."""
    find, texts = finder(connection, team), [(pack.name, pack.text)]
    while (above := _inherited(texts[-1][1])) and len(texts) <= _DEEPEST:
        try:
            texts.append((above, find(above).decode()))
        except LookupError:
            break
    return _meaning(tuple(texts))


@lru_cache(maxsize=256)
def _inherited(text: str) -> str:
    return pack_name_of(text)


@lru_cache(maxsize=256)
def _meaning(texts: tuple[tuple[str, str], ...]) -> CareProtocol | None:
    """Return what the first of these texts means; the others are what it inherits. The same texts mean the same."""
    known = dict(texts[1:])

    def find(name: str) -> bytes:
        if name not in known:
            raise LookupError(name)
        return known[name].encode()

    return check_protocol(texts[0][1].encode(), packs=find).protocol


def copy_of(pack: Pack, name: str, title: Sentence) -> str:
    """Return the text of a pack under another name and title, its version counted from 1; the rest is word for word.

    Raises:
        CoordinationError: the pack cannot be read.
    """
    head = {"name": name, "version": 1, "title": {"fr": title.fr, "en": title.en}}
    document, copied = read_text(pack.text) | head, pack.text
    for key, value in head.items():
        line = toml_of({key: value}).strip().replace("\\", r"\\")
        copied = re.sub(rf"(?m)^{key}\s*=.*$", line, copied, count=1)
    # Where a line could not be put in its place, its comments are lost.
    return copied if _same(copied, document) else toml_of(document)


def _same(text: str, document: Mapping[str, object]) -> bool:
    try:
        return read_text(text) == document
    except CoordinationError:
        return False


def make_pack(connection: Sql, pack: Pack, *, team: int, name: str, title: Sentence, by: Handler, at: int) -> None:
    """Keep a copy of a pack under a name of the team's own, inside a transaction of the caller's.

    Args:
        connection: in a transaction.
        pack: what is copied.
        team: whose.
        name: as `NAME` says.
        title: what it is for, in both languages.
        by: the physician.
        at: ms UTC.

    Raises:
        FaultyError: the pack that is copied has faults.
        CoordinationError: there is one of that name.
    """
    if pack_of(connection, team, name) is not None:
        raise CoordinationError(
            Sentence(fr=f"Un parcours s'appelle déjà {name}.", en=f"A pathway is called {name} already."),
            hint=Sentence(fr="Choisir un autre nom.", en="Choose another name."),
        )
    text = copy_of(pack, name, title)
    save_pack(connection, team=team, name=name, text=text, seen=0, by=by, at=at, copied=pack.name)


def save_pack(
    connection: Sql, *, team: int, name: str, text: str, seen: int, by: Handler, at: int, copied: str = ""
) -> int:
    """Keep a pack as a physician wrote it, inside a transaction of the caller's; return its version.

    Args:
        connection: in a transaction.
        team: whose.
        name: 2 to 48 of a-z, 0-9 and _.
        text: a protocol file.
        seen: the version that they looked at, 0 for one as it ships or a new one.
        by: the physician.
        at: ms UTC.
        copied: the pack that a new one begins as a copy of, "" for none.

    Raises:
        FaultyError: the text has faults.
        OutdatedError: somebody else saved one since.
        CoordinationError: a pack that inherits it could not be read any more.
    """
    others = finder(connection, team)
    new = text[: MOST_CHARACTERS + 1].encode()

    def afterwards(wanted: str) -> bytes:
        return new if wanted == name else others(wanted)

    checked = check_protocol(new, packs=afterwards)
    if checked.protocol is None:
        raise FaultyError(checked.faults)
    for heir in all_packs(connection, team):
        if heir.name != name and _inherited(heir.text):
            left = check_protocol(heir.text.encode(), packs=afterwards)
            if left.protocol is None and check_protocol(heir.text.encode(), packs=others).protocol is not None:
                raise _breaks(heir.name, left.faults[0].message)
    before = pack_of(connection, team, name)
    version = 0 if before is None else before.version
    kept = 0
    if version == seen:
        kept = connection.execute(
            "INSERT INTO pack_version (team_id, name, version, text, why, by, at) VALUES (?, ?, ?, ?, '', ?, ?)"
            " ON CONFLICT DO NOTHING",
            (team, name, seen + 1, text, by.name, at),
        ).rowcount
    if not kept:
        raise OutdatedError(
            Sentence(
                fr="Ce pack vient d'être changé par quelqu'un d'autre. Rien n'a été enregistré.",
                en="This pack was just changed by somebody else. Nothing was saved.",
            ),
            hint=Sentence(fr="Relire sa version, puis recommencer.", en="Read their version, then try again."),
        )
    log = AuditLog(connection)
    log.begin(at=at)
    detail: Detail = {"version": seen + 1, "team": team} | ({"copied": copied} if copied else {})
    log.enter(Act.PACK_CHANGED, at=at, by=by.name, reference=name, detail=detail)
    return seen + 1


def _breaks(heir: str, fault: Sentence) -> CoordinationError:
    return CoordinationError(
        Sentence(
            fr=f"Le parcours {heir} hérite de celui-ci et ne vaudrait plus : {fault.fr}. Rien n'a été enregistré.",
            en=f"The pathway {heir} inherits this one and would not hold any more: {fault.en}. Nothing was saved.",
        ),
        hint=Sentence(fr="Adapter d'abord cet autre parcours.", en="Adapt that other pathway first."),
    )


def with_limits(text: str, protocol: CareProtocol, limits: Mapping[tuple[str, str], tuple[object, object]]) -> str:
    """Return a pack's text, whole, with limits set anew.

    Args:
        text: as the team has it; what it inherits is written out, so that a packaged pack's own limits may be widened.
        protocol: what it means.
        limits: (table, key) -> least and greatest, as a protocol file writes them.

    Raises:
        CoordinationError: the text cannot be read.
    """
    document = read_text(text)
    if "pack" in document:
        document = read_text(write_protocol(replace(protocol, signatures=())))
    bounds = document.setdefault("bounds", {})
    for (table, key), (low, high) in limits.items():
        bounds.setdefault(table, {})[key] = [low, high]
    return toml_of(document)
