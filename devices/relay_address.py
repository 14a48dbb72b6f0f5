"""Where a relay answers, and with what the box shows that it may ask: refused here when it is not safe or not known.

- In the clear (http) only to an address of the home network or of this machine; over TLS (https) anywhere.
- The path says which of the two documented formats is spoken. Nothing else may stand in the address: no user, no
  query; a token or a secret is given apart, and is never shown.

Sources: xDrip+ documentation, "Local Web Services"; Nightscout's OpenAPI description of `/api/v1`.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha1, sha256
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from devices.errors import DeviceError
from devices.quirks import Words

_NIGHTSCOUT_PATHS: Final = ("/api/v1/entries.json", "/api/v1/entries/sgv.json")
_XDRIP_PATH: Final = "/sgv.json"
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\.?")
_PATH: Final = re.compile(r"[A-Za-z0-9/._~-]{1,200}")
_TOKEN: Final = re.compile(r"[!-~]{1,128}")
_LONGEST_SECRET: Final = 256

# Written out: the standard library's notion of private also holds documentation and reserved ranges.
_HOME: Final = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


class RelayForm(Enum):
    """Which of the documented formats a relay speaks."""

    XDRIP = "xdrip"
    """`/sgv.json`: the newest values, as many as asked for, up to 1000."""
    NIGHTSCOUT = "nightscout"
    """`/api/v1/entries.json`: the values of a period, newest first."""


class RelayAddressError(DeviceError):
    """An address at which no relay is asked.

    Attributes:
        words: what is wrong and what to do, for whoever sets up the box.
    """

    def __init__(self, *, fr: str, en: str) -> None:
        super().__init__(en)
        self.words = Words(fr=fr, en=en)


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay answers.

    Attributes:
        url: such as "http://192.168.1.20:17580/sgv.json" or "https://example.org/api/v1/entries.json".
        token: a Nightscout access token, sent as `token=`; None: not asked for.
        secret: the API secret, sent as `api-secret`, the hexadecimal SHA-1 of it; None: not asked for.

    Raises:
        RelayAddressError: the relay must not or cannot be asked there.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = self._parts
        if self.form is None:
            raise RelayAddressError(
                fr="L'adresse du relais doit finir par /sgv.json (xDrip+) ou /api/v1/entries.json (Nightscout).",
                en="The relay's address must end in /sgv.json (xDrip+) or /api/v1/entries.json (Nightscout).",
            )
        literal = address_of(self.host)
        if parts.scheme == "http" and literal is not None and not at_home(literal):
            raise RelayAddressError(
                fr="L'adresse http du relais est publique : hors du réseau du domicile, mettre une adresse https.",
                en="The relay's http address is public: outside the home network, give an https address.",
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise RelayAddressError(
                fr="Le jeton du relais contient un espace ou un accent : le recopier depuis Nightscout.",
                en="The relay's token holds a space or an accent: copy it again from Nightscout.",
            )
        if self.secret is not None and not 0 < len(self.secret) <= _LONGEST_SECRET:
            raise RelayAddressError(
                fr="Le secret du relais est vide ou trop long : le recopier depuis xDrip+ ou Nightscout.",
                en="The relay's secret is empty or too long: copy it again from xDrip+ or Nightscout.",
            )

    @property
    def _parts(self) -> SplitResult:
        """The address in its parts.

        Raises:
            RelayAddressError: it is none.
        """
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _malformed() from None
        known_host = _HOST.fullmatch(host) is not None or address_of(host) is not None
        plain = not (parts.query or parts.fragment or parts.username or parts.password or "@" in parts.netloc)
        if parts.scheme not in {"http", "https"} or not known_host or port == 0 or not plain:
            raise _malformed()
        if not _PATH.fullmatch(parts.path) or not self.url.isprintable():
            raise _malformed()
        return parts

    @property
    def encrypted(self) -> bool:
        """Whether it is asked over TLS."""
        return self._parts.scheme == "https"

    @property
    def host(self) -> str:
        """Name or literal address, without brackets."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """TCP port."""
        return self._parts.port or (443 if self.encrypted else 80)

    @property
    def path(self) -> str:
        """Path without query."""
        return self._parts.path

    @property
    def form(self) -> RelayForm | None:
        """The format spoken there; None when the path is of neither."""
        if self.path.endswith(_NIGHTSCOUT_PATHS):
            return RelayForm.NIGHTSCOUT
        return RelayForm.XDRIP if self.path.endswith(_XDRIP_PATH) else None

    @property
    def secret_header(self) -> str | None:
        """What `api-secret` carries; None when there is no secret."""
        if self.secret is None:
            return None
        return sha1(self.secret.encode(), usedforsecurity=False).hexdigest()

    @property
    def identity(self) -> str:
        """A device identity for what is read there, such as "relay:xdrip-7f3a01bc": the same as long as the address."""
        form = self.form or RelayForm.NIGHTSCOUT
        place = f"{self.host.lower()}:{self.port}{self.path}"
        return f"relay:{form.value}-{sha256(place.encode()).hexdigest()[:8]}"


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the literal address; None when `host` is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def at_home(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is of this machine or of a private network (RFC 1918, 3927, 4193, 4291)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in _HOME)


def _malformed() -> RelayAddressError:
    return RelayAddressError(
        fr="L'adresse du relais doit être comme http://192.168.1.20:17580/sgv.json, sans jeton ni mot de passe.",
        en="The relay's address must be like http://192.168.1.20:17580/sgv.json, without token or password.",
    )
