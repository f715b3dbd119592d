"""The Python tasks that Go calls in the tests; run by a real Celery worker."""
import time

from celery.utils.log import get_task_logger

from fleet import app

log = get_task_logger(__name__)


class CardError(Exception):
    """An error with arguments of its own."""


@app.task
def add(x, y):
    return x + y


@app.task
def greet(name, times=1, greeting="hello"):
    return f"{greeting} {name} {times}"


@app.task
def announce(text, at=None, *, loud=False, languages=("en",), **more):
    return f"{text} {at} {loud} {'+'.join(languages)} {more}"


@app.task
def nothing():
    pass


@app.task
def add_by_position(a, b, /):
    return a + b


def show(x):
    return repr(x)


def echo(x):
    return x


# Go has a task for each type of value.
for kind in "bool int64 uint64 big float string bytes time duration uuid raw ints pair map numbered maybe struct".split():
    app.task(show, name=f"pytasks.show_{kind}")
    app.task(echo, name=f"pytasks.echo_{kind}")


@app.task
def fail(how):
    if how == "custom":
        raise CardError("card declined", 402)
    raise ValueError(how)


@app.task(bind=True, max_retries=3)
def flaky(self, failures):
    if self.request.retries < failures:
        raise self.retry(exc=CardError(f"try {self.request.retries}"), countdown=0.1)
    return self.request.retries + 1


@app.task(bind=True)
def about(self):
    request = self.request
    return {
        "id": request.id,
        "root": request.root_id,
        "parent": request.parent_id,
        "eta": request.eta,
        "expires": request.expires,
        "timelimit": request.timelimit,
        "retries": request.retries,
        "lang": request.lang if hasattr(request, "lang") else None,
        "priority": request.delivery_info["priority"],
        "tenant": (request.headers or {}).get("tenant") or getattr(request, "tenant", None),
        "now": time.time(),
    }
