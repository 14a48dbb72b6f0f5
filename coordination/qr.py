"""The QR of an enrolment code, on a terminal or in a file: the only module that knows segno."""

from pathlib import Path
from typing import TextIO

from alerting.alert import Sentence
from coordination.errors import CoordinationError
from exchange.durable_file import write_durably

FORMATS = (".svg", ".png")


def terminal_qr(text: str, to: TextIO) -> bool:
    """Draw a QR on a terminal; return False where segno is not installed: the text alone will do."""
    try:
        import segno  # noqa: PLC0415 - of an extra that is not always there
    except ImportError:
        return False
    segno.make(text, error="m", micro=False).terminal(to, compact=True)
    return True


def qr_file(text: str, path: Path) -> None:
    """Draw a QR into a file that only its owner reads: it holds a secret.

    Raises:
        CoordinationError: another kind of file than .svg or .png, segno is missing, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise CoordinationError(
            Sentence(fr=f"Un QR ne s'écrit pas en « {path.suffix} ».", en=f"A QR is not written as '{path.suffix}'."),
            hint=Sentence(fr="Choisir un nom en .svg ou .png.", en="Choose a name that ends in .svg or .png."),
        )
    try:
        import segno  # noqa: PLC0415 - of an extra that is not always there
    except ImportError as error:
        raise CoordinationError(
            Sentence(fr="De quoi dessiner un QR n'est pas installé.", en="What draws a QR is not installed."),
            hint=Sentence(
                fr="Installer veilleur[desk], ou donner le code écrit.",
                en="Install veilleur[desk], or give the code as text.",
            ),
        ) from error
    qr = segno.make(text, error="m", micro=False)
    try:
        # Made first with nobody else's eyes on it: segno opens files as everybody's.
        write_durably(path, b"", mode=0o600)
        qr.save(str(path), scale=6, border=4)
    except OSError as error:
        raise CoordinationError(
            Sentence(
                fr=f"{path} ne peut pas être écrit ({error.strerror}).",
                en=f"{path} cannot be written ({error.strerror}).",
            ),
            hint=Sentence(fr="Choisir un autre dossier.", en="Choose another folder."),
        ) from error


def svg_qr(text: str) -> str:
    """Return a QR as SVG that can stand in a page: black on white, with its quiet zone, no name and no style."""
    import segno  # noqa: PLC0415 - of an extra that is not always there

    drawn = segno.make(text, error="m", micro=False)
    return str(
        drawn.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None)
    )
