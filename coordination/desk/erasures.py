"""What the boxes of a patient were told of erasing them, and what they made of it, as the desk's pages show it.

Not here: signing (coordination.erasure_orders), and the words (erasure.html).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from coordination.command_queue import UNANSWERED, CommandState, CommandView
from coordination.desk.access import Action
from coordination.desk.models import Box, Patient
from coordination.desk.shared_database import looking, place
from coordination.desk.team_settings import listed_boxes
from coordination.desk.visits import Visit
from coordination.erased_patients import UNNAMED
from coordination.erasure_orders import box_patients, order_of, orders_to
from coordination.fleet import BoxLine, Standing
from coordination.fleet import boxes as fleet_boxes
from coordination.office import now_ms
from coordination.patient_erasure import box_orders

_ANEW = (None, CommandState.REFUSED, CommandState.EXPIRED, CommandState.OVERTAKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureAtBox:
    """A patient at a box: the newest order to erase them, None before there is one.

    Attributes:
        line: what is known of the box.
        patient: pseudonym, "" once the team has erased them and the box has answered.
        view: the order.
        signs: as what the visitor may sign now: "first", "second" or "".
    """

    line: BoxLine
    patient: str
    view: CommandView | None
    signs: str

    @property
    def done(self) -> bool:
        """Whether the box says that it erased them."""
        return self.view is not None and self.view.state is CommandState.APPLIED

    @property
    def unreachable(self) -> bool:
        """Whether an order waits for a box that is not in touch."""
        return self.view is not None and self.view.state in UNANSWERED and self.line.state != "online"

    @property
    def out(self) -> bool:
        """Whether the box is taken out of the team, so that it can be told nothing."""
        return self.line.standing is Standing.REVOKED


def of_patient(visit: Visit, patient: Patient) -> tuple[ErasureAtBox, ...]:
    """Return what each box that a patient had was told."""
    database, now = looking(), now_ms()
    found = []
    for order in box_orders(database, patient.pk):
        view = order_of(database, order.box, patient.pseudonym, now=now)
        found.append(_at_box(visit, _line(order.box), patient.pseudonym, view))
    return tuple(found)


def of_box(visit: Visit, box: Box, line: BoxLine) -> tuple[ErasureAtBox, ...]:
    """Return what a box was told of erasing anybody, and of whom it may be told, for whoever signs such orders."""
    if not visit.may_one((Action.ORDER_ERASURE, Action.CONFIRM_ERASURE)):
        return ()
    database, now = looking(), now_ms()
    newest: dict[str, CommandView] = {}
    unnamed = []
    for view in orders_to(database, box.name, now=now):
        if view.subject == UNNAMED:
            unnamed.append(_at_box(visit, line, "", view))
        else:
            newest.setdefault(view.subject, view)
    names: Iterable[str] = newest
    if visit.may(Action.READ_PATIENTS):
        names = dict.fromkeys((*newest, *box_patients(database, box.name)))
    named = [_at_box(visit, line, name, newest.get(name)) for name in names]
    return (*named, *unnamed)


def _line(box: str) -> BoxLine:
    (line,) = fleet_boxes(place(), listed_boxes(), at=now_ms(), box=box)
    return line


def _at_box(visit: Visit, line: BoxLine, patient: str, view: CommandView | None) -> ErasureAtBox:
    state, signs = None if view is None else view.state, ""
    if line.standing is not Standing.REVOKED and patient:
        if state is CommandState.TO_SIGN:
            signs = "second" if visit.may(Action.CONFIRM_ERASURE) else ""
        elif state in _ANEW:
            signs = "first" if visit.may(Action.ORDER_ERASURE) else ""
    return ErasureAtBox(line=line, patient=patient, view=view, signs=signs)
