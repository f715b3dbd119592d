#!/usr/bin/env bash
# Everything that must pass: check.sh, then all tests with the race detector,
# against a RabbitMQ and a mail server that are started for them (or those in TASKGEN_TEST_AMQP
# and TASKGEN_TEST_SMTP), and in a Chromium that is installed for them (or the one in
# TASKGEN_TEST_CHROMIUM). What the browser saw is kept in .build/screenshots.
# Arguments go to `go test`. With CI=true, every fuzz target then runs for ten seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

trap 'scripts/rabbitmq.sh stop; scripts/smtp.sh stop' EXIT
TASKGEN_TEST_AMQP=$(scripts/rabbitmq.sh start)
TASKGEN_TEST_SMTP=$(scripts/smtp.sh start)
TASKGEN_TEST_CHROMIUM=$(scripts/chromium.sh)
export TASKGEN_TEST_AMQP TASKGEN_TEST_SMTP TASKGEN_TEST_CHROMIUM
scripts/check.sh
go test -race -timeout 15m "$@" ./...
if [[ ${CI:-} == true ]]; then
	scripts/fuzz.sh 10s
fi
