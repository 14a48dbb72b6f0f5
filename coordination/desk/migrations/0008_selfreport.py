"""Follow-ups by questionnaire and their links, as Django knows them: coordination/schema.sql makes the tables."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0007_fhir"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuestionnaireLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("questionnaire", models.TextField()),
                ("questionnaire_version", models.BigIntegerField()),
                ("state", models.TextField()),
                ("token_hash", models.TextField(null=True)),
                ("way", models.TextField()),
                ("made_by", models.TextField()),
                ("made_at", models.BigIntegerField()),
                ("expires_at", models.BigIntegerField()),
                ("answered_at", models.BigIntegerField(null=True)),
                ("attempts", models.BigIntegerField()),
                ("next_at", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "questionnaire_link",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="SelfReport",
            fields=[
                (
                    "patient",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        serialize=False,
                        to="desk.patient",
                    ),
                ),
                ("questionnaire", models.TextField()),
                ("protocol", models.TextField()),
                ("protocol_hash", models.TextField()),
                ("protocol_text", models.TextField()),
                ("proposed_by", models.TextField()),
                ("proposed_id", models.BigIntegerField(null=True)),
                ("proposed_at", models.BigIntegerField()),
                ("confirmed_by", models.TextField()),
                ("since", models.BigIntegerField(null=True)),
                ("ended_at", models.BigIntegerField(null=True)),
                ("version", models.BigIntegerField()),
                ("every_days", models.BigIntegerField(null=True)),
                ("next_link_at", models.BigIntegerField(null=True)),
                ("way", models.TextField()),
                ("cursor", models.BigIntegerField()),
                ("snapshot", models.BinaryField(null=True)),
                ("due_at", models.BigIntegerField(null=True)),
                ("judged_at", models.BigIntegerField()),
                ("attempts", models.BigIntegerField()),
            ],
            options={
                "db_table": "self_report",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="SelfReportPass",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.BigIntegerField()),
            ],
            options={
                "db_table": "self_report_pass",
                "managed": False,
            },
        ),
    ]
