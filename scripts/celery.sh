#!/usr/bin/env bash
# Finds a Python with Celery for the interop tests, installs Debian's packages if there is none, and prints its path.
# If TASKGEN_TEST_PYTHON is set, it is that one.
set -euo pipefail

die() { echo "celery.sh: $*" >&2; exit 1; }

packages=(celery python3-redis python3-msgpack python3-yaml mypy)

# usable says whether an interpreter has all that the tests import; mypy is a module of it too.
usable() { command -v "$1" >/dev/null && "$1" -c 'import celery, redis, msgpack, yaml, mypy' 2>/dev/null; }

install_packages() {
	command -v apt-get >/dev/null ||
		die "Celery is not installed and this machine has no apt-get. Install Celery 5.2 or newer with redis, msgpack, PyYAML and mypy, and set TASKGEN_TEST_PYTHON to the path of its Python."
	local sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "Celery is not installed; run as root: apt-get install ${packages[*]}"
		sudo=sudo
	fi
	echo "installing ${packages[*]}" >&2
	{
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q ||
			echo "celery.sh: apt-get update failed; trying with the lists at hand" >&2
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
	} >&2 || die "apt-get install ${packages[*]} failed"
}

python=${TASKGEN_TEST_PYTHON:-/usr/bin/python3}
if ! usable "$python"; then
	[ -z "${TASKGEN_TEST_PYTHON:-}" ] || die "TASKGEN_TEST_PYTHON=$python is no Python with celery, redis, msgpack, yaml and mypy"
	install_packages
	usable "$python" || die "the packages were installed, but $python can't import them"
fi
command -v "$python"
