"""What can go wrong on the team's side, by what must be done about it.

`DatabaseBusyError` is transient: what was to be stored is not, and was not receipted; back off and try again.
`SettingsError`, `KeyringError` and `DatabaseUnusableError` are unsafe to go on: they say, in both languages, what
the operator does next. A message that is forged, foreign or malformed is no error here: it is recorded and counted.
"""

from alerting.alert import Sentence


class CoordinationError(Exception):
    """Base of every error of this package.

    Attributes:
        why: what happened, one sentence in both languages.
        hint: the operator's next step, one sentence in both languages.
    """

    def __init__(self, why: Sentence, *, hint: Sentence) -> None:
        super().__init__(f"{why.en} {hint.en}")
        self.why = why
        self.hint = hint


class SettingsError(CoordinationError):
    """The settings, or a file that they name, cannot be used.

    Attributes:
        faults: every fault found, each naming its key.
    """

    def __init__(self, path: str, faults: tuple[Sentence, ...]) -> None:
        super().__init__(
            Sentence(
                fr=f"{path} : " + " ; ".join(fault.fr for fault in faults) + ".",
                en=f"{path}: " + "; ".join(fault.en for fault in faults) + ".",
            ),
            hint=Sentence(
                fr="Corriger, puis relancer ; configs/desk.toml explique chaque clé.",
                en="Correct this, then start again; configs/desk.toml explains every key.",
            ),
        )
        self.faults = faults


class DatabaseUnusableError(CoordinationError):
    """The database cannot be used as it is: from a newer version, not ours, damaged, or on an unsafe disk."""


class DatabaseBusyError(CoordinationError):
    """Nothing was stored this time: the disk is full, locked or failing; worth trying again after a pause."""


class KeyringError(CoordinationError):
    """The team's keys are not as they must be, or what was asked for cannot be done with them."""
