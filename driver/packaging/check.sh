#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Checks the recipes of Yocto with oelint-adv, and if BUILDROOT names a tree of Buildroot, those of
# Buildroot with its check-package, and whether it offers and resolves them. It builds nothing.
#
#     driver/packaging/check.sh DIRECTORY
#
# installs the tools in DIRECTORY, and reuses them the next time. It needs python3-venv.
set -eu

OELINT=9.11.2
# What check-package needs.
MAGIC=0.4.27
FLAKE8=7.5.0

if [ $# != 1 ]; then
	echo "usage: $0 DIRECTORY" >&2
	exit 2
fi
tools=$1/oelint-$OELINT
# An installation that was interrupted is repeated.
if [ ! -e "$tools/complete" ]; then
	rm -rf "$tools"
	python3 -m venv "$tools"
	"$tools/bin/pip" install --quiet --disable-pip-version-check \
		"oelint-adv==$OELINT" "python-magic==$MAGIC" "flake8==$FLAKE8"
	touch "$tools/complete"
fi
tools=$(cd "$tools/bin" && pwd)
cd "$(dirname "$0")"

fail() {
	echo "images: $*" >&2
	exit 1
}

./recipes.sh --check || fail "run make recipes"

# There is no address that could be the home page. What is only information is a matter of taste.
"$tools/oelint-adv" --quiet --relpaths --hide info --release blacksail \
	--suppress oelint.var.mandatoryvar.HOMEPAGE \
	yocto/meta-map/conf/layer.conf yocto/meta-map/recipes-map/map/*.bb \
	yocto/meta-map/recipes-map/map/*.inc || fail "oelint-adv $OELINT has findings"

if [ -z "${BUILDROOT-}" ]; then
	echo "images: Buildroot's recipes are not checked; name a tree: make test-images BUILDROOT=..."
	exit
fi
external=$PWD/buildroot
(cd buildroot && find . -type f ! -path './package/*/*/*' ! -name .gitignore \
	-exec env PATH="$tools:$PATH" python3 "$BUILDROOT/utils/check-package" -b {} +) ||
	fail "check-package has findings"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wanted='BR2_x86_64 BR2_TOOLCHAIN_EXTERNAL BR2_LINUX_KERNEL BR2_LINUX_KERNEL_USE_ARCH_DEFAULT_CONFIG
	BR2_PACKAGE_HOST_RUSTC BR2_PACKAGE_HOST_RUST BR2_PACKAGE_DEVMAP BR2_PACKAGE_DEVMAP_DEVMEM2
	BR2_PACKAGE_MAP_DRIVER'
for option in $wanted; do
	echo "$option=y"
done >"$work/defconfig"
make -s -C "$BUILDROOT" O="$work/out" BR2_EXTERNAL="$external" BR2_DEFCONFIG="$work/defconfig" \
	defconfig >"$work/log" 2>&1 || fail "Buildroot cannot be configured: $(cat "$work/log")"
for option in $wanted; do
	grep -q "^$option=y$" "$work/out/.config" || fail "Buildroot does not accept $option"
done
dependencies=$(make -s -C "$work/out" linux-show-depends map-driver-show-depends devmap-show-depends)
for dependency in host-rust-bindgen host-rustc linux; do
	case " $(echo "$dependencies" | tr '\n' ' ') " in
	*" $dependency "*) ;;
	*) fail "no package depends on $dependency: $dependencies" ;;
	esac
done
