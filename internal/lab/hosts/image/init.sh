#!/bin/sh
# The first program of a host of the lab. It gives the host for its own what a
# container shares with the machine, then becomes systemd.
set -eu
own=/run/archipel-lab

# The kernel's settings are the machine's, those of the network aside: the host
# gets a copy, which takes what is written and keeps it. What the kernel computes
# anew at each read stays its own.
mkdir -p $own/sys
for settings in /proc/sys/*; do
	name=${settings##*/}
	[ "$name" != net ] || continue
	# Some settings can only be written.
	cp -r "$settings" $own/sys/ 2>/dev/null || true
	if [ "$name" = kernel ]; then
		for computed in random hostname domainname; do
			mount --bind "$settings/$computed" "$own/sys/kernel/$computed"
		done
	fi
	mount --rbind "$own/sys/$name" "$settings"
done
# swapoff and SysRq would reach the machine, and so would writes to its disks.
printf 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n' >$own/swaps
mount --bind $own/swaps /proc/swaps
[ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null /proc/sysrq-trigger
mount -o remount,bind,ro /sys
find /dev -type b -delete

# A module that the kernel of the machine has built in, or lacks, cannot be
# loaded from here: modprobe finds these built in.
modules=/lib/modules/$(uname -r)
if [ ! -e "$modules" ]; then
	mkdir -p "$modules"
	sed 's|.*|kernel/&.ko|' /usr/lib/archipel-lab/modules >"$modules/modules.builtin"
	: >"$modules/modules.order"
	depmod
fi

# podman binds this file, so that nothing could replace it.
umount /etc/hostname 2>/dev/null || true
if [ ! -e /var/lib/archipel-lab ]; then
	hostname >/etc/hostname
	cp -r /etc/archipel-lab/seed/. /
	chmod 600 /etc/ssh/ssh_host_ed25519_key
	chown -R ansible: /home/ansible
	mkdir /var/lib/archipel-lab
fi

# Neither the clock nor the kernel of the machine is the host's to change.
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio /sbin/init
