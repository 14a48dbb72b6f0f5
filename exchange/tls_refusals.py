"""What a TLS refusal means to whoever must put it right: one sentence in each language with the next step.

OpenSSL says why in words for programmers, and the other side's reason only as the name of an alert (RFC 8446, 6.2).
What is not known here is told as it came.
"""

from alerting.alert import Sentence

_MEANINGS: tuple[tuple[tuple[str, ...], Sentence], ...] = (
    (
        ("certificate has expired",),
        Sentence(
            fr="le certificat du serveur a expiré, ou l'horloge d'ici avance : le faire renouveler, vérifier l'heure",
            en="the broker's certificate has expired, or the clock here is ahead: have it renewed, check the time",
        ),
    ),
    (
        ("certificate is not yet valid",),
        Sentence(
            fr="le certificat du serveur n'est pas encore valable, ou l'horloge d'ici retarde : vérifier l'heure",
            en="the broker's certificate is not valid yet, or the clock here is behind: check the time",
        ),
    ),
    (
        ("Hostname mismatch", "IP address mismatch"),
        Sentence(
            fr="ce serveur n'est pas celui que nomment les réglages : corriger broker.host, ou prévenir l'équipe",
            en="this is not the broker that the settings name: correct broker.host, or tell the team",
        ),
    ),
    (
        ("unable to get local issuer certificate", "self-signed certificate", "certificate signature failure"),
        Sentence(
            fr="ce serveur n'a pas de certificat de l'autorité de l'équipe : vérifier broker.ca, ou prévenir l'équipe",
            en="this broker has no certificate of the team's authority: check broker.ca, or tell the team",
        ),
    ),
    (
        ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"),
        Sentence(
            fr="l'autre côté ne parle que des versions périmées de TLS : le faire mettre à jour (1.2 au moins)",
            en="the other side speaks outdated versions of TLS only: have it updated (1.2 at least)",
        ),
    ),
    (
        ("ALERT_UNKNOWN_CA",),
        Sentence(
            fr="le serveur ne connaît pas l'autorité de notre certificat : le faire refaire par l'équipe",
            en="the broker does not know the authority of our certificate: have the team issue another",
        ),
    ),
    (
        ("ALERT_CERTIFICATE_EXPIRED",),
        Sentence(
            fr="notre certificat a expiré : le faire renouveler par l'équipe",
            en="our certificate has expired: have the team renew it",
        ),
    ),
    (
        ("ALERT_CERTIFICATE_REVOKED",),
        Sentence(
            fr="notre certificat a été révoqué par l'équipe : la prévenir",
            en="the team has revoked our certificate: tell them",
        ),
    ),
    (
        ("ALERT_BAD_CERTIFICATE",),
        Sentence(
            fr="le serveur refuse notre certificat (pas encore valable, ou abîmé) : vérifier l'heure et le fichier",
            en="the broker refuses our certificate (not valid yet, or damaged): check the time and the file",
        ),
    ),
    (
        ("CERTIFICATE_REQUIRED",),
        Sentence(
            fr="le serveur n'a pas reçu de certificat de notre part : vérifier broker.certificate",
            en="the broker got no certificate from us: check broker.certificate",
        ),
    ),
    (
        ("TLS files cannot be used",),
        Sentence(
            fr="un fichier de [broker] est absent, illisible, ou n'est pas celui de la même clé : le remettre",
            en="a file of [broker] is missing, cannot be read, or belongs to another key: put it right",
        ),
    ),
)


def meaning(cause: str) -> Sentence | None:
    """Return what a broken or refused link's cause means, or None when it is not one of TLS's."""
    for words, sentence in _MEANINGS:
        if any(word in cause for word in words):
            return sentence
    return None


def told(cause: str) -> str:
    """Return the cause with its meaning in both languages, where there is one."""
    sentence = meaning(cause)
    return cause if sentence is None else f"{cause} · {sentence.fr} / {sentence.en}"
