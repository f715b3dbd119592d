# The two commands of the README are `make demo` and `make test`.

.PHONY: demo test check fuzz faults celery bench microbench clean

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

# taskgen against its library and other task queues, an hour or so, and the tables in docs/performance.md. BENCH='-run drain'
# measures those rows and only prints them; BENCH=-h shows the other flags.
BENCH = -long -write
bench:
	cd bench && go run . $(BENCH)

# Every benchmark of a package, against a RabbitMQ of its own.
microbench:
	TASKGEN_TEST_AMQP=$$(scripts/rabbitmq.sh start) go test -run '^$$' -bench . -benchmem ./...

clean:
	scripts/rabbitmq.sh stop
	scripts/rabbitmq.sh stop bench
	scripts/redis.sh stop bench
	scripts/postgres.sh stop
	scripts/smtp.sh stop
	rm -rf .build
