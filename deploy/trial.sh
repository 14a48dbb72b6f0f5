#!/bin/sh
# Before each start of the box, as root (ExecStartPre=+ in veilleur.service): a new version is on trial until the box
# has proven that it commits readings and judges; it then leaves its name in the state folder (agent/alive.py). One that
# does not within so many starts is taken back, and the one before goes on with the same database. A version that says
# of itself that this would not be possible, or cannot say it, is never started. It may be cut off anywhere.
#
#   trial.sh [/opt/veilleur [/var/lib/veilleur/proven [/etc/veilleur/agent.toml]]]
set -eu
home="${1:-/opt/veilleur}" proven="${2:-/var/lib/veilleur/proven}" config="${3:-/etc/veilleur/agent.toml}"
trial="$home/trial"

say() { echo "veilleur: $1" >&2; }
put() { # what, where: all of it or nothing, on the disk
    printf '%s\n' "$1" >"$2.new"
    sync "$2.new"
    mv "$2.new" "$2"
    sync "$(dirname "$2")"
}
point() { # a version
    ln -sfn "versions/$1" "$home/current.new"
    mv -T "$home/current.new" "$home/current"
    sync "$home"
}

[ -f "$trial" ] || exit 0
read -r from to serial left <"$trial" || true
case "$from$to" in
    "" | */*) rm -f "$trial"; exit 0 ;;
esac
if [ "$(readlink "$home/current")" != "versions/$to" ] && [ "$(cat "$proven" 2>/dev/null || true)" != "$to" ] &&
    ! timeout 120 "$home/versions/$to/bin/veilleur" goes-back --config "$config" >/dev/null 2>&1; then
    # Asked before it has changed anything: a version from which there is no way back is not tried.
    put "$to" "$home/refused"
    rm -f "$trial"
    say "$to n'est pas essayée, car $from ne pourrait pas reprendre après elle / not tried: $from could not go on after it"
    exit 0
fi
# The serial counts from the first start on: what was tried and failed is not tried again.
if [ "$(cat "$home/serial" 2>/dev/null || echo 0)" -lt "$serial" ]; then
    put "$serial" "$home/serial"
fi
if [ "$(cat "$proven" 2>/dev/null || true)" = "$to" ]; then
    rm -f "$trial"
    say "$to a fait ses preuves / has proven itself"
elif [ "$left" -gt 0 ]; then
    put "$from $to $serial $((left - 1))" "$trial"
    point "$to"
    say "$to à l'essai, $left / on trial, $left left"
elif timeout 120 "$home/versions/$from/bin/veilleur" fits --config "$config" >/dev/null 2>&1; then
    point "$from"
    put "$to" "$home/refused"
    rm -f "$trial"
    say "$to n'a pas fait ses preuves : retour à $from / has not proven itself: back to $from"
else
    say "$to n'a pas fait ses preuves, mais la base est à son format : il reste / has not proven itself, but the database has its form: it stays"
    rm -f "$trial"
fi
