"""Why an enrolment or a renewal did not come about, in words for whoever stands at the box, with the next step."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from agent.errors import AgentError
from alerting.alert import Sentence
from exchange.enrolment import Reason

_EXPIRED: Final = 10
_NOT_YET: Final = 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL."""

_NEW_CODE = Sentence(
    fr="Demander un nouveau code à l'équipe, puis recommencer.", en="Ask the team for a new code, then begin again."
)
_REASONS: Final[Mapping[Reason, tuple[Sentence, Sentence]]] = {
    Reason.CODE: (
        Sentence(fr="L'équipe ne connaît pas ce code.", en="The team does not know this code."),
        Sentence(
            fr="Le relire ; au bout de cinq erreurs il ne vaut plus.", en="Read it again; after five slips it is void."
        ),
    ),
    Reason.USED: (
        Sentence(
            fr="Ce code a déjà servi, à une autre machine peut-être.",
            en="This code was used already, perhaps by another machine.",
        ),
        Sentence(
            fr="Si ce n'est pas vous, le dire à l'équipe ; elle donne un nouveau code.",
            en="If it was not you, tell the team; they give a new code.",
        ),
    ),
    Reason.EXPIRED: (
        Sentence(fr="Ce code a plus de 24 heures.", en="This code is more than 24 hours old."),
        _NEW_CODE,
    ),
    Reason.TOO_MANY: (
        Sentence(fr="Trop d'essais : l'équipe n'écoute plus.", en="Too many tries: the team does not listen any more."),
        Sentence(
            fr="Attendre dix minutes et demander un nouveau code à l'équipe.",
            en="Wait ten minutes and ask the team for a new code.",
        ),
    ),
    Reason.REFUSED: (
        Sentence(fr="L'équipe a refusé ce boîtier.", en="The team refused this box."),
        Sentence(
            fr="Les six chiffres n'étaient pas les mêmes : lui téléphoner avant de recommencer.",
            en="The six digits were not the same: telephone them before beginning again.",
        ),
    ),
    Reason.NOBODY: (
        Sentence(fr="Personne n'a comparé les six chiffres à temps.", en="Nobody compared the six digits in time."),
        Sentence(
            fr="Appeler l'équipe, puis relancer avec le même code.",
            en="Call the team, then start again with the same code.",
        ),
    ),
    Reason.REVOKED: (
        Sentence(fr="Les clés de ce boîtier ont été révoquées.", en="This box's keys were revoked."),
        Sentence(
            fr="Si l'équipe le reprend : 'veilleur enrol --new-keys' avec un nouveau code (ce qui attend est perdu).",
            en="If the team takes it back: 'veilleur enrol --new-keys' with a new code (what waits is lost).",
        ),
    ),
    Reason.OTHER_BOX: (
        Sentence(
            fr="Les clés de ce boîtier sont celles d'un autre : sa carte a été copiée.",
            en="This box's keys are another box's: its card was copied.",
        ),
        Sentence(
            fr="Repartir d'une carte neuve, ou 'veilleur enrol --new-keys'.",
            en="Begin with a new card, or run 'veilleur enrol --new-keys'.",
        ),
    ),
    Reason.CERTIFICATE: (
        Sentence(
            fr="L'équipe ne reconnaît plus le certificat du boîtier.",
            en="The team no longer accepts the box's certificate.",
        ),
        _NEW_CODE,
    ),
    Reason.BUSY: (
        Sentence(fr="L'équipe ne peut pas l'enrôler maintenant.", en="The team cannot enrol it now."),
        Sentence(fr="Réessayer dans quelques minutes.", en="Try again in a few minutes."),
    ),
}
_GARBLED = (
    Sentence(
        fr="La conversation avec l'équipe n'est pas celle attendue.",
        en="The conversation with the team is not as it must be.",
    ),
    Sentence(
        fr="Vérifier que les deux côtés ont la même version, puis demander un nouveau code.",
        en="Check that both sides have the same version, then ask for a new code.",
    ),
)


class EnrolmentFailedError(AgentError):
    """The box is not enrolled, or its certificate not renewed."""


def refused(reason: Reason) -> EnrolmentFailedError:
    """Return what a refusal means for whoever stands at the box."""
    why, hint = _REASONS.get(reason, _GARBLED)
    return EnrolmentFailedError(why, hint)


def unreachable(host: str, port: int, error: OSError) -> EnrolmentFailedError:
    """Return why the team was not reached, or not believed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in {_EXPIRED, _NOT_YET}:
            today = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            return EnrolmentFailedError(
                Sentence(
                    fr=f"Le certificat de l'équipe ne vaut pas à la date du boîtier ({today}).",
                    en=f"The team's certificate does not hold at the box's date ({today}).",
                ),
                Sentence(
                    fr="Date fausse : brancher le réseau et attendre qu'elle se règle ; date juste : appeler l'équipe.",
                    en="If it is wrong, connect the network and wait for it to be set; if it is right, call the team.",
                ),
            )
        return EnrolmentFailedError(
            Sentence(
                fr=f"{host}:{port} n'est pas l'équipe de ce code ({error.verify_message}).",
                en=f"{host}:{port} is not the team of this code ({error.verify_message}).",
            ),
            Sentence(
                fr="Ne pas insister : appeler l'équipe par un numéro connu.",
                en="Do not insist: call the team on a number that you know.",
            ),
        )
    reason = error.strerror or str(error) or "délai dépassé / timed out"
    return EnrolmentFailedError(
        Sentence(fr=f"{host}:{port} ne répond pas ({reason}).", en=f"{host}:{port} does not answer ({reason})."),
        Sentence(
            fr="Vérifier le réseau, et que l'équipe attend le boîtier ('veilleur-desk enrol').",
            en="Check the network, and that the team waits for the box ('veilleur-desk enrol').",
        ),
    )


def nobody_here() -> EnrolmentFailedError:
    """Return why nobody can compare the digits."""
    return EnrolmentFailedError(
        Sentence(
            fr="Personne n'est là pour comparer les six chiffres.", en="Nobody is here to compare the six digits."
        ),
        Sentence(
            fr="Lancer la commande dans un terminal, ou avec --unattended si l'infirmière seule compare.",
            en="Run the command in a terminal, or with --unattended if the nurse alone compares.",
        ),
    )


def impostor(host: str, port: int) -> EnrolmentFailedError:
    """Return what it means that somebody else answers."""
    return EnrolmentFailedError(
        Sentence(
            fr=f"Ce qui répond à {host}:{port} n'est pas l'équipe de ce code : son empreinte est autre.",
            en=f"What answers at {host}:{port} is not the team of this code: its fingerprint is another.",
        ),
        Sentence(
            fr="Ne pas insister : appeler l'équipe par un numéro connu.",
            en="Do not insist: call the team on a number that you know.",
        ),
    )
