"""What the box may say about what watches the patient: each fact, who acts on it, and when it is over.

Each sentence tells that person what to do. Whether a fact holds is not here (technical, silence).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from alerting.alert import Priority, Sentence

QUIET_MS = 129_600_000
"""A fact not noticed for a day and a half has ended: a device used once a day shows its faults once a day."""
LONGEST_WARM_UP_MS = 86_400_000
"""A sensor that is still said to warm up after a day is somewhere else; implanted ones take that long."""
BATTERY_MS = 604_800_000
"""A low battery not mentioned for a week was changed, where visits do not show it: over one link that lasts."""

TEAM_LIST_MS = 10_800_000
"""Three hours: an expired list is noticed every hour, and is renewed where it is noticed no longer."""

CLOCK_MS = 1_800_000
"""Half an hour: noticed every few minutes while it lasts."""
PROTOCOL_MS = 2_592_000_000
"""A month: a refused protocol is told until one is applied, or as good as given up."""
AGAIN_MS = 43_200_000
"""Half a day: a weight that leaves its range again the next morning is news, one weighed again an hour later is not."""


class Owner(StrEnum):
    """Who can put it right."""

    PATIENT = "patient"
    CARER = "carer"
    """Whoever is at the patient's home or in the residence: family, a nurse on her round."""
    INSTALLER = "installer"
    TEAM = "team"


OWNERS: Mapping[Owner, Sentence] = {
    Owner.PATIENT: Sentence(fr="le patient", en="the patient"),
    Owner.CARER: Sentence(fr="l'entourage", en="a carer"),
    Owner.INSTALLER: Sentence(fr="l'installateur", en="the installer"),
    Owner.TEAM: Sentence(fr="l'équipe", en="the team"),
}
"""How each is called."""


class Ends(Enum):
    """What ends a fact."""

    READ = "read"
    """Any reading of the device."""
    MEASURED = "measured"
    """A usable reading measured since the fact was noticed: what a device had stored before proves nothing."""
    VISIT = "visit"
    """A reading in a later visit than the one in which it was noticed last: readings come in that one all the same."""
    CONTACT = "contact"
    """Any reading or other answer."""
    RECOVERY = "recovery"
    """It is told to be over, or any device is reached over the radio."""
    ROOM = "room"
    """There is room for readings again."""
    RENEWED = "renewed"
    """The box's certificate was renewed."""
    QUIET = "quiet"
    """Not noticed for a while."""
    SILENCE = "silence"
    """The device's silence is over, or has another cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalRule:
    """One technical condition.

    Attributes:
        priority: how soon somebody must look.
        owner: who acts.
        fr: what happened and what to do; may hold {The}, {of_the} (the device's name) and {since}.
        en: the same.
        ends: what ends it.
        of_box: one alert for the whole box, whichever device met it.
        of_patient: it is about how a patient is judged, and names no device.
        when_silent: told only once a device has been silent for long: it comes and goes in everyday life.
        longest_ms: a fact not noticed for so long has ended, whatever else would end it; None: as `ends` says.
        tells_tries: the alert ends with what the box tried.
        again_ms: noticed so long after it was told, it is told anew, as a new alert; None: once, while it stands.
    """

    priority: Priority
    owner: Owner
    fr: str
    en: str
    ends: Ends = Ends.QUIET
    of_box: bool = False
    of_patient: bool = False
    when_silent: bool = False
    longest_ms: int | None = None
    tells_tries: bool = False
    again_ms: int | None = None

    @property
    def lasts_ms(self) -> int | None:
        """How long a fact holds that is not noticed again; None: until something ends it."""
        return QUIET_MS if self.longest_ms is None and self.ends is Ends.QUIET else self.longest_ms


RULES: Mapping[str, TechnicalRule] = {
    "bluetooth_gone": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.INSTALLER,
        fr="Le service Bluetooth du boîtier ne répond plus, aucun appareil n'est lu : redémarrer le boîtier.",
        en="The Bluetooth service of the box no longer answers, no device is read: restart the box.",
        ends=Ends.RECOVERY,
        of_box=True,
        tells_tries=True,
    ),
    "adapter_dead": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.INSTALLER,
        fr="L'adaptateur Bluetooth du boîtier ne répond plus, aucun appareil n'est lu : "
        "débrancher et rebrancher le boîtier, sinon changer l'adaptateur.",
        en="The Bluetooth adapter of the box no longer answers, no device is read: "
        "unplug the box and plug it in again, or else replace the adapter.",
        ends=Ends.RECOVERY,
        of_box=True,
        tells_tries=True,
    ),
    "relay_unreachable": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.CARER,
        fr="{The} ne répond pas, sans mesure depuis {since} : vérifier que le téléphone est allumé, à la "
        "maison et sur le Wi-Fi, son application ouverte.",
        en="{The} does not answer, without a reading since {since}: check that the telephone is on, at home "
        "and on the Wi-Fi, its application open.",
        ends=Ends.CONTACT,
        when_silent=True,
    ),
    "relay_refused": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.INSTALLER,
        fr="{The} refuse le boîtier : vérifier son adresse et son secret dans les réglages.",
        en="{The} refuses the box: check its address and its secret in the settings.",
        ends=Ends.CONTACT,
    ),
    "bond_lost": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.INSTALLER,
        fr="{The} ne reconnaît plus le boîtier : refaire l'appairage.",
        en="{The} no longer knows the box: pair it again.",
        ends=Ends.READ,
    ),
    "consent_refused": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.INSTALLER,
        fr="{The} refuse le code d'un de ses utilisateurs : le vérifier sur l'appareil et le corriger "
        "dans les réglages.",
        en="{The} refuses the code of one of its users: check it on the device and correct it in the settings.",
        ends=Ends.VISIT,
    ),
    "driver_refused": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.INSTALLER,
        fr="{The} n'offre pas ce que le boîtier attend : vérifier le modèle.",
        en="{The} does not offer what the box needs: check its model.",
        ends=Ends.READ,
    ),
    "sensor_expired": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.PATIENT,
        fr="{The} est à la fin de sa vie : poser un nouveau capteur.",
        en="{The} has expired: apply a new one.",
        ends=Ends.MEASURED,
    ),
    "sensor_warming_up": TechnicalRule(
        priority=Priority.LOW,
        owner=Owner.PATIENT,
        fr="{The} se met en route et ne mesure pas encore : garder le capteur en place et attendre.",
        en="{The} is warming up and does not measure yet: keep it on and wait.",
        ends=Ends.MEASURED,
        when_silent=True,
        longest_ms=LONGEST_WARM_UP_MS,
    ),
    "battery_low": TechnicalRule(
        priority=Priority.LOW,
        owner=Owner.CARER,
        fr="La pile {of_the} est faible : la changer.",
        en="The battery {of_the} is low: change it.",
        ends=Ends.VISIT,
        longest_ms=BATTERY_MS,
    ),
    "out_of_reach": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.CARER,
        fr="{The} ne se fait plus entendre, sans mesure depuis {since} : vérifier que l'appareil est porté et en "
        "marche, et le rapprocher du boîtier.",
        en="{The} is out of reach, without a reading since {since}: check that it is worn and on, and bring "
        "it near the box.",
        ends=Ends.SILENCE,
    ),
    "no_reading": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.CARER,
        fr="{The} est à portée mais ne donne aucune mesure utilisable depuis {since} : vérifier que l'appareil est "
        "bien posé, sinon prévenir l'installateur.",
        en="{The} is within reach but has given no usable reading since {since}: check that it sits well, or else "
        "tell the installer.",
        ends=Ends.SILENCE,
    ),
    "not_measured": TechnicalRule(
        priority=Priority.LOW,
        owner=Owner.PATIENT,
        fr="Aucune mesure {of_the} depuis {since}, sans défaut connu : prendre une mesure.",
        en="No reading {of_the} since {since}, no fault known: take one.",
        ends=Ends.SILENCE,
    ),
    "buffer_full": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.INSTALLER,
        fr="Le boîtier n'a plus de place et ne garde plus de nouvelles mesures (les alertes partent encore) : "
        "rétablir sa liaison avec l'équipe, sinon libérer de la place sur son disque.",
        en="The box has no room left and keeps no new readings (alerts still leave): "
        "restore its connection with the team, or else free some space on its disk.",
        ends=Ends.ROOM,
        of_box=True,
    ),
    "frame_rejected": TechnicalRule(
        priority=Priority.LOW,
        owner=Owner.INSTALLER,
        fr="{The} a envoyé un message illisible, écarté : si cela dure, remplacer l'appareil.",
        en="{The} sent a message that cannot be read, set aside: replace it if this goes on.",
    ),
    "value_implausible": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.PATIENT,
        fr="{The} a donné une valeur impossible, gardée mais non jugée : refaire la mesure.",
        en="{The} gave an impossible value, kept but not judged: measure again.",
    ),
    "clock_wrong": TechnicalRule(
        priority=Priority.LOW,
        owner=Owner.INSTALLER,
        fr="L'horloge {of_the} est fausse et n'a pas pu être réglée : la régler à la main.",
        en="The clock {of_the} is wrong and could not be set: set it by hand.",
    ),
    "clock_unknown": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.INSTALLER,
        fr="L'heure du boîtier n'est pas sûre : vérifier qu'il reçoit l'heure du réseau (NTP, port UDP 123) ; si elle "
        "est juste et que la liaison reste refusée, faire renouveler les certificats.",
        en="The time of the box is not certain: check that it gets the time from the network (NTP, UDP port 123); if "
        "it is right and the link is still refused, have the certificates renewed.",
        of_box=True,
        longest_ms=CLOCK_MS,
    ),
    "history_failed": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.CARER,
        fr="{The} ne rend pas ses mesures gardées : rapprocher l'appareil du boîtier, vérifier sa pile.",
        en="{The} does not hand over its stored readings: bring it near the box, check its battery.",
    ),
    "weight_out_of_range": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.TEAM,
        fr="Un poids donné par {the} est hors des limites de tous ceux qui l'utilisent, il n'est pas jugé : vérifier "
        "sans attendre si ce patient a pris ou perdu du poids, et dans ce cas faire élargir ses limites.",
        en="A weight given by {the} is outside the limits of everybody who uses it, it is not judged: check without "
        "delay whether this patient gained or lost weight, and if so have their limits widened.",
        again_ms=AGAIN_MS,
    ),
    "to_be_attributed": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.TEAM,
        fr="Une mesure {of_the} n'a pu être attribuée à personne, elle n'est pas jugée : dire de qui elle est.",
        en="A reading {of_the} could not be attributed to anybody, it is not judged: say whose it is.",
    ),
    "notifier_failed": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.INSTALLER,
        fr="Le boîtier devait prévenir le patient ou un aidant sur place et n'a pas pu : les appeler, puis faire "
        "réparer le son ou le programme du boîtier (veilleur doctor).",
        en="The box was to tell the patient or a carer in the home and could not: call them, then have the sound or "
        "the program of the box repaired (veilleur doctor).",
        of_box=True,
    ),
    "certificate_ending": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.TEAM,
        fr="Le certificat du boîtier finit bientôt et n'a pas pu être renouvelé ; ensuite plus rien ne part, il garde "
        "tout : ouvrir le guichet (veilleur-desk enrol --serve) ; s'il l'est, enrôler le boîtier à nouveau.",
        en="The certificate of the box ends soon and could not be renewed; after that nothing leaves it any more, it "
        "keeps all: open the office (veilleur-desk enrol --serve); if it is open, enrol the box again.",
        ends=Ends.RENEWED,
        of_box=True,
    ),
    "certificate_late": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.TEAM,
        fr="Le boîtier tente depuis des jours de renouveler son certificat, en vain : vérifier que le guichet est "
        "ouvert (veilleur-desk enrol --serve) et que le réseau du domicile laisse passer son port.",
        en="The box has tried in vain for days to renew its certificate: check that the office is open "
        "(veilleur-desk enrol --serve) and that the network of the home lets its port through.",
        ends=Ends.RENEWED,
        of_box=True,
    ),
    "team_list_refused": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.TEAM,
        fr="Le boîtier a refusé une liste des clés de l'équipe qui n'est pas à prendre (ancienne, expirée ou d'une "
        "autre racine), il garde la sienne : vérifier qui l'a envoyée, et envoyer la dernière.",
        en="The box refused a list of the team's keys that must not be taken in (old, expired or of another root), it "
        "keeps its own: check who sent it, and send the newest.",
        of_box=True,
    ),
    "team_list_expired": TechnicalRule(
        priority=Priority.MEDIUM,
        owner=Owner.TEAM,
        fr="La liste des clés de l'équipe que tient le boîtier a expiré ; les mesures partent comme avant : "
        "renouveler les clés (veilleur-desk keys rotate) et lui envoyer la liste.",
        en="The list of the team's keys that the box holds has expired; readings are sent as before: renew the keys "
        "(veilleur-desk keys rotate) and send it the list.",
        of_box=True,
        longest_ms=TEAM_LIST_MS,
    ),
    "database_quarantined": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.TEAM,
        fr="La base du boîtier était abîmée : elle est mise de côté, une neuve commence. Ce qui n'était pas reçu "
        "par l'équipe manque peut-être : vérifier les dernières mesures de ses patients, faire changer la carte.",
        en="The database of the box was damaged: it is set aside and a new one begins. What the team had not received "
        "yet may be missing: check the latest readings of its patients, have the card replaced.",
        of_box=True,
    ),
    "database_set_back": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.TEAM,
        fr="La base du boîtier a été remise à un état ancien : des mesures ou des alertes entre les deux manquent "
        "peut-être, une alerte d'alors peut rester ouverte ; vérifier, et demander qui l'a remise.",
        en="The database of the box was set back to an earlier state: readings or alerts of the time between may be "
        "missing, an alert of then may stay open; check, and ask who put it back.",
        of_box=True,
    ),
    "rows_altered": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.INSTALLER,
        fr="Des données du boîtier ont été altérées et sont écartées, le reste continue : changer la carte ; "
        "si elle est bonne, quelqu'un a touché à la base.",
        en="Data kept by the box were altered and are left out, all else goes on: replace the card; if it is sound, "
        "somebody has touched the database.",
        of_box=True,
    ),
    "judging_quarantined": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.TEAM,
        fr="Une mesure {of_the} n'a pas pu être jugée ; elle est transmise : la regarder.",
        en="A reading {of_the} could not be judged; it is sent on: look at it.",
    ),
    "protocol_refused": TechnicalRule(
        priority=Priority.HIGH,
        owner=Owner.TEAM,
        fr="Le boîtier a refusé le protocole envoyé pour ce patient et continue avec le précédent : lire pourquoi avec "
        "« veilleur-desk commands », corriger et renvoyer.",
        en="The box refused the protocol sent for this patient and goes on with the one before: read why with "
        "'veilleur-desk commands', correct it and send it again.",
        longest_ms=PROTOCOL_MS,
        of_patient=True,
    ),
    "not_judged": TechnicalRule(
        priority=Priority.LOW,
        owner=Owner.TEAM,
        fr="Des mesures {of_the} sont arrivées trop tard pour être jugées ; elles sont transmises : les regarder.",
        en="Readings {of_the} came too late to be judged; they are sent on: look at them.",
    ),
}
"""The most telling cause of a silence first (`silence.Cause`), then what else may go wrong."""
