#!/bin/sh
# Downloads $URL to $FILE, unless it is there, and checks that its SHA-256 is $SHA256.
set -eu

digest() { sha256sum "$1" | cut -d ' ' -f 1; }

if [ -f "$FILE" ] && [ "$(digest "$FILE")" = "$SHA256" ]; then
    exit 0
fi
mkdir -p "$(dirname "$FILE")"
part=$FILE.$$
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM
curl --fail --location --silent --show-error --retry 3 --output "$part" "$URL"
got=$(digest "$part")
if [ "$got" != "$SHA256" ]; then
    echo "$URL has the SHA-256 $got, the inventory says $SHA256: compare both with the vendor's list" >&2
    exit 1
fi
mv "$part" "$FILE"
