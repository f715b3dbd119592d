"""The Celery app of the tests: what a shop has in its celeryconfig, and nothing made for Go but the route."""
import os

from celery import Celery

GO_QUEUE = os.environ["GO_QUEUE"]
PY_QUEUE = os.environ["PY_QUEUE"]

app = Celery("fleet")
app.conf.update(
    broker_url=os.environ["BROKER"],
    result_backend=os.environ["RESULTS"] or "rpc://",
    accept_content=["json", "msgpack", "yaml"],
    result_accept_content=["json", "msgpack", "yaml"],
    task_default_queue=PY_QUEUE,
    task_routes={"go.*": {"queue": GO_QUEUE}},
)
