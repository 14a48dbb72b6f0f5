"""What each search parameter finds: from the value as it was written to the rows of a table."""

from collections.abc import Callable, Mapping

from django.db.models import Q

from coordination.desk.fhir import observations
from coordination.desk.fhir.codes import category_of, components_of, quantities_of
from coordination.desk.fhir.values import ANYTHING, NOTHING, Target, Token, by_date, by_reference, by_token
from coordination.desk.fhir.words import BLUETOOTH, CATEGORY, DEVICE, MDC, RECORD, RULE
from coordination.desk.models import BoxAssignment
from devices.reading import Quantity

Reader = Callable[[str, str], Q]
"""Name and value of a parameter -> which rows."""
Keyed = Callable[[str], Q | None]
"""Id of a resource -> which row, None when none of the table can have it."""


def numbered(prefix: str = "") -> Keyed:
    """Return what reads an id that is a row's number, after a prefix."""

    def keyed(key: str) -> Q | None:
        digits = key.removeprefix(prefix)
        right = key.startswith(prefix) and digits.isascii() and digits.isdecimal() and len(digits) <= 18
        return Q(pk=int(digits)) if right and str(int(digits)) == digits else None

    return keyed


def named(prefix: str = "", column: str = "pk") -> Keyed:
    """Return what reads an id that is a row's name, after a prefix."""

    def keyed(key: str) -> Q | None:
        return Q(**{column: key.removeprefix(prefix)}) if key.startswith(prefix) else None

    return keyed


def _ids(keyed: Keyed) -> Reader:
    def read(name: str, text: str) -> Q:
        return keyed(text) or NOTHING

    return read


def shared(keyed: Keyed) -> dict[str, Reader]:
    """Return what every table is found by."""
    return {"_id": _ids(keyed), "_lastUpdated": by_date("updated")}


def about_patient(column: str) -> Reader:
    """Return what finds the rows about a patient."""
    return by_reference(frozenset({"Patient"}), lambda target: Q(**{column: target.key}))


def identified_in(system: str, column: str) -> Reader:
    """Return what finds an identifier of one system in a column."""

    def chosen(wanted: Token) -> Q:
        if wanted.system not in {None, system}:
            return NOTHING
        return ANYTHING if wanted.code is None else Q(**{column: wanted.code})

    return by_token(chosen)


def one_of(chosen: Callable[[str], Q], system: str | None = None) -> Reader:
    """Return what finds a code; of a FHIR element of type code the system may be left out."""

    def read(wanted: Token) -> Q:
        if wanted.code is None or (wanted.system is not None and wanted.system != system):
            return NOTHING
        return chosen(wanted.code)

    return by_token(read)


def record(wanted: Token) -> Q:
    """Return the reading of a record: box/epoch/number."""
    if wanted.system not in {None, RECORD} or wanted.code is None:
        return NOTHING
    box, _, rest = wanted.code.partition("/")
    epoch, _, seq = rest.partition("/")
    right = seq.isascii() and seq.isdecimal() and len(seq) <= 16
    return Q(box__name=box, epoch=epoch, seq=int(seq)) if right else NOTHING


def _quantities(names: set[str]) -> Q:
    if not names:
        return NOTHING
    panel = {observations.SYSTOLIC} if "blood_pressure" in names else set()
    return Q(quantity__in=(names - {"blood_pressure"}) | panel)


def code(wanted: Token) -> Q:
    """Return the readings of a code; a panel by its own, never by a component's."""
    return _quantities(quantities_of(wanted.system, wanted.code)) | _alone(wanted)


def _alone(wanted: Token) -> Q:
    """Return which pressures stand alone under this code: without a systolic beside them they are no panel."""
    others = components_of(wanted.system, wanted.code) - {observations.SYSTOLIC}
    return Q(quantity__in=others) if others else NOTHING


def component(wanted: Token) -> Q:
    """Return which panels may have a component of this code; every panel has both pressures."""
    return Q(quantity=observations.SYSTOLIC) if components_of(wanted.system, wanted.code) else NOTHING


def category(code: str) -> Q:
    """Return the readings of a category."""
    return Q(quantity__in=[quantity.value for quantity in Quantity if category_of(quantity) == code])


def device(target: Target) -> Q:
    """Return the readings of a sensor."""
    found = numbered("device.")(target.key)
    return NOTHING if found is None else Q(device__pk=found.children[0][1])


def rule(wanted: Token) -> Q:
    """Return the alerts of a rule, or of a category of alerts."""
    if wanted.system == CATEGORY:
        return ANYTHING if wanted.code is None else Q(category=wanted.code)
    if wanted.system not in {None, RULE}:
        return NOTHING
    rule = ANYTHING if wanted.code is None else Q(rule_id=wanted.code)
    return rule if wanted.system == RULE else rule | Q(category=wanted.code)


def of_type(wanted: Token, own: str) -> Q:
    """Return every row where a token names what the table holds (its MDC code), else none."""
    right = wanted.system in {None, MDC} and wanted.code in {None, own}
    return ANYTHING if right else NOTHING


def sensor(wanted: Token) -> Q:
    """Return the sensor of a Bluetooth address, or of a name in its box."""
    if wanted.system == BLUETOOTH or (wanted.system is None and wanted.code and "/" not in wanted.code):
        return Q(name__iexact=(wanted.code or "").replace("-", ":"))
    if wanted.system not in {None, DEVICE} or wanted.code is None:
        return NOTHING
    box, _, name = wanted.code.partition("/")
    return Q(box__name=box, name=name)


def prio(names: Mapping[int, str]) -> Reader:
    """Return what finds a priority by its name."""
    return one_of(lambda code: Q(prio__in=[number for number, name in names.items() if name == code]))


def active(code: str) -> Q:
    """Return which patients a box transmits for, or for whom none does."""
    given = BoxAssignment.objects.filter(until=None).values("patient")
    match code:
        case "true":
            return Q(pk__in=given)
        case "false":
            return ~Q(pk__in=given)
        case _:
            return NOTHING


def boxes_of(target: Target) -> Q:
    """Return the boxes that transmit for a patient."""
    given = BoxAssignment.objects.filter(until=None, patient__pseudonym=target.key)
    return Q(pk__in=given.values("box"))
