"""`veilleur-desk keys`: the team's keys in plain words. What is done to them is keyring.py's.

Nothing secret is ever shown: ids and public halves only.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from tabulate import tabulate

from alerting.alert import Sentence
from coordination import keyring
from coordination.audit_beside import account, team_database, try_beside
from coordination.key_acts import signed_list
from coordination.keyring import KEEP_MS, LIST_DAYS, Changed
from coordination.keyring_file import LIST, Purpose, State, load_root, read_state
from coordination.lines import iso
from coordination.tables import Language
from devices.clock import SystemClock
from exchange.identity import RecipientRole, key_id
from exchange.team_list import Person, Role

_Command = TypeVar("_Command", bound=Callable[..., Any])

ROLES = {
    RecipientRole.TEAM: Sentence(fr="l'équipe", en="the team"),
    RecipientRole.ON_CALL: Sentence(fr="l'astreinte", en="the on-call team"),
    RecipientRole.ESCROW: Sentence(fr="le dépôt de secours", en="escrow"),
}
PEOPLE = {
    Role.NURSE: Sentence(fr="infirmier ou infirmière", en="nurse"),
    Role.PHYSICIAN: Sentence(fr="médecin", en="physician"),
    Role.OPERATOR: Sentence(fr="exploitant", en="operator"),
    Role.INSTALLER: Sentence(fr="installateur", en="installer"),
}


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def apply(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="/etc/veilleur/keys",
    envvar="VEILLEUR_DESK_KEYS",
    show_default=True,
    help="Dossier des clés de l'équipe / the team's key folder.",
)
_root = click.option(
    "--root",
    "root_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Clé racine, gardée hors ligne / the root key, kept offline.",
)
_days = click.option(
    "--days",
    type=click.IntRange(1, 400),
    default=LIST_DAYS,
    show_default=True,
    help="Validité de la liste / how long the list holds.",
)
_lang = click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    default=Language.FR.value,
    show_default=True,
    callback=lambda _context, _option, value: Language(value),
    help="Langue / language.",
)
_DATABASE = "veilleur.desk.database"
"""Where the team's database is, for whoever enters what was changed; see `_enter`."""


def _database_at(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.meta[f"{_DATABASE}.{option.name}"] = value


_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default="/etc/veilleur/desk.toml",
    envvar="VEILLEUR_DESK_CONFIG",
    show_default=True,
    expose_value=False,
    callback=_database_at,
    help="Réglages de l'équipe, pour le journal des actes / the team's settings, for the record of acts.",
)
_database = click.option(
    "--database",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_database_at,
    help="Base de l'équipe, sans lire les réglages / the team's database, without reading the settings.",
)
_changing = _options(_folder, _root, _days, _config, _database, _lang)


@click.group()
def keys() -> None:
    """Les clés de l'équipe : créer, renouveler, nommer des personnes. / The team's keys: make, renew, name people."""


@keys.command()
@_changing
@click.option("--hybrid", is_flag=True, help="ML-KEM-768 avec X25519 (post-quantique) / with X25519 (post-quantum).")
@click.option("--only-team", is_flag=True, help="Sans astreinte ni dépôt de secours / without on-call team and escrow.")
def createteam(*, folder: Path, root_file: Path, days: int, lang: Language, hybrid: bool, only_team: bool) -> None:
    """Créer la racine, les premières clés et la première liste. / Make the root, the first keys, the first list."""
    roles = (RecipientRole.TEAM,) if only_team else tuple(RecipientRole)
    changed = keyring.create(folder, root_file, roles=roles, hybrid=hybrid, days=days, now_ms=_now())
    _say_changed(changed, folder, lang)
    _say(
        lang,
        fr=f"Racine à épingler sur chaque boîtier (identity.team_roots) : {changed.state.root}\n"
        f"À faire : mettre {root_file} hors ligne, en deux copies, l'effacer ici. Sans elle, plus de nouvelle liste.",
        en=f"Root to pin on every box (identity.team_roots): {changed.state.root}\n"
        f"To do: take {root_file} offline, in two copies, and remove it from here. Without it, no new list.",
    )
    if not only_team:
        _say(
            lang,
            fr=f"À faire : remettre {folder / 'on-call'} à l'astreinte, et {folder / 'escrow'} hors ligne à qui garde "
            "le dernier recours ; les effacer d'ici.",
            en=f"To do: hand {folder / 'on-call'} to the on-call team, and {folder / 'escrow'} offline to whoever "
            "keeps the last resort; remove them from here.",
        )


@keys.command()
@_changing
@click.option(
    "--hybrid/--classic", "hybrid", default=None, help="Changer de sorte de clés / change the kind of the keys."
)
@click.option("--escrow", is_flag=True, help="Renouveler aussi le dépôt de secours / renew escrow too.")
@click.option(
    "--stolen", is_flag=True, help="Ne plus croire aucune clé d'accusé d'avant / believe no earlier receipt key."
)
def rotate(
    *, folder: Path, root_file: Path, days: int, lang: Language, hybrid: bool | None, escrow: bool, stolen: bool
) -> None:
    """Renouveler, chaque mois : clés d'ouverture et d'accusé, liste. / Renew, every month: keys and list."""
    changed = keyring.rotate(
        folder, load_root(root_file), hybrid=hybrid, escrow=escrow, stolen=stolen, days=days, now_ms=_now()
    )
    _say_changed(changed, folder, lang)
    for path in changed.destroyed:
        _say(lang, fr=f"Clé détruite : {path}", en=f"Key destroyed: {path}")
    if any(path.parent.name != "opening" for path in changed.made if path.parent.name != "receipt"):
        _say(
            lang,
            fr="À faire : remettre les nouvelles clés à l'astreinte et au dépôt de secours, et les effacer d'ici.",
            en="To do: hand the new keys to the on-call team and to escrow, and remove them from here.",
        )


@keys.command(name="list")
@_folder
@_lang
def list_(*, folder: Path, lang: Language) -> None:
    """Montrer les clés, la liste et les personnes. / Show the keys, the list and the people."""
    state = read_state(folder)
    now = _now()
    team = state.team
    over, hybrid = team.expired(now), team.recipients[0].hybrid
    _say(
        lang,
        fr=f"Liste {team.version}, valable jusqu'au {iso(team.expires_at)}"
        + (", clés hybrides (post-quantiques)" if hybrid else "")
        + (" : EXPIRÉE, la renouveler (veilleur-desk keys rotate)" if over else ""),
        en=f"List {team.version}, valid until {iso(team.expires_at)}"
        + (", hybrid (post-quantum) keys" if hybrid else "")
        + (": EXPIRED, renew it (veilleur-desk keys rotate)" if over else ""),
    )
    _say(lang, fr=f"Racine : {state.root}", en=f"Root: {state.root}")
    click.echo(tabulate(_key_rows(state, lang), tablefmt="plain"))
    for person in team.people:
        click.echo(f"{person.key}  {person.name}  ({_in(lang, PEOPLE[person.role])})")


@keys.command(name="add-person")
@_changing
@click.option("--name", required=True, help="Comme ses collègues l'appellent / as colleagues call them.")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="Rôle / role.")
@click.option("--public", required=True, metavar="HEX", help="Sa clé publique, 64 chiffres / their public key.")
def add_person(*, folder: Path, root_file: Path, days: int, lang: Language, name: str, role: str, public: str) -> None:
    """Faire croire la signature d'une personne. / Let a person's signature be believed."""
    if not 1 <= len(name.strip()) <= 64 or not name.strip().isprintable():
        raise click.UsageError("--name: 1 à 64 caractères imprimables / printable characters")
    raw = _public(public)
    person = Person(key=key_id(raw), public=raw.hex(), name=name.strip(), role=Role(role))
    _say_changed(keyring.add_person(folder, load_root(root_file), person, days=days, now_ms=_now()), folder, lang)


@keys.command(name="remove-person")
@_changing
@click.option("--key", required=True, metavar="ID", help="16 chiffres, voir list / 16 digits, see list.")
def remove_person(*, folder: Path, root_file: Path, days: int, lang: Language, key: str) -> None:
    """Ne plus croire la signature d'une personne. / Believe a person's signature no longer."""
    _say_changed(
        keyring.remove_person(folder, load_root(root_file), key.lower(), days=days, now_ms=_now()), folder, lang
    )


_who = click.argument("role", type=click.Choice([RecipientRole.ON_CALL.value, RecipientRole.ESCROW.value]))


@keys.command(name="add-recipient")
@_changing
@_who
def add_recipient(*, folder: Path, root_file: Path, days: int, lang: Language, role: str) -> None:
    """Ajouter l'astreinte ou le dépôt de secours. / Add the on-call team or escrow."""
    changed = keyring.add_recipient(folder, load_root(root_file), RecipientRole(role), days=days, now_ms=_now())
    _say_changed(changed, folder, lang)


@keys.command(name="remove-recipient")
@_changing
@_who
def remove_recipient(*, folder: Path, root_file: Path, days: int, lang: Language, role: str) -> None:
    """Retirer un destinataire : il ne lira rien de plus tard. / Remove a recipient: they read nothing later."""
    changed = keyring.remove_recipient(folder, load_root(root_file), RecipientRole(role), days=days, now_ms=_now())
    _say_changed(changed, folder, lang)


@keys.command(name="change-root")
@_changing
@click.option(
    "--new-root", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Fichier à créer / file to make."
)
def change_root(*, folder: Path, root_file: Path, days: int, lang: Language, new_root: Path) -> None:
    """Remplacer la racine : les boîtiers suivent. / Replace the root: boxes follow."""
    changed = keyring.change_root(folder, load_root(root_file), new_root, days=days, now_ms=_now())
    _say_changed(changed, folder, lang)
    _say(
        lang,
        fr=f"À faire : mettre {new_root} hors ligne ; garder l'ancienne racine jusqu'à ce que chaque boîtier ait la "
        f"liste {changed.state.team.version}.",
        en=f"To do: take {new_root} offline; keep the old root until every box has list {changed.state.team.version}.",
    )


def _key_rows(state: State, lang: Language) -> list[tuple[str, str, str, str]]:
    in_use = state.receipt_in_use.id
    rows = []
    for entry in state.entries:
        if entry.purpose is Purpose.RECEIPT:
            role = Sentence(fr="accusés de réception", en="receipts")
        else:
            role = ROLES[entry.role or RecipientRole.TEAM]
        if entry.retired_at is not None:
            until = _day(entry.retired_at + (KEEP_MS if entry.purpose is Purpose.OPENING else 0))
            now = Sentence(fr=f"remplacée, gardée jusqu'au {until}", en=f"replaced, kept until {until}")
        elif entry.purpose is Purpose.RECEIPT and entry.id != in_use:
            now = (
                Sentence(fr="annoncée, pour le prochain mois", en="announced, for the next month")
                if entry.used_from is None
                else Sentence(fr="remplacée, encore crue", en="replaced, still believed")
            )
        else:
            now = Sentence(fr="en service", en="in use")
        rows.append((entry.id, _in(lang, role), _day(entry.made_at), _in(lang, now)))
    return rows


def _say_changed(changed: Changed, folder: Path, lang: Language) -> None:
    team = changed.state.team
    _say(
        lang,
        fr=f"Liste {team.version} signée, valable jusqu'au {iso(team.expires_at)} : {folder / LIST}, à envoyer aux "
        "boîtiers.",
        en=f"List {team.version} signed, valid until {iso(team.expires_at)}: {folder / LIST}, to be sent to the boxes.",
    )
    for path in changed.made:
        _say(lang, fr=f"Clé créée : {path}", en=f"Key made: {path}")
    _enter(changed, lang)


def _enter(changed: Changed, lang: Language) -> None:
    """Enter what was changed in the team's record of acts, where the database is at hand."""
    context, now, by = click.get_current_context(), SystemClock().now_ms(), account()
    place = team_database(context.meta[f"{_DATABASE}.config"], context.meta.get(f"{_DATABASE}.database"))
    change = context.command.name or ""
    if not try_beside(place, lambda log: signed_list(log, changed.state, at=now, by=by, change=change), at=now):
        _say(
            lang,
            fr="La base de l'équipe n'est pas ici : la réception l'inscrira au journal des actes, sans votre nom.",
            en="The team's database is not here: the inbox will enter it in the record of acts, without your name.",
        )


def _public(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.strip())
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise click.UsageError("--public: 64 chiffres 0-9a-f / 64 digits 0-9a-f")
    return raw


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def _in(lang: Language, sentence: Sentence) -> str:
    return sentence.fr if lang is Language.FR else sentence.en


def _say(lang: Language, *, fr: str, en: str) -> None:
    click.echo(fr if lang is Language.FR else en)


def _now() -> int:
    return SystemClock().now_ms() // 1000 * 1000
