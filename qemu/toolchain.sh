#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Installs the tools that building map-qemu needs: cargo and a linker. map-qemu installs the others.
set -eu

oldest=1.85 # As the workspace's rust-version says.

# Whether version $1 is at least version $2.
at_least() {
	[ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# Prints what is missing, as Debian packages.
missing() {
	command -v cc >/dev/null || echo gcc libc6-dev
	command -v rustc >/dev/null || echo rustc
	for tool in cargo rustfmt; do
		command -v "$tool" >/dev/null || echo "$tool"
	done
	command -v cargo-clippy >/dev/null || echo rust-clippy
}

fail() {
	echo "map: $*" >&2
	exit 69
}

# make, cargo or the kernel's Makefile would split the path, and fail late and obscurely. map-qemu has this check, too.
clone=$(cd "$(dirname "$0")/.." && pwd -P)
case $clone in
*[[:space:]:]*) fail "the path of this clone must have no space and no colon: move $clone" ;;
esac

needed=$(missing | tr '\n' ' ')
if [ -n "$needed" ]; then
	command -v apt-get >/dev/null || fail "these tools are missing: ${needed}(their names in Debian)"
	case $needed in
	*rust* | *cargo*)
		[ -n "$(apt-cache policy rustc 2>/dev/null)" ] || [ "$(id -u)" != 0 ] || apt-get update
		candidate=$(LC_ALL=C apt-cache policy rustc | sed -n 's/^ *Candidate: //p')
		at_least "${candidate:-0}" "$oldest" ||
			fail "Rust $oldest or later is needed, and this system's package is ${candidate:-missing}: install it with rustup"
		;;
	esac
	if [ "$(id -u)" = 0 ]; then
		sudo=
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		sudo=sudo
	else
		fail "packages are missing; as root, type: apt-get install $needed"
	fi
	echo "==> Installing $needed" >&2
	# shellcheck disable=SC2086 # The list is meant to be split.
	$sudo apt-get update -q >&2 && $sudo apt-get install -q -y --no-install-recommends $needed >&2
fi

version=$(rustc --version | cut -d ' ' -f 2)
at_least "$version" "$oldest" || fail "Rust $oldest or later is needed, and rustc is $version: update it with rustup"

# Every clone leaves its own crates in the shared build directory, so a fresh one empties it before it takes too much
# room; at worst a run in another clone must be started again.
limit=8000 # MB
shared=${CARGO_BUILD_BUILD_DIR:-}
if [ ! -d target ] && [ -n "$shared" ] && [ -d "$shared" ] && [ "$(du -sm "$shared" | cut -f 1)" -gt "$limit" ]; then
	echo "==> Emptying $shared, which is larger than $limit MB" >&2
	mv "$shared" "$shared.old.$$" && rm -rf "$shared".old.*
fi
