"""A record of acts as it is read at either end: chosen entries, as a table or as JSON lines.

What a tag stands for is shown in its place, as long as whoever shows it still has the key.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tabulate import tabulate

from exchange.audit_chain import Entry
from exchange.audit_words import in_words

ROWS = 50
"""Entries that a table shows unless told otherwise."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _LAST_MS = -62_135_510_400_000, 253_402_214_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which acts: those of `act`, by `by`, at or after `since` (ms UTC), the newest `limit`; None: all."""

    act: str | None = None
    by: str | None = None
    since: int | None = None
    limit: int | None = None

    def of(self, entries: Iterable[tuple[Entry, str]]) -> list[Entry]:
        """Return the entries asked for, oldest first."""
        found = [
            entry
            for entry, _ in entries
            if self.act in {None, entry.act}
            and self.by in {None, entry.by}
            and (self.since is None or entry.at >= self.since)
        ]
        return found if self.limit is None else found[-self.limit :]


def instant(text: str) -> int:
    """Return an ISO 8601 time as ms UTC; one without an offset is UTC.

    Raises:
        ValueError: it is none.
    """
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def table(entries: Sequence[Entry], names: Mapping[str, str], lang: str) -> str:
    """Return entries as they are read; `names` says what tags stand for, `lang` is "fr" or "en"."""
    if not entries:
        return "Aucun acte ici." if lang == "fr" else "No act here."
    headers = ("n°", "quand", "quoi", "qui", "sur quoi") if lang == "fr" else ("no.", "when", "what", "who", "on what")
    rows = [
        (entry.n, _iso(entry.at), in_words(entry.act, lang), entry.by, _on_what(entry, names, lang))
        for entry in entries
    ]
    shown: str = tabulate(rows, headers=headers, tablefmt="plain", maxcolwidths=[None, None, None, None, 60])
    return shown


def as_json(entry: Entry, names: Mapping[str, str]) -> str:
    """Return one entry as one line of JSON."""
    line = {
        "n": entry.n,
        "at": _iso(entry.at),
        "act": entry.act,
        "by": entry.by,
        "reference": names.get(entry.ref, entry.ref),
        "detail": {name: names.get(str(value), value) for name, value in entry.detail.items()},
    }
    return json.dumps(line, ensure_ascii=False)


def _on_what(entry: Entry, names: Mapping[str, str], lang: str) -> str:
    colon = " : " if lang == "fr" else ": "
    said = [f"{name}{colon}{_short(names.get(str(value), value))}" for name, value in entry.detail.items()]
    return " · ".join(part for part in (_short(names.get(entry.ref, entry.ref)), *said) if part)


def _short(value: str | int) -> str:
    """Return a hash or a tag by its beginning: enough to tell two apart; JSON and the file have it whole."""
    text = str(value)
    digits = text.removeprefix("~")
    return f"{text[:12]}…" if len(digits) >= 32 and all(digit in "0123456789abcdef" for digit in digits) else text


def _iso(at: int) -> str:
    if not _FIRST_MS <= at <= _LAST_MS:
        return f"{at} ms"
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
