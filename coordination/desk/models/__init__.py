"""Tables, as Django reads them: the desk's own, and those that the inbox shares with it."""

from coordination.desk.models.accounts import LinkedPerson, LoginEvent, PasswordLink, Remembered
from coordination.desk.models.care import Consent, Identity, PatientKey, PatientView, Retention
from coordination.desk.models.enrolment import Enrolment
from coordination.desk.models.handling import AlertAct, Problem
from coordination.desk.models.interchange import ExportJob, SystemClient
from coordination.desk.models.pace import TeamMinutes, WeeklyBudget
from coordination.desk.models.people import Membership, User
from coordination.desk.models.self_report import QuestionnaireLink, SelfReport, SelfReportPass
from coordination.desk.models.shared import (
    Alert,
    AlertEvent,
    AlertOutcome,
    Box,
    BoxAssignment,
    BoxStatus,
    ClockCorrection,
    DeclaredGap,
    Device,
    DeviceSilence,
    Observation,
    Patient,
    Team,
)
from coordination.desk.models.workshop import PackVersion, PersonKey, ProtocolDraft, ProtocolSignature, ReplayJob

__all__ = [
    "Alert",
    "AlertAct",
    "AlertEvent",
    "AlertOutcome",
    "Box",
    "BoxAssignment",
    "BoxStatus",
    "ClockCorrection",
    "Consent",
    "DeclaredGap",
    "Device",
    "DeviceSilence",
    "Enrolment",
    "ExportJob",
    "Identity",
    "LinkedPerson",
    "LoginEvent",
    "Membership",
    "Observation",
    "PackVersion",
    "PasswordLink",
    "Patient",
    "PatientKey",
    "PatientView",
    "PersonKey",
    "Problem",
    "ProtocolDraft",
    "ProtocolSignature",
    "QuestionnaireLink",
    "Remembered",
    "ReplayJob",
    "Retention",
    "SelfReport",
    "SelfReportPass",
    "SystemClient",
    "Team",
    "TeamMinutes",
    "User",
    "WeeklyBudget",
]
