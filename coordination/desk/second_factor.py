"""The second factor: an application's codes or a passkey, with codes on paper for the day on which both are lost.

- Who acts on patients, or gives others the right to, needs one (`desk.second_factor = "required"`); until it is set
  up, nothing opens but one's own account.
- Its secrets are sealed in the database under the desk's key file: a copy of the database is no second factor.

Not here: the protocols (allauth and fido2), and how often a code may be tried (sign_in, through the forms).
"""

from typing import Any, Final

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from markupsafe import Markup

from alerting.alert import Sentence
from coordination import sealed_secret
from coordination.desk.access import Role
from coordination.desk.models import User
from coordination.desk.pages import said, t
from coordination.qr import svg_qr

NEEDED_BY: Final = frozenset({Role.NURSE, Role.PHYSICIAN, Role.ADMIN})
"""Who acts on patients, and who can let others do so."""
STRONG: Final = "second"
"""Says, in a session, that whoever began it showed more than a password."""
_PURPOSE: Final = "veilleur/desk/second-factor"
_WORDS = {
    "cannot_delete_authenticator": Sentence(
        fr="Votre rôle demande un second facteur : en ajouter un autre avant de retirer celui-ci.",
        en="Your role needs a second factor: add another one before you remove this one.",
    ),
    "cannot_generate_recovery_codes": Sentence(
        fr="Ajouter d'abord une application ou une clé d'accès.", en="Add an application or a passkey first."
    ),
    "incorrect_code": Sentence(
        fr="Ce code ou cette clé ne convient pas. Attendre le code suivant, puis réessayer.",
        en="This code or key is not right. Wait for the next code, then try again.",
    ),
}


class SecondFactorAdapter(DefaultMFAAdapter):
    """The desk's answers to allauth about second factors."""

    @property
    def error_messages(self) -> dict[str, str]:
        """What people read, in their language."""
        own = {code: said(sentence) for code, sentence in _WORDS.items()}
        return {**DefaultMFAAdapter.error_messages, **own}

    def build_totp_svg(self, url: str) -> str:
        """Return the QR of an application's secret, as SVG that stands in the page."""
        return Markup(svg_qr(url))  # noqa: S704 - drawn here, of squares only

    def encrypt(self, text: str) -> str:
        """Return a secret as the database keeps it."""
        return sealed_secret.seal(text, secret=settings.SECRET_KEY, purpose=_PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        """Return a secret again."""
        return sealed_secret.unseal(encrypted_text, secret=settings.SECRET_KEY, purpose=_PURPOSE)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Return whether it may go: not the last one of somebody who needs one."""
        user = authenticator.user
        return not needed(user) or factors_of(user).exclude(pk=authenticator.pk).exists()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:  # noqa: A002
        """Return the name of a passkey whose owner gave none."""
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return t("Clé d'accès {number}", "Passkey {number}", number=number)

    def _get_site_name(self) -> str:
        return "Veilleur"


def factors_of(user: User) -> Any:
    """Return the second factors of an account; codes on paper are none by themselves."""
    types = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return Authenticator.objects.filter(user_id=user.pk, type__in=types)


def needed(user: User) -> bool:
    """Return whether the account needs a second factor, in whichever team."""
    if settings.DESK.second_factor != "required":
        return False
    return user.memberships.filter(role__in=[role.value for role in NEEDED_BY]).exists()


def missing(request: HttpRequest) -> bool:
    """Return whether whoever is signed in must set up a second factor before anything else."""
    visit = request.visit
    if visit.user is None or settings.DESK.second_factor != "required" or request.session.get(STRONG):
        return False
    if not any(Role(one.role) in NEEDED_BY for one in visit.memberships):
        return False
    return not factors_of(visit.user).exists()
