"""What Django and django-allauth must know to sign people in: made of the team's settings, before either is imported.

Not here: the answers themselves (accounts, second_factor, oidc).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordination.desk_settings import OidcSettings
from exchange.key_file import read_private

_VALIDATORS = "django.contrib.auth.password_validation"
_FORMS = "coordination.desk.sign_in_forms"


def account_settings(oidc: Sequence[OidcSettings]) -> dict[str, Any]:
    """Return the settings.

    Raises:
        IdentityError: the secret of a provider cannot be read.
    """
    return {
        "AUTH_USER_MODEL": "desk.User",
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "PASSWORD_HASHERS": ["coordination.desk.passwords.Argon2id"],
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"{_VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
            {"NAME": f"{_VALIDATORS}.CommonPasswordValidator"},
            {
                "NAME": f"{_VALIDATORS}.UserAttributeSimilarityValidator",
                "OPTIONS": {"user_attributes": ["name", "email"]},
            },
        ],
        # Codes that were used and how often somebody asked outlive a restart, and count in every process.
        "CACHES": {
            "default": {
                "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                "LOCATION": "desk_remembered",
                "OPTIONS": {"MAX_ENTRIES": 100_000},
            }
        },
        "LOGIN_REDIRECT_URL": "/",
        "LOGIN_URL": "account_login",
        "ACCOUNT_LOGIN_METHODS": {"email"},
        "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"],
        "ACCOUNT_USER_MODEL_USERNAME_FIELD": None,
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_ADAPTER": "coordination.desk.accounts.AccountAdapter",
        # Wrong passwords and codes are counted by sign_in; a hospital's people share one address.
        "ACCOUNT_RATE_LIMITS": {"login": "120/m/ip", "login_failed": "20/300s/key"},
        "ACCOUNT_FORMS": {
            "login": f"{_FORMS}.LoginForm",
            "change_password": f"{_FORMS}.ChangePasswordForm",
            "reauthenticate": f"{_FORMS}.ReauthenticateForm",
        },
        "MFA_ADAPTER": "coordination.desk.second_factor.SecondFactorAdapter",
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        "MFA_TOTP_ISSUER": "Veilleur",
        "MFA_TOTP_TOLERANCE": 1,
        "MFA_RATE_LIMITS": {"webauthn_login": "60/m/ip"},
        "MFA_FORMS": {
            "authenticate": f"{_FORMS}.AuthenticateForm",
            "reauthenticate": f"{_FORMS}.ReauthenticateByCodeForm",
            "activate_totp": f"{_FORMS}.ActivateTotpForm",
            "add_webauthn": f"{_FORMS}.AddPasskeyForm",
            "authenticate_webauthn": f"{_FORMS}.AuthenticateByPasskeyForm",
            "login_webauthn": f"{_FORMS}.LoginByPasskeyForm",
            "reauthenticate_webauthn": f"{_FORMS}.ReauthenticateByPasskeyForm",
            "edit_webauthn": f"{_FORMS}.EditPasskeyForm",
        },
        "SOCIALACCOUNT_ADAPTER": "coordination.desk.oidc.SocialAdapter",
        "SOCIALACCOUNT_PROVIDERS": {
            "openid_connect": {
                "provider_class": "coordination.desk.oidc.Provider",
                "APPS": [_app(one) for one in oidc],
            }
        },
        "SOCIALACCOUNT_STORE_TOKENS": False,
    }


def _app(one: OidcSettings) -> dict[str, Any]:
    return {
        "provider_id": one.id,
        "name": one.name,
        "client_id": one.client_id,
        "secret": read_private(Path(one.secret_file)).decode().strip(),
        "settings": {
            "server_url": one.server,
            "oauth_pkce_enabled": True,
            "scope": list(one.scopes),
            "auth_params": {"acr_values": one.acr_values} if one.acr_values else {},
            "token_auth_method": one.token_auth,
        },
    }
