#!/bin/sh
# /usr/local/bin/veilleur: the box's commands, as the box runs them. Its database opens only with a key that systemd
# hands to the user veilleur, so an installer's 'sudo veilleur status' goes that way.
set -eu
program=/opt/veilleur/current/bin/veilleur
credential=/etc/veilleur/veilleur-kek.cred
# An upgrade writes the program, which the box itself may not.
if [ "${1:-}" = upgrade ] || [ "$(id -u)" -ne 0 ] || [ ! -e "$credential" ] || [ ! -d /run/systemd/system ]; then
    exec "$program" "$@"
fi
if [ -t 0 ] && [ -t 1 ]; then io=--pty; else io=--pipe; fi
exec systemd-run --quiet --wait --collect --service-type=exec "$io" \
    --property=User=veilleur --property=Group=veilleur --property=UMask=0077 \
    --property="LoadCredentialEncrypted=veilleur-kek:$credential" \
    --setenv=LANG="${LANG:-C.UTF-8}" --setenv=TERM="${TERM:-dumb}" --working-directory=/ \
    -- "$program" "$@"
