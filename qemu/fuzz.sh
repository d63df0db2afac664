#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Fuzzes what reads texts and structures: `fuzz.sh CACHE SECONDS`, so long each. What it finds new is kept in the corpora,
# which `make test` replays; an input that breaks something is named, and kept in the directory `artifacts`.
set -eu

cache=$1
seconds=$2
cd "$(dirname "$0")/.."
root=$PWD

command -v c++ >/dev/null || {
	echo "The fuzzing engine is written in C++: install g++" >&2
	exit 1
}
PATH=$cache/fuzz/bin:$PATH
command -v cargo-fuzz >/dev/null || {
	echo "==> Building cargo-fuzz, once, in $cache/fuzz"
	cargo install --quiet --locked --version 0.13.1 --root "$cache/fuzz" cargo-fuzz
}

# Sanitizers and the coverage of code are options of nightly compilers, which the stable ones have as well.
export RUSTC_BOOTSTRAP=1
# cargo-fuzz compiles everything in its own way, so nothing of the project's build directory fits.
export CARGO_BUILD_BUILD_DIR="$cache/fuzz/build"
unset RUSTC_WORKSPACE_WRAPPER

# Each with the longest input that has something to say.
for target in driver/core/fuzz:windows:400 driver/core/fuzz:tree:600 driver/core/fuzz:calls:600 \
	driver/core/fuzz:draft:600 userspace/lib/fuzz:description:20000 userspace/cli/fuzz:arguments:300 \
	userspace/cli/fuzz:text:100 userspace/cli/fuzz:script:300 userspace/cli/fuzz:program:200; do
	directory=${target%%:*}
	rest=${target#*:}
	name=${rest%:*}
	cd "$root/$directory"
	dictionary=
	test ! -e "$name.dict" || dictionary=-dict=$name.dict
	# The command line keeps names in its arguments for ever, of which a process has few.
	leaks=1
	test "$directory" != userspace/cli/fuzz || leaks=0
	echo "==> $directory: $name, for $seconds s"
	log=$(mktemp)
	if ASAN_OPTIONS=detect_leaks=$leaks cargo fuzz run --target-dir "$root/target/fuzz" "$name" -- \
		-max_len="${rest#*:}" -max_total_time="$seconds" -detect_leaks=$leaks \
		${dictionary:+"$dictionary"} >"$log" 2>&1; then
		grep '^Done' "$log"
		rm "$log"
	else
		tail -40 "$log"
		rm "$log"
		exit 1
	fi
done
