#!/usr/bin/env bash
# Finds Chromium for the browser tests, installs Debian's package if there is none, and prints its path.
# If TASKGEN_TEST_CHROMIUM is set, it is that one.
set -euo pipefail

die() { echo "chromium.sh: $*" >&2; exit 1; }

# find_browser prints the first of the names under which systems know Chromium.
find_browser() {
	local name
	for name in "${TASKGEN_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
		[ -n "$name" ] && command -v "$name" && return
	done
	return 1
}

# install_browser puts Debian's package on the machine. The font is what pages are measured and
# photographed with; the package alone brings none.
install_browser() {
	command -v apt-get >/dev/null ||
		die "Chromium is not installed and this machine has no apt-get. Install Chromium or Chrome, and set TASKGEN_TEST_CHROMIUM to its path."
	local sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "Chromium is not installed; run as root: apt-get install chromium fonts-urw-base35"
		sudo=sudo
	fi
	echo "installing chromium" >&2
	{
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q ||
			echo "chromium.sh: apt-get update failed; trying with the lists at hand" >&2
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium fonts-urw-base35
	} >&2 || die "apt-get install chromium failed"
}

find_browser && exit
[ -z "${TASKGEN_TEST_CHROMIUM:-}" ] || die "TASKGEN_TEST_CHROMIUM=$TASKGEN_TEST_CHROMIUM is no program"
install_browser
find_browser || die "chromium was installed, but is not on the PATH"
