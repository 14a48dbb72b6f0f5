"""Where the box's key lives, and what `status` may say of it: what is known and no more."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.key_places import KeyPlace, Sealing, key_place
from agent.settings import VaultSettings

CREDENTIAL = VaultSettings(credential="veilleur-kek")

# Beginnings of sealed credentials, made here: 16 bytes say to what (systemd 257, src/shared/creds-util.h).
IDS = {
    Sealing.HOST: "5a1c6a86df9d4096b1d5a65e0862f19a",
    Sealing.TPM2: "0c7cc07b117645919c4b0bea08bc20fe",
    Sealing.HOST_AND_TPM2: "93a894094874449090caf2fc93cab553",
    Sealing.NOTHING: "058469daf6f54324800549da0f8ea2fb",
    Sealing.UNKNOWN: "00112233445566778899aabbccddeeff",
}


def place(folder: Path) -> KeyPlace:
    return key_place(CREDENTIAL, folders=(folder / "absent", folder))


@pytest.mark.parametrize("sealing", list(IDS))
def test_a_sealed_credential_says_to_what_it_is_sealed(tmp_path: Path, sealing: Sealing) -> None:
    blob = base64.b64encode(bytes.fromhex(IDS[sealing]) + os.urandom(80))
    (tmp_path / "veilleur-kek").write_bytes(blob[:40] + b"\n" + blob[40:])
    found = place(tmp_path)
    assert (found.kind, found.sealing) == ("systemd credential", sealing)
    claims = "a stolen card alone does not open it" in found.words.en
    assert claims is (sealing in {Sealing.TPM2, Sealing.HOST_AND_TPM2})
    assert ("carte volée seule ne l'ouvre pas" in found.words.fr) is claims


@pytest.mark.parametrize("content", [b"", b"%%%", b"AAAA", os.urandom(300)])
def test_what_cannot_be_read_is_not_guessed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "veilleur-kek").write_bytes(content)
    assert place(tmp_path).sealing is Sealing.UNKNOWN


def test_a_credential_whose_sealed_form_is_nowhere_is_unknown(tmp_path: Path) -> None:
    found = place(tmp_path)
    assert found.sealing is Sealing.UNKNOWN
    assert "cannot be seen from here" in found.words.en


def test_a_file_is_said_to_protect_no_stolen_card(tmp_path: Path) -> None:
    found = key_place(VaultSettings(key_file=tmp_path / "kek"))
    assert (found.kind, found.sealing, found.follows) == ("file", None, False)
    assert "not a stolen card" in found.words.en
    (tmp_path / "kek-next").touch()
    assert key_place(VaultSettings(key_file=tmp_path / "kek")).follows


@pytest.mark.process
@pytest.mark.parametrize(("keys", "sealing"), [(("host",), Sealing.HOST), (("null", "tpm2-absent"), Sealing.NOTHING)])
def test_what_systemd_itself_seals_is_read_as_it_says(tmp_path: Path, keys: tuple[str, ...], sealing: Sealing) -> None:
    """Skipped where no systemd-creds is installed; "null" is called "tpm2-absent" before version 256."""
    if shutil.which("systemd-creds") is None:
        pytest.skip("systemd-creds is not installed: nothing here seals as systemd does")
    tries = [
        subprocess.run(
            ["systemd-creds", "encrypt", f"--with-key={key}", "--name=veilleur-kek", "-", "-"],
            input=b"k" * 32,
            capture_output=True,
            check=False,
            env=os.environ | {"SYSTEMD_CREDENTIAL_SECRET": str(tmp_path / "credential.secret")},
            timeout=30,
        )
        for key in keys
    ]
    (tmp_path / "veilleur-kek").write_bytes(next(done.stdout for done in tries if done.returncode == 0))
    assert place(tmp_path).sealing is sealing
