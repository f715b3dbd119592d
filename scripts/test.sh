#!/usr/bin/env bash
# Everything that must pass: check.sh, then all tests with the race detector,
# against a RabbitMQ and a mail server that are started for them (or those in TASKGEN_TEST_AMQP
# and TASKGEN_TEST_SMTP).
# Arguments go to `go test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

trap 'scripts/rabbitmq.sh stop; scripts/smtp.sh stop' EXIT
TASKGEN_TEST_AMQP=$(scripts/rabbitmq.sh start)
TASKGEN_TEST_SMTP=$(scripts/smtp.sh start)
export TASKGEN_TEST_AMQP TASKGEN_TEST_SMTP
scripts/check.sh
go test -race -timeout 15m "$@" ./...
