#!/bin/sh
# The key of the box's own data: 32 random bytes, sealed to this machine (by its TPM2 where it has one, else by the host
# key of systemd), and never written in the clear. Does nothing where there is one: without it the database is lost.
set -eu
umask 077

credential="${1:-/etc/veilleur/veilleur-kek.cred}"
if [ -e "$credential" ]; then
    exit 0
fi
draft="$credential.new"
rm -f "$draft"
head -c 32 /dev/urandom | systemd-creds encrypt --with-key=auto --name=veilleur-kek - "$draft"
# Tried before it is believed: a key that does not open again would cost all that is sealed with it.
if [ "$(systemd-creds decrypt --name=veilleur-kek "$draft" - | wc -c)" -ne 32 ]; then
    rm -f "$draft"
    echo "veilleur: la clé faite ne se rouvre pas ; vérifier systemd-creds / the key made does not open again: check systemd-creds" >&2
    exit 1
fi
sync "$draft"
mv "$draft" "$credential"
sync "$(dirname "$credential")"
