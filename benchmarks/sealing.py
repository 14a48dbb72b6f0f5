"""What an envelope costs: milliseconds to seal and to open, and bytes, for one to three recipients, classic and hybrid.

One glucose reading, which is most of what travels alone, and a batch of 60. An opener holds 39 keys: thirteen months
of three. `overhead` is what is not content: header, wraps, nonce, tag and signature.
"""

import random
import time
from collections.abc import Sequence

from benchmarks.figure import say
from devices.reading import ClockTrust, Quantity, Unit, Validity
from exchange.errors import EnvelopeError
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.messages import ObservationRecord
from exchange.packing import pack
from exchange.sealing import LANE_SPARSE, Opener, Sealer
from exchange.team_list import TeamList, sign_team_list, verify_team_list

ROUNDS = 300
BOX, EPOCH, START = "box-0001", "0123456789abcdef" * 2, 1_763_800_000_000
ROLES = tuple(RecipientRole)


def records(count: int) -> tuple[ObservationRecord, ...]:
    """Return readings as a sensor gives them, five minutes apart."""
    dice = random.Random(7)
    return tuple(
        ObservationRecord(
            patient="patient-7f3a",
            quantity=Quantity.GLUCOSE_INTERSTITIAL,
            count=1000 + dice.randrange(800),
            unit=Unit.MG_PER_DL,
            validity=Validity.VALID,
            measured_at=START + 300_000 * number,
            clock=ClockTrust.TRUSTED,
            received_at=START + 300_000 * number + dice.randrange(2000),
            device="C4:B0:00:00:00:01",
            key=f"{START}:{5 * number}",
            quality=0,
            source="device",
            device_value=str(100 + dice.randrange(80)),
            device_unit=Unit.MG_PER_DL,
            device_time=None,
            frame=dice.randbytes(15),
        )
        for number in range(count)
    )


def _one(kind: str, *, recipients: int, count: int) -> None:
    hybrid = kind == "hybrid"
    signer = SigningKey.generate()
    keys = [OpeningKey.generate(hybrid=hybrid) for _ in range(recipients)]
    sealer = Sealer(
        box=BOX,
        signing_key=signer,
        recipients=[Recipient.of(key, role) for key, role in zip(keys, ROLES, strict=False)],
    )
    held = [*(OpeningKey.generate(hybrid=hybrid) for _ in range(38)), keys[0]]
    opener = Opener(keys=held, signer_of=lambda _box, _name: signer.public)
    content = records(count)
    sealing: list[float] = []
    opening: list[float] = []
    envelope = b""
    for number in range(ROUNDS):
        begun = time.perf_counter()
        envelope = sealer.seal(epoch=EPOCH, first=number, lane=LANE_SPARSE, created=START, records=content)
        sealed = time.perf_counter()
        opener.open(envelope, box=BOX)
        opening.append(1000 * (time.perf_counter() - sealed))
        sealing.append(1000 * (sealed - begun))
    wrap = 1168 if hybrid else 80
    header = int.from_bytes(envelope[:2], "big")
    facts = {
        "kind": kind,
        "recipients": recipients,
        "records": count,
        "bytes": len(envelope),
        "overhead": 2 + header + recipients * wrap + 12 + 16 + 64,
        "packed": len(pack(content)),
        "most_records": _most(sealer),
    }
    say("seal", "ms", sealing, **facts)
    say("open", "ms", opening, **facts)


def _most(sealer: Sealer) -> dict[int, int]:
    """Return how many such readings an envelope of each size holds."""
    most: dict[int, int] = {}
    low = 1
    for size in (1024, 4096, 16384, 65536):
        high = 601
        while low < high:
            middle = (low + high) // 2
            if _size(sealer, records(middle)) <= size:
                low = middle + 1
            else:
                high = middle
        most[size] = low - 1
    return most


def _size(sealer: Sealer, content: Sequence[ObservationRecord]) -> int:
    try:
        return len(sealer.seal(epoch=EPOCH, first=0, lane=LANE_SPARSE, created=START, records=content))
    except EnvelopeError:
        return 1 << 20


def _team_list() -> None:
    root, receipt = SigningKey.generate(), SigningKey.generate()
    team = TeamList(
        version=1,
        issued_at=START,
        expires_at=START + 1,
        recipients=tuple(Recipient.of(OpeningKey.generate(hybrid=True), role) for role in ROLES),
        receipt_signers=(ReceiptSigner.of(receipt),),
    )
    data = sign_team_list(team, root)
    took: list[float] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        verify_team_list(data, roots={root.id: root.public})
        took.append(1000 * (time.perf_counter() - begun))
    say("verify_team_list", "ms", took, bytes=len(data), recipients="3 hybrid")


def figures() -> None:
    for kind in ("classic", "hybrid"):
        for recipients in (1, 2, 3):
            for count in (1, 60):
                _one(kind, recipients=recipients, count=count)
    _team_list()


if __name__ == "__main__":
    figures()
