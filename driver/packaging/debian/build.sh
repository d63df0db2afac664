#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Builds the Debian packages of this clone and leaves them in a directory: `build.sh DIRECTORY`.
# `build.sh --tree DIRECTORY` only assembles the source tree from which dpkg-buildpackage does it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

fail() {
	echo "map: $*" >&2
	exit 2
}

# Copies the clone's files, without what git ignores, to the directory $1. Dates are kept: cargo
# looks at them.
copy_clone() {
	if git -C "$root" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$root" ls-files -z
	else
		(cd "$root" && find . -path ./target -prune -o -type f -print0)
	fi | tar -C "$root" -c --null -T - | tar -C "$1" -x
}

# Debian sorts what follows a ~ before the end of a version, as Cargo does with a hyphen.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | tr - '~')
[ -n "$version" ] || fail "Cargo.toml names no version"

# The date of everything in the packages: that of the last commit, so that its packages always have
# the same bytes.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null ||
		stat -c %Y "$root/CHANGELOG.md")
fi
export SOURCE_DATE_EPOCH

# Makes the source tree $1.
assemble() {
	mkdir -p "$1"
	copy_clone "$1"
	cp -R "$here" "$1/debian"
	cat > "$1/debian/changelog" <<-END
	map ($version) unstable; urgency=medium

	  * The changes are in changelog.gz, which is CHANGELOG.md of the source.

	 -- $(sed -n 's/^Maintainer: //p' "$here/control")  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
	END
}

case ${1:-} in
--tree)
	assemble "$2"
	exit
	;;
'' | -*) fail "say where the packages belong: build.sh DIRECTORY" ;;
esac

"$here/need.sh" debhelper="assembles packages from debian/" dpkg-dev="has dpkg-buildpackage" \
	dh-dkms="is the part of debhelper for modules that dkms builds"
mkdir -p "$1"
out=$(cd "$1" && pwd)
case $out in
*[[:space:]:]*) fail "debhelper needs paths without space and colon: move $out" ;;
esac
tree=$out/build/map-$version
rm -rf "$out/build"
assemble "$tree"
# With it, toolchain.sh does not take the tree for a fresh clone, for which it may empty a cache.
mkdir "$tree/target"
# debhelper gives what it calls an empty home.
export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
# cargo and rustc may come from rustup, so only what was looked for above is known to dpkg.
(cd "$tree" && dpkg-buildpackage --build=binary --no-check-builddeps --no-sign >&2)
rm -f "$out"/devmap_*.deb "$out"/map-dkms_*.deb
mv "$out"/build/*.deb "$out"
rm -rf "$out/build"
ls "$out"/devmap_*.deb "$out"/map-dkms_*.deb
