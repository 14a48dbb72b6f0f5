"""What real devices do besides what their service's specification says: data, in one place, each with its report.

A quirk is found by the name that a device advertises, or by the model that it names itself when connected. Nothing
here was seen by us on a device unless `reported` says so: it is what others reported, where `reported` says.
"""

from dataclasses import dataclass

from devices.driver import ClockSetting
from devices.radio import Advertisement


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What an installer or a nurse reads."""

    fr: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """What is known of one model or family.

    Attributes:
        model: as on its label, such as "A&D UA-651BLE".
        names: beginnings of the name that it advertises or of the model that it names itself.
        drivers: names of the drivers that read it; empty when none does.
        clock: how its clock is set when otherwise than its driver says; None: as the driver says.
        clock_first: whether its clock is set before its records are read, because it hangs up after the last one.
        refused: why it is not read although it offers a standard service; None: it is read.
        note: what whoever installs it should know.
        reported: where each of these was reported.
    """

    model: str
    names: tuple[str, ...]
    drivers: tuple[str, ...]
    clock: ClockSetting | None = None
    clock_first: bool = False
    refused: Words | None = None
    note: Words
    reported: tuple[str, ...]


QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        model="A&D UA-651BLE",
        names=("A&D_UA-651BLE", "UA-651BLE"),
        drivers=("blood_pressure",),
        clock=ClockSetting.DATE_TIME,
        note=Words(
            fr="N'envoie que ce qui ne l'a pas été, puis se déconnecte ; ne parle qu'au dernier appareil appairé.",
            en="Sends only what it has not sent yet, then disconnects; talks only to the last paired peer.",
        ),
        reported=(
            "A&D Medical, UA-651BLE communication specification",
            "andengineering/AndroidSampleCode#1: turned itself off with E10 as its services were discovered",
            "derdilla/blood-pressure-monitor-fl#724: may need its maker's application for the first pairing",
        ),
    ),
    Quirk(
        model="A&D UT-201BLE",
        names=("A&D_UT201BLE", "UT201BLE", "UT-201BLE"),
        drivers=("thermometer",),
        clock=ClockSetting.DATE_TIME,
        note=Words(
            fr="N'envoie que ce qui ne l'a pas été, puis se déconnecte ; à appairer une fois en mode appairage.",
            en="Sends only what it has not sent yet, then disconnects; to be paired once in its pairing mode.",
        ),
        reported=("obniz/obniz, parts/UT201BLE: pairing mode, unsent data only, disconnects after sending",),
    ),
    Quirk(
        model="Omron HEM-9200T",
        names=("BLEsmart_0000011", "BLESmart_0000011"),
        drivers=("blood_pressure",),
        note=Words(
            fr="Affiche un code à six chiffres à l'appairage ; envoie ce qui ne l'a pas été, puis se déconnecte.",
            en="Shows a code of six digits when paired; sends what it has not sent yet, then disconnects.",
        ),
        reported=(
            "obniz/obniz, parts/HEM_9200T: passkey, current time and pressures listened to until it disconnects",
            "weliem/blessed-android, BluetoothHandler: takes a new time only at first, and when it is 10 min off",
        ),
    ),
    Quirk(
        model="Omron X4 Smart",
        names=("X4 Smart",),
        drivers=("blood_pressure",),
        note=Words(
            fr="Transmet la mesure qui vient d'être prise ; ne jamais lancer son transfert de mémoire, qui l'efface.",
            en="Sends the measurement just taken; never start its transfer of the memory, which deletes it.",
        ),
        reported=(
            "derdilla/blood-pressure-monitor-fl, docs/bluetooth.md: deletes after transfer",
            "userx14/omblepy#54: the X4 Smart is the HEM-7155T-ESL, whose memory is read by its maker's protocol",
        ),
    ),
    Quirk(
        model="Omron HEM, others",
        names=("BLEsmart_", "BLESmart_", "HEM-"),
        drivers=("blood_pressure",),
        note=Words(
            fr="Beaucoup ne parlent que le protocole d'Omron : essayer d'abord. La pile changée, l'heure est fausse.",
            en="Many speak Omron's own protocol only: try before buying. After a change of battery the clock is wrong.",
        ),
        reported=(
            "eigger/hass-omron#11: advertises the standard service, keeps its records behind its maker's key",
            "eigger/hass-omron#190: the clock stays wrong after it was set",
            "derdilla/blood-pressure-monitor-fl#659: the BP5150 speaks the standard service",
        ),
    ),
    Quirk(
        model="Masimo MightySat",
        names=("MightySat",),
        drivers=("pulse_oximeter",),
        note=Words(
            fr="Donne une mesure quand le doigt est retiré ; les valeurs continues passent par le protocole de Masimo.",
            en="Gives one measurement when the finger leaves; continuous values are in Masimo's own protocol.",
        ),
        reported=("weliem/blessed-android#81: spot-check at disconnection, no standard continuous measurement",),
    ),
    Quirk(
        model="Nonin 3230",
        names=("Nonin3230",),
        drivers=("pulse_oximeter",),
        note=Words(
            fr="Doigt immobile quelques secondes ; un modèle qui n'annonce que le service de Nonin n'est pas lu.",
            en="The finger still for some seconds; one that advertises Nonin's own service only is not read.",
        ),
        reported=(
            "weliem/blessed-android, README: works with the standard service",
            "Nonin, Model 3230 instructions for use: spot-checking, about 4 seconds before relying on a value",
        ),
    ),
    Quirk(
        model="Polar H9, H10",
        names=("Polar H9", "Polar H10"),
        drivers=("heart_rate",),
        note=Words(
            fr="N'émet que portée, électrodes humides ; détacher le boîtier après usage, sinon la pile s'épuise.",
            en="Sends only while worn with moist electrodes; detach the connector after use, or its battery runs down.",
        ),
        reported=(
            "Polar, H10 user manual: moisten the electrodes, detach after every use",
            "polarofficial/polar-ble-sdk#169 and #227: one notification a second, with none to several RR intervals",
        ),
    ),
    Quirk(
        model="Contour Next One, Plus One",
        names=("Contour",),
        drivers=("glucose_meter",),
        clock=ClockSetting.NONE,
        note=Words(
            fr="Régler l'heure sur le lecteur, la box ne le peut pas. Le Plus One est parfois à réappairer.",
            en="Set the time on the meter, the box cannot. The Plus One needs to be paired again at times.",
        ),
        reported=(
            "weliem/blessed-android, BluetoothHandler: bonds first, clock 00001026-0002-11E2-9E96-0800200C9A66",
            "NightscoutFoundation/xDrip#1076: the Plus One is read only right after pairing",
            "NightscoutFoundation/xDrip#762: sends its whole history each time",
        ),
    ),
    Quirk(
        model="Accu-Chek Guide, Instant",
        names=("meter+",),
        drivers=("glucose_meter",),
        note=Words(
            fr="Menu du lecteur : Réglages, Sans fil, Appairage ; saisir le code qu'il affiche.",
            en="Menu of the meter: Settings, Wireless, Pairing; type in the code that it shows.",
        ),
        reported=(
            "NightscoutFoundation/xDrip#208: standard, paired by the code on its screen",
            "weliem/blessed-android#35: advertises as meter+ and its serial number",
        ),
    ),
    Quirk(
        model="Accu-Chek SmartGuide",
        names=(),
        drivers=(),
        refused=Words(
            fr="annonce le service CGM standard derrière une autorisation propre à son fabricant",
            en="advertises the standard CGM service behind its maker's own authorisation",
        ),
        note=Words(
            fr="À lire par le téléphone et un relais ; son nom est caché derrière une adresse qui change.",
            en="Read it by the phone and a relay; its name is hidden behind an address that changes.",
        ),
        reported=(
            "loopandlearn/AccuChekKit: keys are exchanged with the sensor before it is read",
            "j-kaltes/Juggluco#372: no values before its maker's application was used",
        ),
    ),
    Quirk(
        model="AiDEX X, LinX",
        names=("AiDEX", "AiDex", "AIDEX", "LinX", "Linx", "LINX"),
        drivers=(),
        refused=Words(
            fr="annonce le service CGM standard mais parle un protocole chiffré propre à son fabricant",
            en="advertises the standard CGM service but speaks its maker's own encrypted protocol",
        ),
        note=Words(
            fr="À lire par le téléphone et un relais.",
            en="Read it by the phone and a relay.",
        ),
        reported=(
            "ctqvva/JugglucoNG, drivers/aidex: service 181F, keys exchanged and values encrypted above it",
            "NightscoutFoundation/xDrip#3533: read through its maker's application only",
        ),
    ),
    Quirk(
        model="Medtronic MiniMed 770G, 780G and Guardian sensors",
        names=("Pump ", "CGM GT"),
        drivers=(),
        refused=Words(
            fr="offre des services standard dont les valeurs sont chiffrées par le protocole de Medtronic",
            en="offers standard services whose values are encrypted by Medtronic's own protocol",
        ),
        note=Words(
            fr="À lire par l'application du fabricant et un relais.",
            en="Read it by its maker's application and a relay.",
        ),
        reported=(
            "palmarci/OpenGuardian, docs/bluetooth.md: standard services, values encrypted by SAKE; its names",
            "nightscout/cgm-remote-monitor#6568: encrypted frames on the standard record access control point",
        ),
    ),
    Quirk(
        model="A&D UC-352BLE",
        names=("A&D_UC-352BLE", "UC-352BLE"),
        drivers=("weight_scale",),
        clock=ClockSetting.DATE_TIME,
        note=Words(
            fr="S'appaire bouton arrière enfoncé à l'allumage ; résultat complet à la déconnexion seulement. Les"
            " anciens exemplaires n'ont qu'un service propre à A&D et ne sont pas lus.",
            en="Pairs when switched on with its back button held; a result is complete only when it has disconnected."
            " Older units have a service of A&D's own only and are not read.",
        ),
        reported=(
            "obniz SDK, part UC352BLE (name, pairing, 0x181D, the result at disconnection)",
            "A&D Medical, sample application for Android (the other service, 23434100-1FE4-1EFF-80CB-00FF78297D8B)",
        ),
    ),
    Quirk(
        model="Beurer BF105, BF500, BF720, BF788, BF950",
        names=("BF105", "BF500", "BF720", "BF788", "BF950"),
        drivers=("body_composition",),
        clock_first=True,
        note=Words(
            fr="Ne donne les pesées d'un utilisateur que contre son code, lu sur la balance ou dans l'application ; un"
            " code faux est refusé, un bon code reste parfois sans réponse. N'annonce souvent que le service Poids.",
            en="Gives a user's weighings only for that user's code, shown by the scale or its app; a wrong code is"
            " refused, a right one may stay unanswered. Often advertises the Weight Scale service only.",
        ),
        reported=(
            "oliexdev/openScale #635 (BF105: each weighing comes twice)",
            "oliexdev/openScale #502 and #1160 (BF950)",
            "KristianP26/ble-scale-sync #168 (BF720: what it advertises; the clock is set first)",
            "KristianP26/ble-scale-sync #83 (BF500, BF788: consent)",
            "KristianP26/ble-scale-sync #335 (a wrong code answers 20 02 05)",
        ),
    ),
    Quirk(
        model="Xiaomi Mi Scale, Mi Body Composition Scale",
        names=("MIBCS", "MIBFS", "MI_SCALE"),
        drivers=("xiaomi_scale",),
        note=Words(
            fr="Rien à appairer : les voisins l'entendent aussi. Sa date n'est juste qu'une fois réglée par"
            " l'application.",
            en="Nothing to pair: neighbours hear it too. Its date is right only once the maker's app has set it.",
        ),
        reported=(
            "custom-components/ble_monitor #292, #617 and #1094",
            "1technophile/OpenMQTTGateway #1166 (the result is repeated after the person has left)",
            "home-assistant/core #104300 (a result of a few kilograms follows the real one)",
        ),
    ),
    Quirk(
        model="Xiaomi S200, S400, S800",
        names=("Xiaomi Scale S200", "Xiaomi Scale S400", "Mijia Scale S800"),
        drivers=(),
        refused=Words(
            fr="chiffre ses annonces avec une clé gardée dans le compte Xiaomi de son propriétaire",
            en="encrypts its advertisements with a key that is kept in its owner's Xiaomi account",
        ),
        note=Words(
            fr="Prendre une Mi Body Composition Scale 2 ou une balance au service Bluetooth standard.",
            en="Take a Mi Body Composition Scale 2, or a scale with the standard Bluetooth service.",
        ),
        reported=(
            "oliexdev/openScale #1188 (S400) and pull request #1520 (S200)",
            "KristianP26/ble-scale-sync #232 and Bluetooth-Devices/xiaomi-ble #240 (S800)",
        ),
    ),
    Quirk(
        model="Renpho ES-WBE28",
        names=("Renpho-Scale", "RenphoScale"),
        drivers=(),
        refused=Words(
            fr="annonce les services standard mais reste muette sans les commandes propres à son fabricant",
            en="advertises the standard services but stays silent without commands of its maker's own",
        ),
        note=Words(
            fr="Prendre une balance au service Bluetooth standard.",
            en="Take a scale with the standard Bluetooth service.",
        ),
        reported=("KristianP26/ble-scale-sync pull request #267", "oliexdev/openScale pull request #1108"),
    ),
    Quirk(
        model="Renpho and others as QN-Scale",
        names=("QN-Scale",),
        drivers=(),
        refused=Words(
            fr="parle un protocole propre à son fabricant",
            en="speaks a protocol of its maker's own",
        ),
        note=Words(
            fr="Prendre une balance au service Bluetooth standard.",
            en="Take a scale with the standard Bluetooth service.",
        ),
        reported=("oliexdev/openScale #291", "custom-components/ble_monitor #803"),
    ),
)


def quirk_named(name: str | None) -> Quirk | None:
    """Return what is known of a device by its advertised name or its model; the longest beginning counts."""
    if not name:
        return None
    found = [(len(start), quirk) for quirk in QUIRKS for start in quirk.names if name.startswith(start)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def quirk_of(advertisement: Advertisement) -> Quirk | None:
    """Return what is known of an advertised device."""
    return quirk_named(advertisement.name)
