"""A certificate whose dates do not hold is refused, and the link says that dates are why: a clock may be wrong."""

import asyncio
import ssl
from pathlib import Path

import pytest

from exchange.connection import LinkSettings
from exchange.link import Link
from exchange.tls import refused_on_dates
from simulators.broker import HOST
from tests.exchange.authority import Authority


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def test_only_dates_are_dates() -> None:
    assert refused_on_dates(verification(9))  # not yet valid
    assert refused_on_dates(verification(10))  # has expired
    assert not refused_on_dates(verification(18))  # self-signed
    assert not refused_on_dates(OSError("no route"))
    assert not refused_on_dates(ssl.SSLError(1, "unknown ca"))


@pytest.mark.parametrize("expired", [True, False])
async def test_a_link_refused_on_dates_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, expired: bool
) -> None:
    believed, stranger = Authority(tmp_path / "believed"), Authority(tmp_path / "stranger")
    # Ended, as a box sees it whose clock is years ahead; otherwise the CA is not the one that is believed.
    shown = believed.server("broker", begins=-3, ends=-1) if expired else stranger.server("broker")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, HOST, 0, ssl=context)
    files = believed.client("box-0001")
    settings = LinkSettings(
        host=HOST,
        port=server.sockets[0].getsockname()[1],
        client_id="box-0001",
        ca=believed.ca,
        certificate=files.certificate,
        key=files.key,
        session_expiry_s=0,
        clean_start=True,
        retry_first_s=0.01,
        retry_cap_s=0.02,
    )
    refused = asyncio.Event()
    async with server, Link(settings) as link, asyncio.timeout(20):
        monkeypatch.setattr(link, "_say", lambda _cause: refused.set())
        await refused.wait()
        assert link.refused_on_dates is expired
