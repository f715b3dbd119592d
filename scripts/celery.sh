#!/usr/bin/env bash
# Finds a Python with Celery for the interop tests, installs Debian's packages if there is none, and prints its path.
# If TASKGEN_TEST_PYTHON is set, it is that one.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(celery python3-redis python3-msgpack python3-yaml mypy)

# usable says whether an interpreter has all that the tests import; mypy is a module of it too.
usable() { command -v "$1" >/dev/null && "$1" -c 'import celery, redis, msgpack, yaml, mypy' 2>/dev/null; }

python=${TASKGEN_TEST_PYTHON:-/usr/bin/python3}
if ! usable "$python"; then
	[ -z "${TASKGEN_TEST_PYTHON:-}" ] || die "TASKGEN_TEST_PYTHON=$python is no Python with celery, redis, msgpack, yaml and mypy"
	install_debian Celery "Install Celery 5.2 or newer with redis, msgpack, PyYAML and mypy, and set TASKGEN_TEST_PYTHON to the path of its Python." "${packages[@]}"
	usable "$python" || die "the packages were installed, but $python can't import them"
fi
command -v "$python"
