#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Checks a booted Debian from inside, for boot.sh: map-booted.service runs it. What it checks is the word map_booted= on
# the kernel's command line; the results go to the second serial port, a line each, and "END COUNT" is the last.
set -u

exec >/dev/ttyS1 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

count=0
# Runs the rest of the line, a command that is to succeed, and reports it as the check $1.
check() {
	what=$1
	shift
	count=$((count + 1))
	if "$@" >/run/output 2>&1; then
		echo "PASS $what"
	else
		echo "FAIL $what"
		sed 's/^/	/' /run/output
	fi
}

fails() {
	! "$@"
}

equal() {
	[ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }
}

# Whether the output of the rest of the line has a line that matches $1.
says() {
	pattern=$1
	shift
	"$@" >/run/said 2>&1
	cat /run/said
	grep -q "$pattern" /run/said
}

# Runs a command as a user, with the groups of that user.
as() {
	user=$1
	shift
	setpriv --reuid "$user" --regid "$user" --init-groups "$@"
}

# The properties of a unit, on one line.
state() {
	unit=$1
	shift
	for property in "$@"; do
		systemctl show --value --property "$property" "$unit"
	done | paste -sd ' '
}

failed() {
	systemctl list-units --failed --no-legend --plain
}

# What holds where the driver is not loaded, and nothing has failed.
check_absent() {
	check "$1, the driver is not loaded" test ! -e /sys/module/map -a ! -e /sys/module/map_config
	check "$1, there is no node" equal "$(find /dev -maxdepth 1 -name 'map*' ! -name mapper)" ""
	check "$1, no unit has failed" equal "$(failed)" ""
}

config=/etc/modprobe.d/map.conf
# The first address of the windows.
first=0xc0000000

without() {
	check_absent "booted without windows"
	check "booted without windows, the service was skipped" \
		equal "$(state map-windows ActiveState Result)" "inactive exec-condition"
	check "booted without windows, the driver was never loaded" equal "$(journalctl -k -q -o cat -g '^map: ')" ""

	# What an administrator does, for the next boot.
	sed -i 's/^#options/options/' "$config"
	useradd --user-group member
	useradd --user-group stranger
	usermod --append --groups map member
}

with() {
	udevadm settle
	check "booted with windows, the driver is loaded" test -e /sys/module/map/initstate
	check "the service has loaded it" \
		equal "$(state map-windows ActiveState SubState Result)" "active exited success"
	check "it was loaded before ordinary services" \
		test "$(state map-windows ActiveEnterTimestampMonotonic)" -le \
		"$(state sysinit.target ActiveEnterTimestampMonotonic)"
	check "the example is what the driver got" says '^ *sdram .*rw' devmap info
	check "the node is what the rule says" equal "$(stat -c '%F %a %U:%G' /dev/map)" \
		"character special file 660 root:map"
	for name in sdram fifo status; do
		check "the node of the window $name is what the rule says" \
			equal "$(stat -L -c '%F %a %U:%G' "/dev/map-by-name/$name")" "character special file 660 root:map"
	done
	check "systemd knows the node as a device" equal "$(state dev-map.device ActiveState)" active
	check "a service that depends on the node finds it ready" \
		equal "$(state map-member ActiveState Result)" "active success"
	check "booted with windows, no unit has failed" equal "$(failed)" ""

	check "a member of the group writes" as member devmap write "$first" 0x600df00d
	check "a member reads what was written" says '^0x0*c0000000.*600df00d' as member devmap read "$first"
	check "a member reads it from the node of the window" \
		equal "$(as member od -A n -t x4 -N 4 /dev/map-by-name/sdram)" " 600df00d"
	check "a member writes no window that is read-only" says EACCES as member devmap write 0xc0210000 1
	check "a member reads nothing beyond the windows" says 'outside of every window' as member devmap read 0xc0300000
	check "another user does not read" says 'cannot open /dev/map: Permission denied' as stranger devmap read "$first"
	check "another user does not write" says 'Permission denied' as stranger devmap write "$first" 0xbad
	check "another user does not read the node of the window" \
		says 'Permission denied' as stranger head -c 4 /dev/map-by-name/sdram
	check "nothing was written by that" says '600df00d' devmap read "$first"

	sdram=/dev/map-by-name/sdram
	check "python and numpy map it" as member python3 /usr/local/lib/map/programs.py "$sdram"
	# Each reads back what it has written, in any order. What it remembers would be a file where it runs.
	for engine in psync mmap libaio; do
		check "fio verifies it by $engine" as member fio --name=map --filename="$sdram" --size=2M --bs=4k --rw=randwrite \
			--ioengine="$engine" --verify=crc32c --verify_fatal=1 --verify_state_save=0 --invalidate=0 --thread
	done

	check "the driver takes windows at run time" modprobe map_config
	systemctl stop map-windows
	check "the service stops" equal "$(state map-windows ActiveState Result)" "inactive success"
	check "stopped, it has taken both modules away" test ! -e /sys/module/map -a ! -e /sys/module/map_config
	check "the service starts again" systemctl start map-windows
	udevadm settle
	check "the node is again what the rule says" equal "$(stat -c '%a %U:%G' /dev/map)" "660 root:map"
	# System RAM is no window.
	sed -i 's/^options.*/options map windows=ram@0x1000000+1M/' "$config"
	check "with a wrong window the service fails" fails systemctl restart map-windows
	check "the journal says why" says '^map: windows: ram@.*System RAM' journalctl -k -q -o cat -g map:
	check "with a wrong window the driver is not loaded" test ! -e /sys/module/map
	sed -i 's/^options.*/options map windows=sdram@0xc0000000+2M/' "$config"
	check "with the window mended it starts" systemctl restart map-windows
	check "both modules are loaded when the packages are purged" modprobe map_config

	check "apt purges the packages" apt-get -q -y -o Dpkg::Use-Pty=0 purge map-dkms devmap
	udevadm settle
	purged "purged"
}

# What holds after the packages are gone; $1 says when.
purged() {
	check_absent "$1"
	check "$1, no module is left" equal "$(find /lib/modules -name 'map.ko*' -o -name 'map_config.ko*')" ""
	check "$1, modprobe knows no such module" fails modprobe --dry-run map
	check "$1, systemd does not know the service" equal "$(state map-windows LoadState)" not-found
	check "$1, systemd does not know the node" equal "$(state dev-map.device ActiveState)" inactive
	check "$1, the group is gone" equal "$(getent group map; id -Gn member)" member
	check "$1, no file is left" equal "$(find /etc /usr/lib/udev /usr/lib/sysusers.d /usr/lib/systemd \
		/var/lib/systemd /var/lib/dkms /usr/src /var/cache/map -name '*map-windows*' -o -name '*devmap*' \
		-o -path '*/modprobe.d/map*' -o -path '*/kernel/postrm.d/map*' -o -name 'map-[0-9]*' \
		-o -path '/var/*/map' 2>/dev/null)" ""
}

gone() {
	purged "booted after that"
}

stage=$(sed -n 's/.*\bmap_booted=\([a-z]*\).*/\1/p' /proc/cmdline)
case $stage in
without | with | gone) "$stage" ;;
*) check "map_booted= says what to check, not '$stage'" false ;;
esac
echo "END $count"
