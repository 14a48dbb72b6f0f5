"""TLS as both sides speak it to the broker: 1.2 or later, one private CA, names checked, our own certificate shown.

There is no setting that turns any of it off.
"""

import ssl
from pathlib import Path

from exchange.errors import LinkError

_ON_DATES = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of openssl/x509_vfy.h."""
_THEIR_WORDS = frozenset({"SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSL/TLS_ALERT_CERTIFICATE_EXPIRED"})
"""What the other side says of our certificate; OpenSSL's names of the alert before and since version 3.2."""


def client_context(*, ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Read the PEM files and return a context that believes `ca` alone.

    Raises:
        LinkError: a file cannot be read or used; transient, since it may be being replaced.
    """
    try:
        # Given a CA file, the system's own CAs are not loaded; host name and certificate are checked by default.
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _TlsSocket
        context.load_cert_chain(certificate, key, password="")  # never ask a terminal
    except OSError as error:
        raise LinkError(f"the TLS files cannot be used: {error}") from error
    return context


def refused_on_dates(error: OSError) -> bool:
    """Return whether a handshake failed because a certificate was not valid yet, or no longer, on either side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_code in _ON_DATES
    # An error that OpenSSL did not raise itself has no reason.
    return isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _THEIR_WORDS


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho forgets it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
