"""Other systems that may read over FHIR, and the exports that are made for them or for a physician."""

from django.db import models

from coordination.desk.models.people import User
from coordination.desk.models.shared import Team


class SystemClient(models.Model):
    """A named system of another house, with one token; what it may read is said by its scopes.

    Attributes:
        team: whose data it reads.
        name: as the record of acts has it; unique.
        token: names it in its token; unique. The secret behind it is kept as a digest only.
        digest: SHA-256 of the secret, hexadecimal. The secret is 256 random bits, so a fast digest is enough.
        scopes: "system/Observation.read system/*.read", by spaces.
        expires_at: ms UTC; from then on it is refused.
        revoked_at: ms UTC; None while it holds.
        created_at: ms UTC.
        a_minute: requests a minute that it may make.
        minute: the minute (since 1970) in which it last asked, and `used`: how often then.
        last_day: the last day (since 1970) of which the record of acts says that it read.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_constraint=False, related_name="+")
    name = models.CharField(max_length=64, unique=True)
    token = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.CharField(max_length=400)
    expires_at = models.BigIntegerField()
    revoked_at = models.BigIntegerField(null=True)
    created_at = models.BigIntegerField()
    a_minute = models.IntegerField(default=600)
    minute = models.BigIntegerField(default=0)
    used = models.IntegerField(default=0)
    last_day = models.BigIntegerField(default=0)


class ExportJob(models.Model):
    """An export in bulk: files of one resource a line, made in the background, there for a while.

    Attributes:
        id: 32 hexadecimal digits, random.
        team: whose data.
        user: the physician who asked; None when a system did.
        client: the system that did.
        by: their name, for the record of acts.
        request: the address that was asked.
        kinds: which resources, by commas.
        since: ms UTC; only what changed since (included). None: all.
        patients_only: only what is about patients.
        at: ms UTC: what is in it was known to the team then (transactionTime).
        state: "running", "done", "failed", "cancelled".
        claimed_until: ms UTC; until when whoever makes it is believed to be at work.
        claim: who makes it, random; another takes over once it is not believed any more.
        progress: resources written so far.
        files: what there is (JSON): kind, number, name, SHA-256.
        expires_at: ms UTC; from then on the files are gone.
    """

    id = models.CharField(max_length=32, primary_key=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_constraint=False, related_name="+")
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    client = models.ForeignKey(SystemClient, on_delete=models.SET_NULL, null=True, related_name="+")
    by = models.CharField(max_length=200)
    request = models.TextField()
    kinds = models.TextField()
    since = models.BigIntegerField(null=True)
    patients_only = models.BooleanField()
    at = models.BigIntegerField()
    state = models.CharField(max_length=12)
    claimed_until = models.BigIntegerField(default=0)
    claim = models.CharField(max_length=32, default="")
    progress = models.BigIntegerField(default=0)
    files = models.TextField(default="[]")
    expires_at = models.BigIntegerField()

    class Meta:
        """A team's jobs by when they were asked for."""

        indexes = (models.Index(fields=("team", "at"), name="export_job_team"),)
