#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Runs a command in the system that is unpacked in $1, in this directory. Of the machine the command sees the devices,
# the processes, and the directories in the list $2, which colons separate.
set -eu

root=$1
places=$2
shift 2
if [ -z "${MAP_NAMESPACE:-}" ]; then
	# Whoever is not root becomes root in a user namespace.
	user=
	[ "$(id -u)" = 0 ] || user=--map-root-user
	MAP_NAMESPACE=y exec unshare --mount $user -- "$0" "$root" "$places" "$@"
fi
unset MAP_NAMESPACE
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
IFS=:
for place in $places; do
	mkdir -p "$root$place"
	mount --rbind "$place" "$root$place"
done
unset IFS
exec chroot "$root" /usr/bin/env -C "$PWD" "$@"
