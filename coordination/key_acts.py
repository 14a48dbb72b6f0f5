"""The team's keys and lists, as acts in its record: that a list was signed, and that keys were replaced.

Keys lie in a folder, not in the database. Whoever changes them enters it beside, by name; what they could not enter the
inbox enters as it takes the new keys up, as its own. What was entered is known from the record, so that it is entered
once.

Not here: changing them (keyring), and taking them up (keys).
"""

from coordination.audit_log import TEAM, AuditLog
from coordination.errors import KeyringError
from coordination.keyring_file import State, read_state
from coordination.settings import Settings
from exchange.audit_chain import Act, Detail

_LIST = "@team-list"
_RECEIPTS = "@receipt-key"


def signed_list(log: AuditLog, state: State, *, at: int, by: str = TEAM, change: str = "") -> None:
    """Enter that there is a newer list, and other keys where it names others, unless that is entered already.

    Args:
        log: in an open transaction.
        state: of the key folder.
        at: ms UTC.
        by: who signed it, an account; "team" where only the inbox noticed.
        change: the command that made it, "" where that is not known.
    """
    team = state.team
    if log.changed(_LIST, f"{state.root}:{team.version}"):
        detail: Detail = {"until": team.expires_at, "people": len(team.people), "root": state.root[:16]}
        log.enter(
            Act.TEAM_LIST_SIGNED,
            at=at,
            by=by,
            reference=str(team.version),
            detail={**detail, "change": change} if change else detail,
        )
    receipts_by(log, state.receipt_in_use.id, at=at, by=by)


def receipts_by(log: AuditLog, key: str, *, at: int, by: str = TEAM) -> None:
    """Enter that another key than before signs receipts and opens what boxes seal; the first one is none of these."""
    before = log.said(_RECEIPTS)
    if log.changed(_RECEIPTS, key) and before:
        log.enter(Act.KEYS_ROTATED, at=at, by=by, reference=key, detail={"before": before})


class KeysInUse:
    """Enters what the inbox notices of its keys; cheap when nothing changed."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.receipt_key if settings.receipt_key.is_dir() else None
        self._seen: tuple[str, int] | None = None

    def news(self, receipt: str) -> State | str | None:
        """Return what is to be entered of the folder, or of the key that signs receipts; None when it was seen."""
        state: State | None = None
        if self._folder is not None:
            try:
                state = read_state(self._folder)
            except KeyringError:
                # Whoever reads the keys says so; those that are held go on.
                return None
        seen = (receipt if state is None else state.receipt_in_use.id, 0 if state is None else state.team.version)
        if seen == self._seen:
            return None
        self._seen = seen
        return state or receipt

    def forget(self) -> None:
        """Enter it again: nothing was kept."""
        self._seen = None


def enter_news(log: AuditLog, news: State | str, *, at: int) -> None:
    """Enter what `KeysInUse.news` returned."""
    if isinstance(news, State):
        signed_list(log, news, at=at)
    else:
        receipts_by(log, news, at=at)
