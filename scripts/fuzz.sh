#!/usr/bin/env bash
# Fuzzes every target of every package for the given time: go test takes one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-10s}
grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r package; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/^func //' | sort -u | while read -r target; do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" </dev/null
	done
done
