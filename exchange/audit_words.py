"""Acts in words, as a nurse, an installer or an auditor reads them: French and English."""

from types import MappingProxyType
from typing import Final

from alerting.alert import Sentence
from exchange.audit_chain import Act

_WORDS: Final = {
    Act.LOG_BEGUN: ("journal commencé", "log begun"),
    Act.LOG_CUT: ("journal coupé ou modifié", "log cut or changed"),
    Act.LOG_CUT_EXPLAINED: ("coupure du journal expliquée", "cut of the log explained"),
    Act.LOG_SHORTENED: ("actes trop anciens supprimés du journal", "acts that were too old deleted from the log"),
    Act.LOG_EXPORTED: ("journal exporté", "log exported"),
    Act.STARTED: ("démarré", "started"),
    Act.STOPPED: ("arrêté", "stopped"),
    Act.SETTINGS_CHANGED: ("réglages changés", "settings changed"),
    Act.PROTOCOL_APPLIED: ("protocole appliqué", "protocol applied"),
    Act.PROTOCOL_REFUSED: ("protocole refusé", "protocol refused"),
    Act.COMMAND_SIGNED: ("commande signée", "command signed"),
    Act.COMMAND_SENT: ("commande envoyée", "command sent"),
    Act.COMMAND_RECEIVED: ("commande reçue", "command received"),
    Act.COMMAND_ACCEPTED: ("commande acceptée", "command accepted"),
    Act.COMMAND_REFUSED: ("commande refusée", "command refused"),
    Act.COMMAND_DONE: ("commande exécutée", "command carried out"),
    Act.DEVICE_PAIRED: ("appareil appairé", "device paired"),
    Act.DEVICE_FORGOTTEN: ("appareil oublié", "device forgotten"),
    Act.ENROLMENT_OPENED: ("code d'enrôlement émis", "enrolment code issued"),
    Act.ENROLLED: ("boîtier enrôlé", "box enrolled"),
    Act.ENROLMENT_REFUSED: ("enrôlement refusé", "enrolment refused"),
    Act.CERTIFICATE_RENEWED: ("certificat renouvelé", "certificate renewed"),
    Act.REVOKED: ("boîtier révoqué", "box revoked"),
    Act.KEYS_ROTATED: ("clés renouvelées", "keys rotated"),
    Act.TEAM_LIST_SIGNED: ("liste de l'équipe signée", "team list signed"),
    Act.TEAM_LIST_ACCEPTED: ("liste de l'équipe acceptée", "team list accepted"),
    Act.TEAM_LIST_REFUSED: ("liste de l'équipe refusée", "team list refused"),
    Act.ERASED: ("données effacées", "data erased"),
    Act.READING_QUARANTINED: ("mesure mise à l'écart", "reading quarantined"),
    Act.DATABASE_QUARANTINED: ("base mise à l'écart", "database quarantined"),
    Act.DATABASE_SET_BACK: ("base remise à un état ancien", "database set back"),
    Act.READINGS_EVICTED: ("mesures retirées faute de place", "readings evicted for want of room"),
    Act.RECORDS_RESENT: ("relevés renvoyés", "records sent again"),
    Act.CLOCK_CORRECTED: ("horloge corrigée", "clock corrected"),
    Act.TOLD_LOCALLY: ("alerte dite sur place", "alert told on the spot"),
    Act.UPGRADED: ("version changée", "version changed"),
    Act.ALERT_ACKNOWLEDGED: ("alerte vue", "alert acknowledged"),
    Act.ALERT_DISPOSED: ("suite donnée à une alerte", "alert disposed of"),
    Act.BOX_ASSIGNED: ("boîtier attribué", "box assigned"),
    Act.BOX_TAKEN_BACK: ("boîtier repris", "box taken back"),
    Act.SIGNED_IN: ("connexion", "signed in"),
    Act.SIGN_IN_REFUSED: ("connexion refusée", "sign-in refused"),
    Act.IDENTITY_SHOWN: ("identité affichée", "identity shown"),
    Act.IDENTITY_CHANGED: ("identité modifiée", "identity changed"),
    Act.CONSENT_RECORDED: ("consentement enregistré", "consent recorded"),
    Act.CONSENT_WITHDRAWN: ("consentement retiré", "consent withdrawn"),
    Act.PATIENT_TAKEN_ON: ("suivi commencé", "follow-up begun"),
    Act.PATIENT_EXPORTED: ("données remises au patient", "data handed to the patient"),
    Act.FOLLOW_UP_ENDED: ("suivi terminé", "follow-up ended"),
    Act.RETENTION_SET: ("durées de conservation changées", "retention changed"),
    Act.ACCOUNT_OPENED: ("compte ouvert", "account opened"),
    Act.ACCOUNT_CHANGED: ("compte modifié", "account changed"),
    Act.ACCOUNT_CLOSED: ("compte fermé", "account closed"),
    Act.ROLE_CHANGED: ("rôle donné ou retiré", "role given or taken"),
    Act.TEAM_MADE: ("équipe créée", "team made"),
    Act.SELF_REPORT_PROPOSED: ("suivi par questionnaire proposé", "follow-up by questionnaire proposed"),
    Act.SELF_REPORT_BEGUN: ("suivi par questionnaire commencé", "follow-up by questionnaire begun"),
    Act.SELF_REPORT_ADAPTED: ("seuils d'un suivi par questionnaire changés", "thresholds of a questionnaire changed"),
    Act.SELF_REPORT_WITHDRAWN: ("seuils proposés d'un questionnaire retirés", "proposed thresholds withdrawn"),
    Act.SELF_REPORT_ENDED: ("suivi par questionnaire arrêté", "follow-up by questionnaire ended"),
    Act.QUESTIONNAIRE_SENT: ("lien de questionnaire remis", "link to a questionnaire given"),
    Act.QUESTIONNAIRE_ANSWERED: ("questionnaire rempli", "questionnaire answered"),
    Act.PROTOCOL_PROPOSED: ("protocole proposé à la signature", "protocol proposed for signing"),
    Act.PROTOCOL_ABANDONED: ("projet de protocole abandonné", "draft of a protocol abandoned"),
    Act.PACK_CHANGED: ("pack ou limites changés", "pack or limits changed"),
    Act.SIGNING_KEY_MADE: ("clé de signature faite", "signing key made"),
    Act.SIGNING_REFUSED: ("signature refusée", "signing refused"),
    Act.FHIR_READ: ("lecture par FHIR", "read over FHIR"),
    Act.FHIR_EXPORTED: ("export FHIR", "FHIR export"),
    Act.FHIR_CLIENT_CHANGED: ("accès FHIR d'un système changé", "a system's FHIR access changed"),
    Act.EVALUATION_EXPORTED: ("export d'évaluation", "evaluation export"),
}
ACT_WORDS: Final = MappingProxyType({act.value: Sentence(fr=fr, en=en) for act, (fr, en) in _WORDS.items()})
"""The value of an act -> its words; an act of a newer version has none."""


def in_words(act: str, lang: str) -> str:
    """Return an act in words, or its own name where it has none; `lang` is "fr" or "en"."""
    words = ACT_WORDS.get(act)
    if words is None:
        return act
    return words.fr if lang == "fr" else words.en
