"""What boxes are, have done and lack, in the words of the pages about them."""

from typing import Final

from alerting.alert import Sentence
from coordination.command_queue import CommandState, CommandView
from coordination.desk.pages import NB, french, number, said, span, t
from coordination.fleet import STANDING, BoxLine, Standing
from coordination.gap_page import WHY
from coordination.request_words import KINDS, STATES, answer_words
from coordination.tables import QUANTITIES, Language
from devices.reading import Quantity
from exchange.gaps import GapReason

_STATE: Final = {
    "online": Sentence(fr="en ligne", en="online"),
    "offline": Sentence(fr="hors ligne", en="offline"),
}
_SILENCES: Final = {
    "not_transmitted": Sentence(fr="n'a rien transmis", en="transmitted nothing"),
}


_DRIVERS: Final = {
    "cgm": Sentence(fr="capteur de glucose", en="glucose sensor"),
    "glucose_meter": Sentence(fr="lecteur de glycémie", en="glucose meter"),
    "blood_pressure": Sentence(fr="tensiomètre", en="blood-pressure monitor"),
    "weight_scale": Sentence(fr="balance", en="scale"),
    "body_composition": Sentence(fr="balance à composition", en="body-composition scale"),
    "xiaomi_scale": Sentence(fr="balance Xiaomi", en="Xiaomi scale"),
    "pulse_oximeter": Sentence(fr="oxymètre", en="pulse oximeter"),
    "thermometer": Sentence(fr="thermomètre", en="thermometer"),
    "heart_rate": Sentence(fr="cardiofréquencemètre", en="heart-rate sensor"),
}


def driver_words(driver: str | None) -> str:
    """Return what a device is, by what reads it."""
    if driver is None:
        return t("aucun pilote ne le lit", "nothing here reads it")
    found = _DRIVERS.get(driver)
    return driver if found is None else said(found)


def standing_words(line: BoxLine) -> str:
    """Return what a box is to the team."""
    return said(STANDING[line.standing])


def state_words(line: BoxLine) -> str:
    """Return whether a box is in touch: what it last said, or its broker for it."""
    if line.standing is not Standing.ENROLLED:
        return said(STANDING[line.standing])
    if line.state is None:
        return t("jamais entendu", "never heard")
    return said(_STATE.get(line.state, Sentence(fr="état inconnu", en="unknown state")))


def clock_words(line: BoxLine) -> str:
    """Return how far a box's clock is from the team's."""
    if line.ahead is None:
        return t("inconnue hors ligne", "not known while offline")
    off = abs(line.ahead)
    if off < 2_000:
        return t("à l'heure", "on time")
    by = f"{number(round(off / 1000))}{NB}s" if off < 60_000 else span(off)
    return t("en avance de {by}", "{by} fast", by=by) if line.ahead > 0 else t("en retard de {by}", "{by} slow", by=by)


def days_words(days: int) -> str:
    """Return for how long a certificate still holds."""
    if days < 0:
        return t("fini depuis {n} j", "ended {n} d ago", n=-days)
    return t("encore {n} j", "{n} d left", n=days)


def quantity_words(quantity: str) -> str:
    """Return what a device measures."""
    return said(QUANTITIES[Quantity(quantity)]) if quantity in set(Quantity) else quantity


def gap_words(reason: str) -> str:
    """Return why a box says that readings will not come."""
    return said(WHY[GapReason(reason)]) if reason in set(GapReason) else reason


def silence_words(cause: str) -> str:
    """Return why a box is counted as silent."""
    found = _SILENCES.get(cause)
    return cause if found is None else said(found)


def order_words(view: CommandView) -> str:
    """Return what was asked of a box."""
    return said(KINDS[view.kind])


def progress_words(view: CommandView) -> str:
    """Return how far an order came."""
    return said(STATES[view.state])


def answered_words(view: CommandView) -> str:
    """Return what the box answered, "" when it has not."""
    words = answer_words(view, Language.FR if french() else Language.EN)
    return "" if words in {"-", "ok"} else words


def is_open(view: CommandView) -> bool:
    """Return whether an answer is still awaited."""
    return view.state in {CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED}
