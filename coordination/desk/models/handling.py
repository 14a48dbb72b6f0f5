"""What waits for somebody, what was done with it, and by when: tables that the inbox and the desk both write.

Their columns are said in coordination/schema.sql; Django never makes or changes one.
"""

from django.db import models

from coordination.desk.models.shared import Alert, Box, Patient, Team, unmanaged


class Problem(models.Model):
    """A row of the worklist: the alerts of one rule about one patient, or one box, that wait for somebody."""

    id = models.TextField(primary_key=True)
    team = models.ForeignKey(Team, models.DO_NOTHING)
    patient = models.ForeignKey(Patient, models.DO_NOTHING, null=True)
    box = models.ForeignKey(Box, models.DO_NOTHING)
    rule_id = models.TextField()
    protocol = models.TextField()
    alert = models.ForeignKey(Alert, models.DO_NOTHING)
    raised_at = models.BigIntegerField()
    priority = models.BigIntegerField()
    state = models.BigIntegerField()
    repeats = models.BigIntegerField()
    due = models.BigIntegerField()
    lapses_at = models.BigIntegerField()
    escalated_at = models.BigIntegerField(null=True)
    physician_at = models.BigIntegerField(null=True)
    holder_id = models.BigIntegerField(null=True)
    holder = models.TextField()
    stamp = models.BigIntegerField()
    arrived = models.BigIntegerField()
    Meta = unmanaged("problem")


class AlertAct(models.Model):
    """What somebody, or a program in the team's place ("team"), did with an alert; `note` is health data."""

    alert = models.ForeignKey(Alert, models.DO_NOTHING)
    turn = models.TextField()
    handled = models.BigIntegerField()
    kind = models.TextField()
    at = models.BigIntegerField()
    person = models.TextField()
    person_id = models.BigIntegerField(null=True)
    detail = models.TextField()
    note = models.TextField()
    before = models.TextField()
    Meta = unmanaged("alert_act")
