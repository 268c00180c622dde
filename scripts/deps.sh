#!/usr/bin/env bash
# Sees to what the tests need beside Go: a C compiler for the race detector, curl,
# Node with npm for clients written elsewhere, and Chromium. What is missing is
# installed where that is possible (as root, with apt-get); else this says how.
set -euo pipefail
cd "$(dirname "$0")/.."

# have NAME...: is one of the commands here?
have() {
	local name
	for name in "$@"; do
		command -v "$name" >/dev/null 2>&1 && return 0
	done
	return 1
}

e2e=e2e/package-lock.json

missing=()
have gcc || missing+=(gcc libc6-dev) # for the race detector, and for the floor of the benchmarks
have chromium chromium-browser google-chrome google-chrome-stable chrome || missing+=(chromium)
if [ -f "$e2e" ]; then
	have curl || missing+=(curl)
	have node || missing+=(nodejs)
	have npm || missing+=(npm)
fi

if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ] && have apt-get; then
		echo "Installing ${missing[*]}" >&2
		export DEBIAN_FRONTEND=noninteractive
		if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2; }; then
			echo "apt-get could not install them; its own words are above. The tests need ${missing[*]}: install them some other way, and run this again." >&2
			exit 1
		fi
	elif have apt-get; then
		echo "The tests need ${missing[*]}. Install them, and run this again:" >&2
		echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
		exit 1
	else
		echo "The tests need ${missing[*]} (Debian's names). Install them with this system's package manager, and run this again." >&2
		exit 1
	fi
fi

if [ "$(go env CGO_ENABLED)" != 1 ]; then
	# Go turns cgo off by itself where it finds no compiler, so look again.
	echo "The race detector needs cgo, and it is off: unset CGO_ENABLED (go env -u CGO_ENABLED), and run this again." >&2
	exit 1
fi

# npm writes node_modules/.package-lock.json last: older than the lock file, or
# not there, means that what is installed is not what is locked.
if [ -f "$e2e" ] && [ ! e2e/node_modules/.package-lock.json -nt "$e2e" ]; then
	echo "Installing the npm packages of $e2e" >&2
	(cd e2e && npm ci --no-audit --no-fund --loglevel=error </dev/null >&2)
fi
