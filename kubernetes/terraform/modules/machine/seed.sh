#!/bin/sh
# Writes $META_DATA, $USER_DATA and $NETWORK_CONFIG to $FILE, a seed that cloud-init finds by its
# label.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
printf '%s' "$META_DATA" >"$dir/meta-data"
printf '%s' "$USER_DATA" >"$dir/user-data"
printf '%s' "$NETWORK_CONFIG" >"$dir/network-config"
mkdir -p "$(dirname "$FILE")"
mkisofs -quiet -volid cidata -joliet -rock -output "$FILE" "$dir"
