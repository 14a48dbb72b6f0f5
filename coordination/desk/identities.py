"""Who patients are, at the desk: read for a reason, for five minutes, and entered each time.

A session remembers whose identity it may see until when, by a keyed hash of the pseudonym; the identity itself is in
no session and no cookie. The reasons are a short list and no free text: the record of acts can never forget what is
written in it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import salted_hmac

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.desk.models import Identity, Patient, PatientKey
from coordination.errors import CoordinationError
from coordination.identity_vault import IdentityVault, Person
from coordination.sql import Sql
from exchange.audit_chain import Act, Erasable

SHOWN_MS: Final = 5 * 60_000
REASONS: Final[Mapping[str, Sentence]] = MappingProxyType(
    {
        "call_patient": Sentence(fr="appeler le patient", en="to call the patient"),
        "call_carer": Sentence(fr="appeler l'aidant", en="to call the carer"),
        "emergency": Sentence(fr="orienter vers les secours (15)", en="to call emergency services"),
        "physician": Sentence(fr="prévenir le médecin", en="to tell the physician"),
        "visit": Sentence(fr="préparer une visite ou une livraison", en="to prepare a visit or a delivery"),
        "correction": Sentence(fr="vérifier ou corriger l'identité", en="to check or correct the identity"),
        "rights": Sentence(fr="répondre à une demande du patient", en="to answer a request of the patient"),
    }
)
_SHOWN = "identities"


def vault() -> IdentityVault:
    """Return the vault of this desk.

    Raises:
        CoordinationError: it has none, or its key cannot be used.
        IdentityError: others can read the key, or it cannot be read.
    """
    path = settings.DESK.identity_key
    if path is None:
        raise CoordinationError(
            Sentence(fr="Aucune clé d'identités n'est réglée.", en="No key of identities is set."),
            hint=Sentence(fr="Régler 'identity_key' dans [desk].", en="Set 'identity_key' in [desk]."),
        )
    return IdentityVault.at(path)


def keep(connection: Sql, patient: Patient, person: Person, *, by: str, at: int) -> None:
    """Seal who a patient is under a fresh key, and enter that it was changed; in a transaction.

    Raises:
        CoordinationError, IdentityError: see `vault`.
    """
    wrapped, sealed = vault().seal(patient.pk, person)
    PatientKey.objects.update_or_create(patient_id=patient.pk, defaults={"wrapped": wrapped, "made_at": at})
    Identity.objects.update_or_create(
        patient_id=patient.pk, defaults={"sealed": sealed, "changed_at": at, "changed_by": by}
    )
    enter(connection, Act.IDENTITY_CHANGED, patient, by=by, at=at)


def read(patient: Patient) -> Person | None:
    """Return who a patient is, None when nobody wrote it down; the caller has entered why.

    Raises:
        CoordinationError, IdentityError: see `vault`; or the row was damaged or is another patient's.
    """
    key, row = (
        PatientKey.objects.filter(patient_id=patient.pk).first(),
        Identity.objects.filter(patient_id=patient.pk).first(),
    )
    if key is None or row is None:
        return None
    return vault().open(patient.pk, bytes(key.wrapped), bytes(row.sealed))


def enter(connection: Sql, act: Act, patient: Patient, *, by: str, at: int, **detail: str | int) -> None:
    """Enter an act on a patient in the record of acts; in a transaction."""
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(act, at=at, by=by, reference=Erasable(value=patient.pseudonym), detail=detail)


def show_until(session: SessionBase, patient: Patient, *, now: int) -> None:
    """Let a session see who a patient is from now on, for five minutes."""
    shown = {whose: until for whose, until in session.get(_SHOWN, {}).items() if until > now}
    session[_SHOWN] = {**shown, _whose(patient): now + SHOWN_MS}


def hide(session: SessionBase, patient: Patient) -> None:
    """Let a session see it no more."""
    gone = _whose(patient)
    session[_SHOWN] = {whose: until for whose, until in session.get(_SHOWN, {}).items() if whose != gone}


def shown_until(session: SessionBase, patient: Patient, *, now: int) -> int | None:
    """Return until when (ms UTC) a session may see who a patient is, None when it may not."""
    until = session.get(_SHOWN, {}).get(_whose(patient))
    return until if isinstance(until, int) and now < until <= now + SHOWN_MS else None


def _whose(patient: Patient) -> str:
    """Return what a session knows a patient by: a row may be another's after an erasure, a pseudonym never is."""
    return salted_hmac(_SHOWN, patient.pseudonym, algorithm="sha256").hexdigest()[:32]
