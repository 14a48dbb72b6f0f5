"""What the tests of devices share: the arrival of a frame, and the frames files."""

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.driver import FrameContext

FRAMES = Path(__file__).parent / "frames"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFrame:
    driver: str
    name: str
    provenance: str
    frame: bytes
    measured_at: int
    clock: str
    readings: list[dict[str, Any]]


def known_frames() -> list[KnownFrame]:
    return [
        KnownFrame(
            driver=path.stem,
            name=entry["name"],
            provenance=entry["provenance"],
            frame=bytes.fromhex(entry["hex"]),
            measured_at=ms(entry["measured_at"]),
            clock=entry["clock"],
            readings=entry["readings"],
        )
        for path in sorted(FRAMES.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["frame"]
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "known" in metafunc.fixturenames:
        frames = known_frames()
        metafunc.parametrize("known", frames, ids=[f"{frame.driver}: {frame.name}" for frame in frames])


@pytest.fixture
def context() -> FrameContext:
    """A frame that arrives on 2026-11-22 at 08:00:00Z, in Paris; a CGM session of two days."""
    return FrameContext(
        device="C4:B0:00:00:00:01",
        received_at=ms("2026-11-22T08:00:00Z"),
        zone=ZoneInfo("Europe/Paris"),
        session_start=ms("2026-11-20T06:00:00Z"),
    )
