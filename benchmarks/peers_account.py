"""What a producer was told of its records, beside what the team received: what is lost, and what is there twice.

A record counts as safe once its producer was told so. One that was refused, or never answered before the kill, may be
given again by a producer that knows, and is nobody's loss. Two copies of one record are one duplicate.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Account:
    """Records by their numbers.

    Attributes:
        given: handed to the buffer.
        safe: of which the producer was told that they are safe.
        refused: of which the producer was told that they are not.
        received: how often the team got each.
    """

    given: set[int] = field(default_factory=set)
    safe: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    received: Counter[int] = field(default_factory=Counter)

    def give(self, number: int) -> None:
        self.given.add(number)

    def tell(self, number: int, *, safe: bool) -> None:
        """Note what the producer was told."""
        (self.safe if safe else self.refused).add(number)

    def receive(self, number: int) -> None:
        self.received[number] += 1

    @property
    def unanswered(self) -> int:
        """How many records the buffer never said anything about."""
        return len(self.given - self.safe - self.refused)

    def missing(self) -> set[int]:
        """Return the records that were told safe and are not received, not yet or never."""
        return self.safe - self.received.keys()

    @property
    def lost(self) -> int:
        return len(self.missing())

    def lost_of(self, numbers: Iterable[int]) -> int:
        """Return how many of these are lost."""
        return len(self.missing().intersection(numbers))

    @property
    def duplicated(self) -> int:
        """How many copies the team got beyond the first of each record."""
        return sum(count - 1 for count in self.received.values())

    def facts(self) -> dict[str, int]:
        """Return the figures of a line."""
        return {
            "given": len(self.given),
            "told_safe": len(self.safe),
            "refused": len(self.refused),
            "unanswered": self.unanswered,
            "lost": self.lost,
            "duplicated": self.duplicated,
        }
