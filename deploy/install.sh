#!/bin/bash
# Installs the box on Raspberry Pi OS or Debian 12 and later, and may be run again: what is there stays, settings and
# keys above all. docs/deploy.md tells the whole way from a blank card.
#
#   sudo deploy/install.sh --wheel veilleur-0.1.0-cp311-cp311-linux_aarch64.whl --requirements requirements/box.txt
#
# --root DIR        into a tree of files, such as the root of an image; nothing of this machine is touched
# --wheelhouse DIR  libraries from a folder instead of a package index (no network)
# --sha256 HEX      refuse a wheel that has another sum
# --release-key F   the team's public release key (Ed25519, 64 hexadecimal digits): only upgrades signed with it are taken later
# --python PROGRAM  Python 3.11 or later (python3)
# --no-start        enable, but do not start
set -euo pipefail
umask 022

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="" wheel="" requirements="$here/../requirements/box.txt" wheelhouse="" sum="" release_key="" python=python3 start=yes

refuse() { # French, English
    printf 'veilleur: %s / %s\n' "$1" "$2" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case "$1" in
        --no-start) start=no; shift; continue ;;
        --root | --wheel | --requirements | --wheelhouse | --sha256 | --release-key | --python) ;;
        *) refuse "option inconnue : $1, lire l'en-tête de $0." "unknown option: $1, read the head of $0." ;;
    esac
    [ $# -ge 2 ] || refuse "$1 demande une valeur." "$1 needs a value."
    case "$1" in
        --root) root="$(realpath -m "$2")" ;;
        --wheel) wheel="$(realpath -m "$2")" ;;
        --requirements) requirements="$(realpath -m "$2")" ;;
        --wheelhouse) wheelhouse="$(realpath -m "$2")" ;;
        --sha256) sum="$2" ;;
        --release-key) release_key="$(realpath -m "$2")" ;;
        --python) python="$2" ;;
    esac
    shift 2
done
[ "$root" != / ] || root=""

# --- is all there? Nothing is changed before it is ------------------------------------------------------------

[ -n "$wheel" ] || refuse "donner --wheel." "give --wheel."
[ -f "$wheel" ] || refuse "il n'y a pas de $wheel." "there is no $wheel."
[ -f "$requirements" ] || refuse "il n'y a pas de $requirements." "there is no $requirements."
[ -z "$release_key" ] || grep -Eqx '[0-9a-f]{64}' "$release_key" 2>/dev/null ||
    refuse "$release_key n'est pas une clé publique de version." "$release_key is not a public release key."
[ "$(id -u)" -eq 0 ] || refuse "relancer avec sudo." "run it again with sudo."
for tool in systemd-sysusers systemd-tmpfiles systemctl sha256sum; do
    command -v "$tool" >/dev/null || refuse "il manque $tool (systemd)." "$tool is missing (systemd)."
done
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    refuse "il faut Python 3.11 et son module venv : apt install python3-venv." \
        "Python 3.11 with its venv module is needed: apt install python3-venv."
"$python" -m zipfile -t "$wheel" >/dev/null 2>&1 ||
    refuse "$wheel est incomplet : le copier à nouveau." "$wheel is incomplete: copy it again."
found="$(sha256sum "$wheel" | cut -d ' ' -f 1)"
if [ -n "$sum" ] && [ "$sum" != "$found" ]; then
    refuse "$wheel n'a pas la somme attendue : le redemander." "$wheel has not the expected sum: fetch it again."
fi
version="$(basename "$wheel" | cut -d - -f 2)"
case "$version" in
    "" | *[!0-9A-Za-z.+_]*) refuse "$wheel ne dit pas sa version." "$wheel does not say its version." ;;
esac

# --- user, folders, settings ----------------------------------------------------------------------------------

systemd-sysusers ${root:+--root="$root"} "$here/veilleur.sysusers"
systemd-tmpfiles ${root:+--root="$root"} --create "$here/veilleur.tmpfiles"
if [ ! -e "$root/etc/veilleur/agent.toml" ]; then
    install -m 0640 "$here/../configs/agent.toml" "$root/etc/veilleur/agent.toml"
    # The unit hands the key over as a credential, and the fleet's figures wear out no card.
    sed -i -e 's|^key_file = .*|credential = "veilleur-kek"  # made on this box at its first start|' \
        -e '/^# credential = /d' -e 's|^# metrics = |metrics = |' "$root/etc/veilleur/agent.toml"
    chgrp --reference="$root/etc/veilleur" "$root/etc/veilleur/agent.toml"
fi
if [ -n "$release_key" ]; then
    pinned="$root/etc/veilleur/release.key"
    if [ -e "$pinned" ] && ! cmp -s "$release_key" "$pinned"; then
        refuse "une autre clé de version est déjà fixée ($pinned) : la retirer d'abord, exprès." \
            "another release key is pinned already ($pinned): remove it first, on purpose."
    fi
    install -m 0644 "$release_key" "$pinned"
fi

# --- the program, beside what runs, then switched to at once -----------------------------------------------------

versions="$root/opt/veilleur/versions"
# By its sum too: what runs is never taken away from under the box.
name="$version-${found:0:8}"
place="$versions/$name"
if [ "$(cat "$place/.wheel" 2>/dev/null || true)" != "$found" ]; then
    rm -rf "$place"
    "$python" -m venv "$place"
    pip=("$place/bin/python" -m pip --disable-pip-version-check --quiet install)
    [ -z "$wheelhouse" ] || pip+=(--no-index --find-links "$wheelhouse")
    "${pip[@]}" --require-hashes -r "$requirements"
    "${pip[@]}" --no-deps --no-index "$wheel"
    "$place/bin/veilleur" --version >/dev/null
    # Last of all, and on the disk: a folder without it is half an installation.
    printf '%s\n' "$found" >"$place/.wheel"
    sync -f "$place"
fi
ln -sfn "versions/$name" "$root/opt/veilleur/current.new"
mv -T "$root/opt/veilleur/current.new" "$root/opt/veilleur/current"

# --- what the machine reads -----------------------------------------------------------------------------------

put() { install -D -m "$1" "$here/$2" "$root$3"; }
put 0755 make-key.sh /opt/veilleur/deploy/make-key.sh
put 0755 trial.sh /opt/veilleur/deploy/trial.sh
put 0755 veilleur-as-box.sh /usr/local/bin/veilleur
put 0644 veilleur.service /etc/systemd/system/veilleur.service
put 0644 veilleur-key.service /etc/systemd/system/veilleur-key.service
put 0644 veilleur.sysusers /etc/sysusers.d/veilleur.conf
put 0644 veilleur.tmpfiles /etc/tmpfiles.d/veilleur.conf
put 0644 journald.conf /etc/systemd/journald.conf.d/veilleur.conf
put 0644 50-veilleur.rules /etc/polkit-1/rules.d/50-veilleur.rules
put 0644 70-veilleur-adapter.rules /etc/udev/rules.d/70-veilleur-adapter.rules
if [ -n "$root" ]; then
    systemctl --root="$root" enable veilleur-key.service veilleur.service >/dev/null 2>&1
    echo "veilleur $version: installé dans / installed into $root. La clé naîtra sur le boîtier / its key is made on the box."
    exit 0
fi
systemctl daemon-reload
# For the adapter that is plugged in already; a machine without udev has none to give.
if command -v udevadm >/dev/null; then
    udevadm control --reload || true
    udevadm trigger --action=change --subsystem-match=usb || true
fi
systemctl enable --quiet veilleur-key.service veilleur.service
systemctl try-restart systemd-journald.service
systemctl start veilleur-key.service
if [ "$start" = yes ] && veilleur check /etc/veilleur/agent.toml >/dev/null 2>&1; then
    systemctl restart veilleur.service
fi
echo "veilleur $version: installé / installed. Ensuite / next: sudo veilleur doctor"
