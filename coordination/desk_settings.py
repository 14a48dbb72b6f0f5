"""The table [desk] of `desk.toml`: where the team's pages are reached, and how people sign in."""

from pathlib import Path as Folder
from typing import Annotated, Self

from msgspec import Meta, Struct, structs

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
        identity_key: file of the key under which patients' identities are kept; made at first use, mode 0600.
        reading_hours_fr: when alerts are read, said on every page.
        reading_hours_en: likewise.
        address: under which people reach the pages from outside, for links to questionnaires; without a / at its end.
        relay: command that sends links to questionnaires by SMS or e-mail; none: somebody hands them over.
    """

    listen: Text = "127.0.0.1"
    port: Port = 8080
    hosts: Hosts = ("127.0.0.1", "localhost")
    https: Flag = True
    cookie_key: Path = "desk.key"
    identity_key: Path = "identity.key"
    reading_hours_fr: Text = "Alertes lues du lundi au samedi, de 8 h à 20 h."
    reading_hours_en: Text = "Alerts are read Monday to Saturday, 8:00 to 20:00."
    address: Address = ""
    relay: Command = ()

    def within(self, folder: Folder) -> Self:
        """Return the same with paths that begin where the settings' file lies."""
        return structs.replace(
            self, cookie_key=str(folder / self.cookie_key), identity_key=str(folder / self.identity_key)
        )
