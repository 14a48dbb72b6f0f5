"""One question to a relay over HTTP: everything bounded, nothing followed elsewhere, nothing kept.

The answer is read off the socket by this room: a relay is a telephone, and one that sends a byte now and then must
not hold the box up, which no timeout for each byte prevents. Line ends may be bare (xDrip+ sends them so).

- One hard timeout over name, connection, question and answer.
- In the clear only to an address of the home network, whatever name led there; that very address is connected to.
- No redirection is followed. No error says what was sent.

Source: RFC 9112 (HTTP/1.1).
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from devices.errors import DeviceError
from devices.relay_address import RelayAddress, address_of, at_home

_LINE: Final = 16_384
"""Longest line of a header, in bytes."""

_HEADERS: Final = 100
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})( .*)?")
_LENGTH: Final = re.compile(r"[0-9]{1,12}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;.*)?")
_FORBIDDEN: Final = frozenset({401, 403})
_BUSY: Final = frozenset({408, 425, 429})


class RelayUnreachableError(DeviceError):
    """The relay does not answer, or not to the end; worth trying again."""


class RelayRefusedError(DeviceError):
    """The relay lets nobody in, or does not speak what it should; somebody must look at it."""


async def fetch(
    address: RelayAddress,
    query: Sequence[tuple[str, str]],
    *,
    within: float,
    most: int,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """Ask once and return the body of the answer.

    Args:
        address: where.
        query: names and values, the token not among them.
        within: real seconds for all of it.
        most: largest body, in bytes.
        tls: whom to trust; None: whom the system trusts.

    Raises:
        RelayUnreachableError: no answer, or a broken one.
        RelayRefusedError: not let in, redirected, or something else answers there.
    """
    try:
        async with asyncio.timeout(within):
            reader, writer = await _connect(address, tls)
            try:
                writer.write(_question(address, query))
                await writer.drain()
                return await _answer(reader, most)
            finally:
                # At once: everything asked for was read, or nothing more is wanted.
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise RelayUnreachableError(f"the relay did not answer within {within:g} s") from None
    except ssl.SSLCertVerificationError:
        raise RelayRefusedError("the relay's certificate is not one that this box trusts") from None
    except (OSError, EOFError, ValueError) as error:
        raise RelayUnreachableError(f"the relay does not answer ({type(error).__name__})") from None


async def _connect(
    address: RelayAddress, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.encrypted:
        context = tls or ssl.create_default_context()
        return await asyncio.open_connection(address.host, address.port, ssl=context, limit=_LINE)
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for place in dict.fromkeys(str(entry[4][0]) for entry in found):
        literal = address_of(place)
        if literal is None or not at_home(literal):
            continue
        try:
            return await asyncio.open_connection(place, address.port, limit=_LINE)
        except OSError as error:
            failure = error
    if failure is not None:
        raise failure
    raise RelayRefusedError("the relay's http address leads outside the home network: give an https address")


def _question(address: RelayAddress, query: Sequence[tuple[str, str]]) -> bytes:
    asked = [*query, ("token", address.token)] if address.token is not None else list(query)
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [
        f"GET {address.path}?{urlencode(asked)} HTTP/1.1",
        f"Host: {host}:{address.port}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "User-Agent: veilleur",
        "Connection: close",
    ]
    if address.secret_header is not None:
        # Last: xDrip+ reads no further than this line.
        lines.append(f"api-secret: {address.secret_header}")
    return "\r\n".join((*lines, "", "")).encode("ascii")


async def _answer(reader: asyncio.StreamReader, most: int) -> bytes:
    status = _STATUS.fullmatch(await _line(reader))
    if status is None:
        raise RelayRefusedError("what answers there does not speak HTTP")
    headers = await _headers(reader)
    _check_status(int(status[1]))
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise RelayRefusedError("the relay's answer is compressed although that was not asked for")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader, most)
    length = headers.get("content-length")
    if length is None:
        return await _rest(reader, most)
    if not _LENGTH.fullmatch(length):
        raise RelayRefusedError("the relay's answer does not say how long it is")
    _check_size(int(length), most)
    return await reader.readexactly(int(length))


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status in _FORBIDDEN:
        raise RelayRefusedError(f"the relay lets this box not in (HTTP {status}): check its secret or token")
    if 300 <= status < 400:
        raise RelayRefusedError(f"the relay sends elsewhere (HTTP {status}): give the address that it leads to")
    if status in _BUSY or status >= 500:
        raise RelayUnreachableError(f"the relay is not able to answer now (HTTP {status})")
    raise RelayRefusedError(f"the relay does not know what it is asked (HTTP {status}): check its address")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise RelayRefusedError(f"the relay's answer is larger than {most} bytes")


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return a line without its end.

    Raises:
        EOFError: the answer ends before it.
        ValueError: it is too long.
    """
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line.rstrip(b"\r\n")


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_HEADERS):
        line = await _line(reader)
        if not line:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise RelayRefusedError("what answers there does not speak HTTP")


async def _chunks(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while True:
        size = _CHUNK.fullmatch(await _line(reader))
        if size is None:
            raise RelayRefusedError("what answers there does not speak HTTP")
        count = int(size[1], 16)
        if count == 0:
            return bytes(body)
        _check_size(len(body) + count, most)
        body += await reader.readexactly(count)
        await _line(reader)


async def _rest(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while piece := await reader.read(65_536):
        body += piece
        _check_size(len(body), most)
    return bytes(body)
