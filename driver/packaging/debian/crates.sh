#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Lists the crates in devmap for the target $1, with the notices that their licences require.
set -eu

LC_ALL=C
export LC_ALL

echo "The crates in the static program devmap, with version, licence and source. Where there is a"
echo "choice, the licence is MIT. Their notices follow."
echo

# Crates of this project have a path instead of a source, and those seen before an asterisk.
crates=$(cargo tree --locked --offline --package devmap-cli --edges normal,no-proc-macro \
	--target "$1" --prefix none --format '{p}; {l}; {r}' | grep -v '(/' | sed 's/ (\*)$//' | sort -u)
echo "$crates"

echo "$crates" | sed 's/;.*//; s/ v/-/' | while read -r crate; do
	for directory in "$CARGO_HOME"/registry/src/*/"$crate"; do
		[ -d "$directory" ] || continue
		found=
		for notice in "$directory"/*MIT* "$directory"/LICENSE; do
			[ -f "$notice" ] || continue
			printf '\n==== %s: %s\n\n' "$crate" "${notice##*/}"
			cat "$notice"
			found=1
		done
		[ -n "$found" ] || echo "map: $directory has no notice" >&2
		break
	done
done
