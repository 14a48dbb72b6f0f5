import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0004_patient"),
    ]

    operations = [
        migrations.CreateModel(
            name="PersonKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=32, unique=True)),
                ("public", models.CharField(max_length=64)),
                ("name", models.CharField(max_length=64)),
                ("wrapped", models.TextField()),
                ("made_at", models.BigIntegerField()),
                ("wrong", models.IntegerField(default=0)),
                ("closed_until", models.BigIntegerField(default=0)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="signing_key",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "person_key",
            },
        ),
        migrations.CreateModel(
            name="ProtocolDraft",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.CharField(default="draft", max_length=10)),
                ("revision", models.IntegerField(default=1)),
                ("text", models.TextField()),
                ("made_by", models.CharField(max_length=60)),
                ("made_at", models.BigIntegerField()),
                ("by", models.CharField(max_length=60)),
                ("at", models.BigIntegerField()),
                ("box", models.CharField(blank=True, default="", max_length=48)),
                ("command", models.TextField(blank=True, default="")),
                ("command_id", models.CharField(blank=True, db_index=True, default="", max_length=32)),
                ("protocol_hash", models.CharField(blank=True, default="", max_length=64)),
                (
                    "patient",
                    models.ForeignKey(
                        db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="desk.patient"
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="desk.team"),
                ),
            ],
            options={
                "db_table": "protocol_draft",
            },
        ),
        migrations.CreateModel(
            name="ProtocolSignature",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(max_length=12)),
                ("key", models.CharField(max_length=32)),
                ("name", models.CharField(max_length=64)),
                ("signature", models.CharField(max_length=128)),
                ("user", models.BigIntegerField()),
                ("at", models.BigIntegerField()),
                (
                    "draft",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="signatures", to="desk.protocoldraft"
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="desk.patient"
                    ),
                ),
            ],
            options={
                "db_table": "protocol_signature",
            },
        ),
        migrations.CreateModel(
            name="ReplayJob",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.IntegerField()),
                ("days", models.IntegerField()),
                ("before", models.TextField()),
                ("after", models.TextField()),
                ("by", models.CharField(max_length=60)),
                ("at", models.BigIntegerField()),
                ("until", models.BigIntegerField()),
                ("state", models.CharField(default="queued", max_length=10)),
                ("stop", models.IntegerField(default=0)),
                ("done", models.IntegerField(default=0)),
                ("tries", models.IntegerField(default=0)),
                ("worker", models.CharField(blank=True, default="", max_length=64)),
                ("lease", models.BigIntegerField(default=0)),
                ("ended_at", models.BigIntegerField(null=True)),
                ("result", models.TextField(blank=True, default="")),
                ("fault_fr", models.TextField(blank=True, default="")),
                ("fault_en", models.TextField(blank=True, default="")),
                (
                    "draft",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="replays", to="desk.protocoldraft"
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="desk.patient"
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="desk.team"),
                ),
            ],
            options={
                "db_table": "replay_job",
            },
        ),
        migrations.CreateModel(
            name="PackVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=48)),
                ("version", models.IntegerField()),
                ("text", models.TextField()),
                ("why", models.CharField(blank=True, default="", max_length=200)),
                ("by", models.CharField(max_length=60)),
                ("at", models.BigIntegerField()),
                (
                    "team",
                    models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="desk.team"),
                ),
            ],
            options={
                "db_table": "pack_version",
                "constraints": [models.UniqueConstraint(fields=("team", "name", "version"), name="pack_version_once")],
            },
        ),
        migrations.AddConstraint(
            model_name="protocoldraft",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("draft", "to_sign", "signed"))),
                fields=("patient",),
                name="protocol_draft_open_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="protocolsignature",
            constraint=models.UniqueConstraint(fields=("draft", "role"), name="protocol_signature_once"),
        ),
        migrations.AddIndex(
            model_name="replayjob",
            index=models.Index(
                condition=models.Q(("state__in", ("queued", "running"))), fields=["at"], name="replay_job_waiting"
            ),
        ),
    ]
