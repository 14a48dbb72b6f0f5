"""What can go wrong on the box, by what must be done about it.

`SettingsError`, `VaultError` and `StoreError` are unsafe to go on: an installer reads them, so each says what is
wrong and the next step in French and English. What is transient or merely rejected never leaves the part that
met it: it is counted and told.
"""

from alerting.alert import Sentence


class AgentError(Exception):
    """Base of every error of this package.

    Attributes:
        why: what is wrong, one sentence in each language.
        hint: the next step, one sentence in each language.
    """

    def __init__(self, why: Sentence, hint: Sentence) -> None:
        super().__init__(f"{why.en} {hint.en}")
        self.why = why
        self.hint = hint


class SettingsError(AgentError):
    """The settings file cannot be used.

    Attributes:
        faults: every fault found, each one sentence naming its key.
    """

    def __init__(self, path: str, faults: tuple[Sentence, ...]) -> None:
        super().__init__(
            Sentence(
                fr=f"{path} ne peut pas servir. " + " ".join(fault.fr for fault in faults),
                en=f"{path} cannot be used. " + " ".join(fault.en for fault in faults),
            ),
            Sentence(
                fr=f"Corriger le fichier, puis « veilleur check {path} ».",
                en=f"Correct the file, then 'veilleur check {path}'.",
            ),
        )
        self.faults = faults


class SecretError(AgentError):
    """A secret that the settings name is missing, readable by others, or no secret."""


class VaultError(AgentError):
    """A key is missing, readable by others, or does not open what it should."""


class TeamListUnusableError(AgentError):
    """There is no team list that this box may believe: it would seal to nobody."""


class StoreError(AgentError):
    """The database cannot be used as it is."""


class DamagedError(StoreError):
    """The database is damaged: it is to be set aside whole, and a new one begun."""


class RequestError(AgentError):
    """What was asked for on the command line cannot be done."""


class NotReadyError(RuntimeError):
    """Parts of the box were used in the wrong order: a programmer's error, not an operator's."""


class BufferFullError(RuntimeError):
    """There is no room for a reading, and nothing that may give way; nothing of it was kept. Transient: try later."""
