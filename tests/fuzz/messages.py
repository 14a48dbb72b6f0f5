"""What crosses the network, and the files that people write: envelopes, receipts, statuses, team lists, contents,
protocols.

Two cases of each signed message. Spoilt as it is, it must be refused: whatever is accepted and was not signed is a
failure. Signed again after it was spoilt, as a box that is no longer ours could, it may be accepted or refused; nothing
else may happen.
"""

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from alerting.errors import ProtocolError
from alerting.protocol_file import check_protocol, read_protocol
from exchange import sealing, team_list
from exchange.audit_chain import Head, beginning, checkpoint
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.errors import ExchangeError
from exchange.gaps import GapReason, GapRecord
from exchange.handed_over import hand_over, taken_over
from exchange.identity import KEY_ID_LENGTH, SIGNATURE_LENGTH, ReceiptSigner, Recipient, RecipientRole
from exchange.messages import Content, Range, Record, Status, observation
from exchange.packing import unpack
from exchange.receipts import Credit, Receipt, Received
from exchange.sealing import BUCKETS, Opener, Sealer, sign_receipt, sign_status, verify_receipt, verify_status
from exchange.team_list import TeamList, sign_team_list, verify_team_list
from tests.agent.kit import BOX, START
from tests.agent.kit import glucose as reading
from tests.coordination.kit import hypo
from tests.fuzz.case import Case
from tests.fuzz.keys import OPENING, PRESENT, SIGNING
from tests.fuzz.trees import packed_mutant, settings_mutant

EPOCH = "0" * 32
SMALL = Path(__file__).parent.parent / "alerting" / "small"


def signer(box: str, key: str) -> bytes | None:
    return SIGNING.public if (box, key) == (BOX, SIGNING.id) else None


def guarded(
    seeds: list[bytes], take: Callable[[bytes], object], refusal: type[Exception] | tuple[type[Exception], ...]
) -> Callable[[bytes], bool]:
    """Return a case's `run` that fails when something else than a seed is accepted."""

    def run(frame: bytes) -> bool:
        try:
            take(frame)
        except refusal:
            return True
        if frame not in seeds:
            raise ValueError("accepted, and nobody signed it")
        return False

    return run


def refusable(take: Callable[[bytes], object], refusal: type[Exception]) -> Callable[[bytes], bool]:
    def run(frame: bytes) -> bool:
        try:
            take(frame)
        except refusal:
            return True
        return False

    return run


def signed_again(label: bytes) -> Callable[[bytes], bytes]:
    def repair(frame: bytes) -> bytes:
        # The head of a note says who signed it; in an envelope it is in the header, which is then refused.
        unsigned = frame[:-SIGNATURE_LENGTH]
        if label != sealing._ENVELOPE_LABEL:
            unsigned = bytes.fromhex(SIGNING.id) + unsigned[8:]
        return unsigned + SIGNING.sign(label + unsigned)

    return repair


def envelope_signed_again(frame: bytes) -> bytes:
    """Return an envelope of the nearest size that one can have, signed again."""
    size = min(BUCKETS[:2], key=lambda bucket: abs(bucket - len(frame)))
    unsigned = frame[: size - SIGNATURE_LENGTH].ljust(size - SIGNATURE_LENGTH, b"\x00")
    return unsigned + SIGNING.sign(sealing._ENVELOPE_LABEL + unsigned)


def list_signed_again(frame: bytes) -> bytes:
    unsigned = frame[:-SIGNATURE_LENGTH]
    return unsigned + SIGNING.sign(team_list._LIST_LABEL + unsigned)


def handed_over_again(frame: bytes) -> bytes:
    """Return it handed over anew by the present key, in a size that one can have: what is inside stays spoilt."""
    inside = frame[10:-SIGNATURE_LENGTH]
    size = min(BUCKETS[:2], key=lambda bucket: abs(bucket - len(inside)))
    return hand_over(inside[:size].ljust(size, b"\x00"), PRESENT)


def note_of(label: bytes, payload: bytes) -> bytes:
    """Return a signed note of whatever that is."""
    unsigned = bytes.fromhex(SIGNING.id) + payload
    return unsigned + SIGNING.sign(label + unsigned)


def _taken(take: Callable[[bytes], object], label: bytes, payload: bytes) -> object:
    return take(note_of(label, payload))


def list_of(payload: bytes) -> bytes:
    """Return a signed list of whatever that is."""
    unsigned = b"\x00" + bytes.fromhex(SIGNING.id) + payload
    return unsigned + SIGNING.sign(team_list._LIST_LABEL + unsigned)


def envelope_with_header(envelope: bytes, header: bytes) -> bytes:
    """Return an envelope with another header, of the length that it had, signed again."""
    whole = len(header).to_bytes(2, "big") + header + envelope[2 + int.from_bytes(envelope[:2], "big") :]
    unsigned = whole[: len(envelope) - SIGNATURE_LENGTH].ljust(len(envelope) - SIGNATURE_LENGTH, b"\x00")
    return unsigned + SIGNING.sign(sealing._ENVELOPE_LABEL + unsigned)


def records() -> list[Record]:
    head = beginning(BOX, EPOCH)
    signed = checkpoint(Head(log=BOX, chain=EPOCH, n=3, hash="ab" * 32), since=head, at=START, key=SIGNING)
    changes = [hypo(kind) for kind in ("raised", "resolved")]  # type: ignore[arg-type]
    correction = ClockCorrection(
        boot=EPOCH, mono_from=0, mono_to=9_000, offset=-3_600_000, epoch=EPOCH, first=0, last=7, at=START
    )
    gap = GapRecord(
        patient="patient-7f3a",
        lane=2,
        epoch=EPOCH,
        ranges=((0, 7), (9, 9)),
        measured_from=START,
        measured_to=START + 1,
        readings=9,
        reason=GapReason.EVICTED,
    )
    canary = CanaryRecord(at=START, count=7)
    return [observation("patient-7f3a", reading("104", 0)), *changes, signed, correction, gap, canary]


def content(frame: bytes) -> bool:
    """Unpack what a box sealed, whatever it is."""
    squeezed = zlib.compress(frame)
    try:
        unpacked = unpack(len(squeezed).to_bytes(4, "big") + squeezed, count=len(records()))
    except ExchangeError:
        return True
    # What was taken in is kept as JSON, and read again.
    for record in unpacked:
        msgspec.json.decode(msgspec.json.encode(record), type=Record)
    return False


def cases() -> dict[str, Case]:
    sealer = Sealer(box=BOX, signing_key=SIGNING, recipients=[Recipient.of(OPENING, RecipientRole.TEAM)])
    opener = Opener(keys=[OPENING], signer_of=signer)
    envelopes = [
        sealer.seal(epoch=EPOCH, first=0, lane=1, created=START, records=chosen)
        for chosen in (records()[:1], records())
    ]
    receipts = [
        sign_receipt(
            Receipt(
                box=BOX,
                epochs=(Received(epoch=EPOCH, ranges=(Range(0, 7), Range(9, 9)), high=9),),
                at=START,
                credit=Credit(envelopes=10, size=1 << 20),
                heads=heads,
            ),
            SIGNING,
        )
        for heads in ((), (beginning(BOX, EPOCH), beginning("@team", EPOCH)))
    ]
    statuses = [
        sign_status(
            Status(
                state=state,
                box=BOX,
                epoch=EPOCH,
                session=EPOCH,
                next_seq=9,
                backlog=3,
                version="0.1.0",
                protocols={},
                at=START,
            ),
            SIGNING,
        )
        for state in ("online", "offline")
    ]
    protocols = [path.read_bytes() for path in sorted(SMALL.glob("*.toml"))]

    def opened(frame: bytes) -> object:
        return opener.open(frame, box=BOX)

    def receipted(frame: bytes) -> object:
        return verify_receipt(frame, box=BOX, signers={SIGNING.id: SIGNING.public})

    def said(frame: bytes) -> object:
        return verify_status(frame, box=BOX, signer_of=signer)

    longest = BUCKETS[1] + 64
    found = {"envelope": Case(envelopes, guarded(envelopes, opened, ExchangeError), longest=longest, short=400)}
    for name, seeds, take, label in (
        ("receipt", receipts, receipted, sealing._RECEIPT_LABEL),
        ("status", statuses, said, sealing._STATUS_LABEL),
    ):
        found[name] = Case(seeds, guarded(seeds, take, ExchangeError), longest=1024)
        found[f"{name}.signed_again"] = Case(
            seeds, refusable(take, ExchangeError), signed_again(label), longest=1024, repair_always=True
        )
        found[f"{name}.badly_made"] = Case(
            [seed[KEY_ID_LENGTH // 2 : -SIGNATURE_LENGTH] for seed in seeds],
            refusable(partial(_taken, take, label), ExchangeError),
            longest=1 << 17,
            mutants=packed_mutant,
            short=400,
        )
    lists = [
        sign_team_list(
            TeamList(
                version=version,
                issued_at=START,
                expires_at=START + 1,
                recipients=(Recipient.of(OPENING, RecipientRole.TEAM),),
                receipt_signers=(ReceiptSigner.of(SIGNING),),
            ),
            SIGNING,
        )
        for version in (1, 2)
    ]

    def believed(frame: bytes) -> object:
        return verify_team_list(frame, roots={SIGNING.id: SIGNING.public})

    found["team_list"] = Case(lists, guarded(lists, believed, ExchangeError), longest=1024)
    found["team_list.signed_again"] = Case(
        lists, refusable(believed, ExchangeError), list_signed_again, longest=1024, repair_always=True
    )
    found["team_list.badly_made"] = Case(
        [seed[1 + KEY_ID_LENGTH // 2 : -SIGNATURE_LENGTH] for seed in lists],
        refusable(lambda payload: believed(list_of(payload)), ExchangeError),
        longest=1 << 17,
        mutants=packed_mutant,
        short=400,
    )
    found["envelope.signed_again"] = Case(
        envelopes,
        refusable(opened, ExchangeError),
        envelope_signed_again,
        longest=longest,
        repair_always=True,
        short=400,
    )
    handed = [hand_over(envelope, PRESENT) for envelope in envelopes]

    def handed_over(frame: bytes) -> object:
        inside = taken_over(frame, box=BOX, signer_of=lambda _, key: PRESENT.public if key == PRESENT.id else None)
        return opener.open(inside, box=BOX)

    found["handed_over"] = Case(handed, guarded(handed, handed_over, ExchangeError), longest=longest, short=400)
    found["handed_over.signed_again"] = Case(
        # Whoever has the present key and not the one of before: still nothing but what that one signed is taken.
        handed,
        guarded(handed, handed_over, ExchangeError),
        handed_over_again,
        longest=longest,
        repair_always=True,
        short=400,
    )
    headers = [envelope[2 : 2 + int.from_bytes(envelope[:2], "big")] for envelope in envelopes]
    found["envelope.header"] = Case(
        headers,
        refusable(lambda header: opened(envelope_with_header(envelopes[0], header)), ExchangeError),
        longest=900,
        mutants=packed_mutant,
        short=400,
    )
    plain = [msgspec.msgpack.encode(Content(records=tuple(chosen))) for chosen in (records()[:1], records())]
    found["content"] = Case(plain, content, longest=1 << 17, mutants=packed_mutant)
    found["protocol"] = Case(
        protocols,
        refusable(partial(read_protocol, name_hint="fuzz"), ProtocolError),
        longest=6000,
        short=60,
        most=20_000,
        mutants=settings_mutant,
    )
    found["protocol.checked"] = Case(
        protocols,
        refusable(check_protocol, ProtocolError),
        longest=1 << 16,
        short=30,
        most=20_000,
        mutants=settings_mutant,
    )
    return found
