"""What `veilleur doctor` can find wrong, in the words of an installer: what it is, and the next step.

Each is one sentence and one step in each language; braces are filled in by whoever found it.
"""

from dataclasses import dataclass
from typing import Final

from alerting.alert import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One thing that can be wrong.

    Attributes:
        why: what it is.
        step: what to do about it.
        grave: whether the box does less than it should because of it; otherwise it is worth knowing.
    """

    why: Sentence
    step: Sentence
    grave: bool = True


def _words(fr: str, en: str, fr_step: str, en_step: str, *, grave: bool = True) -> Words:
    return Words(why=Sentence(fr=fr, en=en), step=Sentence(fr=fr_step, en=en_step), grave=grave)


WORDS: Final[dict[str, Words]] = {
    # --- files --------------------------------------------------------------------------------------------
    "state_missing": _words(
        "Le dossier d'état {path} n'existe pas.",
        "The state folder {path} is not there.",
        "Démarrer le boîtier (systemctl start veilleur), ou relancer l'installation.",
        "Start the box (systemctl start veilleur), or run the installation again.",
    ),
    "state_open": _words(
        "D'autres utilisateurs peuvent entrer dans {path}.",
        "Other users can enter {path}.",
        "Faire « chmod 700 {path} ».",
        "Run 'chmod 700 {path}'.",
    ),
    "disk_volatile": _words(
        "{path} est sur un disque {kind}, qui ne garde rien de sûr.",
        "{path} is on a {kind} disk, which keeps nothing safe.",
        "Mettre l'état sur un disque local ext4 (state dans les réglages).",
        "Put the state on a local ext4 disk (state in the settings).",
    ),
    "disk_low": _words(
        "Il ne reste que {mib} Mio sur le disque de {path}.",
        "Only {mib} MiB are left on the disk of {path}.",
        "Libérer de la place sans toucher à {path}, ou mettre une carte plus grande.",
        "Free space without touching {path}, or use a larger card.",
    ),
    "key_missing": _words(
        "La clé {path} ({key}) ne peut pas être lue.",
        "The key {path} ({key}) cannot be read.",
        "Vérifier le chemin dans les réglages et le propriétaire, ou enrôler le boîtier.",
        "Check the path in the settings and the owner, or enrol the box.",
    ),
    "key_open": _words(
        "La clé {path} ({key}) est lisible par d'autres.",
        "The key {path} ({key}) can be read by others.",
        "Si personne n'a pu la copier, « chmod 600 {path} » ; sinon la remplacer.",
        "If nobody could have copied it, 'chmod 600 {path}'; otherwise replace it.",
    ),
    "key_wrong": _words(
        "{path} n'est pas la clé attendue ({key}).",
        "{path} is not the key that is expected ({key}).",
        "Vérifier [identity] et [broker] dans les réglages.",
        "Check [identity] and [broker] in the settings.",
    ),
    "team_unusable": _words(
        "Les clés de l'équipe {path} ne peuvent pas servir.",
        "The team's keys {path} cannot be used.",
        "Demander à nouveau ce fichier à l'équipe.",
        "Ask the team for that file again.",
    ),
    "certificate_unusable": _words(
        "Le certificat {path} manque, ou ne vient pas de l'autorité {ca}.",
        "The certificate {path} is missing, or is not by the authority {ca}.",
        "Redemander les deux à l'équipe, ou enrôler le boîtier.",
        "Ask the team for both again, or enrol the box.",
    ),
    "certificate_other_box": _words(
        "Le certificat est au nom de « {name} » et les réglages disent « {box} ».",
        "The certificate is for '{name}' and the settings say '{box}'.",
        "Mettre le certificat de ce boîtier, ou corriger box.",
        "Use this box's own certificate, or correct box.",
    ),
    "certificate_other_key": _words(
        "Le certificat et la clé TLS ne vont pas ensemble.",
        "The certificate and the TLS key do not belong together.",
        "Mettre la clé avec laquelle il a été demandé, ou enrôler le boîtier.",
        "Use the key that it was asked for with, or enrol the box.",
    ),
    "certificate_expired": _words(
        "Le certificat du boîtier a expiré le {at}.",
        "The box's certificate expired on {at}.",
        "Vérifier l'heure (date), puis demander un nouveau certificat à l'équipe.",
        "Check the time (date), then ask the team for a new certificate.",
    ),
    "certificate_early": _words(
        "Le certificat du boîtier ne vaut qu'à partir du {at}.",
        "The box's certificate is valid only from {at} on.",
        "Mettre le boîtier à l'heure (timedatectl), le réseau aidant.",
        "Set the box's clock right (timedatectl); a network does it.",
    ),
    "certificate_soon": _words(
        "Le certificat du boîtier expire le {at}.",
        "The box's certificate expires on {at}.",
        "Le renouveler avant, avec l'équipe.",
        "Renew it before, with the team.",
        grave=False,
    ),
    "database_absent": _words(
        "Le boîtier n'a pas encore démarré : il n'y a pas de base.",
        "The box has not been started yet: there is no database.",
        "Faire « systemctl start veilleur ».",
        "Run 'systemctl start veilleur'.",
    ),
    "database_damaged": _words(
        "La base {path} est abîmée ({said}).",
        "The database {path} is damaged ({said}).",
        "Arrêter le boîtier et la mettre de côté : une base neuve commence, l'équipe voit le trou.",
        "Stop the box and move it aside: a new one begins, and the team sees the gap.",
    ),
    "database_not_wal": _words(
        "La base {path} n'est pas en mode WAL ({said}).",
        "The database {path} is not in WAL mode ({said}).",
        "Redémarrer le boîtier, qui le rétablit ; ne pas ouvrir la base avec un autre programme.",
        "Restart the box, which sets it right; do not open the database with another program.",
    ),
    # --- the machine --------------------------------------------------------------------------------------
    "kernel_slow": _words(
        "Le noyau qui juge n'est pas celui compilé d'avance : {said}.",
        "The kernel that judges is not the one compiled ahead of time: {said}.",
        "Installer le wheel de cette sorte de machine ; le service protégé refuse de démarrer sans lui.",
        "Install the wheel for this kind of machine; the hardened unit does not start without it.",
    ),
    "clock_wrong": _words(
        "L'horloge du boîtier n'est réglée par personne.",
        "Nobody keeps the box's clock right.",
        "Donner le réseau au boîtier, ou « timedatectl set-ntp true ».",
        "Give the box a network, or run 'timedatectl set-ntp true'.",
    ),
    "service_down": _words(
        "Le service veilleur ne tourne pas ({said}).",
        "The veilleur service does not run ({said}).",
        "« journalctl -u veilleur -n 20 » dit pourquoi ; puis « systemctl enable --now veilleur ».",
        "'journalctl -u veilleur -n 20' says why; then 'systemctl enable --now veilleur'.",
    ),
    "service_not_watched": _words(
        "systemd ne surveille pas le service veilleur : un blocage resterait.",
        "systemd does not watch the veilleur service: a hang would stay.",
        "Installer deploy/veilleur.service tel quel, puis « systemctl daemon-reload ».",
        "Install deploy/veilleur.service as it is, then 'systemctl daemon-reload'.",
    ),
    "bluetooth_away": _words(
        "Le service Bluetooth (BlueZ, sur D-Bus) ne répond pas.",
        "The Bluetooth service (BlueZ, over D-Bus) does not answer.",
        "« systemctl enable --now bluetooth » ; « apt install bluez » s'il manque.",
        "'systemctl enable --now bluetooth'; 'apt install bluez' where it is missing.",
    ),
    "bluetooth_denied": _words(
        "Le boîtier n'a pas le droit de parler à BlueZ (règle D-Bus).",
        "The box may not speak to BlueZ (D-Bus policy).",
        "Mettre l'utilisateur veilleur dans le groupe bluetooth et redémarrer le service.",
        "Put the user veilleur into the group bluetooth and restart the service.",
    ),
    "adapter_missing": _words(
        "Il n'y a pas d'adaptateur Bluetooth {adapter}.",
        "There is no Bluetooth adapter {adapter}.",
        "Brancher l'adaptateur, ou corriger radio.adapter ; « rfkill list » dit s'il est bloqué.",
        "Plug the adapter in, or correct radio.adapter; 'rfkill list' says whether it is blocked.",
    ),
    "adapter_off": _words(
        "L'adaptateur Bluetooth {adapter} est éteint.",
        "The Bluetooth adapter {adapter} is switched off.",
        "Faire « bluetoothctl power on » ; « rfkill unblock bluetooth » s'il est bloqué.",
        "Run 'bluetoothctl power on'; 'rfkill unblock bluetooth' where it is blocked.",
    ),
    "bond_missing": _words(
        "{driver} …{device} n'est pas appairé avec ce boîtier.",
        "{driver} …{device} is not paired with this box.",
        "Faire « veilleur pair » avec l'appareil à côté du boîtier.",
        "Run 'veilleur pair' with the device beside the box.",
        grave=False,
    ),
    "notifier_program": _words(
        "Le programme « {program} » que demande [notifier] n'est pas installé.",
        "The program '{program}' that [notifier] asks for is not installed.",
        "« apt install alsa-utils espeak-ng gpiod », ou corriger [notifier].",
        "'apt install alsa-utils espeak-ng gpiod', or correct [notifier].",
    ),
    # --- the broker ---------------------------------------------------------------------------------------
    "broker_name": _words(
        "Le nom du serveur {host} n'est pas trouvé.",
        "The broker's name {host} is not found.",
        "Vérifier broker.host, le réseau et le DNS.",
        "Check broker.host, the network and the DNS.",
    ),
    "broker_port": _words(
        "Le serveur {host}:{port} ne répond pas ({said}).",
        "The broker {host}:{port} does not answer ({said}).",
        "Vérifier broker.port et que le pare-feu laisse sortir vers lui.",
        "Check broker.port, and that the firewall lets the box out to it.",
    ),
    "broker_host": _words(
        "Le certificat du serveur n'est pas celui de {host}.",
        "The broker's certificate is not that of {host}.",
        "Mettre dans broker.host le nom que porte ce certificat ; ne jamais contourner.",
        "Put the name that the certificate carries into broker.host; never work around it.",
    ),
    "broker_foreign": _words(
        "Le serveur {host} n'est pas celui de l'équipe : une autre autorité l'a signé.",
        "The broker {host} is not the team's: another authority signed it.",
        "Vérifier broker.ca ; sinon quelqu'un intercepte le réseau : prévenir l'équipe.",
        "Check broker.ca; otherwise somebody intercepts the network: tell the team.",
    ),
    "broker_date": _words(
        "Le certificat du serveur n'est pas valable à l'heure du boîtier ({said}).",
        "The broker's certificate is not valid by the box's clock ({said}).",
        "Vérifier l'heure du boîtier (date), puis prévenir l'équipe.",
        "Check the box's clock (date), then tell the team.",
    ),
    "broker_no_tls": _words(
        "{host}:{port} ne parle pas TLS comme il faut ({said}).",
        "{host}:{port} does not speak TLS as it should ({said}).",
        "Vérifier broker.port (8883 d'habitude).",
        "Check broker.port (usually 8883).",
    ),
    "broker_refuses": _words(
        "Le serveur refuse ce boîtier ({said}).",
        "The broker refuses this box ({said}).",
        "Demander à l'équipe si le certificat est révoqué ou le boîtier inconnu.",
        "Ask the team whether the certificate is revoked or the box unknown.",
    ),
    "broker_forbids": _words(
        "Le serveur interdit à ce boîtier d'écrire sur ses propres sujets.",
        "The broker forbids this box to write on its own topics.",
        "L'équipe doit charger configs/broker/acl ; le certificat doit être au nom du boîtier.",
        "The team must load configs/broker/acl; the certificate must be in the box's name.",
    ),
    "inbox_away": _words(
        "Le serveur répond, mais personne n'y reçoit pour l'équipe.",
        "The broker answers, but nobody receives there for the team.",
        "Prévenir l'équipe : démarrer « veilleur-desk run ». Rien n'est perdu en attendant.",
        "Tell the team: start 'veilleur-desk run'. Nothing is lost meanwhile.",
    ),
    "receipts_missing": _words(
        "{waiting} enregistrements attendent, et aucun reçu n'est venu depuis {minutes} minutes.",
        "{waiting} records wait, and no receipt has come for {minutes} minutes.",
        "Demander à l'équipe si le boîtier est dans ses réglages et si sa clé de signature y est la bonne.",
        "Ask the team whether the box is in its settings, with the right signing key.",
    ),
}
