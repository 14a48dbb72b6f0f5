"""The frames files: what devices send, and what is expected of it."""

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devices.drivers import driver_named

FRAMES = Path(__file__).parent / "frames"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFrame:
    driver: str
    name: str
    provenance: str
    characteristic: int
    frame: bytes
    rest: bytes
    measured_at: int
    clock: str
    readings: list[dict[str, Any]]


def known_frames() -> list[KnownFrame]:
    return [
        KnownFrame(
            driver=path.stem,
            name=entry["name"],
            provenance=entry["provenance"],
            characteristic=int(entry.get("characteristic", f"{driver_named(path.stem).measurements[0]:04X}"), 16),
            frame=bytes.fromhex(entry["hex"]),
            rest=bytes.fromhex(entry.get("rest", "")),
            measured_at=ms(entry["measured_at"]),
            clock=entry["clock"],
            readings=entry["readings"],
        )
        for path in sorted(FRAMES.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["frame"]
    ]
