#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Looks whether an advisory is known against a crate that the project is built from: `advisories.sh CACHE`. It fetches no
# advisories: it takes those of a copy of RustSec's advisory-db, which ADVISORY_DB names, or which is where cargo-audit
# keeps its own. Without one the exit status is 77, since nothing was checked.
set -eu

cache=$1
cd "$(dirname "$0")/.."

database=${ADVISORY_DB:-${CARGO_HOME:-$HOME/.cargo}/advisory-db}
if ! test -d "$database/crates"; then
	echo "skipped: there is no database of advisories in $database; copy RustSec's advisory-db there, or name a copy in ADVISORY_DB" >&2
	exit 77
fi
# A database of any age is taken, so its age is in the output.
newest=$(find "$database/crates" -name 'RUSTSEC-*.md' -exec sed -n 's/^date = "\(.*\)"/\1/p' {} + | sort | tail -n 1)
if [ -z "$newest" ]; then
	echo "there are no advisories in $database/crates" >&2
	exit 1
fi

PATH=$cache/audit/bin:$PATH
command -v cargo-audit >/dev/null || {
	echo "==> Building cargo-audit, once, in $cache/audit"
	cargo install --quiet --locked --version 0.22.0 --no-default-features --root "$cache/audit" cargo-audit
}

count=$(find "$database/crates" -name 'RUSTSEC-*.md' | wc -l)
# What this project has, and not what was built of it.
for lock in $(git ls-files --cached --others --exclude-standard '*Cargo.lock'); do
	cargo audit --quiet --no-fetch --db "$database" --deny warnings --file "$lock"
	echo "$lock: nothing is known against its $(grep -c '^name = ' "$lock") crates"
done
echo "$count advisories, the newest of $newest"
