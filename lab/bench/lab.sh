#!/usr/bin/env bash
# Measures the lab and prints the table of docs/benchmarks.md. Needs built programs
# (archipel lab build) and a quiet machine; raises a lab of its own and takes it down.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
archipel=$PWD/bin/archipel
export ARCHIPEL_LAB=bench

log=$(mktemp)
copy=$(mktemp -d)
# The workload is changed in a copy: a measurement leaves the checkout as it is.
clean() {
    "$archipel" lab down -C "$copy" >/dev/null 2>&1 || true
    rm -rf "$copy" "$log"
}
trap clean EXIT

fail() {
    echo "bench: $1 failed; it said:" >&2
    tail -n 20 "$log" >&2
    exit 1
}

# seconds COMMAND...: the wall time of one run, or an error.
seconds() {
    local from to
    from=$(date +%s%N)
    "$@" >"$log" 2>&1 || return
    to=$(date +%s%N)
    awk -v ns=$((to - from)) 'BEGIN { printf "%.2f", ns / 1e9 }'
}

# median COMMAND...: of nine runs after one that warms the page cache.
median() {
    "$@" >"$log" 2>&1 || return
    for _ in 1 2 3 4 5 6 7 8 9; do seconds "$@" && echo; done | sort -n | sed -n 5p
}

# pss: what the lab's processes take, in MiB. Shared pages are counted once.
pss() {
    local process total=0 kib
    for process in /proc/[0-9]*; do
        if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -q "^ARCHIPEL_DAEMON_GROUP=.*/lab/$ARCHIPEL_LAB\$"; then
            kib=$(awk '/^Pss:/ { print $2 }' "$process/smaps_rollup")
            total=$((total + kib))
        fi
    done 2>/dev/null
    echo $((total / 1024))
}

row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }

cp -r kubernetes lab "$copy"
cd "$copy"
"$archipel" lab build >"$log" 2>&1 || fail "archipel lab build"

help=$(median "$archipel" --help) || fail "archipel --help"
fresh=$(seconds "$archipel" lab up) || fail "archipel lab up"
sleep 10 # the memory of a lab at rest
memory=$(pss)
status=$(median "$archipel" lab status) || fail "archipel lab status"
sed -i 's/^    replicas: 2$/    replicas: 3/' kubernetes/flux/apps/whoami/app/release.yaml
sync=$(seconds "$archipel" lab sync) || fail "archipel lab sync"
"$archipel" lab down --keep >"$log" 2>&1 || fail "archipel lab down --keep"
resumed=$(seconds "$archipel" lab up) || fail "archipel lab up, resumed"

echo "$(date -u +%F), $(nproc) CPUs, $(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB," \
    "$(go env GOVERSION), $("$archipel" version)"
echo
row measure limit measured
row --- --- ---
row "two sites from nothing to all Ready, programs cached" "60 s" "$fresh s"
row "two sites resumed with their state kept, to all Ready" "35 s" "$resumed s"
row "memory of both sites at rest (PSS)" "1.8 GiB" "$(awk -v m="$memory" 'BEGIN { printf "%.2f", m / 1024 }') GiB"
row "a changed workload file, \`lab sync\` to all Ready" "15 s" "$sync s"
row "\`archipel --help\`, median of 9" "60 ms" "$(awk -v s="$help" 'BEGIN { printf "%.0f", s * 1000 }') ms"
row "status of two sites, median of 9" "1 s" "$status s"
