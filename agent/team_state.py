"""What `veilleur status` says of the team's keys: which list the box holds, until when, and that none is signed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.errors import TeamListUnusableError
from agent.settings import Settings
from agent.team_keeper import read_believed
from alerting.alert import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamState:
    """The list that the box holds.

    Attributes:
        version: None where no root is pinned, so that nothing is signed.
        expires_at: ms UTC; None likewise.
        expired: whether that has passed.
        recipients: id -> role of those who can open what is sealed.
        hybrid: whether it is sealed against quantum computers too.
        fault: why there is none at all; None: there is one.
    """

    version: int | None = None
    expires_at: int | None = None
    expired: bool = False
    recipients: Mapping[str, str]
    hybrid: bool = False
    fault: Sentence | None = None

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        return {
            "signed": self.version is not None,
            "version": self.version,
            "expires_at": None if self.expires_at is None else _iso(self.expires_at),
            "expired": self.expired,
            "recipients": dict(self.recipients),
            "hybrid": self.hybrid,
            "fault": None if self.fault is None else {"fr": self.fault.fr, "en": self.fault.en},
        }

    def words(self) -> Sentence:
        """Return it in words."""
        if self.fault is not None:
            return self.fault
        if self.version is None or self.expires_at is None:
            return Sentence(
                fr="clés NON SIGNÉES, crues telles quelles : épingler la racine (identity.team_roots)",
                en="keys NOT SIGNED, believed as they are: pin the root (identity.team_roots)",
            )
        kind = " · hybride" if self.hybrid else "", " · hybrid" if self.hybrid else ""
        until = _iso(self.expires_at)
        if self.expired:
            return Sentence(
                fr=f"liste {self.version} EXPIRÉE le {until}, encore employée : en demander une nouvelle{kind[0]}",
                en=f"list {self.version} EXPIRED on {until}, still in use: ask for a new one{kind[1]}",
            )
        return Sentence(
            fr=f"liste {self.version} jusqu'au {until}{kind[0]}", en=f"list {self.version} until {until}{kind[1]}"
        )


def team_state(settings: Settings, *, now_ms: int) -> TeamState:
    """Return what the box holds, read from its files, running or not."""
    try:
        believed = read_believed(settings.identity, settings.state, now_ms=now_ms)
    except TeamListUnusableError as error:
        return TeamState(recipients={}, fault=error.why)
    recipients = {recipient.id: recipient.role.value for recipient in believed.recipients}
    hybrid = all(recipient.hybrid for recipient in believed.recipients)
    if believed.signed is None:
        return TeamState(recipients=recipients, hybrid=hybrid)
    team = believed.signed.team
    return TeamState(
        version=team.version,
        expires_at=team.expires_at,
        expired=team.expired(now_ms),
        recipients=recipients,
        hybrid=hybrid,
    )


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
