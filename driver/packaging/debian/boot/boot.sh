#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Boots a Debian with the packages three times and checks it: without windows, with windows until apt has purged the
# packages, and after that. `boot.sh ROOT DIRECTORY`: ROOT is its directory, which does not change; the disk and the
# logs go to DIRECTORY. Prints how many checks held.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$1
place=$2

fail() {
	echo "map: $*" >&2
	exit 1
}

bare=$place/bare
mkdir -p "$bare"
trap 'umount --recursive --lazy "$bare" 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM

# The kernel that dkms has built the driver for.
driver=$(echo "$root"/usr/lib/modules/*/updates/dkms/map.ko*)
release=${driver#"$root/usr/lib/modules/"}
release=${release%%/*}
kernel=$root/boot/vmlinuz-$release
initrd=$root/boot/initrd.img-$release
for file in "$driver" "$kernel" "$initrd"; do
	[ -f "$file" ] || fail "there is no kernel with the driver to boot: $file is missing"
done

# The root without what is mounted in it. What would only cost time is hidden: compilers and sources; and all modules
# but ours and what they depend on, because depmod takes minutes for the others when dkms removes ours. The initramfs
# has those for the disk.
mount --bind "$root" "$bare"
hide() {
	mount -t tmpfs -o mode=0755 tmpfs "$bare/$1"
}
for directory in "$bare"/usr/lib/llvm-* "$bare"/usr/lib/gcc "$bare"/usr/lib/rustlib "$bare"/usr/include; do
	[ ! -d "$directory" ] || hide "${directory#"$bare/"}"
done
hide usr/src
cp -a "$root"/usr/src/map-* "$bare/usr/src"
hide var/cache/map
mkdir "$bare/var/cache/map/prepared"
hide usr/lib/modules
mkdir "$bare/usr/lib/modules/$release"
(
	cd "$root/usr/lib/modules/$release"
	depends=$(chroot "$root" modprobe -S "$release" --show-depends map_config | sed -n 's,.*/\(kernel/[^ ]*\).*,\1,p')
	# shellcheck disable=SC2086 # The list is meant to be split.
	cp -a --parents modules.builtin* modules.order updates $depends "$bare/usr/lib/modules/$release"
)
chroot "$bare" depmod "$release"
# What checks the system is in a place that no package uses.
hide usr/local
mkdir -p "$bare/usr/local/lib/systemd/system" "$bare/usr/local/lib/map"
cp "$here"/*.service "$bare/usr/local/lib/systemd/system"
cp "$here/inside.sh" "$here/programs.py" "$bare/usr/local/lib/map"
rm -f "$place/disk"
truncate -s 3G "$place/disk"
mke2fs -q -t ext4 -O ^has_journal -E nodiscard -d "$bare" "$place/disk" >&2
umount --recursive "$bare"

# What a kernel logs when it finds a fault, as the harness knows it.
sed -n '/^const SPLATS/,/^];/s/^    "\(.*\)",$/\1/p' "$here/../../../../qemu/host/src/klog.rs" >"$place/faults"
grep -q '^BUG:$' "$place/faults" || fail "klog.rs names no faults"

# The memory for the windows of the example. Debian's kernel treats the $ as it is; only a boot loader would not.
# shellcheck disable=SC2016 # It is an address's sign, not a variable's.
append='console=ttyS0 ignore_loglevel panic=-1 reboot=t root=/dev/vda rw memmap=3M$0xc0000000'
append="$append systemd.show_status=yes systemd.wants=map-booted.service systemd.getty_auto=no"
# On a machine that is busy everything takes longer.
append="$append systemd.default_timeout_start_sec=300 systemd.default_device_timeout_sec=180"
# Services that take time and have no part in this are left out.
for unit in getty.target systemd-logind.service ldconfig.service systemd-journal-catalog-update.service; do
	append="$append systemd.mask=$unit"
done

# Boots it for the checks $1 of inside.sh, with further words $2 for the kernel.
boot() {
	# The i440FX has its memory below 3.5 GiB in one piece, so the windows are memory.
	ended=0
	timeout --foreground 900 qemu-system-x86_64 -accel "${MAP_QEMU_ACCEL:-tcg}" -machine pc,acpi=off \
		-cpu max,la57=off -smp 2,sockets=2 -m 3100 -nodefaults -no-user-config -no-reboot -display none \
		-drive "file=$place/disk,format=raw,if=virtio,cache=unsafe" \
		-serial "file:$place/$1.log" -serial "file:$place/$1.port" \
		-kernel "$kernel" -initrd "$initrd" -append "$append map_booted=$1 $2" </dev/null >&2 || ended=$?
	tr -d '\r' <"$place/$1.port" >"$place/$1.results"
	held=$(grep -c '^PASS ' "$place/$1.results" || :)
	# A line that is missing is missed here, too.
	if [ "$ended" != 0 ] || [ "$held" = 0 ] || [ "$(tail -n 1 "$place/$1.results")" != "END $held" ]; then
		# Without that line something has ended, or stopped, the checks.
		grep -q '^END ' "$place/$1.results" || tail -n 60 "$place/$1.log" >&2
		grep -v '^PASS ' "$place/$1.results" >&2 || :
		[ "$ended" != 124 ] || fail "the boot '$1' has not ended after fifteen minutes"
		fail "the boot '$1' does not say that all is well"
	fi
	if grep -aF -f "$place/faults" "$place/$1.log" >&2; then
		fail "the kernel reports a fault in the boot '$1'"
	fi
	count=$((count + held + 1))
}

count=0
boot without ''
boot with systemd.wants=map-member.service
boot gone ''
echo "$count"
