"""Files that come from somebody else: settings, protocols as `veilleur check` sees them, keys, requests to be signed,
upgrades, records of acts, recordings. And the topics of what the broker delivers.

`veilleur check` is run as whoever installs a box runs it: it must end with one of its exit codes, whatever the file.
"""

import atexit
import contextlib
import gzip
import hashlib
import io
import json
import random
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from agent.cli import main
from agent.errors import SettingsError
from agent.settings_file import read_settings
from agent.upgrade_bundle import _LABEL, MAGIC, Item, Manifest, UpgradeError, read_manifest, unpack
from alerting.errors import RecordingError
from alerting.recordings import read_recording
from coordination.errors import CoordinationError
from coordination.errors import SettingsError as DeskSettingsError
from coordination.requests import Request, Signed, read_request, write_request
from coordination.settings import read_settings as read_desk_settings
from exchange.audit_chain import TEAM_LOG, Act, Erasable, Head, after, beginning, checkpoint, entry_of, tag
from exchange.audit_export import Exported, lines
from exchange.commands import decode
from exchange.errors import IdentityError
from exchange.identity import SIGNATURE_LENGTH, ReceiptSigner, Recipient, RecipientRole, TeamKeys, read_team_keys
from exchange.messages import Range
from exchange.receipts import Receipt, Received
from exchange.sealing import sign_receipt
from exchange.topics import box_of, topic, valid_box
from tests.agent.kit import BOX, START
from tests.fuzz.case import Case
from tests.fuzz.keys import OPENING, SIGNING
from tests.fuzz.orders import ORDERS
from tests.fuzz.trees import settings_mutant, written_mutant
from tests.security.kit import verifier

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "alerting" / "small"
BOX_SETTINGS = (ROOT / "configs" / "agent.toml").read_bytes()
DESK_SETTINGS = (ROOT / "configs" / "desk.toml").read_bytes()
CSV = (
    b"patient,time,quantity,value,unit\npatient-7f3a,2026-03-05T07:28:00,glucose,104,mg/dL\n"
    b"patient-7f3a,2026-03-05T07:33:00+01:00,glucose,5.8,mmol/L\npatient-21c8,2026-03-05T08:00:00Z,weight,71.2,kg\n"
)


@cache
def _folder() -> Path:
    """Return a folder of this process, with the protocols that the small settings name."""
    folder = TemporaryDirectory(prefix="veilleur-fuzz-")
    atexit.register(folder.cleanup)
    place = Path(folder.name)
    for path in SMALL.glob("*.toml"):
        (place / path.name).write_bytes(path.read_bytes())
    return place


def _small(settings: bytes) -> bytes:
    """Return settings that name protocols which are read quickly."""
    return settings.replace(b'"diabetes_cgm"', b'"diabetes_cgm.toml"').replace(
        b'"heart_failure"', b'"heart_failure.toml"'
    )


def of_file(take: Callable[[Path], object], *refusals: type[Exception], name: str = "file") -> Callable[[bytes], bool]:
    """Return a `run` that gives `take` the bytes in a file."""

    def run(frame: bytes) -> bool:
        path = _folder() / name
        path.write_bytes(frame)
        try:
            take(path)
        except refusals:
            return True
        return False

    return run


def checked(frame: bytes) -> bool:
    """Run `veilleur check`, in one language and the other."""
    path = _folder() / "checked.toml"
    path.write_bytes(frame)
    codes = set()
    for lang in ("fr", "en"):
        result = CliRunner().invoke(main, ["--lang", lang, "check", str(path)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code not in {0, 1, 2}:
            raise ValueError(f"exit code {result.exit_code}")
        if result.exit_code and not result.stderr.strip():
            raise ValueError("refused without a word")
        codes.add(result.exit_code)
    if len(codes) != 1:
        raise ValueError("refused in one language only")
    return codes != {0}


# --- upgrades ------------------------------------------------------------------------------------------------

FILES = {"veilleur-1.0-py3-none-any.whl": b"wheel" * 40, "requirements.txt": b"click==8\n"}


def manifest() -> bytes:
    return msgspec.json.encode(
        Manifest(
            version="1.0",
            serial=2,
            wheel="veilleur-1.0-py3-none-any.whl",
            requirements="requirements.txt",
            files=tuple(
                Item(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in FILES.items()
            ),
        )
    )


def bundle_of(body: bytes) -> bytes:
    """Return a signed bundle of whatever manifest that is."""
    head = MAGIC + len(body).to_bytes(4, "big")
    return head + body + SIGNING.sign(_LABEL + body) + b"".join(FILES.values())


def bundle_signed_again(frame: bytes) -> bytes:
    start = len(MAGIC) + 4
    length = int.from_bytes(frame[len(MAGIC) : start], "big")
    body = frame[start : start + length]
    return frame[: start + length] + SIGNING.sign(_LABEL + body) + frame[start + length + SIGNATURE_LENGTH :]


def upgraded(frame: bytes) -> None:
    bundle = io.BytesIO(frame)
    found = read_manifest(bundle, release_key=SIGNING.public)
    with TemporaryDirectory(dir=_folder()) as folder:
        unpack(bundle, found, Path(folder))
        for path in Path(folder).rglob("*"):
            if FILES.get(path.name) != path.read_bytes():
                raise ValueError("unpacked, and not what its maker put in")


# --- records of acts ------------------------------------------------------------------------------------------


def log_file() -> bytes:
    head = signed_up_to = beginning(BOX, "0" * 32)
    entries, checkpoints = [], []
    value = Erasable(value="patient-7f3a")
    for number in range(6):
        entry = entry_of(
            head,
            Act.STARTED,
            at=START + number,
            by="box",
            reference=value if number == 3 else "é",
            detail={"count": number, "why": "n°"},
            tagged=lambda one: tag(bytes(32), one.value),
        )
        head = after(head, entry)
        entries.append((entry, head.hash))
        if number % 2:
            checkpoints.append(checkpoint(head, since=signed_up_to, at=START + number, key=SIGNING))
            signed_up_to = head
    receipt = Receipt(
        box=BOX,
        epochs=(Received(epoch="0" * 32, ranges=(Range(0, 0),), high=0),),
        at=START,
        heads=(Head(log=BOX, chain="0" * 32, n=4, hash=entries[3][1]), beginning(TEAM_LOG, "1" * 32)),
    )
    exported = Exported(
        log=BOX,
        chain="0" * 32,
        at=START,
        program="0.1.0",
        entries=entries,
        checkpoints=checkpoints,
        receipts=[sign_receipt(receipt, SIGNING)],
        names={tag(bytes(32), value.value): (value.value, bytes(32))},
    )
    return "\n".join(lines(exported)).encode()


LOG = log_file()
ACTS = [line for line in LOG.splitlines() if b'"kind":"entry"' in line]


def verified(frame: bytes) -> bool:
    """Run the verifier as an auditor does."""
    path = _folder() / "acts.jsonl"
    path.write_bytes(frame)
    key = SIGNING.public.hex()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = verifier.main([str(path), "--key", f"{BOX}={key}", "--key", f"{TEAM_LOG}={key}"])
    if code not in {0, 1, 2}:
        raise ValueError(f"exit code {code}")
    if code == 0 and [json.loads(line) for line in frame.splitlines() if _is_act(line)] != [
        json.loads(line) for line in ACTS
    ]:
        raise ValueError("nothing wrong, and these are not the acts that were signed for")
    return bool(code)


def _is_act(line: bytes) -> bool:
    return bool(json.loads(line)["kind"] == "entry")


# --- recordings ----------------------------------------------------------------------------------------------


def csv_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return a recording with a field that is none, or with lines of another length."""
    rows = [line.split(b",") for line in dice.choice(seeds).split(b"\n")]
    for _ in range(dice.choice((1, 1, 3))):
        row = dice.choice(rows)
        bad = dice.choice(
            (
                b"",
                b'"',
                b'"' + b"x" * 200_000,
                b"9" * 400,
                b"1e9",
                b"-0",
                b"nan",
                "٣".encode(),
                b"\x00",
                b"\xff",
                b"\r",
                b"2026-02-30T00:00:00",
                b"9999-12-31T23:59:59-23:59",
                b"2026-W10-4T07:28",
                b"2026-03-05T07:28:00.000000001",
                b"2026-03-05T07:28:00+00:00:00.000001",
                b"a,b",
                b"# simulated",
                b"x" * 65,
                b"\xef\xbb\xbf",
            )
        )
        row[dice.randrange(len(row))] = bad
    return b"\n".join(b",".join(row) for row in rows)[:longest]


def parquet() -> bytes:
    table = pa.table(
        {
            "patient": ["patient-7f3a", "patient-7f3a", "patient-21c8"],
            "time": pa.array([START, START + 300_000, START], pa.timestamp("ms", tz="UTC")),
            "quantity": ["glucose", "glucose", "weight"],
            "value": [104.0, 110.0, 71.2],
            "unit": ["mg/dL", "mg/dL", "kg"],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


# --- topics --------------------------------------------------------------------------------------------------


def boxed(frame: bytes) -> bool:
    name = frame.decode("utf-8", "replace")
    box = box_of(name)
    if box is None:
        return True
    if not valid_box(box) or topic(box, name.rsplit("/", 1)[1]) != name or set(box) & set("/+#$"):
        raise ValueError("not the box of this topic")
    return False


def cases() -> dict[str, Case]:
    small_box, small_desk = _small(BOX_SETTINGS), _small(DESK_SETTINGS)
    protocols = [path.read_bytes() for path in sorted(SMALL.glob("*.toml"))]
    order = ORDERS[0]
    request = _folder() / "request.json"
    write_request(
        request,
        Request(
            raw=order.command,
            command=decode(order.command),
            signed=(Signed(name="Anne Morel", signature=order.signatures[0]),),
        ),
    )
    team = msgspec.json.encode(
        TeamKeys(recipients=(Recipient.of(OPENING, RecipientRole.TEAM),), receipt_signers=(ReceiptSigner.of(SIGNING),))
    )
    topics = [topic(BOX, channel).encode() for channel in ("obs", "alert", "status", "cmdack")]
    bundles = [bundle_of(manifest())]
    of_settings = partial(Case, longest=1 << 18, mutants=settings_mutant, most=20_000)
    of_json = partial(Case, longest=1 << 18, mutants=written_mutant, most=100_000)
    return {
        "settings.box": of_settings([small_box], of_file(read_settings, SettingsError), short=60),
        "settings.desk": of_settings([small_desk], of_file(read_desk_settings, DeskSettingsError), short=60),
        "check": of_settings([small_box, small_desk, *protocols, LOG], checked, short=60),
        "team_keys": of_json([team], of_file(read_team_keys, IdentityError), short=200),
        "request": of_json(
            [request.read_bytes().replace(b"\n", b" ")], of_file(read_request, CoordinationError), short=200
        ),
        "upgrade": Case(
            bundles, of_file(lambda path: upgraded(path.read_bytes()), UpgradeError), longest=2048, short=200
        ),
        "upgrade.signed_again": Case(
            bundles,
            of_file(lambda path: upgraded(path.read_bytes()), UpgradeError),
            bundle_signed_again,
            longest=2048,
            repair_always=True,
            short=300,
        ),
        "upgrade.badly_made": of_json(
            [manifest()], of_file(lambda path: upgraded(bundle_of(path.read_bytes())), UpgradeError), short=300
        ),
        "acts": of_json([LOG], verified, short=60),
        "recording.csv": Case(
            [CSV],
            of_file(read_recording, RecordingError, name="recording.csv"),
            longest=1 << 18,
            mutants=csv_mutant,
            short=300,
            most=100_000,
        ),
        "recording.gz": Case(
            [gzip.compress(CSV, mtime=0)],
            of_file(read_recording, RecordingError, OSError, name="recording.csv.gz"),
            longest=2048,
            short=200,
            most=100_000,
        ),
        "recording.parquet": Case(
            [parquet()],
            of_file(read_recording, RecordingError, name="recording.parquet"),
            longest=1 << 15,
            short=100,
            most=20_000,
        ),
        "topic": Case(topics, boxed, longest=200),
    }
