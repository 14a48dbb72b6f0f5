"""Codes that brought boxes to the team, or will: written by the functions beside Django (coordination/enrolments)."""

from django.db import models

from coordination.desk.models.shared import Box


class Enrolment(models.Model):
    """A code; see coordination/schema.sql for what its columns say."""

    place = models.TextField(primary_key=True)
    box = models.ForeignKey(Box, models.DO_NOTHING)
    state = models.TextField()
    created_at = models.BigIntegerField()
    expires_at = models.BigIntegerField()
    digits = models.TextField(null=True)
    decided_at = models.BigIntegerField(null=True)
    decided_by = models.TextField(null=True)
    team_id = models.BigIntegerField()
    opened_by = models.BigIntegerField(null=True)
    patient = models.TextField()
    protocol = models.TextField()

    class Meta:
        """Not Django's to make."""

        managed = False
        db_table = "enrolment"
        app_label = "desk"
