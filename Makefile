# The two commands of the README are `make demo` and `make test`.

.PHONY: demo test check fuzz bench clean

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

# Every benchmark, against a RabbitMQ of its own.
bench:
	TASKGEN_TEST_AMQP=$$(scripts/rabbitmq.sh start) go test -run '^$$' -bench . -benchmem ./...

clean:
	scripts/rabbitmq.sh stop
	scripts/smtp.sh stop
	rm -rf .build
