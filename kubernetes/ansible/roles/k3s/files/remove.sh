# Removes k3s and what Cilium leaves on a host. Runs again after an interruption.

if ! test -e /usr/local/bin/k3s && ! test -e /etc/rancher && ! test -e /var/lib/rancher; then echo "there is no k3s"; fi

# The links and rules go first: once Cilium's programs are gone, they would drop what the
# host still has to say (k3s#8347).
systemctl stop k3s.service k3s-agent.service 2>/dev/null
for link in cilium_host cilium_net cilium_vxlan cilium_wg0; do
	ip link delete "$link" 2>/dev/null
done
for family in iptables ip6tables; do
	command -v "$family-save" >/dev/null || continue
	if "$family-save" 2>/dev/null | grep -qiE 'cilium|kube|cni'; then
		"$family-save" | grep -viE 'cilium|kube|cni' | "$family-restore"
	fi
done
for priority in 9 10; do
	ip rule delete priority $priority 2>/dev/null
done
ip route flush table 2004 2>/dev/null
ip route flush table 2005 2>/dev/null
# Cilium puts the rule of local addresses behind its own.
if ! ip rule show priority 0 | grep -q local; then
	ip rule add priority 0 lookup local
	ip rule delete priority 100 lookup local 2>/dev/null
fi

# Containers outlive k3s.
for pid in $(pgrep -f '/var/lib/rancher/k3s/data/[^/]*/bin/containerd-shim'); do
	for child in $(pgrep -P "$pid"); do kill -KILL "$child" 2>/dev/null; done
	kill -KILL "$pid" 2>/dev/null
done
for folder in /run/k3s /var/lib/rancher/k3s /var/lib/kubelet /run/netns/cni- /run/cilium /sys/fs/bpf/cilium /sys/fs/bpf/tc; do
	awk -v folder="$folder" 'index($2, folder) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mounted; do
		umount "$mounted" 2>/dev/null || umount -l "$mounted" 2>/dev/null
	done
done
rm -rf /sys/fs/bpf/cilium /sys/fs/bpf/tc/globals/cilium_*
for link in $(ip -o link show type veth 2>/dev/null | sed -n 's/^[0-9]*: \(lxc[^@:]*\).*/\1/p'); do
	ip link delete "$link" 2>/dev/null
done

rm -rf /etc/rancher /var/lib/rancher /run/k3s /run/flannel /var/lib/kubelet /var/lib/cni /etc/cni/net.d \
	/opt/cni/bin /run/cilium /var/run/cilium /var/lib/cilium /var/log/pods /var/log/containers \
	/usr/local/lib/k3s /usr/local/bin/k3s
rm -f /etc/sysctl.d/99-zzz-override_cilium.conf
rmdir /etc/cni /opt/cni 2>/dev/null
systemctl reset-failed k3s.service k3s-agent.service 2>/dev/null
true
