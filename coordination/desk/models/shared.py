"""The tables that the inbox writes (coordination/schema.sql), as Django reads them; Django never makes or changes one.

Times are ms UTC, values are counts of their quantity's quantum. A test compares these columns with the real ones.
"""

from django.db import models

_TEAM, _PATIENT, _BOX = "team", "patient", "box"


def _of(table: str) -> type:
    """Return the Meta of a table that is not Django's to make."""
    return type("Meta", (), {"managed": False, "db_table": table, "app_label": "desk"})


unmanaged = _of


class Team(models.Model):
    """A coordination team."""

    name = models.TextField(unique=True)
    Meta = _of("team")


class Patient(models.Model):
    """A pseudonym; who it is, `Identity` says under its own key."""

    team = models.ForeignKey(Team, models.DO_NOTHING)
    pseudonym = models.TextField(unique=True)
    time_zone = models.TextField()
    followed_by = models.TextField(default="")
    begun_at = models.BigIntegerField(default=0)
    ended_at = models.BigIntegerField(null=True)
    Meta = _of("patient")


class Boxes(models.Manager["Box"]):
    """Finds boxes; the rows that stand for a team itself are none (coordination/team_origin.py)."""

    def get_queryset(self) -> models.QuerySet["Box"]:
        """Return every box."""
        return super().get_queryset().exclude(name__startswith="@")


class Box(models.Model):
    """A gateway in a home."""

    team = models.ForeignKey(Team, models.DO_NOTHING)
    name = models.TextField(unique=True)
    heard_at = models.BigIntegerField(null=True)
    canary_at = models.BigIntegerField(null=True)

    objects = Boxes()

    Meta = _of("box")


class BoxAssignment(models.Model):
    """Which box transmits for which patient, from when (included) to when (not included, null while it lasts)."""

    box = models.ForeignKey(Box, models.DO_NOTHING)
    patient = models.ForeignKey(Patient, models.DO_NOTHING)
    since = models.BigIntegerField(db_column="from")
    until = models.BigIntegerField(db_column="to", null=True)
    origin = models.TextField(default="settings")
    Meta = _of("box_assignment")


class Device(models.Model):
    """A medical device as its box names it."""

    box = models.ForeignKey(Box, models.DO_NOTHING)
    name = models.TextField()
    first_data_at = models.BigIntegerField()
    last_data_at = models.BigIntegerField()
    Meta = _of("device")


class DeviceSilence(models.Model):
    """A silence of a device, or of the whole box when there is no device."""

    box = models.ForeignKey(Box, models.DO_NOTHING)
    device = models.ForeignKey(Device, models.DO_NOTHING, null=True)
    since = models.BigIntegerField(db_column="from")
    until = models.BigIntegerField(db_column="to", null=True)
    cause = models.TextField()
    Meta = _of("device_silence")


class Observation(models.Model):
    """A reading: `t` when measured, `received_at` when the box had it, `stored_at` when the team had it."""

    patient = models.ForeignKey(Patient, models.DO_NOTHING)
    box = models.ForeignKey(Box, models.DO_NOTHING)
    epoch = models.TextField()
    seq = models.BigIntegerField()
    device = models.ForeignKey(Device, models.DO_NOTHING)
    quantity = models.TextField()
    count = models.BigIntegerField()
    unit = models.TextField()
    validity = models.TextField()
    t = models.BigIntegerField()
    clock = models.TextField()
    received_at = models.BigIntegerField()
    stored_at = models.BigIntegerField()
    key = models.TextField()
    quality = models.BigIntegerField()
    source = models.TextField()
    Meta = _of("observation")


class ClockCorrection(models.Model):
    """What a box found out about its own time: by how much the records `first` to `last` of an epoch were moved."""

    # Its real key is made of three columns; the box alone stands for it, since nothing is ever read by it.
    box = models.OneToOneField(Box, models.DO_NOTHING, primary_key=True)
    epoch = models.TextField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    offset = models.BigIntegerField()
    stored_at = models.BigIntegerField()
    Meta = _of("clock_correction")


class Alert(models.Model):
    """An alert as its events have made it; see coordination/schema.sql for who owns which column."""

    id = models.TextField(primary_key=True)
    team = models.ForeignKey(Team, models.DO_NOTHING)
    patient = models.ForeignKey(Patient, models.DO_NOTHING, null=True)
    box = models.ForeignKey(Box, models.DO_NOTHING)
    origin = models.TextField()
    version = models.BigIntegerField()
    kind = models.TextField()
    rule_id = models.TextField()
    prio = models.BigIntegerField()
    category = models.TextField()
    onset = models.BigIntegerField()
    raised_at = models.BigIntegerField()
    resolved_at = models.BigIntegerField(null=True)
    late = models.BigIntegerField()
    supersedes = models.TextField(null=True)
    text_fr = models.TextField()
    text_en = models.TextField()
    protocol = models.TextField()
    protocol_version = models.BigIntegerField()
    protocol_hash = models.TextField()
    engine_version = models.TextField()
    evidence = models.TextField()
    audience = models.TextField()
    told_at = models.BigIntegerField(null=True)
    due_by = models.BigIntegerField(null=True)
    record = models.TextField()
    state = models.BigIntegerField()
    ack_due = models.BigIntegerField(null=True)
    act_due = models.BigIntegerField(null=True)
    holder_id = models.BigIntegerField(null=True)
    holder = models.TextField()
    taken_at = models.BigIntegerField(null=True)
    handled = models.BigIntegerField()
    recall_at = models.BigIntegerField(null=True)
    escalated_at = models.BigIntegerField(null=True)
    physician_at = models.BigIntegerField(null=True)
    closed_at = models.BigIntegerField(null=True)
    Meta = _of("alert")


class AlertEvent(models.Model):
    """A change of an alert, as it was said by its box, by the inbox or by a person."""

    alert = models.ForeignKey(Alert, models.DO_NOTHING)
    box = models.ForeignKey(Box, models.DO_NOTHING)
    epoch = models.TextField()
    seq = models.BigIntegerField()
    kind = models.TextField()
    created = models.BigIntegerField()
    stored_at = models.BigIntegerField()
    content = models.TextField()
    Meta = _of("alert_event")


class AlertOutcome(models.Model):
    """What a named person said came of an alert, the last word."""

    alert = models.OneToOneField(Alert, models.DO_NOTHING, primary_key=True)
    outcome = models.TextField()
    person = models.TextField()
    at = models.BigIntegerField()
    said = models.TextField()
    Meta = _of("alert_outcome")


class BoxStatus(models.Model):
    """What a box last said about itself: `at` by its clock, `received_at` by the team's."""

    box = models.OneToOneField(Box, models.DO_NOTHING, primary_key=True)
    state = models.TextField()
    epoch = models.TextField()
    session = models.TextField()
    next_seq = models.BigIntegerField()
    backlog = models.BigIntegerField()
    version = models.TextField()
    protocols = models.TextField()
    at = models.BigIntegerField()
    received_at = models.BigIntegerField()
    Meta = _of("box_status")


class DeclaredGap(models.Model):
    """What a box said will not come."""

    box = models.ForeignKey(Box, models.DO_NOTHING)
    patient = models.ForeignKey(Patient, models.DO_NOTHING, null=True)
    lane = models.BigIntegerField()
    epoch = models.TextField()
    first = models.BigIntegerField(null=True)
    last = models.BigIntegerField(null=True)
    since = models.BigIntegerField(db_column="from")
    until = models.BigIntegerField(db_column="to")
    readings = models.BigIntegerField()
    reason = models.TextField()
    stored_at = models.BigIntegerField()
    Meta = _of("declared_gap")
