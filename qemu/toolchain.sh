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

# Prints what is missing: Debian's name of the package, and the reason why it is needed.
missing() {
	if ! command -v cc >/dev/null; then
		echo gcc links what cargo builds
		echo libc6-dev is the C library that it is linked with
	fi
	command -v rustc >/dev/null || echo rustc compiles map-qemu, the tools and the driver
	command -v cargo >/dev/null || echo cargo builds map-qemu and the tools
	command -v rustfmt >/dev/null || echo rustfmt checks the format in the tests
	command -v cargo-clippy >/dev/null || echo rust-clippy checks the code in the tests
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

needed=$(missing | cut -d ' ' -f 1 | tr '\n' ' ')
if [ -n "$needed" ]; then
	echo "==> These packages are missing, by their names in Debian:" >&2
	missing | while read -r package reason; do
		printf '    %-11s  %s\n' "$package" "$reason"
	done >&2
	command -v apt-get >/dev/null || fail "there is no apt-get to install them with"
	case $needed in
	*rust* | *cargo*)
		[ -n "$(apt-cache policy rustc 2>/dev/null)" ] || [ "$(id -u)" != 0 ] || apt-get update
		candidate=$(LC_ALL=C apt-cache policy rustc | sed -n 's/^ *Candidate: //p')
		at_least "${candidate:-0}" "$oldest" ||
			fail "Rust $oldest or later is needed, and this system's package is ${candidate:-missing}: install it with rustup"
		;;
	esac
	through=
	if [ "$(id -u)" = 0 ]; then
		sudo=
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		sudo=sudo
		through=", through sudo"
	else
		fail "only root can install packages; as root, type: apt-get install $needed"
	fi
	echo "==> Installing them with apt-get$through" >&2
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
