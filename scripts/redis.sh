#!/usr/bin/env bash
# A private, throw-away Redis for the tests.
#
#   scripts/redis.sh start [NAME [OPTION…]]   start the server if it isn't running, print its URL; the options are
#                                             added to redis-server's
#   scripts/redis.sh url [NAME]               print the URL of the running server
#   scripts/redis.sh stop [NAME]              stop the server and delete its data
#
# NAME is "test" by default: several servers can run side by side. It listens on 127.0.0.1 with a password, and on a Unix
# socket that the option socket of the test server's URL names; nothing is kept on disk unless the options say so.
# If TASKGEN_TEST_REDIS is set, start and url of the server "test" print it and start nothing.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_server() {
	command -v redis-server >/dev/null && return
	install_debian Redis "Install Redis 6 or newer, or leave TASKGEN_TEST_REDIS unset: the tests that need it are skipped." redis-server
}

running() {
	[ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null
}

start() {
	install_server
	mkdir -p "$dir"
	exec 9>"$dir.lock" # two callers at once: the second waits and finds it running
	flock 9
	running && return
	choose_port 32000 34000 1
	# A path below the folder may be too long for a socket.
	local socket
	socket=$(mktemp -u "/tmp/taskgen-redis-XXXXXX.sock")
	redis-server --bind 127.0.0.1 --port "$port" --unixsocket "$socket" --requirepass 's3cret+pass word' --save '' --appendonly no \
		--dir "$dir" --pidfile "$dir/pid" --logfile "$dir/log" --daemonize yes "$@" 9>&- </dev/null >"$dir/console" 2>&1 ||
		die "the server did not start: $(cat "$dir/console")"
	url=redis://:s3cret%2Bpass%20word@127.0.0.1:$port/0
	[ "$name" != test ] || url+="?socket=$socket"
	echo "$url" >"$dir/url"
	for _ in $(seq 1 100); do
		if running && ! port_free "$port"; then
			return
		fi
		sleep 0.05
	done
	die "the server did not start; see $dir/log"
}

stop() {
	if running; then
		local pid
		pid=$(cat "$dir/pid")
		kill "$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	fi
	rm -rf "$dir" "$dir.lock"
}

[ $# -ge 1 ] || usage
name=${2:-test}
case $name in *[!a-z0-9-]*) die "server name $name: only a-z, 0-9 and - are allowed" ;; esac
if [ -n "${TASKGEN_TEST_REDIS:-}" ] && [ "$name" = test ]; then
	case $1 in start | url) echo "$TASKGEN_TEST_REDIS"; exit ;; esac
fi
dir=$root/.build/redis/$name
case $1 in
start) start "${@:3}"; cat "$dir/url" ;;
url) running || die "the server is not running"; cat "$dir/url" ;;
stop) stop ;;
*) usage ;;
esac
