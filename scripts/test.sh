#!/usr/bin/env bash
# Everything that must pass: check.sh, then all tests with the race detector,
# against a RabbitMQ that is started for them (or the one in TASKGEN_TEST_AMQP).
# Arguments go to `go test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TASKGEN_TEST_AMQP=$(scripts/rabbitmq.sh start)
export TASKGEN_TEST_AMQP
trap 'scripts/rabbitmq.sh stop' EXIT
scripts/check.sh
go test -race -timeout 15m "$@" ./...
