"""`veilleur-desk person-key, request, sign, send, send-list, resend, commands, close, replay`: what boxes are told.

A request is prepared, signed by each person with their own key and PIN, and sent; the box checks the signatures itself.

What is not here: who may order what (exchange.commands).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from alerting.alert import Outcome, Sentence
from coordination import command_acts
from coordination.audit_beside import account, team_database, try_beside
from coordination.closing import close as close_alert
from coordination.config_option import config_option
from coordination.errors import CoordinationError
from coordination.lines import iso
from coordination.person_key import check_pin, make_person_key, open_person_key, read_person_key
from coordination.place import Place, place_of
from coordination.protocol_sources import protocol_with_packs
from coordination.replaying import Verdict, replay
from coordination.request_words import command_line, command_table, request_lines, too_few
from coordination.requests import add_signature, make_command, new_request, protocol_body, read_request, write_request
from coordination.resend_command import ask_again
from coordination.settings import read_settings
from coordination.sql_commands import SqlCommands
from coordination.tables import Language, said
from coordination.team_database import connect, connect_to_read, transaction
from devices.clock import SystemClock
from devices.plain_text import plain
from exchange.command_bodies import Body, EraseBody, ListBody, NoBody, PairBody, ProtocolBody, ScanBody, ShadowBody
from exchange.commands import CommandKind, SignedCommand, encode
from exchange.team_list import MAX_LIST_BYTES

_database = click.option(
    "--database",
    callback=lambda _context, _option, value: None if value is None else place_of(value, Path()),
    help="Base de l'équipe, sans lire les réglages / the team's database, without reading the settings.",
)
_lang = click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    default=Language.FR.value,
    show_default=True,
    callback=lambda _context, _option, value: Language(value),
    help="Langue / language.",
)
_LIST_HINT = Sentence(
    fr="C'est le fichier team-list du dossier des clés.", en="It is the file team-list in the folder of keys."
)
_ASKED = {
    CommandKind.PROTOCOL.value,
    CommandKind.SHADOW.value,
    CommandKind.PAIR.value,
    CommandKind.SCAN.value,
    CommandKind.CANARY.value,
    CommandKind.ROTATE.value,
    CommandKind.RENEW.value,
    CommandKind.ERASE.value,
}


def add_commands(group: click.Group) -> None:
    """Add these commands to a group."""
    for command in (person_key, request, sign, send, send_list, resend, commands, close, replay_alert):
        group.add_command(command)


@click.command("person-key")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Comme vos collègues vous appellent / as colleagues call you.")
def person_key(file: Path, name: str) -> None:
    """Faire votre clé de signature, protégée par un code secret. / Make your signing key, under a PIN of yours."""
    pin = click.prompt("Code secret / PIN", hide_input=True)
    check_pin(pin)
    if click.prompt("Encore une fois / once more", hide_input=True) != pin:
        raise CoordinationError(
            Sentence(fr="Les deux codes diffèrent.", en="The two PINs differ."),
            hint=Sentence(fr="Recommencer.", en="Begin again."),
        )
    made = make_person_key(file, name=name.strip(), pin=pin)
    click.echo(f"{file}: {made.name} · {made.id}")
    click.echo(
        "Garder ce fichier pour vous seul(e), hors de la base de l'équipe. Donner cette clé publique à qui tient la "
        "racine. / Keep this file to yourself, outside the team's database. Give this public key to whoever holds the "
        "root:"
    )
    click.echo(made.public)


@click.command()
@click.argument("kind", type=click.Choice(sorted(_ASKED)))
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--box", required=True, help="Boîtier / box.")
@click.option("--patient", default="", help="Pseudonyme / pseudonym.")
@click.option("--address", help="Appareil à appairer / device to pair: C4:B0:00:00:00:01.")
@click.option("--passkey", type=click.IntRange(0, 999_999), help="Six chiffres affichés / six digits shown.")
@click.option("--everything", is_flag=True, help="Effacer tout le boîtier / erase the whole box.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Demande à signer / request to sign.")
@config_option
@_database
@_lang
def request(  # noqa: PLR0917 - one parameter an option, given by name
    kind: str,
    file: Path | None,
    box: str,
    patient: str,
    address: str | None,
    passkey: int | None,
    out: Path,
    config: Path,
    database: Place | None,
    lang: Language,
    *,
    everything: bool,
) -> None:
    """Préparer une demande, à signer puis à envoyer. / Prepare a request, to be signed and then sent."""
    chosen = CommandKind(kind)
    body = _body(chosen, file, address=address, passkey=passkey, everything=everything)
    with _queue(config, database) as queue:
        known = queue.last_version(box, (chosen.value, patient, address.upper() if address else ""))
    command = make_command(chosen, body, box=box, subject=patient, now=SystemClock().now_ms(), after=known)
    prepared = new_request(command)
    for line in request_lines(prepared, lang):
        click.echo(plain(line))
    write_request(out, prepared)
    click.echo(f"-> {out} : veilleur-desk sign {out} --key ...")


def _body(kind: CommandKind, file: Path | None, *, address: str | None, passkey: int | None, everything: bool) -> Body:
    match kind:
        case CommandKind.PROTOCOL:
            if file is None:
                raise click.UsageError("donner le fichier du protocole / give the protocol's file")
            return _protocol(file)
        case CommandKind.SHADOW:
            # Without a protocol it is the order to end it.
            return ShadowBody(protocol=None if file is None else _protocol(file))
        case CommandKind.PAIR:
            if address is None:
                raise click.UsageError("--address")
            return PairBody(address=address.upper(), passkey=passkey)
        case CommandKind.SCAN:
            return ScanBody()
        case CommandKind.ERASE:
            return EraseBody(everything=everything)
        case _:
            return NoBody()


def _protocol(file: Path) -> ProtocolBody:
    text, packs = protocol_with_packs(str(file))
    return protocol_body(text, name=str(file), packs=packs)[0]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Votre clé / your key (person-key).")
@config_option
@_database
@_lang
def sign(file: Path, key: Path, config: Path, database: Path | None, lang: Language) -> None:
    """Lire une demande et la signer avec votre clé et votre code. / Read a request and sign it with key and PIN."""
    found = read_request(file)
    for line in request_lines(found, lang):
        click.echo(plain(line))
    owner = read_person_key(key)
    pin = click.prompt(f"{owner.name} : code secret / PIN", hide_input=True)
    signed = add_signature(found, open_person_key(key, pin), owner.name)
    write_request(file, signed)
    place, now = team_database(config, database), SystemClock().now_ms()
    # Where the database is not at hand, it is entered as the order is sent.
    try_beside(place, lambda log: command_acts.signed(log, found.command, owner.id, owner.name, at=now), at=now)
    names = ", ".join(one.name for one in signed.signed)
    click.echo(f"{file} : {said(Sentence(fr='signée par', en='signed by'), lang)} {plain(names)}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@_database
@_lang
def send(file: Path, config: Path, database: Place | None, lang: Language) -> None:
    """Envoyer une demande signée ; le boîtier vérifie qui a signé. / Send a signed request; the box checks it."""
    found = read_request(file)
    if not found.signed:
        raise CoordinationError(
            Sentence(fr=f"{file} n'est signée par personne.", en=f"{file} is signed by nobody."),
            hint=Sentence(fr=f"« veilleur-desk sign {file} --key ... ».", en=f"'veilleur-desk sign {file} --key ...'."),
        )
    names = [one.name for one in found.signed]
    with _queue(config, database) as queue:
        queue.queue(found.command, found.as_signed(), signed_by=names, now=SystemClock().now_ms(), by=account())
    lacking = too_few(found)
    if lacking is not None:
        click.echo(said(lacking, lang))
    waits = Sentence(
        fr="en attente : part dès que le boîtier est joignable ; « veilleur-desk commands » montre la suite",
        en="queued: it leaves as soon as the box is there; 'veilleur-desk commands' shows what follows",
    )
    click.echo(f"{found.command.box} · {found.command.kind} · {said(waits, lang)}")


@click.command("send-list")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--box", "boxes", multiple=True, help="Boîtiers, tous sinon / boxes, all of them otherwise.")
@config_option
@_database
def send_list(file: Path, boxes: tuple[str, ...], config: Path, database: Place | None) -> None:
    """Envoyer aux boîtiers la liste d'équipe signée par la racine. / Send boxes the list that the root signed."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CoordinationError(
            Sentence(fr=f"{file} est illisible ({error.strerror}).", en=f"{file} cannot be read ({error.strerror})."),
            hint=Sentence(
                fr="C'est le fichier team-list du dossier des clés.", en="It is team-list in the key folder."
            ),
        ) from error
    if not 1 <= len(data) <= MAX_LIST_BYTES:
        raise CoordinationError(
            Sentence(fr=f"{file} n'est pas une liste d'équipe signée.", en=f"{file} is no signed team list."),
            hint=Sentence(
                fr="C'est le fichier team-list du dossier des clés.", en="It is team-list in the key folder."
            ),
        )
    now = SystemClock().now_ms()
    with _queue(config, database) as queue:
        chosen = boxes or queue.boxes()
        for box in chosen:
            series = (CommandKind.TEAM_LIST.value, "", "")
            command = make_command(
                CommandKind.TEAM_LIST,
                ListBody(data=data),
                box=box,
                subject="",
                now=now,
                after=queue.last_version(box, series),
            )
            queue.queue(command, SignedCommand(command=encode(command)), signed_by=(), now=now, by=account())
    click.echo(f"{len(chosen)} boîtiers / boxes: {', '.join(chosen)}")


@click.command()
@click.option("--box", "boxes", multiple=True, help="Boîtiers, tous sinon / boxes, all of them otherwise.")
@click.option(
    "--everything",
    is_flag=True,
    help="Tout ce que le boîtier garde, même ce qui est ici / all that the box keeps, even what is here.",
)
@config_option
@_database
@_lang
def resend(boxes: tuple[str, ...], config: Path, database: Path | None, lang: Language, *, everything: bool) -> None:
    """Redemander aux boîtiers ce qui manque à la base. / Ask boxes again for what the database lacks."""
    now = SystemClock().now_ms()
    for sentence in ask_again(_place(config, database), boxes, everything=everything, now=now):
        click.echo(said(sentence, lang))


@click.command()
@click.option("--box", help="Un seul boîtier / one box only.")
@click.option("--open", "unanswered", is_flag=True, help="Celles sans réponse / those without an answer.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Une ligne JSON par élément / one JSON line each.")
@config_option
@_database
@_lang
def commands(
    box: str | None,
    limit: int,
    config: Path,
    database: Place | None,
    lang: Language,
    *,
    unanswered: bool,
    as_json: bool,
) -> None:
    """Montrer les demandes et ce que les boîtiers en ont fait. / Show requests and what boxes made of them."""
    connection = connect_to_read(_place(config, database))
    try:
        found = list(
            SqlCommands(connection, lambda: transaction(connection)).views(box=box, unanswered=unanswered, limit=limit)
        )
    finally:
        connection.close()
    if as_json:
        for view in found:
            click.echo(command_line(view))
    elif found:
        click.echo(plain(command_table(found, lang)))
    else:
        click.echo(said(Sentence(fr="Aucune demande ici.", en="No request here."), lang))


@click.command()
@click.argument("alert")
@click.option("--by", required=True, metavar="NAME", help="Qui / who.")
@click.option("--outcome", type=click.Choice([one.value for one in Outcome]), required=True)
@config_option
@_database
@_lang
def close(*, alert: str, by: str, outcome: str, config: Path, database: Place | None, lang: Language) -> None:
    """Clore une alerte en disant ce qu'il en était ; le boîtier l'apprend. / Close an alert; the box is told."""
    name = by.strip()
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise click.UsageError("--by: 1 à 64 caractères imprimables / printable characters")
    at = SystemClock().now_ms()
    closed = close_alert(_place(config, database), alert.lower(), by=name, outcome=Outcome(outcome), at=at)
    told = Sentence(fr="le boîtier sera prévenu", en="the box will be told")
    alone = Sentence(fr="alerte de l'équipe, aucun boîtier à prévenir", en="an alert of the team, no box to tell")
    click.echo(f"{closed.alert} : {outcome} · {name} · {iso(at)} · {said(told if closed.box_is_told else alone, lang)}")


@click.command("replay")
@click.argument("alert")
@config_option
@_database
@_lang
@click.pass_context
def replay_alert(ctx: click.Context, alert: str, config: Path, database: Place | None, lang: Language) -> None:
    """Rejuger une alerte avec son protocole et les mesures de l'équipe. / Judge an alert again from what is kept."""
    found = replay(_place(config, database), alert.lower())
    told = found.alert
    click.echo(f"{told.alert_id} · {told.rule} · {iso(told.raised_at)} · {told.protocol_hash[:12]}")
    click.echo(said(_VERDICTS[found.verdict], lang))
    if told.engine_version != found.engine_version:
        click.echo(
            said(
                Sentence(
                    fr=f"(moteur {found.engine_version} ici, {told.engine_version} sur le boîtier alors)",
                    en=f"(engine {found.engine_version} here, {told.engine_version} on the box then)",
                ),
                lang,
            )
        )
    ctx.exit(0 if found.verdict in {Verdict.SAME, Verdict.SAME_RAISED_LATER} else 1)


_VERDICTS = {
    Verdict.SAME: Sentence(
        fr="La même alerte : même règle, même début, mêmes mesures, même moment.",
        en="The same alert: same rule, same onset, same readings, same moment.",
    ),
    Verdict.SAME_RAISED_LATER: Sentence(
        fr="La même alerte ; elle a été dite plus tard, quand son protocole a été appliqué ou ses mesures reçues.",
        en="The same alert; it was told later, when its protocol was applied or its readings received.",
    ),
    Verdict.DIFFERENT: Sentence(
        fr="Cette alerte ressort d'autres mesures ou à un autre moment : regarder lesquelles manquent.",
        en="This alert comes out from other readings or at another time: see which are missing.",
    ),
    Verdict.ABSENT: Sentence(
        fr="Cette alerte ne ressort pas des mesures de l'équipe : regarder lesquelles manquent.",
        en="This alert does not come out of the team's readings: see which are missing.",
    ),
}


def _place(config: Path, database: Place | None) -> Place:
    return read_settings(config).database if database is None else database


@contextmanager
def _queue(config: Path, database: Place | None) -> Iterator[SqlCommands]:
    place = _place(config, database)
    # A database that is not there is refused before one is made.
    connect_to_read(place).close()
    connection = connect(place)
    try:
        yield SqlCommands(connection, lambda: transaction(connection))
    finally:
        connection.close()
