# Runs in the new root filesystem, once.
rm -f /etc/ssh/ssh_host_* /etc/hostname
: >/etc/machine-id
: >/etc/resolv.conf
chmod 755 /usr/lib/archipel-lab/init
useradd --create-home --shell /bin/bash ansible
mkdir -m 700 /home/ansible/.ssh
echo 'ansible ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ansible
chmod 440 /etc/sudoers.d/ansible
# There is no console to log in at, and apt would find no mirror.
systemctl --quiet mask getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer
# Formats of programs are the machine's.
systemctl --quiet mask proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
systemctl --quiet set-default multi-user.target
