"""The code that brings a new box to its team: what the QR shows, and what an installer may have to type.

    VEILLEUR:1/desk.example.org:8884/R4T0…(32)/7K3Q…(22)
             |  |                    |         |
             |  |                    |         place (4), secret (16), check (2)
             |  |                    SHA-256 of the team's CA certificate, first 160 bits
             |  where the box connects to; the team listens, never the box
             version

Rules of this room:

- Letters and digits are Crockford's base 32: no I, L, O or U to be mistaken; case, dashes and spaces do not matter.
- The check catches a slip before anything is sent: a mistyped code does not count as a wrong one.
- The secret has 80 random bits and is believed once. The team keeps its hash only. 160 bits of the fingerprint are
  enough: an impostor would need a second certificate with the very same ones.

Not here: how the code is used (`enrolment`), and until when it holds (the team's database).
"""

import hashlib
import re
import secrets
import ssl
from dataclasses import dataclass
from typing import Self

PREFIX = "VEILLEUR:"
VERSION = "1"
PLACE_LENGTH = 4
SECRET_LENGTH = 16
FINGERPRINT_LENGTH = 32
"""Of what the code shows of the fingerprint, in characters of five bits."""

_CHECK_LENGTH = 2
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0"})
_HOST = re.compile(r"[a-z0-9.:-]{1,253}")


class CodeError(ValueError):
    """This is no enrolment code, or one with a slip in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """One code, read.

    Attributes:
        host: where the team listens, lower case.
        port: TCP port.
        fingerprint: see `fingerprint`.
        place: says which enrolment is meant; no secret.
        secret: proves that whoever has it was given it.
    """

    host: str
    port: int
    fingerprint: str
    place: str
    secret: str

    @classmethod
    def make(cls, *, host: str, port: int, ca: bytes) -> Self:
        """Return a new code; `ca` is the team's CA certificate, PEM."""
        return cls(
            host=host.lower(),
            port=port,
            fingerprint=fingerprint(ca),
            place=_random(PLACE_LENGTH),
            secret=_random(SECRET_LENGTH),
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a code as shown or typed.

        Raises:
            CodeError: it is none, or a character is wrong or missing.
        """
        head, _, rest = "".join(text.split()).partition(":")
        parts = rest.split("/")
        if f"{head.upper()}:" != PREFIX or len(parts) != 4:
            raise CodeError("an enrolment code begins with VEILLEUR: and has four parts")
        version, where, shown, code = parts
        if version != VERSION:
            raise CodeError(f"codes of version {version} are from a newer Veilleur")
        host, _, port = where.lower().rpartition(":")
        shown, code = _tidied(shown), _tidied(code)
        if not _HOST.fullmatch(host) or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise CodeError("its second part is no address")
        whole = PLACE_LENGTH + SECRET_LENGTH
        if len(shown) != FINGERPRINT_LENGTH or len(code) != whole + _CHECK_LENGTH or set(shown + code) - set(_ALPHABET):
            raise CodeError("a character is wrong or missing")
        found = cls(
            host=host, port=int(port), fingerprint=shown, place=code[:PLACE_LENGTH], secret=code[PLACE_LENGTH:whole]
        )
        if found.check != code[whole:]:
            raise CodeError("a character is wrong: its check does not fit")
        return found

    @property
    def check(self) -> str:
        """Two characters that depend on all others."""
        text = f"{VERSION}/{self.host}:{self.port}/{self.fingerprint}/{self.place}{self.secret}"
        return _in_base_32(hashlib.sha256(text.encode()).digest(), _CHECK_LENGTH)

    def __str__(self) -> str:
        """Return it as the QR shows it: in capitals, which make a smaller QR."""
        where = f"{self.host.upper()}:{self.port}"
        return f"{PREFIX}{VERSION}/{where}/{self.fingerprint}/{self.place}{self.secret}{self.check}"

    def __repr__(self) -> str:
        """Return which it is, without its secret."""
        return f"EnrolmentCode({self.place})"


def fingerprint(ca: bytes) -> str:
    """Return the first 160 bits of the SHA-256 of a CA certificate (PEM), in 32 characters.

    Raises:
        CodeError: it is not PEM.
    """
    return _in_base_32(whole_fingerprint(ca), FINGERPRINT_LENGTH)


def whole_fingerprint(ca: bytes) -> bytes:
    """Return the SHA-256 of a certificate (PEM), over its DER form: 32 bytes.

    Raises:
        CodeError: it is not PEM.
    """
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca.decode("ascii"))).digest()
    except (ValueError, UnicodeDecodeError) as error:
        raise CodeError("not a certificate in PEM form") from error


def hashed(place: str, secret: str) -> bytes:
    """Return what the team keeps of a code: 32 bytes. Eighty random bits need no slow hash."""
    return hashlib.sha256(b"veilleur/v1/enrolment-code\x00" + f"{place}/{secret}".encode()).digest()


def _tidied(part: str) -> str:
    return part.upper().replace("-", "").translate(_MISREAD)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _in_base_32(data: bytes, length: int) -> str:
    number = int.from_bytes(data, "big") >> (8 * len(data) - 5 * length)
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(length)))
