"""What the protocol workshop keeps: packs of a team, drafts and their signatures, signing keys, jobs of replay.

The acts beside Django write these tables by their names (coordination/drafts, packs, signing_keys, replay_jobs). Times
are ms UTC. Drafts and jobs speak of a patient: they are erased with them.
"""

from django.db import models

from coordination.desk.models.people import User
from coordination.desk.models.shared import Patient, Team

OPEN = ("draft", "to_sign", "signed")
"""States of a draft that somebody still works on; a patient has one at most."""


class PersonKey(models.Model):
    """A person's signing key, wrapped under their PIN: what coordination/person_key makes.

    Attributes:
        key: its id; the public half is `public`.
        wrapped: as a key file holds it. Nothing here opens it.
        wrong: PINs that were wrong since the last right one.
        closed_until: until when no PIN is tried.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="signing_key")
    key = models.CharField(max_length=32, unique=True)
    public = models.CharField(max_length=64)
    name = models.CharField(max_length=64)
    wrapped = models.TextField()
    made_at = models.BigIntegerField()
    wrong = models.IntegerField(default=0)
    closed_until = models.BigIntegerField(default=0)

    class Meta:
        """Named as DESK.md names tables."""

        db_table = "person_key"


class PackVersion(models.Model):
    """A pack as a team has it, or a packaged one with the limits that its physician set: one row a version.

    Attributes:
        name: what a protocol inherits it by; that of a packaged one stands for it in this team.
        text: a protocol file.
        by: the physician, as colleagues read the name.
    """

    team = models.ForeignKey(Team, models.CASCADE, db_constraint=False)
    name = models.CharField(max_length=48)
    version = models.IntegerField()
    text = models.TextField()
    why = models.CharField(max_length=200, blank=True, default="")
    by = models.CharField(max_length=60)
    at = models.BigIntegerField()

    class Meta:
        """Two who save at once: one wins."""

        db_table = "pack_version"
        constraints = (models.UniqueConstraint(fields=("team", "name", "version"), name="pack_version_once"),)


class ProtocolDraft(models.Model):
    """A protocol for a patient, from the first change to the box's own answer.

    Attributes:
        state: draft, to_sign, signed, sent or abandoned. How far a sent one came, `command` and its answers say.
        revision: counts every change; who acts names the one that they looked at.
        text: the protocol file, as people write it.
        by: who changed it last.
        box: for which box it is proposed, "" before.
        command: the order's canonical bytes in base64, "" before it is proposed. Signatures are over these.
        command_id: the order's id.
        protocol_hash: of the resolved protocol in it.
    """

    team = models.ForeignKey(Team, models.CASCADE, db_constraint=False)
    patient = models.ForeignKey(Patient, models.CASCADE, db_constraint=False)
    state = models.CharField(max_length=10, default="draft")
    revision = models.IntegerField(default=1)
    text = models.TextField()
    made_by = models.CharField(max_length=60)
    made_at = models.BigIntegerField()
    by = models.CharField(max_length=60)
    at = models.BigIntegerField()
    box = models.CharField(max_length=48, blank=True, default="")
    command = models.TextField(blank=True, default="")
    command_id = models.CharField(max_length=32, blank=True, default="", db_index=True)
    protocol_hash = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        """One open draft a patient: whoever opens the page works on the same."""

        db_table = "protocol_draft"
        constraints = (
            models.UniqueConstraint(
                fields=("patient",), condition=models.Q(state__in=OPEN), name="protocol_draft_open_once"
            ),
        )


class ProtocolSignature(models.Model):
    """A person's signature over a draft's order.

    Attributes:
        patient: of the draft; names with whom it is erased.
        role: "nurse" or "physician", as what they signed.
        key: id of the key; the box knows whose it is by the team's signed list.
        signature: Ed25519, hexadecimal.
        user: row of the account that they signed with.
    """

    draft = models.ForeignKey(ProtocolDraft, models.CASCADE, related_name="signatures")
    patient = models.ForeignKey(Patient, models.CASCADE, db_constraint=False)
    role = models.CharField(max_length=12)
    key = models.CharField(max_length=32)
    name = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)
    user = models.BigIntegerField()
    at = models.BigIntegerField()

    class Meta:
        """Each role once."""

        db_table = "protocol_signature"
        constraints = (models.UniqueConstraint(fields=("draft", "role"), name="protocol_signature_once"),)


class ReplayJob(models.Model):
    """A protocol to be tried on a patient's history, beside the one that holds.

    Attributes:
        revision: of the draft that it tries.
        days: how far back.
        before: the resolved protocol that holds, "" when the team knows none.
        after: the resolved draft.
        state: queued, running, done, failed or cancelled.
        stop: 1 when somebody asked to cancel it.
        done: thousandths of the readings that were judged.
        tries: how often it was begun: one that ends its worker each time is given up.
        worker: who runs it; `lease` is until when it counts as alive.
        result: JSON of coordination/replay_result, "" before.
        fault_fr: why there is none; `fault_en` likewise.
    """

    team = models.ForeignKey(Team, models.CASCADE, db_constraint=False)
    patient = models.ForeignKey(Patient, models.CASCADE, db_constraint=False)
    draft = models.ForeignKey(ProtocolDraft, models.CASCADE, related_name="replays")
    revision = models.IntegerField()
    days = models.IntegerField()
    before = models.TextField()
    after = models.TextField()
    by = models.CharField(max_length=60)
    at = models.BigIntegerField()
    until = models.BigIntegerField()
    state = models.CharField(max_length=10, default="queued")
    stop = models.IntegerField(default=0)
    done = models.IntegerField(default=0)
    tries = models.IntegerField(default=0)
    worker = models.CharField(max_length=64, blank=True, default="")
    lease = models.BigIntegerField(default=0)
    ended_at = models.BigIntegerField(null=True)
    result = models.TextField(blank=True, default="")
    fault_fr = models.TextField(blank=True, default="")
    fault_en = models.TextField(blank=True, default="")

    class Meta:
        """What waits is found at once."""

        db_table = "replay_job"
        indexes = (
            models.Index(
                fields=("at",), condition=models.Q(state__in=("queued", "running")), name="replay_job_waiting"
            ),
        )
