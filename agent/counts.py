"""Counts of what was refused or noticed, such as "receipt.signature": in memory, and kept now and then.

Counting must never cost a commit: a broker that refuses a thousand times an hour would wear out the disk. A power
cut loses the counts since they were last kept, and nothing else.
"""

from collections import Counter


class Counts:
    """What was counted since the last `take`."""

    def __init__(self) -> None:
        self._fresh: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one more."""
        self._fresh[name] += 1

    def seen(self, name: str) -> int:
        """Return how many were counted since the last `take`."""
        return self._fresh[name]

    def take(self) -> dict[str, int]:
        """Return and forget what was counted."""
        taken, self._fresh = dict(self._fresh), Counter()
        return taken

    def put_back(self, taken: dict[str, int]) -> None:
        """Count again what could not be kept."""
        self._fresh.update(taken)
