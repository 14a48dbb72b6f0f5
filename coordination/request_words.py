"""What a person reads before she signs a request, and what everybody reads of commands on their way.

What is shown of a request is read from the very bytes that are signed, the protocol from its own text.

What is not here: signing, sending, and where the words are printed.
"""

import json
from collections.abc import Iterator
from typing import Final

from tabulate import tabulate

from alerting.alert import Sentence
from alerting.protocol_file import check_protocol
from alerting.protocol_forms import said as rule_said
from coordination.command_queue import CommandState, CommandView
from coordination.errors import CoordinationError
from coordination.lines import iso
from coordination.requests import Request
from coordination.tables import Language, said
from exchange.command_bodies import (
    DispositionBody,
    PairBody,
    ProtocolBody,
    ResendBody,
    ScanBody,
    ShadowBody,
    decode_body,
)
from exchange.commands import AUTOMATION, CommandKind, powers_of
from exchange.team_list import Role

KINDS: Final = {
    CommandKind.PROTOCOL: Sentence(fr="nouveau protocole", en="new protocol"),
    CommandKind.SHADOW: Sentence(fr="mode ombre d'un protocole", en="shadow of a protocol"),
    CommandKind.DISPOSITION: Sentence(fr="suite donnée à une alerte", en="what became of an alert"),
    CommandKind.RESEND: Sentence(fr="renvoyer des mesures", en="send readings again"),
    CommandKind.PAIR: Sentence(fr="appairer un appareil", en="pair a device"),
    CommandKind.SCAN: Sentence(fr="écouter les appareils", en="scan for devices"),
    CommandKind.CANARY: Sentence(fr="mesure témoin", en="canary reading"),
    CommandKind.ROTATE: Sentence(fr="changer les clés du boîtier", en="change the box's keys"),
    CommandKind.RENEW: Sentence(fr="renouveler le certificat", en="renew the certificate"),
    CommandKind.ERASE: Sentence(fr="effacer", en="erase"),
    CommandKind.TEAM_LIST: Sentence(fr="nouvelle liste d'équipe", en="new team list"),
}
STATES: Final = {
    CommandState.TO_SIGN: Sentence(fr="à signer par une deuxième personne", en="to be signed by a second person"),
    CommandState.QUEUED: Sentence(fr="en attente du boîtier", en="waiting for the box"),
    CommandState.SENT: Sentence(fr="partie, sans réponse encore", en="sent, no answer yet"),
    CommandState.ACCEPTED: Sentence(fr="reçue, en cours", en="received, being done"),
    CommandState.APPLIED: Sentence(fr="appliquée", en="applied"),
    CommandState.REFUSED: Sentence(fr="REFUSÉE", en="REFUSED"),
    CommandState.OVERTAKEN: Sentence(fr="remplacée par une plus récente", en="overtaken by a newer one"),
    CommandState.EXPIRED: Sentence(fr="expirée sans réponse", en="expired without an answer"),
}
REASONS: Final = {
    "malformed": Sentence(fr="demande mal formée : la préparer de nouveau", en="malformed: prepare it again"),
    "signer": Sentence(
        fr="signée par une clé que le boîtier ne connaît pas : ajouter la personne, envoyer la liste d'équipe",
        en="signed by a key that the box does not know: add the person, send the team list",
    ),
    "signature": Sentence(
        fr="une signature ne vaut pas : signer de nouveau", en="a signature does not hold: sign again"
    ),
    "people": Sentence(fr="deux personnes différentes doivent signer", en="two different people must sign"),
    "role": Sentence(fr="les signataires n'ont pas le rôle qu'il faut", en="the signers have not the roles needed"),
    "expired": Sentence(fr="arrivée trop tard : la préparer de nouveau", en="it came too late: prepare it again"),
    "future": Sentence(
        fr="faite plus tard que l'heure du boîtier : vérifier l'heure du poste et du boîtier",
        en="made later than the box's time: check the time of this computer and of the box",
    ),
    "clock": Sentence(
        fr="le boîtier ne connaît pas l'heure : elle repartira d'elle-même",
        en="the box does not know the time: sent again",
    ),
    "list": Sentence(
        fr="la liste d'équipe du boîtier a expiré : lui envoyer la nouvelle (« veilleur-desk send-list »)",
        en="the box's team list has expired: send it the new one ('veilleur-desk send-list')",
    ),
    "rollback": Sentence(
        fr="plus ancienne que ce que le boîtier a déjà : la préparer de nouveau",
        en="older than what the box has already: prepare it again",
    ),
    "repeated": Sentence(fr="numéro déjà pris par une autre demande", en="its id is another request's"),
}


def request_lines(request: Request, language: Language) -> Iterator[str]:
    """Yield what a request asks for, who must sign it and who has, for whoever is about to sign.

    Raises:
        CoordinationError: its protocol cannot be read, or is not the one whose hash it names.
    """
    command = request.command
    body = decode_body(command.kind, command.body)
    subject = f", patient {command.subject}" if command.subject else ""
    yield f"{said(KINDS[command.kind], language)} · {command.box}{subject}"
    match body:
        case ProtocolBody():
            yield from _protocol_lines(body, language)
        case ShadowBody(protocol=None):
            yield f"  {said(_ENDS, language)}"
        case ShadowBody(protocol=ProtocolBody() as tried):
            yield from _protocol_lines(tried, language)
        case DispositionBody():
            yield f"  {body.alert[:8]} · {body.state} · {body.by}"
        case PairBody():
            yield f"  {body.address}"
        case ScanBody():
            yield f"  {body.seconds:g} s"
        case ResendBody():
            yield f"  {body.epoch[:8]} · " + ", ".join(f"{part.first}-{part.last}" for part in body.ranges[:8])
        case _:
            pass
    until = said(Sentence(fr="à appliquer avant le", en="to be applied before"), language)
    yield f"  {until} {_when(command.expires_at)}"
    ways = [" + ".join(_role(slot, language) for slot in way) for way in powers_of(command.kind)]
    needed = said(Sentence(fr="signatures nécessaires", en="signatures needed"), language)
    yield f"  {needed} : {said(Sentence(fr=' ou ', en=' or '), language).join(ways) or '-'}"
    signed = said(Sentence(fr="signée par", en="signed by"), language)
    yield f"  {signed} : {', '.join(one.name for one in request.signed) or '-'}"


_ENDS: Final = Sentence(fr="y mettre fin", en="end it")
_ROLES: Final = {
    Role.NURSE.value: Sentence(fr="infirmière", en="nurse"),
    Role.PHYSICIAN.value: Sentence(fr="médecin", en="physician"),
    Role.OPERATOR.value: Sentence(fr="opérateur", en="operator"),
    Role.INSTALLER.value: Sentence(fr="installateur", en="installer"),
    AUTOMATION: Sentence(fr="programmes de l'équipe", en="the team's programs"),
}


def _role(slot: tuple[str, ...], language: Language) -> str:
    """Return who may fill a place, in words."""
    return " / ".join(said(_ROLES[power], language) for power in slot)


def too_few(request: Request) -> Sentence | None:
    """Return what is to be said of a request that has fewer signatures than any way of signing it, None otherwise."""
    needed, given = min(len(way) for way in powers_of(request.command.kind)), len(request.signed)
    if given >= needed:
        return None
    return Sentence(
        fr=f"attention : {given} signature sur {needed}, le boîtier refusera cette demande",
        en=f"beware: {given} signature of {needed}, the box will refuse this request",
    )


def _protocol_lines(body: ProtocolBody, language: Language) -> Iterator[str]:
    protocol = check_protocol(body.text.encode()).protocol
    if protocol is None or protocol.protocol_hash != body.protocol_hash:
        raise CoordinationError(
            Sentence(
                fr="Le protocole de cette demande n'est pas celui de son empreinte : NE PAS SIGNER.",
                en="The protocol of this request is not that of its hash: DO NOT SIGN.",
            ),
            hint=Sentence(fr="Préparer la demande de nouveau.", en="Prepare the request again."),
        )
    yield f"  {protocol.name} v{protocol.version} · {said(protocol.title, language)} · {protocol.protocol_hash[:12]}"
    for rule in protocol.rules:
        told = {key: value for key, value in rule_said(rule).items() if key != "id"}
        yield f"  - {said(rule.words.title, language)} ({rule.id})"
        yield "      " + ", ".join(f"{key} {_plain(value)}" for key, value in told.items())


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(f"{_plain(item[0])}-{_plain(item[1])}" if _is_span(item) else _plain(item) for item in value)
    return str(value)


def _is_span(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2


def command_table(views: list[CommandView], language: Language) -> str:
    """Return commands as a table: how far each came, the box's own word for it, and why not."""
    headers = (
        ("quand", "boîtier", "patient", "demande", "signée par", "état", "réponse du boîtier")
        if language is Language.FR
        else ("when", "box", "patient", "order", "signed by", "state", "the box's answer")
    )
    rows = [
        (
            _when(view.issued_at),
            view.box,
            view.subject or "-",
            f"{said(KINDS[view.kind], language)}{_about(view)}",
            ", ".join(view.signed_by) or said(Sentence(fr="(automatique)", en="(automatic)"), language),
            said(STATES[view.state], language),
            answer_words(view, language),
        )
        for view in views
    ]
    return str(tabulate(rows, headers=headers, tablefmt="plain", maxcolwidths=[None, None, None, 30, 24, 24, 60]))


def answer_words(view: CommandView, language: Language) -> str:
    """Return what the box answered, "-" when it has not."""
    answer = view.answer
    if answer is None:
        return "-"
    parts = [sentence.fr if language is Language.FR else sentence.en for sentence in answer.said]
    if answer.reason and not parts:
        reason = REASONS.get(answer.reason)
        parts = [answer.reason if reason is None else said(reason, language)]
    if answer.protocol_hash:
        judged = said(Sentence(fr="protocole appliqué", en="protocol applied"), language)
        same = answer.protocol_hash == view.protocol_hash or not view.protocol_hash
        other = "" if same else said(Sentence(fr=" (pas celui demandé)", en=" (not the one asked for)"), language)
        parts.append(f"{judged} {answer.protocol_hash[:12]}{other}")
    return " · ".join(parts) or "ok"


def command_line(view: CommandView) -> str:
    """Return a command as one line of JSON; times in ISO 8601 ending in Z."""
    answer = view.answer
    return json.dumps(
        {
            "id": view.id,
            "box": view.box,
            "kind": view.kind.value,
            "patient": view.subject or None,
            "about": view.about or None,
            "signed_by": list(view.signed_by),
            "protocol_hash": view.protocol_hash or None,
            "issued_at": _when(view.issued_at),
            "expires_at": _when(view.expires_at),
            "state": view.state.value,
            "changed_at": _when(view.changed_at),
            "answer": None
            if answer is None
            else {
                "state": answer.state.value,
                "reason": answer.reason or None,
                "said": [{"fr": one.fr, "en": one.en} for one in answer.said],
                "protocol_hash": answer.protocol_hash or None,
                "at": _when(answer.at),
                "result": json.loads(answer.result) if answer.result else None,
            },
        },
        ensure_ascii=False,
    )


def _about(view: CommandView) -> str:
    return f" {view.about[:17]}" if view.about else ""


def _when(ms: int) -> str:
    return iso(ms - ms % 1000)
