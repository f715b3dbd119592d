// Package celery shows a Go service and Celery that call each other: shop has tasks that Python calls, and an
// interface of tasks that Python runs; python has both sides' Python.
//
//	export BROKER=amqp://guest:guest@localhost/
//	go run ./examples/celery/worker -broker $BROKER
//	cd examples/celery/python && celery -A billing worker -Q example-billing
//	cd examples/celery/python && python3 client.py
package celery
