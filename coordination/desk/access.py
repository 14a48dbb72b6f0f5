"""Who may do what: five roles, one table. What is not in it is refused.

Every page and every action of the desk names what it needs (`routes.page`); the middleware (`visits`) refuses
whatever names nothing. A role follows the job: an administrator reads no patient, a nurse revokes no box.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What a member of a team is there for."""

    NURSE = "nurse"
    PHYSICIAN = "physician"
    INSTALLER = "installer"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Action(StrEnum):
    """What can be done at the desk."""

    READ_PATIENTS = "read_patients"
    HANDLE_ALERTS = "handle_alerts"
    SET_PACE = "set_pace"
    """By when the team takes and closes alerts, and how much work they are counted as."""
    REVEAL_IDENTITY = "reveal_identity"
    PROPOSE_PROTOCOL = "propose_protocol"
    SET_LIMITS = "set_limits"
    SIGN_FIRST = "sign_first"
    SIGN_SECOND = "sign_second"
    SEND_PROTOCOL = "send_protocol"
    TRY_SHADOW = "try_shadow"
    """Have a draft judged beside what holds, telling nobody, and end it."""
    TAKE_ON_PATIENT = "take_on_patient"
    END_FOLLOW_UP = "end_follow_up"
    EXPORT_PATIENT = "export_patient"
    ERASE_PATIENT = "erase_patient"
    ORDER_ERASURE = "order_erasure"
    """Sign first that a box erases a patient; a second person of another function signs too."""
    CONFIRM_ERASURE = "confirm_erasure"
    EXPORT_FHIR = "export_fhir"
    EXPORT_EVALUATION = "export_evaluation"
    ENROL_BOX = "enrol_box"
    READ_BOXES = "read_boxes"
    """The boxes that one may see: the fleet's, or one's own."""
    READ_FLEET = "read_fleet"
    READ_OWN_BOXES = "read_own_boxes"
    ASK_BOX = "ask_box"
    """What harms nothing: a canary reading, what the team lacks."""
    PAIR_DEVICES = "pair_devices"
    CHANGE_BOX_KEYS = "change_box_keys"
    RENEW_BOX = "renew_box"
    REVOKE_BOX = "revoke_box"
    MANAGE_TEAM = "manage_team"
    READ_ACTS = "read_acts"
    """The acts that one may see; which, the four that follow say."""
    VERIFY_ACTS = "verify_acts"
    READ_OWN_ACTS = "read_own_acts"
    READ_ACTS_ON_PATIENTS = "read_acts_on_patients"
    READ_TECHNICAL_ACTS = "read_technical_acts"
    READ_ALL_ACTS = "read_all_acts"
    OWN_ACCOUNT = "own_account"
    """Whoever is signed in."""
    PUBLIC = "public"
    """Whoever comes: signing in, the state of the service, a questionnaire behind its own link."""


_CARE = {
    Action.READ_PATIENTS,
    Action.HANDLE_ALERTS,
    Action.SET_PACE,
    Action.REVEAL_IDENTITY,
    Action.PROPOSE_PROTOCOL,
    Action.SEND_PROTOCOL,
    Action.TRY_SHADOW,
    Action.TAKE_ON_PATIENT,
    Action.EXPORT_PATIENT,
    Action.ERASE_PATIENT,
}
ALLOWED: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {
        Role.NURSE: frozenset(
            _CARE
            | {
                Action.SIGN_FIRST,
                Action.ORDER_ERASURE,
                Action.ENROL_BOX,
                Action.READ_BOXES,
                Action.READ_FLEET,
                Action.ASK_BOX,
                Action.PAIR_DEVICES,
                Action.RENEW_BOX,
                Action.READ_ACTS,
                Action.READ_OWN_ACTS,
                Action.END_FOLLOW_UP,
            }
        ),
        Role.PHYSICIAN: frozenset(
            _CARE
            | {
                Action.SET_LIMITS,
                Action.SIGN_SECOND,
                Action.CONFIRM_ERASURE,
                Action.EXPORT_FHIR,
                Action.READ_ACTS,
                Action.READ_OWN_ACTS,
                Action.READ_ACTS_ON_PATIENTS,
                Action.END_FOLLOW_UP,
            }
        ),
        Role.INSTALLER: frozenset(
            {Action.ENROL_BOX, Action.READ_BOXES, Action.READ_OWN_BOXES, Action.ASK_BOX, Action.PAIR_DEVICES}
        ),
        Role.ADMIN: frozenset(
            {
                Action.READ_BOXES,
                Action.READ_FLEET,
                Action.ASK_BOX,
                Action.CHANGE_BOX_KEYS,
                Action.CONFIRM_ERASURE,
                Action.RENEW_BOX,
                Action.REVOKE_BOX,
                Action.MANAGE_TEAM,
                Action.READ_ACTS,
                Action.VERIFY_ACTS,
                Action.READ_TECHNICAL_ACTS,
            }
        ),
        Role.AUDITOR: frozenset(
            {
                Action.READ_BOXES,
                Action.READ_FLEET,
                Action.READ_ACTS,
                Action.VERIFY_ACTS,
                Action.READ_ALL_ACTS,
                Action.EXPORT_EVALUATION,
            }
        ),
    }
)
"""Role -> what it may do, beside one's own account."""


def allowed(roles: frozenset[Role], action: Action) -> bool:
    """Return whether somebody signed in with these roles may do it."""
    if action in {Action.OWN_ACCOUNT, Action.PUBLIC}:
        return True
    return any(action in ALLOWED[role] for role in roles)
