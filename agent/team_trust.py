"""Whose orders a box obeys, by the team list that it holds now, and the order to take in a newer one.

An expired list still says whom to seal to, but no longer whose signature counts: somebody may have left since, and
whoever holds the newer list back must gain nothing by it. Such orders wait until a newer list has come.

Not here: what a list must be (exchange.team_list), and keeping it (team_keeper).
"""

from collections.abc import Callable, Mapping, Sequence

from agent.obeying import Done, Order, applied, refused
from agent.team_keeper import TeamKeeper
from alerting.alert import Sentence
from exchange.command_bodies import ListBody
from exchange.commands import Trust
from exchange.errors import CommandError, IdentityError, TeamListError
from exchange.sealed_notes import Reader


class TeamTrust:
    """What the box believes of orders; asked anew with each."""

    def __init__(self, team: TeamKeeper, *, now_ms: Callable[[], int], clock_known: Callable[[], bool]) -> None:
        """`now_ms` is real time, and `clock_known` says whether it is trusted."""
        self._team = team
        self._now_ms = now_ms
        self._clock_known = clock_known

    def trust(self) -> Trust:
        """Return whose signatures count now; where no root is pinned no person's does."""
        team = self._team.team
        people = {} if team is None else {person.key: person for person in team.people}
        stale = team is not None and self._clock_known() and team.expired(self._now_ms())
        return Trust(people=people, automation=self._team.signers, stale=stale)

    def readers(self) -> Sequence[Reader]:
        """Return who can open an answer."""
        return [Reader.of(recipient) for recipient in self._team.recipients]

    def list_signers(self, data: bytes) -> Mapping[str, bytes]:
        """Return the automation that an offered list names; changes nothing.

        Raises:
            CommandError: the box would not take it in.
        """
        try:
            return self._team.offered(data).signers()
        except TeamListError as error:
            raise CommandError("list", error.reason) from error

    async def obey(self, order: Order) -> Done:
        """Take in a newer list."""
        if not isinstance(order.body, ListBody):
            return refused("malformed")
        try:
            self._team.accept(order.body.data)
        except TeamListError as error:
            return refused(f"list_{error.reason}", _REFUSED)
        except IdentityError:
            return refused("disk", _NOT_KEPT)
        return applied()


_REFUSED = Sentence(
    fr="Le boîtier garde la liste d'équipe qu'il a : celle-ci est plus ancienne, expirée, ou d'une autre racine.",
    en="The box keeps the team list that it has: this one is older, has expired, or is of another root.",
)
_NOT_KEPT = Sentence(
    fr="Le boîtier n'a pas pu garder la liste : vérifier son disque.",
    en="The box could not keep the list: check its disk.",
)
