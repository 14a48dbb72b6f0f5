#!/usr/bin/env python3
"""Verify a Veilleur record of acts, from the file alone: verify_audit.py FILE ... --key LOG=HEX ...

It shares no code with Veilleur and needs nothing but Python 3.11: it was written from audit-format.md beside it, so
that whoever doubts the program, or the people who run it, need not believe either. Ed25519 and MessagePack are written
out below, as far as they are needed here.

Give the box's file, and the team's if you can: what each side signed for is held against what the other one has. Keys
are the public Ed25519 keys of those who may sign for a log, as you know them from elsewhere and not from the file:

    verify_audit.py box.jsonl team.jsonl --key box-0001=d75a... --key @team=3d40...

Exit code 0: nothing wrong was found. 1: something was; each finding is a sentence. 2: it cannot be verified.
"""

import argparse
import functools
import hashlib
import hmac
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

# --- Ed25519, verification only (RFC 8032, 5.1) --------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def add(one, other):
    """Return the sum of two points in extended coordinates (5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, point):
    """Return a multiple of a point."""
    total = NEUTRAL
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def same(one, other):
    """Return whether two points are one."""
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def point_of(data):
    """Return the point that 32 bytes stand for (5.1.3), None when they stand for none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


@functools.cache
def signed(public, data, signature):
    """Return whether `signature` is of `data` by the key `public` (5.1.7)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, first = point_of(public), point_of(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or first is None or scalar >= ORDER:
        return False
    hashed = int.from_bytes(hashlib.sha512(signature[:32] + public + data).digest(), "little") % ORDER
    return same(times(scalar, BASE), add(first, times(hashed, key)))


# --- MessagePack, as much of it as a receipt has -------------------------------------------------------------


def unpacked(data):
    """Return the one value that `data` is; ValueError when it is none."""
    value, end = _unpack(data, 0, 0)
    if end != len(data):
        raise ValueError("more than one value")
    return value


def _unpack(data, at, depth):
    if at >= len(data) or depth > 8:
        raise ValueError("cut short")
    kind, at = data[at], at + 1

    def number(size, *, negative=False):
        if at + size > len(data):
            raise ValueError("cut short")
        return int.from_bytes(data[at : at + size], "big", signed=negative), at + size

    if kind <= 0x7F:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if 0xCC <= kind <= 0xCF:
        return number(1 << (kind - 0xCC))
    if 0xD0 <= kind <= 0xD3:
        return number(1 << (kind - 0xD0), negative=True)
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if kind <= 0x8F or kind in (0xDE, 0xDF):
        count, at = (kind & 0x0F, at) if kind <= 0x8F else number(2 << (kind - 0xDE))
        found = {}
        for _ in range(count):
            name, at = _unpack(data, at, depth + 1)
            found[name], at = _unpack(data, at, depth + 1)
        return found, at
    if kind <= 0x9F or kind in (0xDC, 0xDD):
        count, at = (kind & 0x0F, at) if kind <= 0x9F else number(2 << (kind - 0xDC))
        items = []
        for _ in range(count):
            item, at = _unpack(data, at, depth + 1)
            items.append(item)
        return items, at
    if kind <= 0xBF or 0xC4 <= kind <= 0xC6 or 0xD9 <= kind <= 0xDB:
        text = kind <= 0xBF or kind >= 0xD9
        size, at = (kind & 0x1F, at) if kind <= 0xBF else number(1 << (kind - (0xD9 if text else 0xC4)))
        if at + size > len(data):
            raise ValueError("cut short")
        piece = data[at : at + size]
        return (piece.decode() if text else piece), at + size
    raise ValueError(f"unknown kind {kind:#x}")


# --- the format (audit-format.md) ----------------------------------------------------------------------------

HEX64 = re.compile(r"[0-9a-f]{64}")
ENTRY = {"n": int, "at": int, "act": str, "by": str, "ref": str, "detail": dict, "hash": str}
CHECKPOINT = {
    "log": str,
    "chain": str,
    "n": int,
    "hash": str,
    "since": int,
    "since_hash": str,
    "at": int,
    "signer": str,
    "signature": str,
}
SHAPES = {
    "log": {"v": int, "log": str, "chain": str, "exported_at": int, "program": str},
    "entry": ENTRY,
    "checkpoint": CHECKPOINT,
    "receipt": {"data": str},
    "name": {"tag": str, "value": str, "key": str},
}


def canonical(value):
    """Return the encoding that hashes and signatures are of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def beginning(log, chain):
    """Return the hash before the first entry."""
    return hashlib.sha256(
        b"veilleur/v1/audit/begin\0" + canonical({"v": 1, "log": log, "chain": chain})
    ).hexdigest()


def chained(before, entry):
    """Return the hash of an entry that follows the hash `before`."""
    plain = {name: entry[name] for name in ("n", "at", "act", "by", "ref", "detail")}
    return hashlib.sha256(b"veilleur/v1/audit/entry\0" + bytes.fromhex(before) + canonical(plain)).hexdigest()


@dataclass(frozen=True)
class Finding:
    """Something wrong: a fixed word for programs, and a sentence in each language."""

    what: str
    fr: str
    en: str


@dataclass
class Log:
    """One file."""

    name: str
    chain: str
    entries: list = field(default_factory=list)
    checkpoints: list = field(default_factory=list)
    receipts: list = field(default_factory=list)
    names: list = field(default_factory=list)


@dataclass(frozen=True)
class Head:
    """A hash that somebody signed for: entry `n` of a chain of a log had it."""

    log: str
    chain: str
    n: int
    hash: str
    by: str


class UnusableError(Exception):
    """The file is none that can be verified."""


def read(text):
    """Return the log in a file."""
    log = None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line)
            canonical(found)  # half a character is text that nothing can be the hash of
        except (ValueError, RecursionError) as error:
            raise UnusableError(f"line {number} is not JSON") from error
        kind = found.pop("kind", None) if isinstance(found, dict) else None
        shape = SHAPES.get(kind) if isinstance(kind, str) else None
        if shape is None or set(found) != set(shape):
            raise UnusableError(f"line {number} is none of {', '.join(SHAPES)}")
        if any(type(found[name]) is not wanted for name, wanted in shape.items()):
            raise UnusableError(f"line {number}: a value of another kind than expected")
        details = found.get("detail", {}).values()
        if any(type(value) not in {str, int} for value in details):
            raise UnusableError(f"line {number}: a detail is a text or a whole number")
        if any(type(value) is int and abs(value) > 2**53 for value in [*found.values(), *details]):
            raise UnusableError(f"line {number}: a number beyond 2^53")
        hashes = [found[name] for name in ("hash", "since_hash") if name in found]
        if not all(HEX64.fullmatch(value) for value in hashes):
            raise UnusableError(f"line {number}: a hash has 64 hexadecimal digits")
        if kind == "log":
            if log is not None or found["v"] != 1:
                raise UnusableError(f"line {number}: one log of version 1 a file")
            log = Log(found["log"], found["chain"])
        elif log is None:
            raise UnusableError("the first line does not say whose log it is")
        else:
            {"entry": log.entries, "checkpoint": log.checkpoints, "receipt": log.receipts, "name": log.names}[
                kind
            ].append(found)
    if log is None:
        raise UnusableError("the file is empty")
    return log


def verify(logs, keys):
    """Return what is wrong with these logs.

    Args:
        logs: what `read` returned; every signed head in any of them is held against each.
        keys: log -> the raw public keys of those who may sign for it.
    """
    findings, heads, spans = [], [], []
    for log in logs:
        for record in log.checkpoints:
            span = _checkpoint(record, keys, findings)
            if span is not None:
                spans.append(span)
                heads.append(Head(record["log"], record["chain"], record["n"], record["hash"], record["log"]))
        for receipt in log.receipts:
            heads += _receipt(receipt["data"], keys, findings)
        for name in log.names:
            _name(name, findings)
    _forks(sorted(set(spans)), findings)
    for log in logs:
        _chain(log, [head for head in heads if (head.log, head.chain) == (log.name, log.chain)], findings)
    return list(dict.fromkeys(findings))


def unproven(log, logs, keys):
    """Return how many of the newest entries nobody has signed for yet."""
    heads = []
    for other in logs:
        heads += [r["n"] for r in other.checkpoints if (r["log"], r["chain"]) == (log.name, log.chain)]
        for receipt in other.receipts:
            heads += [
                head.n for head in _receipt(receipt["data"], keys, []) if (head.log, head.chain) == (log.name, log.chain)
            ]
    return sum(entry["n"] > max(heads, default=0) for entry in log.entries)


def _checkpoint(record, keys, findings):
    body = {name: record[name] for name in CHECKPOINT if name != "signature"} | {"v": 1}
    try:
        signature = bytes.fromhex(record["signature"])
    except ValueError:
        signature = b""
    log, n = record["log"], record["n"]
    if not any(
        hashlib.sha256(key).hexdigest()[:16] == record["signer"]
        and signed(key, b"veilleur/v1/audit/checkpoint\0" + canonical(body), signature)
        for key in keys.get(log, ())
    ):
        findings.append(
            Finding(
                "forged",
                f"{log} : le point de contrôle de l'acte {n} n'est signé par aucune des clés données.",
                f"{log}: the checkpoint at act {n} is signed by none of the keys given.",
            )
        )
        return None
    return (log, record["chain"], record["since"], n, record["since_hash"], record["hash"])


def _receipt(data, keys, findings):
    forged = Finding("forged", "Un reçu n'est pas signé par l'équipe.", "A receipt is not signed by the team.")
    try:
        raw = bytes.fromhex(data)
        payload, signature = raw[8:-64], raw[-64:]
        trusted = any(
            hashlib.sha256(key).hexdigest()[:16] == raw[:8].hex()
            and signed(key, b"veilleur/v1/receipt\0" + raw[:-64], signature)
            for key in keys.get("@team", ())
        )
        if not trusted:
            findings.append(forged)
            return []
        said = unpacked(payload)
        return [Head(log, chain, n, digest, "@team") for log, chain, n, digest in said.get("heads", [])]
    except (ValueError, AttributeError, TypeError):
        findings.append(forged)
        return []


def _name(name, findings):
    try:
        key = bytes.fromhex(name["key"])
    except ValueError:
        key = b""
    tag = "~" + hmac.new(key, b"veilleur/v1/audit/tag\0" + name["value"].encode(), hashlib.sha256).digest()[:16].hex()
    if tag != name["tag"]:
        findings.append(
            Finding(
                "name",
                f"{name['tag']} n'est pas l'empreinte de « {name['value']} ».",
                f"{name['tag']} does not stand for '{name['value']}'.",
            )
        )


def _forks(spans, findings):
    """Say when what one log signed for overlaps, or does not join where it should."""
    for number, one in enumerate(spans):
        for other in spans[number + 1 :]:
            if one[:2] != other[:2]:
                continue
            overlap = one[2] < other[3] and other[2] < one[3]
            torn = (one[3] == other[2] and one[5] != other[4]) or (one[2] == other[3] and one[4] != other[5])
            if overlap or torn:
                findings.append(
                    Finding(
                        "forked",
                        f"{one[0]} : signé deux fois autrement entre les actes {max(one[2], other[2])} et "
                        f"{max(one[3], other[3])} : le journal a été coupé ou réécrit.",
                        f"{one[0]}: signed for twice and differently between acts {max(one[2], other[2])} and "
                        f"{max(one[3], other[3])}: the log was cut or written anew.",
                    )
                )


def _chain(log, heads, findings):
    said = {}
    for head in heads:
        said.setdefault(head.n, set()).add(head.hash)

    def found(what, fr, en):
        findings.append(Finding(what, f"{log.name} : {fr}", f"{log.name}: {en}"))

    if log.entries and not any(head.n for head in heads):
        found(
            "unsigned",
            "personne n'a signé ce journal : rien n'est prouvé.",
            "nobody has signed for this log: nothing is proven.",
        )
    computed = {0: beginning(log.name, log.chain)}
    expected, seen = 1, set()
    if log.entries and log.entries[0]["n"] > 1:
        expected = log.entries[0]["n"]
        base = said.get(expected - 1, set())
        computed = {expected - 1: next(iter(base))} if len(base) == 1 else {}
        told = any(entry["act"] == "log_shortened" and entry["ref"] == str(expected - 1) for entry in log.entries)
        if not told:
            found(
                "cut",
                f"commence à l'acte {expected}, et aucun acte ne dit que ce qui précède a été supprimé.",
                f"begins at act {expected}, and no act says that what came before was deleted.",
            )
        if not computed:
            found(
                "cut",
                f"commence à l'acte {expected}, et aucun point de contrôle ne répond de ce qui précède.",
                f"begins at act {expected}, and no checkpoint answers for what came before.",
            )
    first = expected
    for entry in log.entries:
        n = entry["n"]
        if n in seen:
            found("duplicated", f"l'acte {n} y est deux fois.", f"act {n} is there twice.")
            continue
        if n < expected:
            found("reordered", f"l'acte {n} n'est pas à sa place.", f"act {n} is out of its place.")
            continue
        if n > expected:
            last = f" à {n - 1}" if n - 1 > expected else ""
            until = f" to {n - 1}" if n - 1 > expected else ""
            found("missing", f"acte manquant : {expected}{last}.", f"missing act: {expected}{until}.")
        before = computed.get(n - 1)
        if before is None and len(said.get(n - 1, ())) == 1:
            before = next(iter(said[n - 1]))
        if before is not None and chained(before, entry) != entry["hash"]:
            found("edited", f"l'acte {n} a été modifié.", f"act {n} was edited.")
        computed[n] = entry["hash"] if before is None else chained(before, entry)
        # What follows is held against the file's own hash, so that one edit is one finding and not a hundred.
        if computed[n] != entry["hash"]:
            computed[n] = entry["hash"]
        seen.add(n)
        expected = n + 1
    for n, hashes in sorted(said.items()):
        if n >= expected and n > 0:
            found(
                "cut",
                f"finit à l'acte {expected - 1}, mais l'acte {n} a été signé : la fin a été coupée.",
                f"ends at act {expected - 1}, but act {n} was signed for: its end was cut off.",
            )
        elif n >= first - 1 and n in computed and hashes != {computed[n]}:
            found(
                "rewritten",
                f"l'acte {n} n'est pas celui qui a été signé : le journal a été réécrit jusque-là.",
                f"act {n} is not the one that was signed for: the log was written anew up to there.",
            )


# --- the command ---------------------------------------------------------------------------------------------


def main(arguments=None):
    """Verify, say what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--key", action="append", default=[], metavar="LOG=HEX", help="may be given several times")
    parser.add_argument("--lang", choices=("fr", "en"), default="en")
    given = parser.parse_args(arguments)
    french = given.lang == "fr"
    try:
        keys = {}
        for text in given.key:
            log, _, digits = text.partition("=")
            keys.setdefault(log, []).append(bytes.fromhex(digits))
        logs = [read(path.read_text(encoding="utf-8")) for path in given.files]
    except (OSError, ValueError, UnusableError) as error:
        print(f"verify_audit: {error}", file=sys.stderr)
        return 2
    lacking = sorted({log.name for log in logs} - set(keys))
    if lacking:
        print(
            f"verify_audit: donner la clé publique de {', '.join(lacking)} : --key {lacking[0]}=..."
            if french
            else f"verify_audit: give the public key of {', '.join(lacking)}: --key {lacking[0]}=...",
            file=sys.stderr,
        )
        return 2
    findings = verify(logs, keys)
    for finding in findings:
        print(finding.fr if french else finding.en)
    for log in logs:
        total, open_end = len(log.entries), unproven(log, logs, keys)
        print(
            f"{log.name} : {total} actes, dont {open_end} que personne n'a encore signés."
            if french
            else f"{log.name}: {total} acts, {open_end} of them signed for by nobody yet."
        )
    if not findings:
        print("Rien d'anormal." if french else "Nothing is wrong.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
