"""Why nothing came, in a few words, and who looks after it: for hatched stretches of charts and the list of devices.

The causes are the technical rules that boxes tell (docs/adr/0013); the words are the desk's, since a chart has room for
three. Not here: finding which holds (gap_causes).
"""

from types import MappingProxyType
from typing import Final

from alerting.alert import Sentence
from exchange.gaps import GapReason

PATIENT: Final = Sentence(fr="à voir avec le patient", en="to settle with the patient")
CARER: Final = Sentence(fr="à voir avec l'aidant", en="to settle with the carer")
INSTALLER: Final = Sentence(fr="à voir avec l'installateur", en="to settle with the installer")
TEAM: Final = Sentence(fr="à voir par l'équipe", en="for the team to settle")
NOBODY: Final = Sentence(fr="", en="")

CAUSES: Final = MappingProxyType(
    {
        "bluetooth_gone": (Sentence(fr="Bluetooth du boîtier arrêté", en="box's Bluetooth stopped"), INSTALLER),
        "adapter_dead": (Sentence(fr="adaptateur Bluetooth en panne", en="Bluetooth adapter dead"), INSTALLER),
        "buffer_full": (Sentence(fr="boîtier plein", en="box full"), INSTALLER),
        "relay_unreachable": (Sentence(fr="téléphone injoignable", en="telephone unreachable"), CARER),
        "relay_refused": (Sentence(fr="relais refusé", en="relay refused"), INSTALLER),
        "bond_lost": (Sentence(fr="appairage perdu", en="pairing lost"), INSTALLER),
        "consent_refused": (Sentence(fr="code utilisateur refusé", en="user code refused"), INSTALLER),
        "driver_refused": (Sentence(fr="modèle non reconnu", en="model not known"), INSTALLER),
        "sensor_expired": (Sentence(fr="capteur arrivé à sa fin", en="sensor expired"), PATIENT),
        "sensor_warming_up": (Sentence(fr="mise en route du capteur", en="sensor warming up"), PATIENT),
        "battery_low": (Sentence(fr="pile faible", en="battery low"), CARER),
        "out_of_reach": (Sentence(fr="hors de portée", en="out of reach"), CARER),
        "no_reading": (Sentence(fr="à portée, sans mesure", en="in reach, no reading"), CARER),
        "not_measured": (Sentence(fr="non mesuré", en="not measured"), PATIENT),
    }
)
"""Technical rule -> (words, who looks after it), the most telling first."""

BOX_SILENT: Final = (Sentence(fr="boîtier muet", en="box silent"), CARER)
BEFORE: Final = (Sentence(fr="avant le suivi", en="before follow-up"), NOBODY)
AFTER: Final = (Sentence(fr="suivi terminé", en="follow-up ended"), NOBODY)
NOT_MEASURED: Final = (Sentence(fr="non mesuré", en="not measured"), PATIENT)
UNKNOWN: Final = (Sentence(fr="cause inconnue", en="cause unknown"), TEAM)
DECLARED: Final = MappingProxyType(
    {
        GapReason.EVICTED: (Sentence(fr="perdu, boîtier plein", en="lost, box full"), INSTALLER),
        GapReason.REFUSED: (Sentence(fr="non gardé, boîtier plein", en="not kept, box full"), INSTALLER),
        GapReason.ALTERED: (Sentence(fr="abîmé sur le boîtier", en="damaged on the box"), INSTALLER),
        GapReason.WITHDRAWN: (Sentence(fr="clé du boîtier retirée", en="box's key withdrawn"), TEAM),
    }
)
"""Of what a box said will not come."""
