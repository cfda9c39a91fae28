#!/usr/bin/env bash
# Builds the programs that lab/bench/offline.sh measures archipel against, into the folder
# named by the first argument: kustomize, helm, flux, kubeconform and flux-local.
set -euo pipefail
peers=${1:?usage: peers.sh FOLDER}
mkdir -p "$peers"
peers=$(cd "$peers" && pwd)
export GOBIN=$peers/bin CGO_ENABLED=0 GOWORK=off GOFLAGS=

install() { test -e "$GOBIN/$1" || (cd "$peers" && go install "$2"); }
install kustomize sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
install helm helm.sh/helm/v4/cmd/helm@v4.2.4
install kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0

# flux has replace directives, which go install refuses, and embeds manifests that its module
# lacks: none of what is measured here uses them. Its version of notification-controller/api
# is lab/go.mod's.
if ! test -e "$GOBIN/flux"; then
    flux=$(cd "$peers" && go mod download -json github.com/fluxcd/flux2/v2@v2.9.5 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    cp -r "$flux/." "$source"
    chmod -R u+w "$source"
    mkdir -p "$source/cmd/flux/manifests"
    echo '{}' >"$source/cmd/flux/manifests/none.yaml"
    (
        cd "$source"
        go mod edit -replace github.com/fluxcd/notification-controller/api=github.com/fluxcd/notification-controller/api@v1.9.3
        go mod download github.com/fluxcd/notification-controller/api
        go build -mod=mod -o "$GOBIN/flux" ./cmd/flux
    )
fi

# flux-local needs Python 3.12.
if ! test -e "$peers/venv/bin/flux-local"; then
    for python in python3.14 python3.13 python3.12 "${PYTHON:-python3}"; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            "$python" -m venv "$peers/venv"
            "$peers/venv/bin/pip" install --quiet flux-local==7.11.0
            break
        fi
    done
    test -e "$peers/venv/bin/flux-local" || echo "flux-local is not measured: it needs Python 3.12, name one in \$PYTHON" >&2
fi
