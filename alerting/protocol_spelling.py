"""A word that is unknown, and the known one that was probably meant.

What is not here: where words stand (protocol_document, rule_conflicts).
"""

import difflib
from collections.abc import Collection

from alerting.alert import Sentence

_ALIKE = 0.72
"""Less alike than this (`difflib.SequenceMatcher.ratio`) another word was meant: no_glucose is not no_pulse (0.67),
glucose_low is not pulse_low (0.70)."""


def nearest(word: str, known: Collection[str]) -> str:
    """Return the known word that is nearest to a word, "" when none is near."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=_ALIKE)), "")


def perhaps(word: str, known: Collection[str]) -> Sentence:
    """Return what follows the telling that a word is unknown: which one it might have been, if any."""
    near = nearest(word, known)
    if not near:
        return Sentence(fr="", en="")
    return Sentence(fr=f" ; vouliez-vous dire « {near} » ?", en=f'; did you mean "{near}"?')
