"""Keeps Celery's State of a worker's events until the worker has gone, as Flower and `celery events` do, and prints it."""
import json
import sys

from celery import Celery
from celery.events.receiver import EventReceiver

url, name = sys.argv[1:]
app = Celery(broker=url)
state = app.events.State()
alive = []


class Receiver(EventReceiver):
    def on_consume_ready(self, *args, **kwargs):
        super().on_consume_ready(*args, **kwargs)
        print("listening", flush=True)


def take(event):
    if event["hostname"] != name:
        return
    state.event(event)
    if event["type"] == "worker-offline":
        receiver.should_stop = True
    elif name in state.workers:  # what a client sent may come before
        alive.append(state.workers[name].alive)


with app.connection() as connection:
    receiver = Receiver(connection.channel(), handlers={"*": take}, app=app)
    receiver.capture(limit=None, timeout=None, wakeup=True)

worker = state.workers[name]
print(json.dumps({
    "alive": all(alive) and bool(alive),
    "gone": not worker.alive,
    "worker": {key: getattr(worker, key) for key in ("freq", "active", "processed", "sw_ident", "sw_sys", "pid")},
    "load": len(worker.loadavg),
    "tasks": {
        id: {
            "worker": task.worker.hostname, "state": task.state, "name": task.name, "args": task.args, "kwargs": task.kwargs,
            "result": task.result, "runtime": task.runtime is not None and task.runtime >= 0, "exception": task.exception,
            "traceback": task.traceback, "retries": task.retries, "root": task.root_id, "parent": task.parent_id,
            "times": [key for key in ("received", "started", "succeeded", "failed", "retried", "revoked", "rejected") if getattr(task, key)],
        } for id, task in state.tasks.items()
    },
}))
