#!/usr/bin/env bash
# Everything that must pass: check.sh, then all tests with the race detector,
# against a RabbitMQ, a Redis and a mail server that are started for them (or those in TASKGEN_TEST_AMQP,
# TASKGEN_TEST_REDIS and TASKGEN_TEST_SMTP), with the Celery of a Python (or of the one in TASKGEN_TEST_PYTHON), and in a Chromium that is installed for them (or the one in
# TASKGEN_TEST_CHROMIUM). What the browser saw is kept in .build/screenshots.
# Arguments go to `go test`. With CI=true, every fuzz target then runs for ten seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

trap 'scripts/rabbitmq.sh stop; scripts/redis.sh stop; scripts/smtp.sh stop' EXIT
TASKGEN_TEST_AMQP=$(scripts/rabbitmq.sh start)
TASKGEN_TEST_REDIS=$(scripts/redis.sh start)
TASKGEN_TEST_SMTP=$(scripts/smtp.sh start)
TASKGEN_TEST_PYTHON=$(scripts/celery.sh)
TASKGEN_TEST_CHROMIUM=$(scripts/chromium.sh)
export TASKGEN_TEST_AMQP TASKGEN_TEST_REDIS TASKGEN_TEST_SMTP TASKGEN_TEST_PYTHON TASKGEN_TEST_CHROMIUM
scripts/check.sh
go test -race -timeout 15m "$@" ./...
if [[ ${CI:-} == true ]]; then
	scripts/fuzz.sh 10s
fi
