# Says what a host is. It changes nothing. $1: interface of the node's address;
# $2: ports to look at, blank-separated; then host:port of what must be reached.
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
interface=$1 ports=$2
shift 2
say() { printf '%s %s\n' "$1" "$2"; }
say archipel preflight-1
say now "$(date +%s)"
say hostname "$(uname -n)"
say kernel "$(uname -r)"
say arch "$(uname -m)"
for program in ss ip flock timeout bash python3; do command -v $program >/dev/null || say missing $program; done
say machine "$(cat /etc/machine-id 2>/dev/null)"
sed -n 's/^\(ID\|VERSION_ID\)="\{0,1\}\([^"]*\)"\{0,1\}$/os \1 \2/p' /etc/os-release 2>/dev/null
sudo=
if test "$(id -u)" = 0; then
	say sudo root
elif refused=$(sudo -n true 2>&1 </dev/null); then
	say sudo yes
	sudo='sudo -n'
else
	say sudo "no $(printf '%s' "$refused" | tail -n 1)"
fi
ip -o -4 addr show 2>/dev/null | while read -r _ name _ address _; do say address "$name $address"; done
test -e "/sys/class/net/$interface" && say interface "$interface"
filter=
for port in $ports; do filter="${filter:+$filter or }sport = :$port"; done
$sudo ss -Hltnp "( $filter )" 2>/dev/null </dev/null | while read -r _ _ _ local _ users; do
	say listen "$local $users"
	for pid in $(printf '%s' "$users" | tr ',' '\n' | sed -n 's/^pid=\([0-9]*\)$/\1/p'); do
		say cgroup "$pid $(tail -n 1 "/proc/$pid/cgroup" 2>/dev/null)"
	done
done
cat /etc/resolv.conf /run/systemd/resolve/resolv.conf 2>/dev/null | sed -n 's/^nameserver[[:space:]]*\([^[:space:]]*\).*/nameserver \1/p' | sort -u
df -Pk /var/lib 2>/dev/null | tail -n 1 | { read -r _ _ _ free _; say free "$free"; }
reach() {
	host=${1%:*} port=${1##*:}
	ping -c 1 -W 2 "$host" >/dev/null 2>&1 </dev/null && return 0
	refused=$(timeout 3 bash -c ": </dev/tcp/$host/$port" 2>&1 </dev/null) && return 0
	case $refused in *refused*) return 0 ;; esac
	return 1
}
pids=
for target in "$@"; do
	{ if reach "$target"; then say reached "$target"; else say unreached "$target"; fi; } &
	pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
say archipel end
