"""What a plain Celery client sees of tasks that it revokes, with results in Redis; the Go worker has one slot."""
import time
import uuid

from celery import states
from celery.result import AsyncResult

from fleet import GO_QUEUE, app
from suite import PATIENCE, case, equal, raises

WORKER = GO_QUEUE + "@go"


def revoke(id, **options):
    """Returns what the worker says."""
    answers = app.control.revoke(id, reply=True, destination=[WORKER], timeout=PATIENCE, **options)
    return answers[0][WORKER]["ok"]


def revoked(result, text):
    error = raises("TaskRevokedError", lambda: result.get(timeout=PATIENCE))
    equal(str(error), text)
    again = AsyncResult(result.id, app=app)  # anybody who knows the id
    equal((again.state, again.successful(), again.ready()), (states.REVOKED, False, True))


def state(result):
    return AsyncResult(result.id, app=app).state


@case("Python → Go: revoking")
def waiting_running_and_later_ones():
    running = app.send_task("go.wait", [600.0])
    deadline = time.monotonic() + PATIENCE
    while state(running) != states.STARTED and time.monotonic() < deadline:
        time.sleep(0.02)
    equal(state(running), states.STARTED)

    waiting = app.send_task("go.add", [2, 3])
    later = str(uuid.uuid4())
    assert "flagged as revoked" in revoke([waiting.id, later])
    revoked(waiting, "revoked")
    revoked(app.send_task("go.add", [2, 3], task_id=later), "revoked")

    # One that runs goes on, unless it is terminated.
    assert "flagged as revoked" in revoke(running.id)
    equal(state(running), states.STARTED)
    equal(revoke(running.id, terminate=True), "terminate: " + running.id)
    revoked(running, "terminated")
    equal(app.send_task("go.add", [2, 3]).get(timeout=PATIENCE), 5)
