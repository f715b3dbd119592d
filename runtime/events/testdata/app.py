"""A worker of Celery."""
import os

from celery import Celery

app = Celery("app", broker=os.environ["BROKER"])
app.conf.task_default_queue = os.environ["QUEUE"]


@app.task(name="py.join")
def join(a, b):
    return a + b
