"""Who works at the desk, and as what in which team."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

from coordination.desk.access import Role
from coordination.desk.models.shared import Team


class UserManager(BaseUserManager):
    """Makes accounts."""

    def create_user(self, email: str, name: str, password: str | None = None, **more: Any) -> "User":
        """Return a new account; without a password it signs in by the team's identity provider only."""
        user = self.model(email=self.normalize_email(email).lower(), name=name, **more)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the account of an address, whatever its capitals."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser):
    """A person with an account. What they may do is said by their memberships, never here.

    Attributes:
        email: signs in; unique, lower case.
        name: as colleagues read it, "C. Martin".
        language: "fr" or "en".
        shortcuts: whether J, K, P and the others do anything.
        person_key: id of the signing key that the team's signed list knows them by, "" when they sign nothing.
        is_active: an account that is closed stays, with its acts.
    """

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=60)
    language = models.CharField(max_length=2, default="fr", choices=[("fr", "Français"), ("en", "English")])
    shortcuts = models.BooleanField(default=True)
    person_key = models.CharField(max_length=32, blank=True, default="")
    is_active = models.BooleanField(default=True)
    created_at = models.BigIntegerField(default=0)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ("name",)

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    def get_full_name(self) -> str:
        """Return the name."""
        return self.name


class Membership(models.Model):
    """What a person is there for in a team; one may be several things, and in several teams."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_constraint=False, related_name="memberships")
    role = models.CharField(max_length=12, choices=[(role.value, role.value) for role in Role])

    class Meta:
        """One row a role."""

        constraints = (models.UniqueConstraint(fields=("user", "team", "role"), name="membership_once"),)
