#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Writes into the recipes of Yocto and Buildroot what other files of the project decide: the
# version, which is that of Cargo.toml, and the hashes of the licences' texts.
#
#     driver/packaging/recipes.sh            writes them
#     driver/packaging/recipes.sh --check    says what is out of date, and then exits with 1
#     driver/packaging/recipes.sh --version  prints the version
set -eu

cd "$(dirname "$0")/../.."
version=$(sed -n '/^\[workspace\.package\]/,/^$/ s/^version = "\(.*\)"$/\1/p' Cargo.toml)
[ -n "$version" ] || {
	echo "recipes: Cargo.toml has no version" >&2
	exit 1
}
case ${1-} in
'' | --check) ;;
--version)
	echo "$version"
	exit
	;;
*)
	echo "usage: $0 [--check | --version]" >&2
	exit 2
	;;
esac

new=$(mktemp)
trap 'rm -f "$new"' EXIT
status=0

# Replaces the file $1 by $new, if they differ.
replace() {
	cmp -s "$1" "$new" && return
	if [ "${check-}" ]; then
		diff -u "$1" "$new" || status=1
	else
		cat "$new" >"$1"
		echo "recipes: $1"
	fi
}
[ "${1-}" != --check ] || check=y

for makefile in driver/packaging/buildroot/package/*/*.mk; do
	sed "s/^\([A-Z_]*_VERSION\) = .*/\1 = $version/" "$makefile" >"$new"
	replace "$makefile"
done

for hashes in driver/packaging/buildroot/package/*/*.hash; do
	awk '/^sha256 / {
		if ((("sha256sum " $3) | getline sum) != 1)
			exit 1
		$0 = "sha256  " substr(sum, 1, 64) "  " $3
	} 1' "$hashes" >"$new"
	replace "$hashes"
done

for recipe in driver/packaging/yocto/meta-map/recipes-map/map/*_*.bb; do
	awk 'match($0, /file:\/\/[^;]*;md5=/) {
		file = substr($0, RSTART + 7, RLENGTH - 12)
		if ((("md5sum " file) | getline sum) != 1)
			exit 1
		sub(/;md5=[0-9a-f]*/, ";md5=" substr(sum, 1, 32))
	} 1' "$recipe" >"$new"
	replace "$recipe"
	# Yocto reads the version from the name of the file.
	named=${recipe%_*}_$version.bb
	if [ "$named" != "$recipe" ]; then
		echo "recipes: $recipe must be called $named"
		if [ "${check-}" ]; then
			status=1
		else
			mv "$recipe" "$named"
		fi
	fi
done
exit $status
