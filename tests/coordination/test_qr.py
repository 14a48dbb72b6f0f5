"""The QR of an enrolment code, as drawn by segno."""

import io
import stat
from pathlib import Path

import pytest
import segno

from coordination.errors import CoordinationError
from coordination.qr import qr_file, terminal_qr
from exchange.enrolment_code import EnrolmentCode

CA = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"
TEXT = str(EnrolmentCode.make(host="desk.example.org", port=8884, ca=CA))


def test_a_qr_is_small_enough_for_a_terminal_and_keeps_the_code_to_its_owner(tmp_path: Path) -> None:
    screen = io.StringIO()
    assert terminal_qr(TEXT, screen)
    lines = screen.getvalue().splitlines()
    assert 20 < len(lines) < 40, "it fits a terminal of forty lines"
    assert segno.make(TEXT, error="m", micro=False).mode == "alphanumeric"
    for name in ("code.svg", "code.png"):
        qr_file(TEXT, tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert (tmp_path / name).stat().st_size > 300
    assert (tmp_path / "code.png").read_bytes().startswith(b"\x89PNG")


def test_another_kind_of_file_or_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CoordinationError, match=r"svg or \.png"):
        qr_file(TEXT, tmp_path / "code.jpg")
    with pytest.raises(CoordinationError, match="cannot be written"):
        qr_file(TEXT, tmp_path / "nowhere" / "code.svg")
