"""Whom this box seals to and whose word it takes: the newest team list that its team's root signed, kept through all.

- A list comes by command, or by replacing the file that `identity.team_keys` names, which is looked at now and then:
  no restart. What is taken in is kept in the box's own folder first, and only then used.
- The newest stands, whatever is offered: older, contradicting, expired or unsigned lists change nothing and are told.
- An expired list is sealed to all the same, and told as a technical alert until a new one has come.
- Where no root is pinned (`identity.team_roots`), the plain file is believed as it is, and `veilleur status` says so:
  for simulations.

Times here are real ones: keys expire by the calendar, whatever clock the readings are judged by. Not here: what a
list must be (exchange.team_list), and the command that brings one.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from agent.errors import TeamListUnusableError
from agent.logs import COUNT, EVENT, REASON
from agent.settings import IdentitySettings
from alerting.alert import Sentence
from devices.source import DeviceEventKind
from exchange.errors import IdentityError, TeamListError
from exchange.identity import Recipient, key_id, read_team_keys
from exchange.key_file import replace
from exchange.team_list import MAX_LIST_BYTES, SignedTeamList, TeamList, newer, read_signed

logger = logging.getLogger(__name__)

KEPT = "team-list"
"""Name of the newest list in the box's state folder."""
LOOK_S = 15.0
"""Real seconds between two looks at the file and at the end of the list."""
TELL_AGAIN_MS = 3_600_000
"""While a list is expired, it is told every hour, so that the alert stands."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What a box believes of its team at one moment.

    Attributes:
        recipients: to whom it seals.
        signers: whose receipts it takes, id -> raw public key.
        signed: the list that says so; None: a plain file.
    """

    recipients: tuple[Recipient, ...]
    signers: Mapping[str, bytes]
    signed: SignedTeamList | None

    @classmethod
    def of(cls, signed: SignedTeamList) -> "Believed":
        """Return what a list says."""
        return cls(recipients=signed.team.recipients, signers=signed.team.signers(), signed=signed)


def read_believed(identity: IdentitySettings, state: Path, *, now_ms: int) -> Believed:
    """Return what a box believes, changing nothing: what it kept, or what the settings name where that is newer.

    Raises:
        TeamListUnusableError: there is nothing that it may believe.
    """
    if not identity.team_roots:
        try:
            keys = read_team_keys(identity.team_keys)
        except IdentityError as error:
            raise _nothing(identity.team_keys, str(error)) from error
        return Believed(recipients=keys.recipients, signers=keys.signers(), signed=None)
    roots = _roots(identity)
    held: SignedTeamList | None = None
    why = ""
    try:
        held = read_signed(_read(state / KEPT), roots=roots)
    except (OSError, TeamListError) as error:
        why = str(error)
    try:
        held = newer(_read(identity.team_keys), held=held, roots=roots, now_ms=now_ms)
    except (OSError, TeamListError) as error:
        why = str(error)
    if held is None:
        raise _nothing(identity.team_keys, why)
    return Believed.of(held)


class ListActs(Protocol):
    """Who enters in the record of acts what becomes of lists."""

    def took_list(self, signed: SignedTeamList) -> None:
        """Enter that one came to hold."""

    def refused_list(self, reason: str, *, by: str) -> None:
        """Enter that one was refused."""


class TeamKeeper:
    """What this box believes of its team, and goes on to believe."""

    def __init__(
        self,
        identity: IdentitySettings,
        state: Path,
        *,
        now_ms: Callable[[], int],
        tell: Callable[[DeviceEventKind], None],
        acts: ListActs | None = None,
    ) -> None:
        """Take up what was believed before.

        Args:
            identity: names the file and the roots.
            state: the box's own folder, held by this process.
            now_ms: real time, ms UTC.
            tell: raises a technical alert of the box.
            acts: enters what is taken in and refused while it runs in the record of acts.

        Raises:
            TeamListUnusableError: there is nothing that the box may believe, or it cannot be kept.
        """
        self._identity = identity
        self._kept = state / KEPT
        self._now_ms = now_ms
        self._tell = tell
        self._acts = acts
        self._stamp = _stamp(identity.team_keys)
        self._told_at = -TELL_AGAIN_MS
        self._users: list[Callable[[tuple[Recipient, ...]], None]] = []
        self._signers: dict[str, bytes] = {}
        believed = read_believed(identity, state, now_ms=now_ms())
        if believed.signed is not None:
            try:
                self._keep(believed.signed)
            except IdentityError as error:
                raise _nothing(self._kept, str(error)) from error
        self._take(believed)

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """To whom the box seals now."""
        return self._believed.recipients

    @property
    def signers(self) -> Mapping[str, bytes]:
        """Whose receipts the box takes, id -> raw public key: always the present ones, however long this is held."""
        return MappingProxyType(self._signers)

    @property
    def signed(self) -> SignedTeamList | None:
        """The present list with its signature; None where no root is pinned."""
        return self._believed.signed

    @property
    def team(self) -> TeamList | None:
        """The present list; None where no root is pinned."""
        signed = self._believed.signed
        return None if signed is None else signed.team

    def issued_at(self) -> int:
        """Return when (ms UTC) the root signed the present list; 0 where no root is pinned."""
        team = self.team
        return 0 if team is None else team.issued_at

    def seals_to(self, use: Callable[[tuple[Recipient, ...]], None]) -> None:
        """Let `use` be called with the recipients of each list that is taken in from now on."""
        self._users.append(use)

    def accept(self, data: bytes) -> TeamList:
        """Take in a list that was offered, or say why not; the present one again changes nothing.

        Raises:
            TeamListError: it is refused, and a technical alert says so; what was believed goes on.
            IdentityError: it cannot be kept; what was believed goes on.
        """
        try:
            return self._take_in(data)
        except TeamListError as error:
            self._refused(error, by="team")
            raise

    def offered(self, data: bytes) -> TeamList:
        """Return what an offered list says when it would be taken in; changes nothing.

        Raises:
            TeamListError: it would be refused.
        """
        return self._offered(data).team

    async def run(self) -> None:
        """Look at the file and at the list's end, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Take in the file when it was replaced, and tell of a list that has expired."""
        stamp = _stamp(self._identity.team_keys)
        if stamp != self._stamp and self._identity.team_roots:
            self._stamp = stamp
            self._look_into_file()
        team, now = self.team, self._now_ms()
        if team is not None and team.expired(now) and not 0 <= now - self._told_at < TELL_AGAIN_MS:
            self._told_at = now
            self._tell(DeviceEventKind.TEAM_LIST_EXPIRED)

    def _look_into_file(self) -> None:
        try:
            self._take_in(_read(self._identity.team_keys))
        except (OSError, IdentityError) as error:
            logger.warning("the team list given cannot be taken in", extra={EVENT: "team_list", REASON: str(error)})
        except TeamListError as error:
            logger.warning("the team list given is refused", extra={EVENT: "team_list_refused", REASON: error.reason})
            self._refused(error, by="file")

    def _refused(self, error: TeamListError, *, by: str) -> None:
        self._tell(DeviceEventKind.TEAM_LIST_REFUSED)
        if self._acts is not None:
            self._acts.refused_list(error.reason, by=by)

    def _take_in(self, data: bytes) -> TeamList:
        offered = self._offered(data)
        if offered is not self._believed.signed:
            self._keep(offered)
            self._take(Believed.of(offered))
            if self._acts is not None:
                self._acts.took_list(offered)
            logger.info("a new team list is in use", extra={EVENT: "team_list", COUNT: offered.team.version})
        return offered.team

    def _offered(self, data: bytes) -> SignedTeamList:
        if not self._identity.team_roots:
            raise TeamListError("signer", "no root is pinned on this box")
        return newer(data, held=self._believed.signed, roots=_roots(self._identity), now_ms=self._now_ms())

    def _keep(self, signed: SignedTeamList) -> None:
        try:
            same = _read(self._kept) == signed.data
        except OSError:
            same = False
        if not same:
            replace(self._kept, signed.data, mode=0o600)

    def _take(self, believed: Believed) -> None:
        for use in self._users:
            use(believed.recipients)
        self._believed = believed
        for gone in set(self._signers) - set(believed.signers):
            del self._signers[gone]
        self._signers.update(believed.signers)


def _roots(identity: IdentitySettings) -> dict[str, bytes]:
    return {key_id(root): root for root in map(bytes.fromhex, identity.team_roots)}


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_LIST_BYTES + 1)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def _nothing(path: Path, why: str) -> TeamListUnusableError:
    return TeamListUnusableError(
        Sentence(
            fr=f"Aucune liste de l'équipe ne peut être crue ({path} : {why}).",
            en=f"There is no team list that may be believed ({path}: {why}).",
        ),
        Sentence(
            fr="Redemander la liste signée à l'équipe, et vérifier la racine épinglée (identity.team_roots).",
            en="Fetch the signed list from the team again, and check the pinned root (identity.team_roots).",
        ),
    )
