"""Text that others wrote, made safe to show: a device's name from the air, a sentence that a box signed.

A terminal obeys what it is shown: it can be told to wipe an alert off the screen or to write a line from right to left.
Spaces that French needs stay what they are. Not here: JSON, which escapes for itself.
"""

import unicodedata

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories: control, format, half a character, and separators of lines."""


def plain(text: str) -> str:
    """Return a text of one line or more with whatever a terminal would obey replaced by U+FFFD."""
    return "".join(
        letter if letter == "\n" or unicodedata.category(letter) not in _OBEYED else "\ufffd" for letter in text
    )
