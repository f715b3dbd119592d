#!/usr/bin/env bash
# Finds Chromium for the browser tests, installs Debian's package if there is none, and prints its path.
# If TASKGEN_TEST_CHROMIUM is set, it is that one.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# find_browser prints the first of the names under which systems know Chromium.
find_browser() {
	local name
	for name in "${TASKGEN_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
		[ -n "$name" ] && command -v "$name" && return
	done
	return 1
}

find_browser && exit
[ -z "${TASKGEN_TEST_CHROMIUM:-}" ] || die "TASKGEN_TEST_CHROMIUM=$TASKGEN_TEST_CHROMIUM is no program"
# The font is what pages are measured and photographed with; the package alone brings none.
install_debian Chromium "Install Chromium or Chrome, and set TASKGEN_TEST_CHROMIUM to its path." chromium fonts-urw-base35
find_browser || die "chromium was installed, but is not on the PATH"
