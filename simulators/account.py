"""The account of a demonstration: what the devices took against what the team has, and what should be told.

A reading is the same on both sides when device, quantity, time and value are. Lost is taken and not there; duplicated
is there more than once; a gap is a sequence number that the team never received. The alerts must be those of a
backtest over the team's own readings, leaving retracted ones out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

TakenReading = tuple[str, str, int, int]
"""(device, quantity, measured_at in ms UTC, count in quanta)."""
ToldAlert = tuple[str, str, int, int, int | None]
"""(patient, rule, onset, raised_at, resolved_at or None), ms UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What came of a demonstration; `missing` are the readings that are lost."""

    taken: int
    stored: int
    lost: int
    strange: int
    duplicated: int
    gaps: int
    alerts: int
    untold: tuple[ToldAlert, ...]
    unfounded: tuple[ToldAlert, ...]
    missing: tuple[TakenReading, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether everything taken is there once, and exactly the right alerts were told."""
        return not (self.lost or self.strange or self.duplicated or self.gaps or self.untold or self.unfounded)

    def line(self) -> str:
        """Return the one line that a demonstration ends with."""
        sign = "=" if self.taken == self.stored else "≠"
        line = (
            f"readings {self.taken} {sign} {self.stored} · lost {self.lost} · duplicated {self.duplicated}"
            f" · gaps {self.gaps} · alerts {self.alerts}"
        )
        if self.untold or self.unfounded:
            line += f" (backtest: {len(self.untold)} more, {len(self.unfounded)} not)"
        return line


def balance(
    *,
    taken: Iterable[TakenReading],
    stored: Iterable[TakenReading],
    gaps: int,
    told: Iterable[ToldAlert],
    expected: Iterable[ToldAlert],
) -> Account:
    """Return the account.

    Args:
        taken: what the devices measured; a reading that a device repeats is one.
        stored: one item a stored observation.
        gaps: missing sequence numbers.
        told: the team's alerts of the care protocols, retracted ones left out.
        expected: the backtest's.
    """
    on_devices, with_team = set(taken), Counter(stored)
    told_set, expected_set = set(told), set(expected)
    return Account(
        taken=len(on_devices),
        stored=with_team.total(),
        lost=len(on_devices - with_team.keys()),
        strange=len(with_team.keys() - on_devices),
        duplicated=sum(count - 1 for count in with_team.values()),
        gaps=gaps,
        alerts=len(told_set),
        untold=tuple(sorted(expected_set - told_set, key=str)),
        unfounded=tuple(sorted(told_set - expected_set, key=str)),
        missing=tuple(sorted(on_devices - with_team.keys())),
    )
