#!/usr/bin/env bash
# Fails with the names of the files that gofmt would change.
set -euo pipefail
cd "$(dirname "$0")/.."

wrong=$(find . -name '*.go' -not -path '*/node_modules/*' -not -path './.*' -print0 | xargs -0 gofmt -l)
if [ -n "$wrong" ]; then
	printf 'gofmt would change these; run gofmt -w on them:\n%s\n' "$wrong" >&2
	exit 1
fi
