"""The broker, as `veilleur doctor` looks at it: name, port, TLS, who we are to it, what we may write, who listens.

What is written is an empty message on the box's own `obs`, which an inbox passes over. The client id is the box's
with "-doctor", so that a box that runs keeps its connection.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from agent.doctor_finding import Finding
from agent.settings import Settings
from exchange.connection import NO_MATCHING_SUBSCRIBERS, REFUSED, Connection, LinkSettings
from exchange.errors import LinkError
from exchange.tls import client_context
from exchange.topics import OBSERVATIONS, topic

WITHIN_S: Final = 10.0
_HOST_MISMATCH: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH (OpenSSL, x509_vfy.h)."""
_NOT_NOW: Final = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""


async def broker_findings(settings: Settings) -> Sequence[Finding]:
    """Return what stands between the box and its team: the first thing that does."""
    found = await asyncio.to_thread(_reach, settings)
    return [found] if found is not None else await _speak(settings)


def _reach(settings: Settings) -> Finding | None:
    """Look for the broker's name, its port and its certificate; blocking."""
    broker = settings.broker
    facts = {"host": broker.host, "port": broker.port}
    try:
        socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Finding.of("broker_name", **facts)
    try:
        context = client_context(ca=broker.ca, certificate=broker.certificate, key=broker.key)
    except LinkError:
        # Which file and why is said of the files.
        return None
    try:
        with socket.create_connection((broker.host, broker.port), timeout=WITHIN_S) as connection:
            return _handshake(connection, context, facts)
    except OSError as error:
        return Finding.of("broker_port", said=error.strerror or "timeout", **facts)


def _handshake(connection: socket.socket, context: ssl.SSLContext, facts: dict[str, object]) -> Finding | None:
    try:
        with context.wrap_socket(connection, server_hostname=str(facts["host"])):
            return None
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _HOST_MISMATCH:
            return Finding.of("broker_host", **facts)
        if error.verify_code in _NOT_NOW:
            return Finding.of("broker_date", said=error.verify_message, **facts)
        return Finding.of("broker_foreign", **facts)
    except OSError as error:
        return Finding.of("broker_no_tls", said=getattr(error, "reason", None) or "timeout", **facts)


async def _speak(settings: Settings) -> Sequence[Finding]:
    broker, box = settings.broker, settings.box
    link = LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=f"{box}-doctor",
        ca=broker.ca,
        certificate=broker.certificate,
        key=broker.key,
        session_expiry_s=0,
        clean_start=True,
        answer_timeout_s=WITHIN_S,
    )
    try:
        connection = Connection(link, lambda _: None)
        await connection.open()
    except LinkError as error:
        return [Finding.of("broker_refuses", said=error)]
    try:
        code = (await connection.publish(topic(box, OBSERVATIONS), b"", retain=False)).value
    except LinkError as error:
        return [Finding.of("broker_refuses", said=error)]
    finally:
        await connection.close()
    if code >= REFUSED:
        return [Finding.of("broker_forbids")]
    return [Finding.of("inbox_away")] if code == NO_MATCHING_SUBSCRIBERS else []
