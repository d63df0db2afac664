#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Finds out how modules in Rust are built against the kernel tree $1, and prints the arguments for make: the tree (-C),
# which may be another one if driver/prepare.sh had to prepare it, and the compilers that built the kernel. Otherwise
# prints one error to stderr and exits with 2.
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

# The kernel's Makefile and make itself split paths at these. Both resolve links.
clone=$(pwd -P)
case $clone$kdir in
*[[:space:]:]*)
	fail "the paths of this clone and of the kernel tree must have no space and no colon: move $clone or $kdir"
	;;
esac
if [ ! -f "$config" ]; then
	case $kdir in
	/lib/modules/*/build)
		release=${kdir#/lib/modules/}
		release=${release%/build}
		fail "the headers of Linux $release are not installed: install linux-headers-$release (Debian's name), or name the" \
			"tree of another kernel: make modules KDIR=..."
		;;
	*) fail "$kdir is no prepared kernel tree; name one: make modules KDIR=..." ;;
	esac
fi
[ "$(value RUST)" = y ] || fail "the kernel in $kdir has no Rust (CONFIG_RUST=y); in Debian those of backports from 7.2 on have it"

# The names of Rust symbols depend on the compiler, so another version is none. The one that a distribution builds its
# kernels with may come later in PATH than rustup's.
wanted=$(value RUSTC_VERSION_TEXT)
rustc=
found=
IFS=:
for candidate in ${RUSTC:-rustc} $PATH; do
	[ ! -d "$candidate" ] || candidate=$candidate/rustc
	version=$("$candidate" --version 2>/dev/null) || continue
	found=${found:-$version}
	[ "$version" = "$wanted" ] || continue
	rustc=$candidate
	break
done
unset IFS
[ -n "$found" ] || fail "there is no rustc; the kernel in $kdir was built with $wanted"
[ -n "$rustc" ] || fail "the kernel in $kdir was built with $wanted, but rustc is $found; put that rustc into PATH (in Debian it" \
	"is the package rustc of the kernel's own release)"
set --
[ "$rustc" = rustc ] || set -- "RUSTC=$rustc" "HOSTRUSTC=$rustc"

if [ "$(value CC_IS_CLANG)" = y ]; then
	major=$(value CC_VERSION_TEXT | sed -n 's/.*clang version \([0-9]*\).*/\1/p')
	if command -v clang >/dev/null; then
		set -- "$@" LLVM=1
	elif command -v "clang-$major" >/dev/null && command -v "ld.lld-$major" >/dev/null; then
		set -- "$@" "LLVM=-$major"
	else
		fail "the kernel in $kdir was built with clang $major; install it (clang-$major, lld-$major and llvm-$major in Debian)"
	fi
else
	# The first word is the command, such as gcc or x86_64-linux-gnu-gcc-14.
	gcc=$(value CC_VERSION_TEXT)
	gcc=${gcc%% *}
	command -v "${gcc:-gcc}" >/dev/null ||
		fail "the kernel in $kdir was built with $gcc; install it (${gcc##*-linux-gnu-} in Debian)"
	[ "${gcc:-gcc}" = gcc ] || set -- "$@" "CC=$gcc"
	case $gcc in
	*-linux-gnu*-gcc*) set -- "$@" "CROSS_COMPILE=${gcc%gcc*}" ;;
	esac
fi
if [ "$(value X86_64)" = y ]; then
	set -- "$@" ARCH=x86
elif [ "$(value ARM64)" = y ]; then
	set -- "$@" ARCH=arm64
elif [ "$(value RISCV)" = y ]; then
	set -- "$@" ARCH=riscv
elif [ "$(value ARM)" = y ]; then
	set -- "$@" ARCH=arm
fi

if [ ! -f "$kdir/rust/libkernel.rmeta" ]; then
	[ ! -f "$kdir/Makefile" ] || [ ! -f "$kdir/rust/Makefile" ] ||
		fail "$kdir is the kernel's source, and not built; build the kernel there, or at least: make prepare modules_prepare"
	kdir=$("${0%/*}/prepare.sh" "$kdir" "$@")
fi
echo "-C $kdir${*:+ $*}"
