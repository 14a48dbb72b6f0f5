"""The forms with which people sign in: allauth's, with every field bounded and every code counted.

Not here: what is counted (sign_in).
"""

import struct
from typing import Any, Final

from allauth.account.forms import ChangePasswordForm as _ChangePassword
from allauth.account.forms import LoginForm as _Login
from allauth.account.forms import ReauthenticateForm as _Reauthenticate
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm as _Authenticate
from allauth.mfa.base.forms import ReauthenticateForm as _ReauthenticateByCode
from allauth.mfa.totp.forms import ActivateTOTPForm as _ActivateTotp
from allauth.mfa.webauthn.forms import AddWebAuthnForm as _AddPasskey
from allauth.mfa.webauthn.forms import AuthenticateWebAuthnForm as _AuthenticateByPasskey
from allauth.mfa.webauthn.forms import EditWebAuthnForm as _EditPasskey
from allauth.mfa.webauthn.forms import LoginWebAuthnForm as _LoginByPasskey
from allauth.mfa.webauthn.forms import ReauthenticateWebAuthnForm as _ReauthenticateByPasskey
from django import forms
from django.core.exceptions import ValidationError

from coordination.desk import sign_in
from coordination.desk.passwords import LONGEST
from coordination.desk.sign_in import Way

LONGEST_CODE: Final = 32
LONGEST_NAME: Final = 40
LONGEST_CREDENTIAL: Final = 16_384
"""Characters of what a browser says of a passkey: an attestation with its certificates is some 4 000."""
MOST_BRACKETS: Final = 64
_MALFORMED: Final = (TypeError, ValueError, KeyError, AttributeError, IndexError, struct.error)
"""What fido2 raises on what no browser sends."""


def _bounded(form: forms.Form, most: int, *names: str) -> None:
    for name in names:
        form.fields[name].max_length = most
        form.fields[name].validators.append(forms.fields.validators.MaxLengthValidator(most))


class LoginForm(_Login):
    """An address and a password."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST, "password")
        del self.fields["remember"]

    def login(self, request: Any, redirect_url: str | None = None) -> Any:
        """Go on to the second factor, or in."""
        self.cleaned_data["remember"] = True  # the session ends after a working day, whatever the browser does
        return super().login(request, redirect_url)


class ReauthenticateForm(_Reauthenticate):
    """The password once more."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST, "password")


class ChangePasswordForm(_ChangePassword):
    """The password and another one."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST, "oldpassword", "password1", "password2")


class _Counted(forms.Form):
    """A code from an application or from paper, counted before it is looked at."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST_CODE, "code")

    def clean_code(self) -> str:
        event = sign_in.begin(context.request, self.user.email, Way.SECOND)
        if event is None:
            raise ValidationError(_too_many(), code="too_many_login_attempts")
        try:
            code = super().clean_code()
        except ValidationError:
            sign_in.refuse(event, "code")
            raise
        sign_in.right(event)
        return str(code)


def _too_many() -> str:
    from allauth.account.adapter import get_adapter as account_adapter  # noqa: PLC0415 - it loads this module

    return str(account_adapter().error_messages["too_many_login_attempts"])


class AuthenticateForm(_Counted, _Authenticate):
    """A code, to sign in."""


class ReauthenticateByCodeForm(_Counted, _ReauthenticateByCode):
    """A code, once more."""


class ActivateTotpForm(_ActivateTotp):
    """The first code of an application."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST_CODE, "code")


class _Credential(forms.JSONField):
    """What a browser says of a passkey: an object, no longer and no deeper than browsers make them."""

    def __init__(self) -> None:
        super().__init__(required=True, widget=forms.HiddenInput)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and (
            len(value) > LONGEST_CREDENTIAL or value.count("[") + value.count("{") > MOST_BRACKETS
        ):
            raise get_adapter().validation_error("incorrect_code")
        found = super().to_python(value)
        if not isinstance(found, dict):
            raise get_adapter().validation_error("incorrect_code")
        return found


class _Passkey(forms.Form):
    """Answers what no browser sends like a wrong key."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.fields["credential"] = _Credential()

    def clean_credential(self) -> Any:
        before = getattr(super(), "clean_credential", None)
        try:
            return self.cleaned_data["credential"] if before is None else before()
        except _MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error


class AddPasskeyForm(_Passkey, _AddPasskey):
    """A new passkey and its name."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST_NAME, "name")

    def clean(self) -> Any:
        """Check what the browser signed."""
        try:
            return super().clean()
        except _MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error


class AuthenticateByPasskeyForm(_Passkey, _AuthenticateByPasskey):
    """A passkey as the second factor."""


class LoginByPasskeyForm(_Passkey, _LoginByPasskey):
    """A passkey instead of address and password."""


class ReauthenticateByPasskeyForm(_Passkey, _ReauthenticateByPasskey):
    """A passkey, once more."""


class EditPasskeyForm(_EditPasskey):
    """Another name for a passkey."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        _bounded(self, LONGEST_NAME, "name")
