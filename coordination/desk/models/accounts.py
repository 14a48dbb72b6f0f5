"""What the desk keeps of who signs in: each try, the links for a new password, and what allauth asks to remember.

No password, no address as it was typed and no token is in these tables: a try names its account by a keyed hash, a
link is kept as a hash of its secret.
"""

from django.db import models

from coordination.desk.models.people import User


class LoginEvent(models.Model):
    """One try to sign in, or to prove once more who one is.

    Attributes:
        at: ms UTC, by the desk's clock.
        user: whose account it was, null when there is none of that address.
        subject: keyed hash of the account that was tried: the same for an address without an account.
        source: network address, the 64 bits of an IPv6 network.
        way: how: password, second, passkey, oidc.
        outcome: see `coordination.desk.sign_in.Outcome`.
        browser: id of a browser in which this account had signed in before, "" of any other.
        session: key of the session that it began, "" once that has ended, or when it began none.
        agent: what the browser calls itself, cut, for the list of one's own sessions.
    """

    at = models.BigIntegerField(db_index=True)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="login_events")
    subject = models.CharField(max_length=64)
    source = models.CharField(max_length=64)
    way = models.CharField(max_length=12)
    outcome = models.CharField(max_length=12)
    browser = models.CharField(max_length=32, default="")
    session = models.CharField(max_length=40, default="", db_index=True)
    agent = models.CharField(max_length=120, default="")

    class Meta:
        """Looked up by account and by address."""

        db_table = "login_event"
        indexes = (
            models.Index(fields=("subject", "at"), name="login_event_subject"),
            models.Index(fields=("source", "at"), name="login_event_source"),
        )


class PasswordLink(models.Model):
    """The one link with which somebody may set a new password, until it is used or too old; a new one replaces it."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True)
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.BigIntegerField()
    made_by = models.CharField(max_length=60)


class LinkedPerson(models.Model):
    """Who an account is at an identity provider, as an administrator said: by `sub`, or by a national number.

    Attributes:
        subject: the `sub`; "" until the number was first seen with one, which then stays the only one.
        number: the RPPS or ADELI number as the provider gives it, "" when the link is by `sub`.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="linked")
    provider = models.CharField(max_length=32)
    subject = models.CharField(max_length=191, default="")
    number = models.CharField(max_length=40, default="")

    class Meta:
        """One person each way, and one identity per provider for each account."""

        constraints = (
            models.UniqueConstraint(fields=("user", "provider"), name="linked_once"),
            models.UniqueConstraint(
                fields=("provider", "subject"), name="linked_subject", condition=~models.Q(subject="")
            ),
            models.UniqueConstraint(
                fields=("provider", "number"), name="linked_number", condition=~models.Q(number="")
            ),
        )


class Remembered(models.Model):
    """What django-allauth remembers for a while (codes that were used, how often somebody asked): Django's cache."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        """As `django.core.cache.backends.db` wants it."""

        db_table = "desk_remembered"
