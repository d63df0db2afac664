#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Runs rustc as it is: `rustc.sh RUSTC ARGUMENT...`, which Cargo calls for the crates of this clone.
#
# Clones share a build directory, and Cargo knows crates in it by their paths below the clone, and takes what is newer
# than their files: so it would take what another clone has built from other files. But it keeps apart what different
# wrappers have built, and each clone has its own.
#
# This is for bash, because other shells do not pass on variables such as CARGO_BIN_EXE_map-qemu.
exec "$@"
