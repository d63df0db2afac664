#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Prepares a tree for modules in Rust. Distributions build their kernels with Rust, but their headers (the directory $1)
# lack the metadata of Rust's crates, which only the kernel's source and the compilers that built it can make again. The
# further arguments are make's, and name these compilers; driver/kdir.sh has found them.
#
# Prints the tree, which stays in the cache; or prints one error to stderr and exits with 2. The environment may name
#   MAP_CACHE   the cache
#   KERNEL_SRC  the kernel's source, unpacked; otherwise it comes from Debian's package of the same version
set -eu

kdir=$1
shift
rustc=rustc
cc=gcc
for argument; do
	case $argument in
	RUSTC=*) rustc=${argument#*=} ;;
	CC=*) cc=${argument#*=} ;;
	LLVM=1) cc=clang ;;
	LLVM=-*) cc=clang${argument#*=} ;;
	esac
done

fail() {
	echo "map: $*" >&2
	exit 2
}

step() {
	echo "==> $*" >&2
}

# The value of a symbol of the configuration, without quotes.
value() {
	sed -n "s/^CONFIG_$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$kdir/.config"
}

for file in .config Module.symvers include/config/kernel.release; do
	[ -f "$kdir/$file" ] || fail "$kdir has no $file, so nothing can be prepared from it; install the kernel's headers again"
done
release=$(cat "$kdir/include/config/kernel.release")
version=${release%%[+-]*}
# "Debian 7.3.4-1~bpo13+1"
package=$(sed -n 's/^#define LINUX_PACKAGE_ID " *\(.*\)"$/\1/p' "$kdir/include/generated/package.h" 2>/dev/null || true)

# The configuration records the tools' versions, so another tool would silently change it.
missing=
need() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null || missing="$missing $2"
}
# For the programs that run during the build.
need gcc gcc
need bindgen bindgen
need make make
need flex flex
need bison bison
need bc bc
need openssl openssl
need perl perl
need xz xz-utils
need flock util-linux
if [ "$(value DEBUG_INFO_BTF)" = y ]; then
	need pahole pahole
	need python3 python3
fi
library=$("$rustc" --print sysroot)/lib/rustlib/src/rust/library
[ -f "$library/core/src/lib.rs" ] || missing="$missing rust-src"
for header in libelf.h openssl/opensslv.h; do
	! command -v gcc >/dev/null || ! echo "#include <$header>" | gcc -E -x c - >/dev/null 2>&1 || continue
	case $header in
	libelf.h) missing="$missing libelf-dev" ;;
	*) missing="$missing libssl-dev" ;;
	esac
done
[ -z "$missing" ] || fail "to prepare a tree for Linux $release these packages are needed (their names in Debian):$missing"

cache=${MAP_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither HOME nor MAP_CACHE is set}/.cache}/map}
case $cache in
*[[:space:]:]*) fail "the kernel's Makefile accepts no space and no colon in a path: set MAP_CACHE to another directory than $cache" ;;
esac
inputs=$({
	cat "$kdir/.config" "$kdir/Module.symvers"
	echo "$release $package ${KERNEL_SRC:-}"
	"$rustc" --version --verbose
	"$cc" --version
	bindgen --version
} | sha256sum | cut -c 1-12)
place=$cache/prepared/$release-$inputs
tree=$place/build
if [ -f "$place/complete" ]; then
	echo "$tree"
	exit
fi
mkdir -p "$place" 2>/dev/null || fail "cannot write to the cache, at $place: set MAP_CACHE to a directory of your own"

# Only one run prepares it; the others find it complete.
exec 9>"$place/.lock"
flock -n 9 || {
	step "Waiting for another run, which prepares Linux $release"
	flock 9
}
if [ -f "$place/complete" ]; then
	echo "$tree"
	exit
fi
log=$place/make.log
rm -rf "$place/source" "$place/source.part" "$tree"
mkdir "$tree"
: >"$log"

# Unpacks what modules need of the kernel's source, in the tarball $1.
unpack() {
	step "Unpacking the source of Linux $version"
	mkdir "$place/source.part"
	# Directories deeper down have the same names, and what is there may be needed (rust/helpers/net).
	top=$(basename "$1" .tar.xz)
	tar --extract --file "$1" --directory "$place/source.part" --strip-components 1 --exclude "$top/Documentation/*/*" \
		--exclude "$top/drivers/*.c" --exclude "$top/sound/*.c" --exclude "$top/fs/*.c" --exclude "$top/net/*.c" \
		--exclude '*/asic_reg/*' --exclude '*/testing/selftests' || fail "cannot unpack $1 into $place"
	mv "$place/source.part" "$place/source"
}

source=${KERNEL_SRC:-}
if [ -z "$source" ]; then
	source=$place/source
	name=linux-source-${version%.*}
	tarball=/usr/src/$name.tar.xz
	wanted=${package#Debian }
	if [ -n "$wanted" ] && [ -f "$tarball" ] &&
		[ "$(dpkg-query -W -f '${Version}' "$name" 2>/dev/null)" = "$wanted" ]; then
		unpack "$tarball"
	elif [ "$wanted" != "$package" ] && command -v apt-get >/dev/null; then
		step "Downloading the source of Linux $version ($name $wanted)"
		rm -rf "$place/download"
		mkdir "$place/download"
		(cd "$place/download" && apt-get -q download "$name=$wanted" >>"$log" 2>&1) ||
			fail "the source of Linux $release is needed, and apt-get cannot bring $name $wanted: install that package, or set" \
				"KERNEL_SRC to the unpacked source (the errors are in $log)"
		dpkg -x "$place/download"/*.deb "$place/download" || fail "cannot unpack $name into $place"
		unpack "$place/download/usr/src/$name.tar.xz"
		rm -rf "$place/download"
	else
		fail "the source of Linux $release is needed: set KERNEL_SRC to it, unpacked"
	fi
fi
[ "$(make -s -C "$source" kernelversion 2>/dev/null)" = "$version" ] ||
	fail "$source is not the source of Linux $version, which the kernel was built from"

# Runs make, whose messages go to the log; the errors name it.
run() {
	make -C "$source" O="$tree" LOCALVERSION="${release#"$version"}" "$@" >>"$log" 2>&1 9>&-
}

step "Preparing Linux $release for modules in Rust, once, in $place"
cp "$kdir/.config" "$kdir/Module.symvers" "$tree/"
# The types that BTF describes, for the module's.
[ ! -f "$kdir/vmlinux" ] || cp "$kdir/vmlinux" "$tree/"
run "$@" olddefconfig || fail "the configuration of Linux $release cannot be used; the errors are in $log"
# The tools' versions may differ in what does not matter, such as Debian's revision. Without the libraries of a cross
# compiler, and without one for 32 bits, some symbols are off that no module sees: samples, and arm64's vDSO for programs
# of 32 bits.
settings() {
	grep -v -E '^# (Linux|Compiler)|^CONFIG_[A-Z]+_VERSION_TEXT=|CONFIG_(CC_CAN_LINK|(THUMB2_)?COMPAT_VDSO)[= ]' "$1" || true
}
settings "$kdir/.config" >"$place/wanted"
settings "$tree/.config" >"$place/found"
differences=$(diff "$place/wanted" "$place/found" | grep '^[<>]' || true)
[ -z "$differences" ] || fail "the configuration of Linux $release cannot be reproduced with the tools here;" \
	"$(echo "$differences" | wc -l) lines differ, the first: $(echo "$differences" | head -n 1)"
run "$@" -j"$(nproc)" prepare modules_prepare ||
	fail "Linux $release could not be prepared: $(grep -m 1 -i -E 'error:|not found|no such' "$log" || tail -n 1 "$log")" \
		"(the whole log is $log)"
found=$(cat "$tree/include/config/kernel.release")
[ "$found" = "$release" ] || fail "the prepared tree is for Linux $found instead of $release"
[ -f "$tree/rust/libkernel.rmeta" ] || fail "make has made no rust/libkernel.rmeta in $tree; its messages are in $log"
# All of it reaches the disk before it counts.
sync -f "$tree"
touch "$place/complete"
echo "$tree"
