"""What the desk itself keeps of a patient: who they are (sealed), what they agreed to, and who looked.

Each table names the patient by `patient_id`: erasing finds every one by that (patient_erasure).
"""

from django.db import models

from coordination.desk.models.shared import Patient, Team


class PatientKey(models.Model):
    """The key under which a patient's identity is sealed, itself wrapped under the team's (identity_vault)."""

    patient = models.OneToOneField(Patient, models.DO_NOTHING, primary_key=True, db_constraint=False)
    wrapped = models.BinaryField()
    made_at = models.BigIntegerField()


class Identity(models.Model):
    """Who a patient is, sealed; readable through `identity_vault` only, which is an act of a person."""

    patient = models.OneToOneField(Patient, models.DO_NOTHING, primary_key=True, db_constraint=False)
    sealed = models.BinaryField()
    changed_at = models.BigIntegerField()
    changed_by = models.CharField(max_length=60)


class Consent(models.Model):
    """What a patient agreed to, when and how; a withdrawal closes the row and never deletes it.

    Attributes:
        given_at: ms UTC, when the patient said so.
        recorded_by: who wrote it down, as colleagues read the name.
        withdrawn_at: None while it holds.
    """

    patient = models.ForeignKey(Patient, models.DO_NOTHING, db_constraint=False)
    what = models.CharField(max_length=24)
    how = models.CharField(max_length=16)
    given_at = models.BigIntegerField()
    recorded_at = models.BigIntegerField()
    recorded_by = models.CharField(max_length=60)
    withdrawn_at = models.BigIntegerField(null=True)
    withdrawn_by = models.CharField(max_length=60, default="")

    class Meta:
        """One of a kind at a time."""

        constraints = (
            models.UniqueConstraint(
                fields=("patient", "what"), condition=models.Q(withdrawn_at=None), name="consent_once"
            ),
        )


class PatientView(models.Model):
    """That somebody had a patient's page before them, with what had come by then."""

    patient = models.ForeignKey(Patient, models.DO_NOTHING, db_constraint=False)
    user_id = models.BigIntegerField()
    name = models.CharField(max_length=60)
    at = models.BigIntegerField()

    class Meta:
        """Found by patient and time."""

        indexes = (models.Index(fields=("patient", "at"), name="patient_view_at"),)


class Retention(models.Model):
    """For how long a team keeps things, in days; the laws behind the defaults are in docs/operate.md.

    Attributes:
        archive_days: from the end of follow-up to the erasure of the patient.
        view_days: how long it is known who looked.
    """

    team = models.OneToOneField(Team, models.DO_NOTHING, primary_key=True, db_constraint=False)
    archive_days = models.PositiveIntegerField(default=7_305)
    view_days = models.PositiveIntegerField(default=1_095)
    changed_at = models.BigIntegerField(default=0)
    changed_by = models.CharField(max_length=60, default="")
