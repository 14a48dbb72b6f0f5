"""One thing that `veilleur doctor` found."""

from dataclasses import dataclass
from typing import Self

from agent.doctor_words import WORDS
from agent.errors import AgentError
from alerting.alert import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong and what to do, one sentence each in each language; `code` is for scripts."""

    code: str
    why: Sentence
    step: Sentence
    grave: bool = True

    @classmethod
    def of(cls, code: str, **facts: object) -> Self:
        """Return a finding of `WORDS` with its facts filled in."""
        words = WORDS[code]
        return cls(
            code=code,
            why=Sentence(fr=words.why.fr.format(**facts), en=words.why.en.format(**facts)),
            step=Sentence(fr=words.step.fr.format(**facts), en=words.step.en.format(**facts)),
            grave=words.grave,
        )

    @classmethod
    def of_error(cls, code: str, error: AgentError) -> Self:
        """Return what an error of the box says: it has its words already."""
        return cls(code=code, why=error.why, step=error.hint)

    @classmethod
    def of_fault(cls, fault: Sentence, hint: Sentence) -> Self:
        """Return one fault of the settings."""
        return cls(code="settings", why=fault, step=hint)

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "code": self.code,
            "grave": self.grave,
            "why": {"fr": self.why.fr, "en": self.why.en},
            "next": {"fr": self.step.fr, "en": self.step.en},
        }
