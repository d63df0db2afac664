#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Installs the Debian packages that are missing of these: `need.sh PACKAGE=REASON...`.
set -eu

fail() {
	echo "map: $*" >&2
	exit 69
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

command -v dpkg-query >/dev/null || fail "Debian packages are built on Debian, and this system has no dpkg"
missing=''
reasons=''
for each in "$@"; do
	is_installed "${each%%=*}" && continue
	missing="$missing ${each%%=*}"
	reasons="$reasons
    ${each%%=*}: ${each#*=}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
	sudo=sudo
else
	fail "packages are missing; as root, type: apt-get install --no-install-recommends$missing"
fi
echo "==> Installing Debian packages:$reasons" >&2
export DEBIAN_FRONTEND=noninteractive
# The update fails if any source of the machine does, even one that is not needed.
$sudo apt-get update -q >&2 || :
# shellcheck disable=SC2086 # The list is meant to be split.
$sudo apt-get install -q -y --no-install-recommends $missing >&2
