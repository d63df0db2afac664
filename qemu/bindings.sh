#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Checks the device tree binding with dt-schema: the binding itself, its example, and the trees of the guests' tests, one
# of which is invalid. It needs python3-venv and device-tree-compiler.
#
#     qemu/bindings.sh DIRECTORY
#
# installs dt-schema in DIRECTORY, and reuses it the next time.
set -eu

VERSION=2026.9

if [ $# != 1 ]; then
    echo "usage: $0 DIRECTORY" >&2
    exit 2
fi
tools=$1/dtschema-$VERSION
# An installation that was interrupted is repeated.
if [ ! -e "$tools/complete" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "dtschema==$VERSION"
    touch "$tools/complete"
fi
# The tools call each other by name.
PATH=$(cd "$tools/bin" && pwd):$PATH

cd "$(dirname "$0")/.."
binding=docs/bindings/map,windows.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "bindings: $1" >&2
    shift
    [ $# = 0 ] || cat "$@" >&2
    exit 1
}

# Compiles the source $1 to the tree $2. The schemas decide about what dtc warns of.
compile() {
    dtc -q -I dts -O dtb -o "$2" "$1" 2>"$work/dtc" || fail "dtc rejects $1:" "$work/dtc"
}

# Whether the tree $1 is valid by the schemas; their findings are in $work/findings. The tool itself always succeeds.
is_valid() {
    dt-validate --limit map,windows --schema docs/bindings "$1" >"$work/findings" 2>&1 || fail "dt-validate:" "$work/findings"
    [ ! -s "$work/findings" ]
}

# Makes $2, the guests' tree with the overlay $1 but without QEMU's nodes.
guest_tree() {
    cat >"$work/board.dts" <<'END'
/dts-v1/;
/ {
    #address-cells = <2>;
    #size-cells = <2>;
    interrupt-parent = <&controller>;
    controller: interrupt-controller {
        interrupt-controller;
        #interrupt-cells = <3>;
    };
};
END
    compile "$work/board.dts" "$work/board.dtb"
    compile qemu/kernel/tree.dtso "$work/memory.dtbo"
    compile "qemu/kernel/$1" "$work/windows.dtbo"
    fdtoverlay -i "$work/board.dtb" -o "$2" "$work/memory.dtbo" "$work/windows.dtbo"
}

dt-doc-validate -u docs/bindings "$binding" >"$work/findings" 2>&1 || fail "$binding is not a schema:" "$work/findings"
[ ! -s "$work/findings" ] || fail "$binding:" "$work/findings"

dt-extract-example "$binding" >"$work/example.dts"
compile "$work/example.dts" "$work/example.dtb"
is_valid "$work/example.dtb" || fail "the example of $binding is invalid:" "$work/findings"

for tree in tree-windows.dtso tree-overlay.dtso tree-overlay-windows.dtso arm64-interrupts.dtso; do
    guest_tree "$tree" "$work/good.dtb"
    is_valid "$work/good.dtb" || fail "$tree is invalid:" "$work/findings"
done

# The mistakes that a schema can find. The driver finds the others, which depend on other nodes or on the machine.
guest_tree tree-wrong.dtso "$work/wrong.dtb"
is_valid "$work/wrong.dtb" && fail "nothing was found in tree-wrong.dtso"
for mistake in no-place two-places two-regions two-addresses bad-label bad-name bad-cache two-caches not-read-only \
    not-shared one-of-two many-interrupts bad-interrupt-name twin-interrupts nameless-interrupts; do
    grep -q "windows-$mistake (map,windows): " "$work/findings" ||
        fail "windows-$mistake in tree-wrong.dtso was not found:" "$work/findings"
done
