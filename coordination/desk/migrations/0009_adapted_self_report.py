"""Other thresholds of a follow-up under way, as Django knows them: coordination/schema.sql makes the columns."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0008_selfreport"),
    ]

    operations = [
        migrations.AddField("selfreport", "judged_hash", models.TextField(default=""), preserve_default=False),
        migrations.AddField("selfreport", "change_hash", models.TextField(default=""), preserve_default=False),
        migrations.AddField("selfreport", "change_text", models.TextField(default=""), preserve_default=False),
        migrations.AddField("selfreport", "change_by", models.TextField(default=""), preserve_default=False),
        migrations.AddField("selfreport", "change_id", models.BigIntegerField(null=True)),
        migrations.AddField("selfreport", "change_at", models.BigIntegerField(null=True)),
    ]
