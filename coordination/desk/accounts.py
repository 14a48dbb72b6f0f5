"""How people sign in: django-allauth, with nobody able to make an account for themselves."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """The desk's answers to allauth."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """An administrator makes accounts; there is no sign-up."""
        return False
