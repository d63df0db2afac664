#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Changes one function of the decisions or of the crate after the other, and looks whether their tests on this machine
# notice: `mutants.sh CACHE [OPTION]...`, with options of cargo-mutants. What it leaves out, and why, is in
# .cargo/mutants.toml. Its results are in target/mutants.out.
set -eu

cache=$1
shift
cd "$(dirname "$0")/.."

PATH=$cache/mutants/bin:$PATH
command -v cargo-mutants >/dev/null || {
	echo "==> Building cargo-mutants, once, in $cache/mutants"
	cargo install --quiet --locked --version 27.0.0 --root "$cache/mutants" cargo-mutants
}

# Each copy in which it changes functions builds in its own directory: Cargo takes two copies for the same packages, and
# with --jobs one would test what the other has changed.
mkdir -p target
unset CARGO_BUILD_BUILD_DIR RUSTC_WORKSPACE_WRAPPER
exec cargo mutants --package map-core --package devmap --output target "$@"
