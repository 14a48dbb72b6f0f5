"""The table [desk] of `desk.toml`: where the team's pages are reached, and how people sign in."""

from pathlib import Path as File
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Port = Annotated[
    int, Meta(ge=1, le=65535, extra={"fr": "un entier de 1 à 65535", "en": "a whole number from 1 to 65535"})
]
Text = Annotated[str, Meta(max_length=255, extra={"fr": "un texte", "en": "text"})]
Path = Annotated[
    str, Meta(min_length=1, max_length=4096, extra={"fr": "un chemin de fichier", "en": "the path of a file"})
]
Hosts = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[a-z0-9.\[\]:-]{1,253}$")], ...],
    Meta(
        min_length=1,
        max_length=16,
        extra={"fr": "une liste de noms de machine", "en": "a list of host names"},
    ),
]
Flag = Annotated[bool, Meta(extra={"fr": "true ou false", "en": "true or false"})]
SecondFactor = Annotated[
    Literal["required", "offered"],
    Meta(extra={"fr": '"required" ou "offered"', "en": '"required" or "offered"'}),
]
_ID = r"^[a-z][a-z0-9-]{0,31}\Z"
_SERVER = r"^(https://[^\s?#]{1,500}|http://(127\.0\.0\.1|localhost):[0-9]{1,5}(/[^\s?#]{0,200})?)\Z"


Scope = Annotated[str, Meta(pattern=r"^[!-~]{1,64}\Z")]


class OidcSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One identity provider by which people may sign in (OpenID Connect), Pro Santé Connect for instance.

    Attributes:
        id: in addresses, a-z, 0-9 and -; it stays, since links of accounts name it.
        name: on the button.
        server: its issuer, or the whole address of its discovery document; https, or this machine for a trial.
        client_id: what it calls this desk.
        secret_file: of what this desk shows it, mode 0600.
        scopes: what is asked for; "openid" and "scope_all" at Pro Santé Connect.
        acr_values: levels of assurance that are asked for, apart by spaces; empty: none.
        level_demanded: whether its ID token must then say one of them (acr). Without, whoever it sends is believed.
        number_claim: name of the national number (RPPS, ADELI) in its userinfo; empty: links are by sub only.
        token_auth: how this desk shows its secret.
    """

    id: Annotated[str, Meta(pattern=_ID)]
    name: Annotated[str, Meta(min_length=1, max_length=40)]
    server: Annotated[str, Meta(pattern=_SERVER)]
    client_id: Annotated[str, Meta(min_length=1, max_length=200)]
    secret_file: Annotated[str, Meta(min_length=1, max_length=4096)]
    scopes: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[!-~]{1,64}\Z")], ...], Meta(min_length=1, max_length=16)
    ] = (
        "openid",
        "scope_all",
    )
    acr_values: Annotated[str, Meta(pattern=r"^[!-~ ]{0,200}\Z")] = "eidas1"
    level_demanded: Flag = True
    number_claim: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/-]{0,100}\Z")] = "SubjectNameID"
    token_auth: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"  # noqa: S105 - a word


Providers = Annotated[
    tuple[OidcSettings, ...],
    Meta(
        max_length=8,
        extra={
            "fr": "[[desk.oidc]] avec id (a-z, 0-9, -), name, server (https), client_id, secret_file, rien d'inconnu",
            "en": "[[desk.oidc]] with id (a-z, 0-9, -), name, server (https), client_id, secret_file, nothing unknown",
        },
    ),
]

Address = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=r"^(https?://[a-z0-9.:\[\]-]{1,240})?\Z",
        extra={
            "fr": "une adresse comme https://poste.example.org",
            "en": "an address such as https://desk.example.org",
        },
    ),
]
Command = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
    Meta(max_length=32, extra={"fr": "une commande et ses arguments", "en": "a command and its arguments"}),
]


class DeskSettings(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Where the desk listens and how it is reached.

    Attributes:
        listen: address that it listens on; its own machine only, since TLS is a proxy's.
        port: TCP port there.
        hosts: names under which browsers reach it.
        https: whether they reach it over TLS; without, cookies would travel in clear: for one's own machine only.
        cookie_key: file of what signs cookies; made at the first start, mode 0600.
        exports: folder of the exports that wait to be taken (FHIR), mode 0700; each is deleted after a day.
        identity_key: file of the key under which patients' identities are kept; made at first use, mode 0600.
        reading_hours_fr: when alerts are read, said on every page.
        reading_hours_en: likewise.
        second_factor: "required" of whoever acts on patients or administers the team, or "offered" to everybody.
        oidc: identity providers by which people may sign in besides.
        address: under which people reach the pages from outside, for links to questionnaires; without a / at its end.
        relay: command that sends links to questionnaires by SMS or e-mail; none: somebody hands them over.
    """

    listen: Text = "127.0.0.1"
    port: Port = 8080
    hosts: Hosts = ("127.0.0.1", "localhost")
    https: Flag = True
    cookie_key: Path = "desk.key"
    identity_key: Path = "identity.key"
    exports: Path = "exports"
    reading_hours_fr: Text = "Alertes lues du lundi au samedi, de 8 h à 20 h."
    reading_hours_en: Text = "Alerts are read Monday to Saturday, 8:00 to 20:00."
    second_factor: SecondFactor = "required"
    oidc: Providers = ()
    address: Address = ""
    relay: Command = ()


def placed(desk: DeskSettings, folder: File) -> DeskSettings:
    """Return the settings with each file where it is seen from everywhere; `folder` is the one of desk.toml."""
    oidc = tuple(msgspec.structs.replace(one, secret_file=str(folder / one.secret_file)) for one in desk.oidc)
    return msgspec.structs.replace(
        desk,
        **{name: str(folder / getattr(desk, name)) for name in ("cookie_key", "identity_key", "exports")},
        oidc=oidc,
    )
