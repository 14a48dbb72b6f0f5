"""Spoilt bytes into one codec, and what came of it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.codecs import CASES

LONGEST = 80


@dataclass(frozen=True, slots=True)
class Finding:
    case: str
    frame: str
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    case: str
    frames: int
    refused: int
    findings: tuple[Finding, ...]


def mutant(dice: random.Random, seeds: Sequence[bytes], longest: int = 2 * LONGEST) -> bytes:
    """Return one spoilt frame."""
    if not seeds or dice.random() < 0.1:
        return dice.randbytes(dice.randrange(LONGEST))
    frame = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        match dice.randrange(7):
            case 0 if frame:
                frame[dice.randrange(len(frame))] ^= 1 << dice.randrange(8)
            case 1 if frame:
                frame[dice.randrange(len(frame))] = dice.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, dice.randrange(256)))
            case 2:
                del frame[dice.randrange(len(frame) + 1) :]
            case 3:
                frame += dice.randbytes(dice.randrange(1, 6))
            case 4 if frame:
                at = dice.randrange(len(frame))
                frame[at:at] = frame[at : at + dice.randrange(1, 8)]
            case 5 if frame:
                frame[0] = dice.randrange(256)
            case _:
                frame += dice.choice(seeds)
    return bytes(frame[:longest])


def work(name: str, seed: int, frames: int) -> Outcome:
    """Try so many frames on one codec."""
    case = CASES[name]
    dice = random.Random(seed)
    refused = 0
    findings: list[Finding] = []
    for _ in range(frames):
        make = case.mutants if case.mutants is not None and dice.random() < 2 / 3 else mutant
        frame = make(dice, case.seeds, case.longest)
        if case.repair_always or dice.random() < 0.5:
            frame = case.repair(frame)
        try:
            refused += case.run(frame)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            findings.append(Finding(case=name, frame=frame.hex(), error=f"{type(error).__name__}: {error}"))
            if len(findings) >= 5:
                break
    return Outcome(case=name, frames=frames, refused=refused, findings=tuple(findings))
