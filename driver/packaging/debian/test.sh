#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Tests the Debian packages: built twice they have the same bytes, lintian finds no error, and in a
# clean Debian 13 they install, build the driver, do what they say, also when it is booted, and leave nothing behind.
#
# Another shell expands what is in single quotes.
# shellcheck disable=SC2016
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

fail() {
	echo "map: $*" >&2
	exit 1
}

step() {
	echo "==> $*" >&2
}

checks=0
# Runs the rest of the line, a command that is to succeed, and counts it as the check $1.
check() {
	what=$1
	shift
	"$@" >"$scratch/output" 2>&1 || {
		cat "$scratch/output" >&2
		fail "this does not hold: $what"
	}
	checks=$((checks + 1))
}

# Whether a command fails.
fails() {
	! "$@"
}

equal() {
	[ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }
}

[ "$(id -u)" = 0 ] || fail "this test mounts a root file system of its own: run it as root"
if [ "${1:-}" != --inside ]; then
	"$here/need.sh" lintian="looks for mistakes in packages" mmdebstrap="makes the clean Debian 13" \
		debian-archive-keyring="its keys" e2fsprogs="makes a disk of it" qemu-system-x86="boots that"
	# Mounts and processes end with this script, however it ends.
	exec unshare --mount --pid --fork --kill-child "$0" --inside
fi

cache=${MAP_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/map}}
cache=${cache:-$HOME/.cache/map}/debian
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { step "Waiting for another run of this test" && flock 9; }
# What runs that were killed have left.
rm -rf --one-file-system "$cache"/*.part "$cache"/run.*
scratch=$(mktemp -d "$cache/run.XXXXXX")
chmod 0755 "$scratch"
target=$scratch/root

clean_up() {
	umount --recursive --lazy "$target" 2>/dev/null || :
	rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")

# Builds the packages in the directory $1 below the scratch directory, with nothing compiled before, with the umask $2
# and in the time zone $3.
build() {
	place=$scratch/$1
	mkdir -p "$place"
	step "Building the packages, $1"
	(umask "$2" && CARGO_BUILD_BUILD_DIR="$place/cargo" TZ="$3" "$here/build.sh" "$place" >"$scratch/build.log" 2>&1) || {
		tail -n 40 "$scratch/build.log" >&2
		fail "the packages do not build"
	}
	rm -rf "$place/cargo"
}

build once 022 UTC
build once/and/again 077 Asia/Tokyo
for package in "$scratch"/once/*.deb; do
	check "built twice, ${package##*/} has the same bytes" cmp "$package" "$scratch/once/and/again/${package##*/}"
done
devmap=$scratch/once/devmap_${version}_$(dpkg --print-architecture).deb
dkms=$scratch/once/map-dkms_${version}_all.deb
check "the packages have the version of Cargo.toml" test -f "$devmap" -a -f "$dkms"
check "lintian finds no error" lintian --no-cfg --allow-root --fail-on error "$devmap" "$dkms"
# The directories of this machine that the package $1 names.
named() {
	dpkg-deb --fsys-tarfile "$1" | tar -xO | grep -aoF -e "$root/" -e "$scratch/" -e "$HOME/" | sort -u
}
check "devmap names no directory where it was built" equal "$(named "$devmap")" ""
check "map-dkms names no directory where it was built" equal "$(named "$dkms")" ""

# --- The clean Debian 13.

# What map-dkms depends on, without what is ours.
depends=$(dpkg-deb -f "$dkms" Depends | sed 's/devmap ([^)]*), //')
# A kernel that has Rust, with its source and its modules, and one that is too old for the driver.
new_kernel="linux-image-amd64/trixie-backports linux-headers-amd64/trixie-backports linux-source/trixie-backports"
old_kernel=linux-headers-amd64/trixie
# What boots, what makes the node, what the checks read, and what makes groups.
system=systemd-sysv,udev,man-db,passwd
# Programs that take the node of a window for a file.
system=$system,python3-numpy,fio
# The modules that QEMU's disk needs: an initramfs with all of Debian's would make a boot much slower.
disk="virtio_pci virtio_blk ext4"
# The archive moves on, so a new one is made each month.
key=$(echo "$depends $new_kernel $old_kernel $system $disk $(date +%Y-%m)" | sha256sum | cut -c 1-12)
base=$cache/trixie-$key

# The machine's main archive.
mirror() {
	apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' |
		sed -n 's/^Packages|Debian|main|[a-z]*|//p' | head -n 1
}

if [ ! -d "$base" ]; then
	step "Making a clean Debian 13 with what the packages depend on; it stays in $base"
	mirror=$(mirror)
	[ -n "$mirror" ] || fail "apt knows no Debian archive on this machine; try apt-get update"
	rm -rf --one-file-system "$cache"/trixie-*
	for suite in trixie trixie-backports; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
	done >"$scratch/sources.list"
	export DEPENDS="$depends" OLD_KERNEL="$old_kernel" NEW_KERNEL="$new_kernel" DISK="$disk"
	make_base() {
		rm -rf --one-file-system "$base.part"
		mmdebstrap --quiet --mode=root --variant=minbase --include="$system" --aptopt='Acquire::Retries "3"' \
			--customize-hook='chroot "$1" apt-get -q -y --no-install-recommends satisfy "$DEPENDS"' \
			--customize-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
			--customize-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/disk"' \
			--customize-hook='printf "%s\n" $DISK >"$1/usr/share/initramfs-tools/modules.d/disk"' \
			--customize-hook='chroot "$1" apt-get -q -y --no-install-recommends install $OLD_KERNEL' \
			--customize-hook='chroot "$1" apt-get -q -y --no-install-recommends install $NEW_KERNEL' \
			trixie "$base.part" "$scratch/sources.list" >"$scratch/base.log" 2>&1
	}
	# apt asks an archive again that fails once, but not for everything.
	make_base || make_base || {
		tail -n 40 "$scratch/base.log" >&2
		fail "mmdebstrap cannot make a clean Debian 13"
	}
	mv "$base.part" "$base"
fi

mkdir "$target" "$scratch/upper" "$scratch/work"
mount -t overlay -o "lowerdir=$base,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$target" 2>/dev/null ||
	cp -a "$base/." "$target"
mount -t proc proc "$target/proc"
mount -t tmpfs tmpfs "$target/run"
mount -t tmpfs tmpfs "$target/tmp"

# Runs a command in the clean root.
inside() {
	chroot "$target" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive "$@"
}

# Installs or removes packages there; the output goes to a file.
apt() {
	inside apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >"$scratch/apt.log" 2>&1
}

apt_or_fail() {
	apt "$@" || {
		tail -n 60 "$scratch/apt.log" "$target"/var/lib/dkms/map/*/build/make.log >&2
		fail "this does not work: apt-get $*"
	}
}

# Lists all files with their types, modes and owners, and the accounts. What apt, man-db and the programs for accounts
# keep of earlier work is not ours, and neither is the key that dkms makes once for the machine.
snapshot() {
	inside find / -xdev \( -path /proc -o -path /run -o -path /tmp -o -path /var/lib/apt/lists -o -path /var/cache/apt \
		-o -path /var/log -o -path /var/cache/man -o -path '/etc/*-' -o -path '/var/lib/dkms/mok.*' \) -prune \
		-o -printf '%p %y %m %u %g %l\n' | sort
	inside cat /etc/passwd /etc/group /etc/gshadow
}

# The files of the driver for the kernel $1.
drivers() {
	find "$target/lib/modules/$1" -name 'map.ko*'
}

# What is in the driver for modinfo, under the name $1.
about() {
	inside modinfo -k "$new" -F "$1" map
}

new=$(basename "$target"/lib/modules/7.*)
old=$(basename "$target"/lib/modules/6.*)
for kernel in "$new" "$old"; do
	[ -d "$target/lib/modules/$kernel/build/" ] || fail "the clean Debian has no headers for $kernel"
done
cp "$devmap" "$dkms" "$target/tmp"
snapshot >"$scratch/before"

step "Installing them; dkms builds the driver for Linux $new"
apt_or_fail install "/tmp/${devmap##*/}" "/tmp/${dkms##*/}"
for package in devmap map-dkms; do
	check "$package is installed" \
		equal "$(inside dpkg-query -W -f '${db:Status-Abbrev} ${Version}' "$package")" "ii  $version"
	check "the files of $package are as they were packed" equal "$(inside dpkg --verify "$package")" ""
done

check "devmap runs" equal "$(inside devmap --version)" "devmap $version"
for name in devmem2 devmem; do
	check "$name is devmap" equal "$(inside readlink -f "/usr/bin/$name")" /usr/bin/devmap
	check "$name takes its own arguments" sh -c '"$@" 2>&1 | grep -q "^Usage: $0 "' "$name" \
		chroot "$target" "$name"
	check "$name has a manual page" inside sh -c "man $name | grep -q devmem2"
done
check "every command has a manual page" inside sh -c '
	devmap help | sed -n "s/^  \([a-z][a-z]*\)  .*/\1/p" | grep -v help >/tmp/commands
	[ "$(wc -l </tmp/commands)" -gt 10 ] && while read -r name; do man -w "devmap-$name" || exit; done </tmp/commands'
check "bash completes its arguments" inside bash -c \
	'. /usr/share/bash-completion/completions/devmap && complete -p devmap'

check "the group of the node is the system's" inside sh -c '[ "$(getent group map | cut -d : -f 3)" -lt 1000 ]'
check "the group begins without members" equal "$(inside getent group map | cut -d : -f 4)" ""
rule=/usr/lib/udev/rules.d/60-devmap.rules
check "the rule is valid" inside udevadm verify --no-style "$rule"
check "the rule gives the node to the group, and nothing to others" \
	inside grep -q '^SUBSYSTEM=="map", KERNEL=="map", GROUP="map", MODE="0660"' "$rule"

unit=/usr/lib/systemd/system/map-windows.service
# It only warns of keys that systemd does not know.
check "the service is valid" equal "$(inside systemd-analyze verify "$unit" 2>&1)" ""
check "the service is enabled" equal "$(inside systemctl is-enabled map-windows)" enabled
# The condition of the service, as systemd would run it.
condition=$(inside sed -n 's/^ExecCondition=//p' "$unit")
config=/etc/modprobe.d/map.conf
check "without windows the service does not load the driver" fails inside sh -c "$condition"
inside sh -c "echo options map major=0 >$config.d.conf"
check "other parameters are no windows" fails inside sh -c "$condition"
inside rm "$config.d.conf"
inside cp "$config" /tmp/map.conf
inside sed -i 's/^#options/options/' "$config"
check "with windows the service loads the driver" inside sh -c "$condition"
check "the driver gets the windows" sh -c 'echo "$1" | grep -q "map.ko.* windows=sdram@0xc0000000+2M,"' - \
	"$(inside modprobe -S "$new" --show-depends map)"
inside cp /tmp/map.conf "$config"

check "dkms has built the driver for the one kernel that it fits" \
	equal "$(inside dkms status | sed 's/:.*installed.*/: installed/')" "map/$version, $new, $(uname -m): installed"
check "the driver is there" equal "$(drivers "$new" | wc -l)" 1
check "what adds windows at run time is there" \
	equal "$(find "$target/lib/modules/$new" -name 'map_config.ko*' | wc -l)" 1
check "no driver is built for Linux $old" equal "$(drivers "$old")" ""
check "the driver has the version of Cargo.toml" equal "$(about version)" "$version"
check "the driver is for this kernel" equal "$(about vermagic | cut -d ' ' -f 1)" "$new"
check "the driver takes windows" sh -c 'echo "$1" | grep -q "^windows:"' - "$(about parm)"
check "udev finds the driver for windows in the device tree" \
	sh -c 'echo "$1" | grep -q "of:N.*Cmap,windows"' - "$(about alias)"

step "Booting it with them under Linux $new, three times"
booted=$("$here/boot/boot.sh" "$target" "$scratch/boot") || fail "a booted Debian is not as it should be"
checks=$((checks + booted))

step "Installing them once more, and with a kernel that rustc does not fit"
apt_or_fail install --reinstall "/tmp/${devmap##*/}" "/tmp/${dkms##*/}"
# rustc of another version: the kernel's names another.
inside sh -c "sed -i.orig 's/^CONFIG_RUSTC_VERSION_TEXT=.*/CONFIG_RUSTC_VERSION_TEXT=\"rustc 1.0.0\"/' \
	/lib/modules/$new/build/include/config/auto.conf"
check "with the wrong rustc the driver is not built" fails apt install --reinstall "/tmp/${dkms##*/}"
check "the one line of the script says why" \
	equal "$(grep -c '^map: .*was built with rustc 1.0.0' "$scratch/apt.log")" 1
inside sh -c "mv /lib/modules/$new/build/include/config/auto.conf.orig /lib/modules/$new/build/include/config/auto.conf"
inside dpkg --configure -a >"$scratch/apt.log" 2>&1 || fail "dpkg --configure -a does not mend it"

inside mkdir -p "/var/cache/map/prepared/$old-123456789abc"
inside /etc/kernel/postrm.d/map-dkms "$new"
check "what was prepared for a kernel goes with it, and nothing else" \
	equal "$(inside ls /var/cache/map/prepared)" "$old-123456789abc"

step "Removing and purging them"
apt_or_fail remove map-dkms devmap
check "removing takes the driver away" equal "$(drivers "$new")" ""
check "removing leaves only configuration" test -f "$target$config" -a ! -e "$target/usr/bin/devmap" \
	-a ! -e "$target/usr/bin/devmem2" -a ! -e "$target/usr/src/map-$version"
apt_or_fail purge map-dkms devmap
snapshot >"$scratch/after"
check "purged, they leave nothing" diff "$scratch/before" "$scratch/after"

echo 'echo mine' | inside sh -c 'cat >/usr/bin/devmem2 && chmod +x /usr/bin/devmem2'
apt_or_fail install "/tmp/${devmap##*/}"
check "a devmem2 of one's own stays" equal "$(inside devmem2)" mine
apt_or_fail purge devmap
check "a devmem2 of one's own stays when devmap goes" equal "$(inside devmem2)" mine

step "The packages are as they should be: $checks checks"
