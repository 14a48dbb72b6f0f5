"""Django's settings, made of the team's own: one function, called once a process, before anything else of this folder.

There is no settings module and no environment variable: `desk.toml` says everything (coordination/desk_settings.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.conf import settings as of_django
from psycopg.conninfo import conninfo_to_dict

from alerting.alert import Sentence
from coordination.desk.account_settings import account_settings
from coordination.desk_settings import OidcSettings
from coordination.place import Place
from devices.clock import Clock

HERE = Path(__file__).parent
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SIGNED_IN_S = 10 * 3600
"""Seconds after which somebody signs in again: longer than a nurse's day."""
BUSY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSite:
    """What the desk needs to know of where it runs.

    Attributes:
        database: the team's SQLite file, or the URL of its PostgreSQL database.
        secret: signs cookies; 50 characters at least, made where it is used.
        hosts: names under which it is reached.
        https: whether it is reached over TLS: cookies are then for TLS only. False on this machine alone.
        clock: ages and deadlines are told by it.
        reading_hours: when alerts are read, on every page.
        exports: folder of the exports that wait to be taken; they hold health data.
        identity_key: file of the key under which patients' keys are wrapped, made when it is first needed; None where
            this desk keeps no identities.
        address: under which people reach it from outside, "" when nothing says.
        relays: whether the team has a command that sends links.
        settings_file: the team's desk.toml, for what belongs to boxes; None: those pages say that they lack it.
        second_factor: "required" of whoever acts on patients or administers a team, or "offered".
        oidc: identity providers by which people may sign in besides; none by default.
    """

    database: Place
    secret: str
    hosts: tuple[str, ...]
    https: bool
    clock: Clock
    reading_hours: Sentence
    identity_key: Path | None = None
    address: str = ""
    relays: bool = False
    settings_file: Path | None = None
    exports: Path = Path("exports")
    second_factor: str = "required"
    oidc: tuple[OidcSettings, ...] = ()


def configure(site: DeskSite) -> None:
    """Make this process a desk."""
    of_django.configure(
        DEBUG=False,
        SECRET_KEY=site.secret,
        ALLOWED_HOSTS=list(site.hosts),
        ROOT_URLCONF="coordination.desk.routes",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": _database(site.database)},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "allauth",
            "allauth.account",
            "allauth.mfa",
            "allauth.socialaccount",
            "allauth.socialaccount.providers.openid_connect",
            "coordination.desk.apps.DeskConfig",
        ],
        MIDDLEWARE=[
            "coordination.desk.visits.headers",
            "django.middleware.security.SecurityMiddleware",
            "coordination.desk.static_files.StaticFiles",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "allauth.account.middleware.AccountMiddleware",
            "coordination.desk.visits.VisitMiddleware",
            "coordination.desk.visits.BusyMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        MESSAGE_TAGS={20: "ok", 25: "ok", 30: "warn", 40: "warn"},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.jinja2.Jinja2",
                "DIRS": [HERE / "templates"],
                "OPTIONS": {
                    "environment": "coordination.desk.pages.environment",
                    "context_processors": ["coordination.desk.pages.visited"],
                },
            }
        ],
        USE_I18N=True,
        USE_TZ=True,
        TIME_ZONE="UTC",
        LANGUAGE_CODE="fr",
        LANGUAGES=[("fr", "Français"), ("en", "English")],
        LANGUAGE_COOKIE_NAME="langue",
        APPEND_SLASH=False,
        STATIC_URL="/static/",
        WHITENOISE_USE_FINDERS=True,
        WHITENOISE_MAX_AGE=31_536_000,
        STATICFILES_DIRS=[HERE / "static"],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        LOGGING=_LOGGING,
        DESK=site,
        **account_settings(site.oidc),
        **_cookies(https=site.https),
    )
    django.setup()


def _database(place: Place) -> dict[str, Any]:
    if isinstance(place, str):
        parts = conninfo_to_dict(place)
        named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
        return {
            "ENGINE": "django.db.backends.postgresql",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {name: value for name, value in parts.items() if name not in named},
            **{django_name: str(parts[name]) for name, django_name in named.items() if name in parts},
        }
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(place),
        "OPTIONS": {
            "timeout": BUSY_S,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;",
        },
    }


def _cookies(*, https: bool) -> dict[str, Any]:
    prefix = "__Host-" if https else ""
    return {
        "SESSION_COOKIE_NAME": f"{prefix}veilleur",
        "SESSION_COOKIE_AGE": SIGNED_IN_S,
        "SESSION_COOKIE_SECURE": https,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_NAME": f"{prefix}veilleur-csrf",
        "CSRF_COOKIE_SECURE": https,
        "CSRF_COOKIE_HTTPONLY": True,
        "CSRF_COOKIE_SAMESITE": "Lax",
        "CSRF_FAILURE_VIEW": "coordination.desk.errors.csrf",
        "SECURE_HSTS_SECONDS": 31_536_000 if https else 0,
        "SECURE_REFERRER_POLICY": "same-origin",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin",
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https") if https else None,
    }


_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"said": {"class": "logging.StreamHandler"}},
    "loggers": {
        "django": {"handlers": ["said"], "level": "WARNING"},
        # What Django says of a request holds its address, and so a pseudonym: the server's own log counts them.
        "django.request": {"handlers": [], "level": "CRITICAL", "propagate": False},
        "django.security": {"handlers": ["said"], "level": "WARNING", "propagate": False},
    },
}
