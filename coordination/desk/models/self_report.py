"""Whom the team follows by questionnaire, and the links they were given, as Django reads them (see schema.sql)."""

from django.db import models

from coordination.desk.models.shared import Patient


class SelfReport(models.Model):
    """A follow-up by questionnaire: proposed, confirmed, ended."""

    patient = models.OneToOneField(Patient, models.DO_NOTHING, primary_key=True)
    questionnaire = models.TextField()
    protocol = models.TextField()
    protocol_hash = models.TextField()
    protocol_text = models.TextField()
    proposed_by = models.TextField()
    proposed_id = models.BigIntegerField(null=True)
    proposed_at = models.BigIntegerField()
    confirmed_by = models.TextField()
    since = models.BigIntegerField(null=True)
    ended_at = models.BigIntegerField(null=True)
    version = models.BigIntegerField()
    every_days = models.BigIntegerField(null=True)
    next_link_at = models.BigIntegerField(null=True)
    way = models.TextField()
    cursor = models.BigIntegerField()
    snapshot = models.BinaryField(null=True)
    due_at = models.BigIntegerField(null=True)
    judged_at = models.BigIntegerField()
    attempts = models.BigIntegerField()
    judged_hash = models.TextField()
    change_hash = models.TextField()
    change_text = models.TextField()
    change_by = models.TextField()
    change_id = models.BigIntegerField(null=True)
    change_at = models.BigIntegerField(null=True)

    class Meta:
        """Not Django's to make."""

        managed = False
        db_table = "self_report"


class QuestionnaireLink(models.Model):
    """A link that somebody was given, or that waits to be sent; what stands in it is nowhere."""

    patient = models.ForeignKey(Patient, models.DO_NOTHING)
    questionnaire = models.TextField()
    questionnaire_version = models.BigIntegerField()
    state = models.TextField()
    token_hash = models.TextField(null=True)
    way = models.TextField()
    made_by = models.TextField()
    made_at = models.BigIntegerField()
    expires_at = models.BigIntegerField()
    answered_at = models.BigIntegerField(null=True)
    attempts = models.BigIntegerField()
    next_at = models.BigIntegerField(null=True)

    class Meta:
        """Not Django's to make."""

        managed = False
        db_table = "questionnaire_link"


class SelfReportPass(models.Model):
    """When the worker that judges answers last looked."""

    at = models.BigIntegerField()

    class Meta:
        """Not Django's to make."""

        managed = False
        db_table = "self_report_pass"
