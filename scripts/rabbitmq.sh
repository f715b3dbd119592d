#!/usr/bin/env bash
# A private, throw-away RabbitMQ node for the tests.
#
#   scripts/rabbitmq.sh start [NODE [CONF [PLUGIN…]]]
#                                        start the node if it isn't running, print its AMQP URL; the lines of the
#                                        file CONF are added to its rabbitmq.conf, and the plugins enabled
#   scripts/rabbitmq.sh url [NODE]       print the URL of the running node
#   scripts/rabbitmq.sh status [NODE]    say whether it runs; exit code 1 if not
#   scripts/rabbitmq.sh ctl NODE ARGS…   run rabbitmqctl against the node
#   scripts/rabbitmq.sh kill [NODE]      kill -9 the node, keep its data; start brings it back on the same ports
#   scripts/rabbitmq.sh stop [NODE]      stop the node and delete its data
#
# NODE is a short name, "test" by default: several nodes can run side by side.
# Each has its own ports, cookie, data and logs under .build/rabbitmq/NODE and
# leaves a system-wide RabbitMQ alone. If TASKGEN_TEST_AMQP is set, start and
# url of the node "test" print it and start nothing.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

bin=/usr/lib/rabbitmq/bin

install_server() {
	[ -x $bin/rabbitmq-server ] && return
	install_debian RabbitMQ "Install RabbitMQ 3.10 or newer (https://www.rabbitmq.com/docs/download), start it, and set TASKGEN_TEST_AMQP to its URL." \
		rabbitmq-server
	[ -x $bin/rabbitmq-server ] || die "rabbitmq-server was installed, but not to $bin"
}

# node_env sets what the server and its tools read.
node_env() {
	port=$(cat "$dir/port")
	export HOME=$dir # the Erlang cookie lies there
	export ERL_EPMD_PORT=$((port + 1)) ERL_EPMD_ADDRESS=127.0.0.1
	export RABBITMQ_NODENAME=taskgen-$node@localhost
	export RABBITMQ_DIST_PORT=$((port + 2))
	export RABBITMQ_CTL_DIST_PORT_MIN=$((port + 3)) RABBITMQ_CTL_DIST_PORT_MAX=$((port + 9))
	export RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=$dir/rabbitmq-env.conf
	export RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
	export RABBITMQ_MNESIA_BASE=$dir/data RABBITMQ_LOG_BASE=$dir/log RABBITMQ_PID_FILE=$dir/pid
	url=amqp://guest:guest@127.0.0.1:$port/
}

running() {
	[ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null
}

start() {
	local extra=${1:-/dev/null}
	shift $(($# ? 1 : 0))
	install_server
	mkdir -p "$dir/data" "$dir/log"
	exec 9>"$dir.lock" # two callers at once: the second waits and finds it running
	flock 9
	if running && $bin/rabbitmqctl -q await_startup --timeout 60 >&2 9>&-; then
		return
	fi
	if [ ! -s "$dir/port" ]; then
		choose_port 20000 30000 10
		echo "$port" >"$dir/port"
	fi
	node_env
	cat >"$dir/rabbitmq.conf" <<-CONF
		listeners.tcp.local = 127.0.0.1:$port
		log.file.level = warning
		total_memory_available_override_value = 4GB
	CONF
	cat "$extra" >>"$dir/rabbitmq.conf"
	: >"$dir/rabbitmq-env.conf"
	echo "[$(IFS=, && echo "$*")]." >"$dir/enabled_plugins"
	# The server's script stays as the parent of the Erlang machine, so its
	# stdin, stdout and lock must not be ours.
	setsid $bin/rabbitmq-server </dev/null >"$dir/log/console" 2>&1 9>&- &
	disown
	if ! $bin/rabbitmqctl -q wait "$dir/pid" --timeout 90 >&2 9>&-; then
		tail -n 20 "$dir/log/console" >&2
		die "the node did not start; see $dir/log"
	fi
}

kill_node() {
	kill -9 "$(cat "$dir/pid")"
	while running; do sleep 0.1; done
}

stop() {
	if running; then
		$bin/rabbitmqctl -q stop "$dir/pid" >/dev/null 2>&1 || kill_node
	fi
	if [ -s "$dir/port" ]; then
		epmd -port "$ERL_EPMD_PORT" -kill >/dev/null 2>&1 || true
	fi
	rm -rf "$dir" "$dir.lock"
}

[ $# -ge 1 ] || usage
command=$1
node=${2:-test}
case $node in *[!a-z0-9-]*) die "node name $node: only a-z, 0-9 and - are allowed" ;; esac
if [ -n "${TASKGEN_TEST_AMQP:-}" ] && [ "$node" = test ]; then
	case $command in start | url) echo "$TASKGEN_TEST_AMQP"; exit ;; esac
fi
dir=$root/.build/rabbitmq/$node
[ -s "$dir/port" ] && node_env

case $command in
start) start "${@:3}"; echo "$url" ;;
url) running || die "node $node is not running"; echo "$url" ;;
status) if running; then echo "node $node runs: $url"; else echo "node $node is not running"; exit 1; fi ;;
ctl) running || [ "${3:-}" = start_app ] || die "node $node is not running"; shift 2; exec $bin/rabbitmqctl -q "$@" ;;
kill) running || die "node $node is not running"; kill_node ;;
stop) stop ;;
*) usage ;;
esac
