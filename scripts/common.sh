# What the scripts that start or find a program share. They read it first, with bash's errexit on.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# usage prints the comment at the head of the script.
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit 2; }

# install_debian WHAT INSTEAD PACKAGE… puts Debian's packages on the machine. They start no server, and nothing of the machine has to
# go for them. INSTEAD says what to do on a machine without apt-get.
install_debian() {
	local what=$1 instead=$2 sudo='' policy=/usr/sbin/policy-rc.d
	shift 2
	command -v apt-get >/dev/null || die "$what is not installed and this machine has no apt-get. $instead"
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "$what is not installed; run as root: apt-get install $*"
		sudo=sudo
	fi
	echo "installing $*" >&2
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
		$sudo chmod +x $policy
		trap "$sudo rm -f $policy" RETURN EXIT
	fi
	{
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q ||
			echo "$(basename "$0"): apt-get update failed; trying with the lists at hand" >&2
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-remove "$@"
	} >&2 || die "apt-get install $* failed"
}

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# choose_port FROM TO N sets port to the first of N free ports in a row between FROM and TO.
choose_port() {
	local i
	for _ in $(seq 1 50); do
		port=$(($1 + RANDOM % (($2 - $1) / $3) * $3))
		for ((i = 0; i < $3; i++)); do
			port_free $((port + i)) || continue 2
		done
		return
	done
	die "no free ports found"
}
