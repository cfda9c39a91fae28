#!/usr/bin/env bash
# Measures render, lint and diff beside what people use today, and prints a table of
# docs/benchmarks.md. Needs the lab's programs (archipel lab build) and a quiet machine. It
# raises one site of a lab of its own, because the lab serves the charts, and takes it down.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
archipel=$PWD/bin/archipel
peers=${XDG_CACHE_HOME:-$HOME/.cache}/archipel/peers
runs=${RUNS:-9}
export ARCHIPEL_LAB=bench-offline

lab/bench/peers.sh "$peers"
export PATH=$peers/bin:$PATH

work=$(mktemp -d)
log=$work/log
clean() {
    "$archipel" lab down >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

fail() {
    echo "bench: $1 failed; it said:" >&2
    tail -n 20 "$log" >&2
    exit 1
}

# Of a command that runs $runs times after one run that warms: the median of its wall time
# and of its CPU time in seconds, and its largest memory in MiB. An exit code of 1 is an
# answer (findings, differences).
cat >"$work/measure.py" <<'PY'
import os, resource, statistics, subprocess, sys, time
runs, argv = int(sys.argv[1]), sys.argv[2:]
wall, cpu = [], []
for i in range(runs + 1):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    took = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code.returncode not in (0, 1):
        sys.exit(code.stderr.decode())
    if i:
        wall.append(took)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{statistics.median(wall):.3f} {statistics.median(cpu):.3f} {peak:.0f}")
PY
measure() { python3 "$work/measure.py" "$runs" "$@" 2>"$log" || fail "$*"; }

# row NAME LIMIT "WALL CPU MIB" [REFERENCE]: the last column is how often as long as REFERENCE it takes.
row() {
    awk -v name="$1" -v limit="$2" -v ref="${4:-}" '{
        printf "| %s | %s | %.3f s | %.2f s | %d MiB | %s |\n", name, limit, $1, $2, $3, ref == "" ? "" : sprintf("%.0f×", $1 / ref)
    }' <<<"$3"
}

# The charts, from the lab's upstream.
"$archipel" lab up site-a --no-wait >"$log" 2>&1 || fail "archipel lab up"
state=${XDG_STATE_HOME:-$HOME/.local/state}/archipel/lab/$ARCHIPEL_LAB
proxy=http://$(sed -n 's/.*"proxy": *"\([^"]*\)".*/\1/p' "$state/upstream.json")
export SSL_CERT_FILE=$state/upstream-ca.pem REQUESTS_CA_BUNDLE=$state/upstream-ca.pem
export XDG_CACHE_HOME=$work/cache HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
HTTPS_PROXY=$proxy "$archipel" render >/dev/null 2>"$log" || fail "archipel render"
version() { sed -n "s/^ *$1_version: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" kubernetes/flux/clusters/site-a/site.yaml; }
HTTPS_PROXY=$proxy helm pull cilium --repo https://helm.cilium.io --version "$(version cilium)" --untar -d "$work" >"$log" 2>&1 || fail "helm pull cilium"
HTTPS_PROXY=$proxy helm pull metallb --repo https://metallb.github.io/metallb --version "$(version metallb)" --untar -d "$work" >"$log" 2>&1 || fail "helm pull metallb"

# facts FILE: the variables that Flux substitutes, name=value.
cat >"$work/facts" <<'SH'
#!/usr/bin/env bash
exec sed -n -e '/^---/q' -e "s/^  \([a-z_0-9]*\): '\(.*\)'\$/\1=\2/p;t" -e 's/^  \([a-z_0-9]*\): "\(.*\)"$/\1=\2/p;t' \
    -e 's/^  \([a-z]*_[a-z_0-9]*\|mtu\): \(.*\)$/\1=\2/p' "$1"
SH
chmod +x "$work/facts"

# The shell pipeline for both sites: build, substitute, template, validate. It renders less:
# neither Flux's own artefact nor patches of Flux Kustomizations. kubeconform finds no schema
# without a network, so that it only parses: its time is a lower bound.
cat >"$work/pipeline" <<'SH'
#!/usr/bin/env bash
set -euo pipefail
work=$1
for site in site-a site-b; do
    while IFS= read -r line; do export "${line?}"; done < <("$work/facts" kubernetes/flux/clusters/$site/site.yaml)
    {
        kustomize build kubernetes/flux/clusters/$site --load-restrictor LoadRestrictionsNone | flux envsubst
        for app in cilium metallb whoami; do
            kustomize build kubernetes/flux/apps/$app/app | flux envsubst >"$work/$app.yaml"
            cat "$work/$app.yaml"
            chart=$work/$app
            test -e "$chart" || chart=kubernetes/flux/apps/$app/chart
            sed -n '/^kind: HelmRelease/,$p' "$work/$app.yaml" | sed -n '/^  values:/,/^[a-z-]/p' | sed -e '1d' -e '/^[a-z-]/d' -e 's/^    //' >"$work/values.yaml"
            echo "---"
            helm template "$app" "$chart" --namespace "$app" --include-crds -f "$work/values.yaml"
        done
        kustomize build kubernetes/flux/apps/metallb/config | flux envsubst
    } | kubeconform -schema-location "$work/none/{{.ResourceKind}}.json" -ignore-missing-schemas -n 2 -output json >/dev/null
done
SH
chmod +x "$work/pipeline"

# flux-local looks for Flux Kustomizations in files, before kustomize and substitution: it
# gets a copy of the tree in which the sites' roots are built already.
cp -r kubernetes "$work/tree"
mkdir "$work/local" && mv "$work/tree" "$work/local/kubernetes"
for site in site-a site-b; do
    folder=$work/local/kubernetes/flux/clusters/$site
    (
        while IFS= read -r line; do export "${line?}"; done < <("$work/facts" "$folder/site.yaml")
        kustomize build "$folder" --load-restrictor LoadRestrictionsNone | flux envsubst
    ) >"$work/built.yaml"
    rm "$folder/kustomization.yaml" "$folder/site.yaml"
    mv "$work/built.yaml" "$folder/built.yaml"
done
git -C "$work/local" init -q && git -C "$work/local" add -A && git -C "$work/local" -c user.name=bench -c user.email=bench@example.org commit -qm bench
cat >"$work/flux-local" <<SH
#!/usr/bin/env bash
set -euo pipefail
cd "$work/local"
export HTTPS_PROXY=$proxy
for site in site-a site-b; do
    "$peers/venv/bin/python" -W ignore "$peers/venv/bin/flux-local" build all --enable-helm kubernetes/flux/clusters/\$site
done
SH
chmod +x "$work/flux-local"

# fleet N FOLDER: a fleet of N sites with the apps of this tree.
fleet() {
    mkdir -p "$2" && cp -r kubernetes "$2"
    test ! -e archipel.yaml || cp archipel.yaml "$2"
    rm -r "$2"/kubernetes/ansible/inventories/site-* "$2"/kubernetes/flux/clusters/site-*
    local i name inventory
    for ((i = 1; i <= $1; i++)); do
        name=$(printf 'site-%03d' "$i")
        inventory=$2/kubernetes/ansible/inventories/$name
        mkdir -p "$2/kubernetes/flux/clusters/$name/secrets"
        cp -r kubernetes/ansible/inventories/site-a "$inventory"
        sed -i -e "s/site-a/$name/g" -e "s/198\.51\.100\./172.20.$i./g" "$inventory"/hosts.yml
        sed -i -e "s/^cluster_id:.*/cluster_id: $i/" \
            -e "s#^pod_cidr:.*#pod_cidr: 10.$((64 + i / 16)).$((i % 16 * 16)).0/20#" \
            -e "s#^service_cidr:.*#service_cidr: 10.$((128 + i / 16)).$((i % 16 * 16)).0/20#" \
            -e "s/198\.51\.100\./172.20.$i./g" "$inventory"/group_vars/all/main.yml
        cp kubernetes/flux/clusters/site-a/secrets/README.md "$2/kubernetes/flux/clusters/$name/secrets"
        sed "s/site-a/$name/g" kubernetes/flux/clusters/site-a/kustomization.yaml >"$2/kubernetes/flux/clusters/$name/kustomization.yaml"
    done
    "$archipel" site sync -C "$2" >"$log" 2>&1 || fail "archipel site sync"
    git -C "$2" init -q && git -C "$2" add -A && git -C "$2" -c user.name=bench -c user.email=bench@example.org commit -qm bench
}
for n in 50 100 200; do fleet $n "$work/$n"; done

echo "$(date -u +%F), $(nproc) CPUs, $(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB," \
    "$(go env GOVERSION), load $(cut -d' ' -f1 /proc/loadavg), $("$archipel" version)"
echo
echo "| measure | limit | wall | CPU | memory | to archipel's render |"
echo "|---|---|---|---|---|---|"
render=$(measure "$archipel" render --offline)
reference=${render%% *}
row "\`archipel render\`, both sites" "0.15 s" "$render"
row "the same, \`--no-cache\`" "" "$(measure "$archipel" render --offline --no-cache)" "$reference"
row "\`archipel lint\`, both sites" "0.3 s" "$(measure "$archipel" lint --offline)" "$reference"
row "kustomize, flux envsubst, helm template, kubeconform" "" "$(measure "$work/pipeline" "$work")" "$reference"
if test -e "$peers/venv/bin/flux-local"; then
    row "flux-local build all" "" "$(RUNS=3; runs=3 measure "$work/flux-local")" "$reference"
fi
runs=3
for n in 50 100; do row "\`archipel lint\`, $n sites" "" "$(measure "$archipel" lint --offline -C "$work/$n")"; done
row "\`archipel lint\`, 200 sites" "6 s, 1 GiB" "$(measure "$archipel" lint --offline -C "$work/200")"
row "\`archipel render\`, 200 sites" "" "$(measure "$archipel" render --offline -C "$work/200")"
sed -i 's/^    replicas: 2$/    replicas: 3/' "$work/200/kubernetes/flux/apps/whoami/app/release.yaml"
row "\`archipel diff\` of one line, 200 sites" "" "$(measure "$archipel" diff --offline -C "$work/200")"
