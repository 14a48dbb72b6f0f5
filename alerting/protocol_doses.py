"""Whether the text of a rule names a dose: a nurse asks for one verification, the physician prescribes.

A number before a unit in which medicines are given (mg, UI, ml, tablets, puffs) is a dose; before a unit in which
something is measured (mg/dL, g/L, mL/min) it is none. The words are this project's own list and no list is complete:
that none is found does not make a text right.

What is not here: where the texts stand (protocol_rules).
"""

import re
import unicodedata

from alerting.alert import Sentence

_GIVEN = (
    r"(?:m|μ|mc)g|(?-i:g)|(?:milli|micro)?grammes?|(?:milli|micro)?grams?|ml|millilit(?:re|er)s?"
    r"|u\.?\s?i\b\.?|i\.?\s?u\b\.?|u"
)
_COUNTED = (
    r"comprim[ée]s?|cp|g[ée]lules?|gouttes?|ampoules?|sachets?|bouff[ée]es?|pilules?|cachets?|suppositoires?|unit[ée]s?"
    r"|tablets?|capsules?|pills?|puffs?|vials?|ampules?|units?"
    # In English readings drop too: "3 drops of glucose", "2 drops within a day".
    r"|drops?(?!\s+(?:in|below|under|within|over)\b|\s+of\s+(?:the\s+)?(?:blood|glucose|sugar|pressure|weight|sat|oxygen))"
)
_FEW = r"deux|trois|quatre|cinq|six|sept|huit|neuf|dix|demie?|two|three|four|five|seven|eight|nine|ten|half(?:\s+an?)?"
_TAKE = r"(?:re)?prend(?:re|ez)|donne[rz]|ajoute[rz]|injecte[rz]|avale[rz]|take|give|add|inject|swallow"
_DOSE = re.compile(
    rf"(?<![\w.,])(?:\d(?:[\d\s.,\u2044]*\d)?\s*-?\s*(?:{_GIVEN}|{_COUNTED})"
    rf"|(?:{_FEW})[\s-]+(?:{_COUNTED}|milligrammes?|milligrams?)"
    rf"|(?:{_TAKE})\s+(?:une?|an?|one)\s+(?:{_COUNTED}))(?!\w)"
    # Over a volume, a creatinine or a time of flow something is measured; over a day or a weight it is given.
    r"(?!\s*/\s*(?:[dcm]?l|m?mol|g|min)\b)",
    re.IGNORECASE,
)


def dose_in(text: str) -> str:
    """Return the first dose that a text names, such as "40 mg", "" when none is found.

    Args:
        text: French or English, in any form of Unicode.
    """
    found = _DOSE.search(unicodedata.normalize("NFKC", text))
    return "" if found is None else found[0].strip()


def no_dose(dose: str) -> Sentence:
    """Return what to say of a text that names a dose."""
    return Sentence(
        fr=f"« {dose} » est une dose : un protocole n'en prescrit jamais ; écrire une seule chose à vérifier, sans "
        "quantité, par exemple « le traitement a-t-il été pris comme le médecin l'a écrit ? »",
        en=f'"{dose}" is a dose: a protocol never prescribes one; write one thing to check, without an amount, for '
        'example "was the treatment taken as the physician wrote it?"',
    )
