"""What the figures of a trial do not say by themselves, in one sentence each.

A rule that never had a value raised nothing, and its row looks like that of a rule that found all well. A time without
an offset is read as UTC, and one that was local is hours off.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from agent.backtest_words import Words
from alerting.care_protocol import CareProtocol
from alerting.trial import Trial

NEVER_JUDGED = " *"
"""Beside the alerts of a rule that never had a value, of one patient at least."""


def never_judged_lines(protocol: CareProtocol, trial: Trial, words: Words) -> Iterator[str]:
    """Yield a sentence for each rule that never had a value of some patient: its few alerts are no good news."""
    patients = trial.burden.patients
    for rule in protocol.rules:
        burden = trial.burden.rules.get(rule.id)
        never = None if burden is None else burden.never_judged
        if not never:
            continue
        known = [trial.coverage[quantity] for quantity in rule.inputs if quantity in trial.coverage]
        if any(one.readings > one.not_judged for one in known):
            why = words.say("trop peu de mesures", "too few readings")
        else:
            why = words.say("aucune mesure", "no reading")
        if never == patients:
            yield words.say(
                f"* {rule.id} : jamais jugée sur cet historique ({why}) : 0 alerte ne veut pas dire valeurs normales",
                f"* {rule.id}: never judged on this history ({why}): 0 alerts does not mean normal values",
            )
        else:
            of = f"{words.number(never)} {words.say('patients sur', 'of')} {words.number(patients)}"
            yield words.say(
                f"* {rule.id} : jamais jugée chez {of} ({why}) : aucune alerte chez eux ne veut pas dire valeurs"
                " normales",
                f"* {rule.id}: never judged in {of} patients ({why}): no alert of theirs does not mean normal values",
            )


def naive_line(at: int, words: Words) -> str:
    """Return what becomes of the times without an offset, by the example of one (ms UTC, as it was read)."""
    read = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    place = words.zone.key.rpartition("/")[2].replace("_", " ")
    example = f"{read:%H:%M}", f"{words.local(at):%H:%M}"
    # In January and in July every zone shows each of its offsets of the year.
    months = (read.replace(month=month, day=1).astimezone(words.zone) for month in (1, 7))
    offsets = dict.fromkeys(
        month.isoformat()[-6:] for month in sorted(months, key=lambda one: one.utcoffset() or timedelta())
    )
    return words.say(
        f"Heures sans fuseau lues en UTC : {example[0]} dans le fichier = {example[1]} à {place}."
        f" Si ce sont des heures locales, écrire {' ou '.join(offsets)} après chaque heure.",
        f"Times without an offset are read as UTC: {example[0]} in the file = {example[1]} in {place}."
        f" If they are local times, write {' or '.join(offsets)} after each time.",
    )
