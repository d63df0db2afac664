#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Makes the archive that image builders build from. It has the files of the commit HEAD; the crates
# that Cargo.lock pins, in VENDOR, so that no build needs the network; and in share/ what devmap
# writes about itself, because the devmap of the target does not run where it is built.
#
#     driver/packaging/dist.sh DIRECTORY
#
# leaves there map-VERSION.tar.gz, its contents in map-VERSION/, and its hash in
# map-VERSION.tar.gz.sha256 and where Buildroot looks for it. The same commit and the same cargo
# make the same bytes.
set -eu

if [ $# != 1 ]; then
	echo "usage: $0 DIRECTORY" >&2
	exit 2
fi
mkdir -p "$1"
dist=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

fail() {
	echo "dist: $*" >&2
	exit 1
}

git rev-parse --verify --quiet HEAD >/dev/null ||
	fail "this is no clone of the repository, so there is no commit to make an archive of"
[ -z "$(git status --porcelain)" ] ||
	echo "dist: the archive is of the commit HEAD, without the changes of this work tree" >&2

version=$(driver/packaging/recipes.sh --version)
name=map-$version
tree=$dist/$name
rm -rf "$tree" "$dist/$name.tar.gz" "$dist/$name.tar.gz.sha256"
mkdir "$tree"
umask 022
git archive HEAD | tar -x -C "$tree"

# Buildroot vendors no archive that has a directory of this name. cargo itself names the source
# that the directory replaces.
mkdir -p "$tree/.cargo"
(cd "$tree" && cargo vendor --locked VENDOR 2>"$dist/vendor.log") >"$tree/.cargo/config.toml" ||
	fail "the crates cannot be had: $(cat "$dist/vendor.log")"
rm "$dist/vendor.log"
grep -q '^directory = "VENDOR"$' "$tree/.cargo/config.toml" ||
	fail "cargo vendor did not print a configuration with the directory VENDOR"

# From here on cargo takes the crates from VENDOR: this also proves that the archive is complete.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
in_tree() {
	(cd "$tree" && CARGO_TARGET_DIR="$work" "$@")
}

# The recipes say that the licence of every crate in devmap is, or can be chosen to be, MIT.
other=$(in_tree cargo tree --frozen --package devmap-cli --edges normal --target all --no-dedupe \
	--prefix none --format '{p}: {l}' | grep -v '\<MIT\>' | grep -v '^unicode-ident ' | sort -u) || :
[ -z "$other" ] || fail "the recipes say that these crates offer the MIT licence:
$other"

in_tree cargo build --quiet --frozen --release --package devmap-cli
devmap=$work/release/devmap
share=$tree/share
mkdir -p "$share/man/man1" "$share/bash-completion/completions" \
	"$share/fish/vendor_completions.d" "$share/zsh/vendor-completions"
"$devmap" man "$share/man/man1"
"$devmap" completions bash >"$share/bash-completion/completions/devmap"
"$devmap" completions fish >"$share/fish/vendor_completions.d/devmap.fish"
"$devmap" completions zsh >"$share/zsh/vendor-completions/_devmap"

tar -c -C "$dist" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner \
	--mtime="@$(git log -1 --format=%ct)" "$name" | gzip -9 -n >"$work/$name.tar.gz"
mv "$work/$name.tar.gz" "$dist/"
(cd "$dist" && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")

for package in devmap map-driver; do
	hashes=driver/packaging/buildroot/package/$package
	mkdir -p "$hashes/$version"
	{
		cat "$hashes/$package.hash"
		sed 's/^/sha256  /' "$dist/$name.tar.gz.sha256"
	} >"$hashes/$version/$package.hash"
done
