"""The table of what is offered: each kind of resource, where its rows are, and what it can be searched by.

The capability statement, reading, searching and the export are all made of this table: what it lists is there, and what
is not in it is refused. A kind may come of several tables (a Device is a box or a sensor); each is a `Source`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from django.db.models import Q, QuerySet

from coordination.desk.fhir import actors, alerts, observations, provenances, readers
from coordination.desk.fhir.codes import PROFILE, TERMS
from coordination.desk.fhir.values import ANYTHING, NOTHING, by_date, by_reference, by_token
from coordination.desk.fhir.words import (
    ALERT,
    BOX,
    OBSERVATION_CATEGORY,
    PSEUDONYM,
    Resource,
)
from coordination.desk.models import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One table that resources of a kind come of.

    Attributes:
        rows: those of a team, each with `updated` (ms UTC).
        made: the resources of rows.
        order: the column by which the newest come first (ms UTC).
        keyed: which row has an id, None when none of this table can.
        found_by: name of a parameter -> which rows; one that is not here finds nothing in this table.
        of_patient: which rows are about patients, None when none is.
    """

    rows: Callable[[Team], QuerySet[Any]]
    made: Callable[[Sequence[Any]], list[Resource]]
    order: str
    keyed: readers.Keyed
    found_by: Mapping[str, readers.Reader]
    of_patient: Q | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What can be searched by: its type and definition as HL7 has them."""

    type: str
    definition: str
    documentation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of resource."""

    name: str
    sources: tuple[Source, ...]
    parameters: Mapping[str, Parameter]
    documentation: str
    profiles: tuple[str, ...] = ()


def _defined(name: str) -> str:
    return f"http://hl7.org/fhir/SearchParameter/{name}"


_TIME = "Un instant ; préfixes eq ne gt lt ge le sa eb ; sans décalage : UTC. / A moment; without an offset, UTC."
_SHARED: Final = {
    "_id": Parameter(
        type="token", definition=_defined("Resource-id"), documentation="L'identifiant de la ressource. / Its id."
    ),
    "_lastUpdated": Parameter(
        type="date",
        definition=_defined("Resource-lastUpdated"),
        documentation=f"Quand l'équipe l'a su ou changé. / When the team knew or changed it. {_TIME}",
    ),
}


def _known(kind: str, **types: str) -> Mapping[str, Parameter]:
    """Return parameters by HL7's definitions, which are of one kind or shared by several ("clinical-...")."""
    return MappingProxyType(
        _SHARED
        | {
            name.replace("_", "-"): Parameter(
                type=kind_of.partition(" ")[0],
                definition=_defined(kind_of.partition(" ")[2] or f"{kind}-{name.replace('_', '-')}"),
                documentation=_TIME if kind_of.startswith("date") else "",
            )
            for name, kind_of in types.items()
        }
    )


_OBSERVED: Final = Source(
    rows=observations.rows_of,
    made=observations.observations,
    order="t",
    keyed=readers.numbered(),
    found_by=readers.shared(readers.numbered())
    | {
        "patient": readers.about_patient("patient__pseudonym"),
        "subject": readers.about_patient("patient__pseudonym"),
        "date": by_date("t"),
        "code": by_token(readers.code),
        "component-code": by_token(readers.component),
        "combo-code": by_token(lambda wanted: readers.code(wanted) | readers.component(wanted)),
        "category": readers.one_of(readers.category, OBSERVATION_CATEGORY),
        "status": readers.one_of(lambda code: ANYTHING if code == "final" else NOTHING),
        "device": by_reference(frozenset({"Device"}), readers.device),
        "identifier": by_token(readers.record),
    },
    of_patient=ANYTHING,
)


def _of_alerts(made: Callable[[Sequence[Any]], list[Resource]], **more: readers.Reader) -> Source:
    return Source(
        rows=alerts.rows_of,
        made=made,
        order="raised_at",
        keyed=readers.named(),
        found_by=readers.shared(readers.named())
        | {
            "patient": readers.about_patient("patient__pseudonym"),
            "identifier": readers.identified_in(ALERT, "pk"),
        }
        | {name.replace("_", "-"): reader for name, reader in more.items()},
        of_patient=Q(patient__isnull=False),
    )


_KINDS: Final = (
    Kind(
        name="Observation",
        documentation="Les mesures ; une tension est une Observation à composantes. / Readings; a blood pressure is one"
        " Observation with components.",
        sources=(_OBSERVED,),
        profiles=tuple(
            PROFILE + name for name in sorted({one.profile for one in TERMS.values() if one.profile} | {"bp"})
        ),
        parameters=_known(
            "Observation",
            patient="reference clinical-patient",
            subject="reference",
            date="date clinical-date",
            code="token clinical-code",
            component_code="token",
            combo_code="token",
            category="token",
            status="token",
            device="reference",
            identifier="token clinical-identifier",
        ),
    ),
    Kind(
        name="DetectedIssue",
        documentation="Les alertes : ce qui a été trouvé, sur quoi cela repose, par quel protocole. / Alerts: what was"
        " found, what it rests on, by which protocol.",
        sources=(
            _of_alerts(
                alerts.issues,
                code=by_token(readers.rule),
                identified=by_date("raised_at"),
            ),
        ),
        parameters=_known(
            "DetectedIssue",
            patient="reference clinical-patient",
            identifier="token clinical-identifier",
            code="token",
            identified="date",
        ),
    ),
    Kind(
        name="Task",
        documentation="Le suivi d'une alerte : qui, pour quand, quelle suite. / What is done with an alert: who, by"
        " when, with what outcome.",
        sources=(
            _of_alerts(
                alerts.tasks,
                subject=readers.about_patient("patient__pseudonym"),
                focus=by_reference(frozenset({"DetectedIssue"}), lambda target: Q(pk=target.key)),
                status=readers.one_of(alerts.task_status),
                priority=readers.prio(alerts.PRIORITY),
                authored_on=by_date("known"),
                modified=by_date("updated"),
            ),
        ),
        parameters=_known(
            "Task",
            patient="reference",
            subject="reference",
            identifier="token",
            focus="reference",
            status="token",
            priority="token",
            authored_on="date",
            modified="date",
        ),
    ),
    Kind(
        name="Communication",
        documentation="À qui une alerte a été dite, quand, ou pourquoi elle est retenue. / Whom an alert was told,"
        " when, or why it is held back.",
        sources=(
            _of_alerts(
                alerts.communications,
                subject=readers.about_patient("patient__pseudonym"),
                status=readers.one_of(alerts.communication_status),
                sent=by_date("told_at"),
                received=by_date("seen"),
            ),
        ),
        parameters=_known(
            "Communication",
            patient="reference",
            subject="reference",
            identifier="token",
            status="token",
            sent="date",
            received="date",
        ),
    ),
    Kind(
        name="Device",
        documentation="Les boîtiers (passerelles) et les appareils de mesure. / The boxes (gateways) and devices.",
        sources=(
            Source(
                rows=actors.boxes_of,
                made=actors.boxes,
                order="updated",
                keyed=readers.named("box.", "name"),
                found_by=readers.shared(readers.named("box.", "name"))
                | {
                    "identifier": readers.identified_in(BOX, "name"),
                    "type": by_token(lambda wanted: readers.of_type(wanted, actors.GATEWAY_CODE)),
                    "patient": by_reference(frozenset({"Patient"}), readers.boxes_of),
                },
                of_patient=None,
            ),
            Source(
                rows=actors.sensors_of,
                made=actors.sensors,
                order="updated",
                keyed=readers.numbered("device."),
                found_by=readers.shared(readers.numbered("device."))
                | {
                    "identifier": by_token(readers.sensor),
                    "type": by_token(lambda wanted: readers.of_type(wanted, actors.SENSOR_CODE)),
                },
                of_patient=None,
            ),
        ),
        parameters=_known("Device", identifier="token", type="token", patient="reference"),
    ),
    Kind(
        name="Patient",
        documentation="Le pseudonyme, et rien de plus. / The pseudonym, and nothing more.",
        sources=(
            Source(
                rows=actors.patients_of,
                made=actors.patients,
                order="updated",
                keyed=readers.named(column="pseudonym"),
                found_by=readers.shared(readers.named(column="pseudonym"))
                | {
                    "identifier": readers.identified_in(PSEUDONYM, "pseudonym"),
                    "active": readers.one_of(readers.active),
                },
                of_patient=ANYTHING,
            ),
        ),
        parameters=_known("Patient", identifier="token", active="token"),
    ),
    Kind(
        name="Provenance",
        documentation="D'où viennent mesures et alertes. / Where readings and alerts come from.",
        sources=(
            Source(
                rows=observations.rows_of,
                made=provenances.of_observations,
                order="t",
                keyed=readers.numbered("observation."),
                found_by=readers.shared(readers.numbered("observation."))
                | {
                    "patient": readers.about_patient("patient__pseudonym"),
                    "recorded": by_date("stored_at"),
                    "target": by_reference(
                        frozenset({"Observation"}), lambda target: readers.numbered()(target.key) or NOTHING
                    ),
                },
                of_patient=ANYTHING,
            ),
            Source(
                rows=alerts.rows_of,
                made=provenances.of_alerts,
                order="raised_at",
                keyed=readers.named("alert."),
                found_by=readers.shared(readers.named("alert."))
                | {
                    "patient": readers.about_patient("patient__pseudonym"),
                    "recorded": by_date("updated"),
                    "target": by_reference(frozenset({"DetectedIssue"}), lambda target: Q(pk=target.key)),
                },
                of_patient=Q(patient__isnull=False),
            ),
        ),
        parameters=_known("Provenance", patient="reference", recorded="date", target="reference"),
    ),
)
KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Name -> kind, in the order in which they are told."""
