"""How much work alerts are, and how much of it a week has room for: a team's own numbers."""

from django.db import models

from coordination.desk.models.people import User
from coordination.desk.models.shared import Team

WEEK = "week"
"""Names, among a team's minutes, those that a week has for alerts."""


class TeamMinutes(models.Model):
    """Minutes of work that an alert takes which ended as `said` (coordination.outcomes), or that a week has."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_constraint=False)
    said = models.CharField(max_length=16)
    minutes = models.PositiveSmallIntegerField()

    class Meta:
        """One row an outcome."""

        constraints = (models.UniqueConstraint(fields=("team", "said"), name="team_minutes_once"),)


class WeeklyBudget(models.Model):
    """Minutes a week that one member of a team has for alerts, where they differ from the team's."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_constraint=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    minutes = models.PositiveSmallIntegerField()

    class Meta:
        """One row a member."""

        constraints = (models.UniqueConstraint(fields=("team", "user"), name="weekly_budget_once"),)
