"""`veilleur-desk createca | certify | enrol | revoke | boxes`: who belongs to the team, from the command line.

Codes and tables go to standard output, what is said on the way to standard error. Not here: what is done
(`enrol_command`, `revoking`, `authority`, `fleet`), and the group that these commands belong to (`cli`).
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from alerting.alert import Sentence
from coordination.audit_beside import account, try_beside
from coordination.authority import PROGRAMS, Authority
from coordination.config_option import config_option
from coordination.enrol_command import accompany, invite, serve
from coordination.errors import CoordinationError
from coordination.fleet import box_table
from coordination.fleet import boxes as fleet_boxes
from coordination.office import now_ms
from coordination.qr import qr_file, terminal_qr
from coordination.revoking import enrolment_of, revoke
from coordination.settings import read_settings
from coordination.tables import Language, local, said
from exchange.audit_chain import Act, Detail
from exchange.certificates import Certificate
from exchange.durable_file import write_durably
from exchange.errors import IdentityError
from exchange.identity import TlsKey

LONGEST_NAME = 64
LONGEST_REASON = 200

_lang = click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    default=Language.FR.value,
    show_default=True,
    callback=lambda _context, _option, value: Language(value),
    help="Langue / language.",
)


def _printable(most: int) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def check(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
        if value is None:
            return None
        if not 1 <= len(value.strip()) <= most or not value.isprintable():
            raise click.BadParameter(f"1 à {most} caractères imprimables / printable characters", param=option)
        return value.strip()

    return check


_by = click.option("--by", metavar="NAME", callback=_printable(LONGEST_NAME), help="Qui décide / who decides.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terminal:
    """The nurse at a terminal."""

    lang: Language

    def tell(self, sentence: Sentence) -> None:
        click.echo(said(sentence, self.lang), err=True)

    def ask(self, question: Sentence) -> str:
        click.echo(f"{said(question, self.lang)} ", nl=False, err=True)
        return sys.stdin.readline()


@click.command()
@config_option
@_lang
def createca(*, config: Path, lang: Language) -> None:
    """Créer l'autorité de l'équipe, une fois. / Make the team's authority, once."""
    enrolment = enrolment_of(read_settings(config))
    authority = Authority.create(Path(enrolment.authority), at=now_ms())
    _Terminal(lang=lang).tell(
        Sentence(
            fr=f"Autorité créée dans {enrolment.authority}. À sauvegarder, chiffré : qui l'a entre chez le broker.\n"
            "Ensuite : 'veilleur-desk certify' pour le broker et pour chaque réception.",
            en=f"Authority made in {enrolment.authority}. Back it up, encrypted: whoever has it enters the broker.\n"
            "Next: 'veilleur-desk certify' for the broker and for each inbox.",
        )
    )
    click.echo(authority.ca)


@click.command()
@config_option
@click.argument("name")
@click.option("--host", "hosts", multiple=True, help="Nom de machine du broker / host name of the broker.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default=True,
    help="Dossier / folder.",
)
@_lang
def certify(*, config: Path, name: str, hosts: tuple[str, ...], out: Path, lang: Language) -> None:
    """Faire ou renouveler le certificat d'un programme de l'équipe. / Make or renew a program's certificate.

    NAME: broker (avec / with --host), inbox-1, inbox-2, …
    """
    settings = read_settings(config)
    authority = Authority.open(Path(enrolment_of(settings).authority))
    key, certificate = out / f"{name}.key", out / f"{name}.pem"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not key.exists():
            TlsKey.generate().save(key)
        csr = TlsKey.load(key).csr(name)
        if hosts:
            issued = authority.server(csr, name=name, hosts=hosts, at=now_ms())
        elif name.startswith(PROGRAMS):
            issued = authority.program(csr, name, at=now_ms())
        else:
            raise click.UsageError(f"NAME: {', '.join(f'{head}…' for head in PROGRAMS)}, ou / or --host")
        write_durably(certificate, issued.pem, mode=0o644)
    except IdentityError as error:
        raise CoordinationError(
            Sentence(fr=f"La clé {key} ne peut pas servir.", en=f"{error}."),
            hint=Sentence(fr="Vérifier son nom, son mode (600) et son dossier.", en=error.hint),
        ) from error
    except OSError as error:
        raise CoordinationError(
            Sentence(
                fr=f"{out} ne peut pas être écrit ({error.strerror}).",
                en=f"{out} cannot be written ({error.strerror}).",
            ),
            hint=Sentence(fr="Choisir un autre dossier.", en="Choose another folder."),
        ) from error
    now, by = now_ms(), account()
    detail: Detail = {"certificate": issued.serial, "until": issued.not_after}
    # Before an inbox ever ran there is no record of acts yet.
    try_beside(
        settings.database,
        lambda log: log.enter(Act.CERTIFICATE_RENEWED, at=now, by=by, reference=name, detail=detail),
        at=now,
    )
    until = local(issued.not_after, lang)
    _Terminal(lang=lang).tell(
        Sentence(
            fr=f"{name} : certificat jusqu'au {until} ; relancer cette commande avant.",
            en=f"{name}: certificate until {until}; run this command again before.",
        )
    )
    click.echo(f"{certificate}\n{key}")


@click.command()
@config_option
@click.option("--box", help="Le boîtier, comme box-0007 / the box, like box-0007.")
@click.option("--patient", help="Vérifier que ce patient l'a / check that this patient has it.")
@_by
@click.option(
    "--qr", type=click.Path(path_type=Path, dir_okay=False), help="Écrire le QR, .svg ou .png / write the QR."
)
@click.option(
    "--serve", "only_serve", is_flag=True, help="Tenir le guichet, sans code / keep the office open, no code."
)
@click.option("--no-wait", is_flag=True, help="Donner le code seulement / only give the code.")
@_lang
def enrol(
    *,
    config: Path,
    box: str | None,
    patient: str | None,
    by: str | None,
    qr: Path | None,
    only_serve: bool,
    no_wait: bool,
    lang: Language,
) -> None:
    """Accueillir un boîtier : un code, six chiffres à comparer. / Welcome a box: a code, six digits to compare."""
    settings = read_settings(config)
    if only_serve:
        asyncio.run(serve(settings))
        return
    if box is None or (by is None and not no_wait):
        raise click.UsageError("--box et / and --by, ou / or --serve")
    if patient is not None and all((one.patient, one.box) != (patient, box) for one in settings.assignments):
        raise CoordinationError(
            Sentence(fr=f"{patient} n'a pas {box} dans {config}.", en=f"{patient} does not have {box} in {config}."),
            hint=Sentence(
                fr="Y corriger [[patients]], puis recommencer.", en="Correct [[patients]] there, then begin again."
            ),
        )
    invitation = invite(settings, box, by=by or "")
    text = str(invitation.code)
    if qr is not None:
        qr_file(text, qr)
    terminal = _Terminal(lang=lang)
    if sys.stdout.isatty() and not terminal_qr(text, sys.stdout):
        terminal.tell(Sentence(fr="(pas de QR : installer veilleur[desk])", en="(no QR: install veilleur[desk])"))
    click.echo(text)
    until = local(invitation.until, lang)
    terminal.tell(
        Sentence(
            fr=f"{box} : ce code vaut une fois, jusqu'au {until}. Sur le boîtier :\n"
            f"sudo -u veilleur veilleur enrol '{text}'",
            en=f"{box}: this code holds once, until {until}. On the box:\nsudo -u veilleur veilleur enrol '{text}'",
        )
    )
    if no_wait:
        return
    if not asyncio.run(accompany(settings, invitation, terminal, by=by or "")):
        terminal.tell(
            Sentence(
                fr=f"{box} n'est pas enrôlé ; ce code ne vaut plus. En donner un autre s'il le faut.",
                en=f"{box} is not enrolled; this code holds no more. Give another one if need be.",
            )
        )
        sys.exit(1)
    terminal.tell(Sentence(fr=f"{box} est enrôlé.", en=f"{box} is enrolled."))


@click.command(name="revoke")
@config_option
@click.argument("box")
@_by
@click.option(
    "--reason",
    required=True,
    callback=_printable(LONGEST_REASON),
    help="Pourquoi, sans nommer de patient / why, without naming a patient.",
)
@click.option(
    "--certificate",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificat fait sans enrôlement / a certificate made without an enrolment.",
)
@_lang
def revoke_command(
    *, config: Path, box: str, by: str | None, reason: str, files: tuple[Path, ...], lang: Language
) -> None:
    """Exclure un boîtier volé, perdu ou retiré. / Take out a box that was stolen, lost or retired."""
    settings = read_settings(config)
    try:
        serials = tuple(Certificate.load(file).serial for file in files)
    except IdentityError as error:
        raise CoordinationError(
            Sentence(fr=f"Un certificat ne peut pas être lu ({error}).", en=f"A certificate cannot be read ({error})."),
            hint=Sentence(fr="Vérifier --certificate.", en="Check --certificate."),
        ) from error
    taken, outcome = asyncio.run(revoke(settings, box, reason=reason, serials=serials, at=now_ms(), by=by or ""))
    terminal = _Terminal(lang=lang)
    terminal.tell(
        Sentence(
            fr=f"{box} : l'équipe ne croit plus rien de ce qu'il signe ({reason}).",
            en=f"{box}: the team believes nothing that it signs any more ({reason}).",
        )
    )
    if isinstance(outcome, CoordinationError):
        terminal.tell(outcome.why)
        terminal.tell(outcome.hint)
        sys.exit(1)
    if not taken.serials and not serials:
        terminal.tell(
            Sentence(
                fr="Aucun certificat de ce boîtier n'est connu ici : donner --certificate FICHIER s'il en a un.",
                en="No certificate of this box is known here: give --certificate FILE if it has one.",
            )
        )
    terminal.tell(
        Sentence(
            fr=f"Le broker le refuse et l'a déconnecté (vérifié, {outcome:.1f} s).",
            en=f"The broker refuses it and has thrown it out (seen, {outcome:.1f} s).",
        )
    )


@click.command(name="boxes")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Une ligne JSON par boîtier / one JSON line each.")
@_lang
def boxes_command(*, config: Path, as_json: bool, lang: Language) -> None:
    """Lister les boîtiers : état, certificat, version. / List the boxes: state, certificate, version."""
    settings = read_settings(config)
    now = now_ms()
    found = fleet_boxes(settings.database, settings.signers, at=now)
    if as_json:
        for line in found:
            click.echo(json.dumps(line.as_json(), ensure_ascii=False))
    elif found:
        click.echo(box_table(found, lang, at=now))
    else:
        click.echo(said(Sentence(fr="Aucun boîtier ici.", en="No box here."), lang))


COMMANDS: tuple[click.Command, ...] = (createca, certify, enrol, revoke_command, boxes_command)
