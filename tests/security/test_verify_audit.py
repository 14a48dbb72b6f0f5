"""An independent verifier finds every edit, cut and reordering of a record of acts, and passes an untouched one."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exchange.audit_chain import TEAM_LOG, Act, Entry, Erasable, Head, after, beginning, checkpoint
from exchange.identity import SigningKey
from tests.agent.kit import BOX, open_store
from tests.security.kit import ROOT, Book, Line, verifier, written

SCRIPT = ROOT / "docs" / "security" / "verify_audit.py"
TEXTS = st.text(max_size=40)
VECTORS = [
    # RFC 8032, 7.1, TEST 1 to 3: public key, message, signature.
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


Steps = list[tuple[Act, str, str, dict[str, str | int]] | str]


@st.composite
def books(draw: st.DrawFn) -> Steps:
    """Acts, and moments when they are signed for or seen by the team; signed for at the end."""
    acts = st.tuples(
        st.sampled_from(Act),
        TEXTS,
        TEXTS,
        st.dictionaries(st.sampled_from(["why", "version", "count"]), TEXTS | st.integers(-(2**53), 2**53)),
    )
    steps = draw(st.lists(acts | st.sampled_from(["sign", "seen"]), min_size=3, max_size=12))
    return [*steps, "sign", "seen"]


def wrote(folder: Path, keys: tuple[SigningKey, SigningKey], steps: Steps) -> tuple[Book, list[Line]]:
    store = open_store(folder / "veilleur.db")
    book = Book(store, *keys)
    for step in steps:
        match step:
            case "sign":
                book.sign()
            case "seen":
                book.witnessed()
            case (act, by, reference, detail):
                book.enter(act, by, reference, **detail)
    exported = book.exported()
    store.close()
    return book, exported


def spoilt(dice: st.DataObject, exported: list[Line]) -> list[Line]:
    """Return the file with its acts edited, cut out, put in twice, moved, or cut off."""
    entries = [line for line in exported if line["kind"] == "entry"]
    rest = [line for line in exported if line["kind"] not in {"log", "entry"}]
    at = dice.draw(st.integers(0, len(entries) - 1))
    match dice.draw(st.sampled_from(["edit", "delete", "twice", "swap", "end", "start", "number"])):
        case "edit":
            name, value = dice.draw(
                st.sampled_from([("at", 1), ("act", "erased"), ("by", "nobody"), ("ref", "x"), ("detail", {"a": 1})])
            )
            assume(entries[at][name] != value)
            entries[at] = {**entries[at], name: value}
        case "delete":
            del entries[at]
        case "twice":
            entries.insert(dice.draw(st.integers(at + 1, len(entries))), entries[at])
        case "swap":
            other = dice.draw(st.integers(0, len(entries) - 1))
            assume(other != at)
            entries[at], entries[other] = entries[other], entries[at]
        case "end":
            entries = entries[:at]
        case "start":
            assume(at)
            entries = entries[at:]
            if dice.draw(st.booleans()):
                # Whoever can may also take the checkpoints away that the box itself keeps; the team's word stays.
                rest = [line for line in rest if line["kind"] != "checkpoint"]
        case "number":
            entries[at] = {**entries[at], "n": entries[at]["n"] + dice.draw(st.sampled_from([-1, 1, 7]))}
    return [exported[0], *entries, *rest]


@given(steps=books(), dice=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_to_a_signed_log_is_found_and_an_untouched_one_passes(
    keys: tuple[SigningKey, SigningKey], steps: Steps, dice: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        book, exported = wrote(Path(folder), keys, steps)
    assert book.verified(exported) == set()
    assert book.verified(spoilt(dice, exported))


@given(steps=books(), dice=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_written_anew_with_right_hashes_is_found_by_what_was_signed_for(
    keys: tuple[SigningKey, SigningKey], steps: Steps, dice: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        book, exported = wrote(Path(folder), keys, steps)
    changed = dice.draw(st.integers(0, sum(line["kind"] == "entry" for line in exported) - 1))
    head, renewed = beginning(BOX, exported[0]["chain"]), []
    for number, line in enumerate(line for line in exported if line["kind"] == "entry"):
        fields = {name: line[name] for name in Entry.__struct_fields__}
        entry = Entry(**(fields | {"by": "somebody else"} if number == changed else fields))
        head = after(head, entry)
        renewed.append({**line, "by": entry.by, "hash": head.hash})
    assume(renewed != [line for line in exported if line["kind"] == "entry"])
    rest = [line for line in exported if line["kind"] not in {"log", "entry"}]
    assert "rewritten" in book.verified([exported[0], *renewed, *rest])
    if dice.draw(st.booleans()):
        # Whoever has the box's key signs for it again, but cannot sign for the team.
        signed = checkpoint(head, since=beginning(BOX, head.chain), at=1, key=book.key)
        line = {
            **next(item for item in rest if item["kind"] == "checkpoint"),
            "n": head.n,
            "hash": head.hash,
            "since": 0,
            "since_hash": signed.since_hash,
            "at": 1,
            "signature": signed.signature.hex(),
        }
        receipts = [item for item in rest if item["kind"] == "receipt"]
        assert book.verified([exported[0], *renewed, line, *receipts]) == {"rewritten"}


def test_a_checkpoint_or_a_receipt_that_is_made_up_is_found(book: Book) -> None:
    book.enter(Act.STARTED)
    book.sign()
    book.witnessed()
    exported = book.exported()
    for kind, name in (("checkpoint", "signature"), ("receipt", "data")):
        changed = [
            {**line, name: line[name][:-2] + ("00" if line[name][-2:] != "00" else "01")}
            if line["kind"] == kind
            else line
            for line in exported
        ]
        assert "forged" in book.verified(changed)
    stranger = SigningKey.generate()
    logs = [verifier.read(written(exported))]
    found = verifier.verify(logs, {BOX: [stranger.public], TEAM_LOG: [book.team.public]})
    assert {finding.what for finding in found} == {"forged"}


def test_a_log_that_nobody_signed_for_proves_nothing(book: Book) -> None:
    book.enter(Act.STARTED)
    assert book.verified(book.exported()) == {"unsigned"}


def test_a_box_set_back_and_gone_on_contradicts_what_it_had_signed_for(book: Book) -> None:
    book.enter(Act.STARTED)
    book.sign()
    before = {table: book.store._connection.execute(f"select * from {table}").fetchall() for table in TABLES}
    book.enter(Act.DEVICE_PAIRED, "installer")
    book.sign()
    seen = [line for line in book.exported() if line["kind"] == "checkpoint"]
    for table, rows in before.items():
        book.store._connection.execute(f"delete from {table}")
        marks = ", ".join("?" * len(rows[0])) if rows else ""
        book.store._connection.executemany(f"insert into {table} values ({marks})", rows)
    book.enter(Act.STOPPED)
    book.sign()
    book.sign()
    team: list[Line] = [{"kind": "log", "v": 1, "log": TEAM_LOG, "chain": "2" * 32, "exported_at": 0, "program": ""}]
    assert {"forked", "rewritten"} <= book.verified(book.exported(), team + seen)


TABLES = ("audit", "audit_checkpoint")


def test_acts_deleted_for_their_age_leave_a_checkpoint_that_answers_for_them(book: Book) -> None:
    for number in range(10):
        book.enter(Act.STARTED, reference=str(number))
        if number % 3 == 0:
            book.sign()
    cut = book.now
    for number in range(5):
        book.enter(Act.STOPPED, reference=str(number))
    book.sign()
    gone = book.store.audited(lambda log: log.shorten(before=cut, most=1000, at=book.now), now_ms=book.now)
    book.sign()
    assert gone > 0
    exported = book.exported()
    (first, *_) = [line["n"] for line in exported if line["kind"] == "entry"]
    assert first == gone + 1
    assert book.verified(exported) == set()
    kept = [line for line in exported if line["kind"] != "checkpoint" or line["n"] != gone]
    assert "cut" in book.verified(kept)


def test_however_many_acts_there_are_only_so_many_are_kept(book: Book) -> None:
    for _ in range(30):
        book.enter(Act.STARTED)
        book.sign()
    book.store.audited(lambda log: log.shorten(before=0, most=10, at=book.now), now_ms=book.now)
    book.sign()
    exported = book.exported()
    assert sum(line["kind"] == "entry" for line in exported) == 11
    assert book.verified(exported) == set()


def test_what_a_tag_stands_for_is_proven_by_its_key_and_a_wrong_name_is_found(book: Book) -> None:
    book.enter(Act.DEVICE_PAIRED, "installer", Erasable(value="C4:B0:00:00:00:01"))
    book.sign()
    exported = book.exported(names=True)
    assert book.verified(exported) == set()
    changed = [{**line, "value": "C4:B0:00:00:00:02"} if line["kind"] == "name" else line for line in exported]
    assert book.verified(changed) == {"name"}


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_its_own_ed25519_accepts_the_vectors_of_the_rfc_and_nothing_else(
    public: str, message: str, signature: str
) -> None:
    key, data, right = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert verifier.signed(key, data, right)
    assert not verifier.signed(key, data + b"\x00", right)
    for bit in (0, 255, 256, 511):
        wrong = bytearray(right)
        wrong[bit // 8] ^= 1 << bit % 8
        assert not verifier.signed(key, data, bytes(wrong))
    # The scalar must be below the group's order (5.1.7): the same signature with the order added is refused.
    scalar = int.from_bytes(right[32:], "little") + verifier.ORDER
    assert not verifier.signed(key, data, right[:32] + scalar.to_bytes(32, "little"))


@given(data=st.binary(max_size=200))
@settings(max_examples=10, deadline=None)
def test_its_own_ed25519_agrees_with_the_library(data: bytes) -> None:
    key = SigningKey.generate()
    assert verifier.signed(key.public, data, key.sign(data))
    assert not verifier.signed(SigningKey.generate().public, data, key.sign(data))


def test_the_script_runs_alone_and_says_it_in_both_languages(book: Book, tmp_path: Path) -> None:
    book.enter(Act.STARTED)
    book.enter(Act.STOPPED)
    book.sign()
    exported = book.exported()
    file = tmp_path / "box.jsonl"
    file.write_text(written(exported), encoding="utf-8")
    key = f"{BOX}={book.key.public.hex()}"
    fine = script(str(file), "--key", key)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.splitlines() == [f"{BOX}: 3 acts, 0 of them signed for by nobody yet.", "Nothing is wrong."]
    file.write_text(written([line for line in exported if line.get("n") != 2]), encoding="utf-8")
    wrong = script(str(file), "--key", key, "--lang", "fr")
    assert wrong.returncode == 1
    assert f"{BOX} : acte manquant : 2." in wrong.stdout
    lacking = script(str(file))
    assert lacking.returncode == 2
    assert f"give the public key of {BOX}" in lacking.stderr
    file.write_text("{}\n", encoding="utf-8")
    assert script(str(file), "--key", key).returncode == 2


def test_it_shares_no_code_with_the_program() -> None:
    imported = subprocess.run(
        [sys.executable, "-I", "-c", f"import runpy, sys; runpy.run_path({str(SCRIPT)!r}); print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = {"devices", "alerting", "exchange", "agent", "coordination", "simulators", "cryptography", "msgspec"}
    assert ours.isdisjoint(name.split(".")[0] for name in imported)


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_no_file_makes_it_stumble(data: bytes) -> None:
    lines = [json.dumps({"kind": "receipt", "data": data.hex()}), data.decode(errors="replace")]
    head = {"kind": "log", "v": 1, "log": BOX, "chain": "0" * 32, "exported_at": 0, "program": ""}
    for text in (lines[1], "\n".join([json.dumps(head), lines[0]])):
        try:
            logs = [verifier.read(text)]
        except verifier.UnusableError:
            continue
        verifier.verify(logs, {TEAM_LOG: [bytes(32)]})


def test_the_first_hash_is_bound_to_whose_log_it_is() -> None:
    heads = {beginning(log, chain).hash for log in (BOX, TEAM_LOG) for chain in ("0" * 32, "1" * 32)}
    assert len(heads) == 4
    assert beginning(BOX, "0" * 32) == Head(log=BOX, chain="0" * 32, n=0, hash=verifier.beginning(BOX, "0" * 32))
    assert hashlib.sha256(b"").hexdigest() not in heads


def script(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"kind":' * 100_000,
        '{"kind":{},"data":""}',
        '{"kind":"receipt","data":"\\ud800"}',
        '{"kind":"entry","n":1,"at":0,"act":"","by":"","ref":"","detail":{"a":[]},"hash":"' + "0" * 64 + '"}',
        '{"kind":"entry","n":1,"at":0,"act":"","by":"","ref":"","detail":{"a":1.5},"hash":"' + "0" * 64 + '"}',
        '{"kind":"entry","n":'
        + "9" * 4300
        + ',"at":0,"act":"","by":"","ref":"","detail":{},"hash":"'
        + "0" * 64
        + '"}',
    ],
    ids=range(7),
)
def test_a_file_made_to_break_the_verifier_is_unusable_in_one_sentence(tmp_path: Path, line: str) -> None:
    head = {"kind": "log", "v": 1, "log": BOX, "chain": "0" * 32, "exported_at": 0, "program": ""}
    file = tmp_path / "log.jsonl"
    file.write_text(f"{json.dumps(head)}\n{line}\n", encoding="utf-8")
    done = script(str(file), "--key", f"{BOX}={'0' * 64}")
    assert done.returncode == 2
    assert done.stderr.startswith("verify_audit: line 2")
    assert len(done.stderr.splitlines()) == 1
