#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Checks that modules in Rust can be built against the kernel tree $1, and prints the arguments that its Makefile needs
# for the compiler that built it. Otherwise prints one error to stderr and exits with 2.
set -eu

kdir=$1
config=$kdir/include/config/auto.conf

fail() {
	echo "map: $*" >&2
	exit 2
}

# The value of a symbol of the configuration, without quotes.
value() {
	sed -n "s/^CONFIG_$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$config"
}

# The kernel's Makefile and make itself split paths at these.
case $PWD$kdir in
*[[:space:]:]*) fail "the paths of this clone and of the kernel tree must have no space and no colon: move $PWD or $kdir" ;;
esac
[ -f "$config" ] || fail "$kdir is no prepared kernel tree; name one: make modules KDIR=..."
[ "$(value RUST)" = y ] || fail "the kernel in $kdir has no Rust (CONFIG_RUST=y)"
[ -f "$kdir/rust/libkernel.rmeta" ] ||
	fail "$kdir has no Rust metadata (rust/libkernel.rmeta); name the tree that the kernel was built in, or prepare one" \
		"from its source with: make prepare modules_prepare"

# The names of Rust symbols depend on the compiler.
wanted=$(value RUSTC_VERSION_TEXT)
command -v rustc >/dev/null || fail "there is no rustc; the kernel in $kdir was built with $wanted"
[ "$(rustc --version)" = "$wanted" ] ||
	fail "the kernel in $kdir was built with $wanted, but rustc is $(rustc --version); put that rustc first in PATH"

[ "$(value CC_IS_CLANG)" = y ] || exit 0
major=$(value CC_VERSION_TEXT | sed -n 's/.*clang version \([0-9]*\).*/\1/p')
if command -v clang >/dev/null; then
	echo LLVM=1
elif command -v "clang-$major" >/dev/null && command -v "ld.lld-$major" >/dev/null; then
	echo "LLVM=-$major"
else
	fail "the kernel in $kdir was built with clang $major; install it (clang-$major, lld-$major and llvm-$major in Debian)"
fi
