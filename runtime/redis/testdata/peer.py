"""A Celery client, or a worker, that the tests drive.

    peer.py client BROKER RESULTS          takes a command as JSON from each line, answers with a line
    peer.py worker BROKER RESULTS QUEUE    runs the tasks below
"""
import json
import sys

import celery
from kombu import Queue

role, broker, results = sys.argv[1:4]
app = celery.Celery("peer", broker=broker, backend=results)
app.conf.update(
    accept_content=["json", "msgpack"], task_create_missing_queues=True, worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True, task_default_queue="peer",
)


@app.task(name="py.add")
def add(x, y):
    return x + y


@app.task(name="py.fail")
def fail(text):
    raise ValueError(text)


@app.task(name="py.retry", bind=True, max_retries=2)
def retry(self, countdown):
    raise self.retry(exc=KeyError("again"), countdown=countdown)


@app.task(name="py.values")
def values():
    return {"big": 2 ** 63, "float": 1.0, "none": None, "text": "gr\u00fc\u00dfe", "list": [1, [True, 1.5]]}


@app.task(name="py.total")
def total(numbers):
    return sum(numbers)


def outcome(result, timeout):
    try:
        return {"value": result.get(timeout=timeout), "state": result.state, "children": result.children}
    except celery.exceptions.TimeoutError:
        return {"timeout": True, "state": result.state}
    except BaseException as e:  # what the task has failed with
        return {
            "type": type(e).__name__, "module": type(e).__module__, "bases": [c.__name__ for c in type(e).__mro__],
            "text": str(e), "state": result.state, "traceback": result.traceback,
            "date_done": str(result.date_done),
        }


def execute(command):
    do = command["do"]
    if do == "declare":
        with app.connection_for_write() as connection:
            Queue(command["queue"]).bind(connection.default_channel).declare()
        return {}
    if do == "send":
        sent = app.send_task(command["task"], args=command.get("args"), kwargs=command.get("kwargs"), **command.get("options", {}))
        return {"id": sent.id}
    if do == "get":
        return outcome(app.AsyncResult(command["id"]), command.get("timeout", 20))
    if do == "state":
        result = app.AsyncResult(command["id"])
        return {"state": result.state, "info": repr(result.info)}
    if do == "chord":
        header = [app.signature(t["task"], args=t["args"], queue=t["queue"]) for t in command["header"]]
        return {"id": celery.chord(header)(app.signature("py.total", queue=command["queue"])).id}
    raise ValueError(do)


if role == "worker":
    app.worker_main(["worker", "-Q", sys.argv[4], "-P", "solo", "-c", "1", "-l", "INFO", "--without-gossip", "--without-mingle", "-n", sys.argv[4] + "@test"])
else:
    for line in sys.stdin:
        try:
            answer = execute(json.loads(line))
        except Exception as e:
            answer = {"broken": repr(e)}
        print(json.dumps(answer), flush=True)
