"""The pages that stand above every page, in their order; each only for whoever may do what it is for."""

from dataclasses import dataclass

from alerting.alert import Sentence
from coordination.desk.access import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One page.

    Attributes:
        address: where it begins; pages whose address begins with it are part of it.
        name: as it stands there.
        actions: it is there for whoever may do one of them.
    """

    address: str
    name: Sentence
    actions: tuple[Action, ...]


def _entry(address: str, fr: str, en: str, *actions: Action) -> Entry:
    return Entry(address=address, name=Sentence(fr=fr, en=en), actions=actions)


ENTRIES = (
    _entry("/alertes", "Alertes", "Alerts", Action.READ_PATIENTS),
    _entry("/patients", "Patients", "Patients", Action.READ_PATIENTS),
    _entry("/export", "Export", "Export", Action.EXPORT_EVALUATION),
    _entry("/charge", "Charge", "Load", Action.READ_PATIENTS),
    _entry("/conservation", "Conservation", "Retention", Action.MANAGE_TEAM),
    _entry("/parcours", "Parcours", "Pathways", Action.READ_PATIENTS),
    _entry("/boitiers", "Boîtiers", "Boxes", Action.READ_BOXES),
    _entry("/audit", "Audit", "Audit", Action.READ_ACTS),
    _entry("/equipe", "Équipe", "Team", Action.MANAGE_TEAM),
)
