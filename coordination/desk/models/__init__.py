"""Tables, as Django reads them: the desk's own, and those that the inbox shares with it."""

from coordination.desk.models.accounts import LinkedPerson, LoginEvent, PasswordLink, Remembered
from coordination.desk.models.people import Membership, User
from coordination.desk.models.shared import (
    Alert,
    AlertEvent,
    AlertOutcome,
    Box,
    BoxAssignment,
    BoxStatus,
    DeclaredGap,
    Device,
    DeviceSilence,
    Observation,
    Patient,
    Team,
)

__all__ = [
    "Alert",
    "AlertEvent",
    "AlertOutcome",
    "Box",
    "BoxAssignment",
    "BoxStatus",
    "DeclaredGap",
    "Device",
    "DeviceSilence",
    "LinkedPerson",
    "LoginEvent",
    "Membership",
    "Observation",
    "PasswordLink",
    "Patient",
    "Remembered",
    "Team",
    "User",
]
