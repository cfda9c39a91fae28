#!/usr/bin/env bash
# Measures the bootstrap of the lab's hosts and prints the table of docs/benchmarks.md: from
# fresh hosts to all Ready, and a run with nothing to do beside the same playbooks and roles
# with Ansible's default ansible.cfg. Needs root, podman, crun, mmdebstrap, built programs
# (archipel lab build) and a quiet machine; raises a lab of its own and takes it down.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
archipel=$PWD/bin/archipel
export ARCHIPEL_LAB=bench-hosts

log=$(mktemp)
defaults=$(mktemp -d)
clean() {
    "$archipel" lab down >/dev/null 2>&1 || true
    rm -rf "$log" "$log".* "$defaults"
}
trap clean EXIT

fail() {
    echo "bench: $1 failed; it said:" >&2
    tail -n 20 "$log" >&2
    exit 1
}

# among COMMAND...: runs it where the hosts are.
among() { "$archipel" lab exec -- "$@"; }

# nodes: the CPU seconds that all hosts have spent on those who were logged in.
nodes() {
    local total=0 used address
    for address in $addresses; do
        used=$(among ssh -F none -o BatchMode=yes -i "$key" -o "UserKnownHostsFile=$known" "ansible@$address" \
            'cat /sys/fs/cgroup/user.slice/cpu.stat /sys/fs/cgroup/system.slice/ssh.service/cpu.stat 2>/dev/null' |
            awk '/^usage_usec/ { s += $2 } END { print s + 0 }')
        total=$((total + used))
    done
    echo $total
}

# cost COMMAND...: controller CPU, CPU of all nodes and wall time of one run, in seconds.
cost() {
    local before from to after
    before=$(nodes)
    from=$(date +%s%N)
    among bash -c '"$@" >&2; times' bash "$@" 2>"$log" >"$log.times" || return
    to=$(date +%s%N)
    after=$(nodes)
    awk -v nodes=$((after - before)) -v ns=$((to - from)) '
        function seconds(t) { split(t, part, /[ms]/); return part[1] * 60 + part[2] }
        NR == 2 { printf "%.1f %.1f %.1f\n", seconds($1) + seconds($2), nodes / 1e6, ns / 1e9 }' "$log.times"
}

# median FILE: of the runs in it; each figure by itself.
median() {
    for column in 1 2 3; do sort -n -k "$column,$column" "$1" | awk -v c="$column" '{ v[NR] = $c } END { printf "%s ", v[int((NR + 1) / 2)] }'; done
    echo
}

"$archipel" lab up --hosts --no-bootstrap >"$log" 2>&1 || fail "archipel lab up --hosts --no-bootstrap"
from=$(date +%s%N)
among "$archipel" bootstrap --all --yes >"$log" 2>&1 || fail "archipel bootstrap"
fresh=$(awk -v ns=$(($(date +%s%N) - from)) 'BEGIN { printf "%.0f", ns / 1e9 }')

tree=$(among pwd)
inventory=$(among sh -c 'echo "$ARCHIPEL_INVENTORY"')
key=$(awk '/ansible_ssh_private_key_file:/ { print $2 }' "$inventory")
known=$(grep -o 'UserKnownHostsFile=[^ "]*' "$inventory" | cut -d= -f2)
addresses=$(grep -rhoE 'ansible_host: [0-9.]+' "$tree"/kubernetes/ansible/inventories/*/hosts.yml | cut -d' ' -f2)

# The peer: the same playbooks and roles with what ansible.cfg says by default. Left in it is
# only what the roles do not run without, and inject_facts_as_vars, which spares the peer work.
# Every play gathers all facts, as a play does that says nothing about it.
cp -a "$tree/." "$defaults"
cat >"$defaults/kubernetes/ansible/ansible.cfg" <<'CFG'
[defaults]
roles_path = roles
library = plugins/modules
callback_plugins = plugins/callback
callbacks_enabled = archipel_events
inject_facts_as_vars = false
[inventory]
host_pattern_mismatch = ignore
[privilege_escalation]
become = true
CFG
sed -i 's/gather_facts: false/gather_facts: true/; /gather_subset:/d' "$defaults/kubernetes/ansible/playbooks/site.yml"

# Runs of the two in turn, after one of each that warms: what else the machine does meets both.
ours() { "$@" "$archipel" bootstrap --all --yes; }
theirs() { "$@" "$archipel" -C "$defaults" bootstrap --all --yes; }
ours among >"$log" 2>&1 || fail "archipel bootstrap, again"
theirs among >"$log" 2>&1 || fail "archipel bootstrap with Ansible's defaults"
: >"$log.ours" >"$log.theirs"
for _ in 1 2 3; do
    ours cost >>"$log.ours" || fail "archipel bootstrap, again"
    theirs cost >>"$log.theirs" || fail "archipel bootstrap with Ansible's defaults"
done
read -r ours_cpu ours_nodes ours_wall < <(median "$log.ours")
read -r theirs_cpu theirs_nodes theirs_wall < <(median "$log.theirs")

row() { printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" "$5"; }
echo "$(date -u +%F), $(nproc) CPUs, $(go env GOVERSION), $("$archipel" version); load average $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "two sites of three hosts, fresh, to all Ready: $fresh s (limit 240 s)"
echo
row "a bootstrap with nothing to do, six hosts" "CPU of the controller" "CPU of the nodes" both wall
row --- --- --- --- ---
both() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a + b }'; }
row "archipel bootstrap" "$ours_cpu s" "$ours_nodes s" "$(both "$ours_cpu" "$ours_nodes") s" "$ours_wall s"
row "the same tasks, Ansible's default ansible.cfg" "$theirs_cpu s" "$theirs_nodes s" "$(both "$theirs_cpu" "$theirs_nodes") s" "$theirs_wall s"
echo
awk -v o="$(both "$ours_cpu" "$ours_nodes")" -v p="$(both "$theirs_cpu" "$theirs_nodes")" 'BEGIN { printf "ratio of both: %.2f (limit 0.5)\n", o / p }'
