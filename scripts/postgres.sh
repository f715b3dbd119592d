#!/usr/bin/env bash
# A private, throw-away PostgreSQL for the benchmarks, with PostgreSQL's own defaults.
#
#   scripts/postgres.sh start    start the server if it isn't running, print its URL
#   scripts/postgres.sh url      print the URL of the running server
#   scripts/postgres.sh stop     stop the server and delete its data
#
# It listens on 127.0.0.1, and trusts everybody there. The server refuses to run as root: then it runs as the user postgres.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

dir=$root/.build/postgres

# find_server sets bin to the folder of the newest server's programs.
find_server() {
	bin=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)
	bin=${bin%/initdb}
	[ -x "$bin/initdb" ]
}

install_server() {
	find_server && return
	install_debian PostgreSQL "Install PostgreSQL 13 or newer to /usr/lib/postgresql, or leave out river: -system '^[^r]'." postgresql
	find_server || die "postgresql was installed, but not to /usr/lib/postgresql"
}

# as_server runs a command as the user that the server runs as.
as_server() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid postgres --regid postgres --init-groups "$@"
	else
		"$@"
	fi
}

running() {
	[ -s "$dir/data/postmaster.pid" ] && kill -0 "$(head -1 "$dir/data/postmaster.pid")" 2>/dev/null
}

start() {
	install_server
	mkdir -p "$dir"
	exec 9>"$dir.lock" # two callers at once: the second waits and finds it running
	flock 9
	running && return
	choose_port 34000 36000 1
	[ "$(id -u)" != 0 ] || chown postgres:postgres "$dir"
	cd "$dir"
	[ -e data ] || as_server "$bin/initdb" -D data -U postgres --auth trust >&2
	as_server "$bin/pg_ctl" start -D data -w -l log 9>&- \
		-o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=''" >&2 ||
		die "the server did not start: $(tail -n 20 log)"
	echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable" >url
}

stop() {
	if running; then
		find_server
		cd "$dir"
		as_server "$bin/pg_ctl" stop -D data -m fast >&2
		cd /
	fi
	rm -rf "$dir" "$dir.lock"
}

[ $# = 1 ] || usage
case $1 in
start) start; cat "$dir/url" ;;
url) running || die "the server is not running"; cat "$dir/url" ;;
stop) stop ;;
*) usage ;;
esac
