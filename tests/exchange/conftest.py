"""Keys and records that the tests of this folder share; all made here."""

from collections.abc import Callable

import pytest

from devices.reading import ClockTrust, Quantity, Unit, Validity
from exchange.identity import OpeningKey, SigningKey
from exchange.messages import ObservationRecord

MakeRecord = Callable[..., ObservationRecord]


@pytest.fixture(scope="session")
def box_key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(scope="session")
def stranger() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(scope="session")
def team() -> OpeningKey:
    return OpeningKey.generate()


@pytest.fixture(scope="session")
def on_call() -> OpeningKey:
    return OpeningKey.generate()


@pytest.fixture(scope="session")
def escrow() -> OpeningKey:
    return OpeningKey.generate()


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    def make(number: int = 0, *, frame: bytes = b"", device_value: str = "104") -> ObservationRecord:
        """A glucose reading, five minutes after the one numbered before it."""
        start = 1_700_000_000_000
        return ObservationRecord(
            patient="patient-7f3a",
            quantity=Quantity.GLUCOSE_INTERSTITIAL,
            count=1040 + number,
            unit=Unit.MG_PER_DL,
            validity=Validity.VALID,
            measured_at=start + 300_000 * number,
            clock=ClockTrust.TRUSTED,
            received_at=start + 300_000 * number + 800,
            device="C4:B0:00:00:00:01",
            key=f"{start}:{5 * number}",
            quality=0,
            source="device",
            device_value=device_value,
            device_unit=Unit.MG_PER_DL,
            device_time=None,
            frame=frame,
        )

    return make
