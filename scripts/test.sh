#!/usr/bin/env bash
# Everything that must pass: check.sh, then all tests with the race detector,
# against a RabbitMQ, a Redis and a mail server that are started for them (or those in TASKGEN_TEST_AMQP,
# TASKGEN_TEST_REDIS and TASKGEN_TEST_SMTP), in a Chromium and against a Celery that are installed for them (or those of
# TASKGEN_TEST_CHROMIUM and of the Python in TASKGEN_TEST_PYTHON). What the browser saw is kept in .build/screenshots.
# Arguments go to `go test`. With CI=true, every fuzz target then runs for a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What passed and failed against Celery is shown at the end.
mkdir -p .build
export TASKGEN_CELERY_REPORT=$PWD/.build/celery.md
rm -f "$TASKGEN_CELERY_REPORT"
trap 'scripts/rabbitmq.sh stop; scripts/redis.sh stop; scripts/smtp.sh stop; cat "$TASKGEN_CELERY_REPORT" 2>/dev/null || true' EXIT
scripts/check.sh & # it compiles, while that which is installed is waited for
check=$!
TASKGEN_TEST_AMQP=$(scripts/rabbitmq.sh start)
TASKGEN_TEST_REDIS=$(scripts/redis.sh start)
TASKGEN_TEST_SMTP=$(scripts/smtp.sh start)
TASKGEN_TEST_PYTHON=$(scripts/celery.sh)
TASKGEN_TEST_CHROMIUM=$(scripts/chromium.sh)
export TASKGEN_TEST_AMQP TASKGEN_TEST_REDIS TASKGEN_TEST_SMTP TASKGEN_TEST_PYTHON TASKGEN_TEST_CHROMIUM
wait "$check"
if [[ ${CI:-} == true ]]; then # while the tests wait for what they test
	nice -n 19 scripts/fuzz.sh build &
	fuzz_build=$!
fi
# SQLite is C that was translated to Go, all of it in one goroutine at a time: to watch each of its reads and writes takes minutes.
race=(-race '-gcflags=github.com/ncruces/go-sqlite3-wasm/...=-race=false' -timeout 15m)
# Those that wait for brokers most of the time are tested beside each other, the longest first.
waiting=(./test/faults ./runtime/rabbitmq ./runtime/sqlite ./runtime/worker)
go list ./... | grep -vxF "$(go list "${waiting[@]}")" | xargs go test "${race[@]}" "$@"
go test "${race[@]}" -p 3 "$@" "${waiting[@]}"
go test -run '^TestAllocations' "$@" ./runtime/codec ./runtime/task ./runtime/rabbitmq # the race detector allocates too
(cd bench && go test "$@" ./...)
if [[ ${CI:-} == true ]]; then
	wait "$fuzz_build"
	FUZZ_BUILT=true FUZZ_AT_ONCE=36 scripts/fuzz.sh 60s
fi
