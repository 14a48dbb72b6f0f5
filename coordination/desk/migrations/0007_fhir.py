import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0005_workshop"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClockCorrection",
            fields=[
                (
                    "box",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, serialize=False, to="desk.box"
                    ),
                ),
                ("epoch", models.TextField()),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("offset", models.BigIntegerField()),
                ("stored_at", models.BigIntegerField()),
            ],
            options={
                "db_table": "clock_correction",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="SystemClient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("token", models.CharField(max_length=16, unique=True)),
                ("digest", models.CharField(max_length=64)),
                ("scopes", models.CharField(max_length=400)),
                ("expires_at", models.BigIntegerField()),
                ("revoked_at", models.BigIntegerField(null=True)),
                ("created_at", models.BigIntegerField()),
                ("a_minute", models.IntegerField(default=600)),
                ("minute", models.BigIntegerField(default=0)),
                ("used", models.IntegerField(default=0)),
                ("last_day", models.BigIntegerField(default=0)),
                (
                    "team",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="desk.team",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ExportJob",
            fields=[
                ("id", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("by", models.CharField(max_length=200)),
                ("request", models.TextField()),
                ("kinds", models.TextField()),
                ("since", models.BigIntegerField(null=True)),
                ("patients_only", models.BooleanField()),
                ("at", models.BigIntegerField()),
                ("state", models.CharField(max_length=12)),
                ("claimed_until", models.BigIntegerField(default=0)),
                ("claim", models.CharField(default="", max_length=32)),
                ("progress", models.BigIntegerField(default=0)),
                ("files", models.TextField(default="[]")),
                ("expires_at", models.BigIntegerField()),
                (
                    "team",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="desk.team",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "client",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="desk.systemclient",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["team", "at"], name="export_job_team")],
            },
        ),
    ]
