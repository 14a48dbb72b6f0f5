"""A line of text that somebody types and colleagues read: what it says is what is seen.

Refused: characters that are not seen or that turn the order of others round (Unicode's categories Cc, Cf, Cs, Co, Cn;
UTS 39 warns of them), so that a name cannot pretend to be another, and combining marks piled on one another.
"""

import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from coordination.desk.pages import t

MOST_MARKS = 3
"""Combining marks one after the other; no language of Europe needs more."""


def is_plain(text: str) -> bool:
    """Return whether every character of it is one that is seen."""
    marks = 0
    for character in text:
        kind = unicodedata.category(character)
        if kind[0] == "C" or kind in {"Zl", "Zp"}:
            return False
        marks = marks + 1 if kind[0] == "M" else 0
        if marks > MOST_MARKS:
            return False
    return True


class PlainText(forms.CharField):
    """One line; spaces at its ends and repeated ones are left out, and it is kept composed (NFC)."""

    def to_python(self, value: Any) -> str:
        """Return the text as it is kept."""
        text = unicodedata.normalize("NFC", str(super().to_python(value)))
        if not is_plain(text):
            raise ValidationError(
                t(
                    "Ce texte contient des caractères invisibles : le retaper.",
                    "This text has characters that cannot be seen: type it again.",
                ),
                code="invisible",
            )
        return " ".join(text.split())
