"""python -m tests.fuzz [--frames N] [--seed S] [NAME ...]: spoilt bytes into every codec.

What a device, a box, a broker or a person sends is an error or a value, never another exception; and nothing that had
to be signed is accepted unsigned. Frames are mutants of known good ones (bits
flipped, bytes replaced, cut, repeated, put together) and plain random bytes. A failure prints the bytes that did it, so
that they can become a frame of a test.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.fuzz.codecs import CASES
from tests.fuzz.spoil import Finding, work

CHUNK = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames a codec (default: a million)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"codecs; all of them: {', '.join(CASES)}")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.names if name not in CASES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(CASES)}")
    names = wanted.names or list(CASES)
    findings: list[Finding] = []
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, name in enumerate(names, 1):
            frames = min(wanted.frames, CASES[name].most)
            sizes = [min(CHUNK, frames - at) for at in range(0, frames, CHUNK)]
            seeds = (hash_of(name, wanted.seed, chunk) for chunk in range(len(sizes)))
            chunks = [pool.submit(work, name, seed, size) for seed, size in zip(seeds, sizes, strict=True)]
            done = [chunk.result() for chunk in as_completed(chunks)]
            found = [finding for outcome in done for finding in outcome.findings]
            tried, refused = sum(outcome.frames for outcome in done), sum(outcome.refused for outcome in done)
            findings += found
            print(
                f"[{number}/{len(names)}] {name}: {tried} frames, {100 * refused / tried:.0f} % refused, "
                f"{len(found)} failures, {time.monotonic() - began:.0f} s so far",
                flush=True,
            )
            for finding in found[:5]:
                print(f"    {finding.frame}: {finding.error}", flush=True)
    return 1 if findings else 0


def hash_of(name: str, seed: int, chunk: int) -> int:
    """Return a seed that is the same in every run."""
    return int.from_bytes(f"{name}:{seed}:{chunk}".encode()[:32], "little")


if __name__ == "__main__":
    sys.exit(main())
