# The two commands of the README are `make demo` and `make test`.

.PHONY: demo test check fuzz faults celery bench clean

# Generates, starts a worker and a client over the embedded broker, and shows what happens. Needs Go only.
demo:
	go run ./examples/quickstart

# Installs or starts what the tests need, and runs everything with the race detector.
test:
	scripts/test.sh

# What needs no broker: formatting, vet, lint.
check:
	scripts/check.sh

# Fuzzes every target for DURATION each.
DURATION = 60s
fuzz:
	scripts/fuzz.sh $(DURATION)

# Every fault at full length, an hour or so, and the table in docs/reliability.md. SCENARIOS=Kill does those
# whose tests match, and renews their lines.
SCENARIOS = .
faults:
	TASKGEN_FAULTS=long TASKGEN_TEST_AMQP=$$(scripts/rabbitmq.sh start) go test -count=1 -timeout 3h -run '$(SCENARIOS)' ./test/faults

# The tests against Celery, with ten minutes of mixed load.
celery:
	TASKGEN_CELERY=long TASKGEN_TEST_AMQP=$$(scripts/rabbitmq.sh start) TASKGEN_TEST_PYTHON=$$(scripts/celery.sh) \
		go test -count=1 -timeout 1h -v ./test/celery

# Every benchmark, against a RabbitMQ of its own.
bench:
	TASKGEN_TEST_AMQP=$$(scripts/rabbitmq.sh start) go test -run '^$$' -bench . -benchmem ./...

clean:
	scripts/rabbitmq.sh stop
	scripts/smtp.sh stop
	rm -rf .build
