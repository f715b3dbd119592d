"""What a plain Celery client asks of tasks that a Go worker runs."""
import time
import uuid
from datetime import datetime, timedelta, timezone

from celery import states
from celery.exceptions import SoftTimeLimitExceeded, TimeoutError
from celery.result import AsyncResult

from fleet import GO_QUEUE, app
from suite import PATIENCE, case, equal, raises


def send(name, *args, **options):
    return app.send_task(name, args=args, **options)


def get(result):
    return result.get(timeout=PATIENCE)


# Arguments


@case("Python → Go: arguments")
def by_position():
    equal(get(send("go.add", 2, 3)), 5)


@case("Python → Go: arguments")
def by_name():
    equal(get(app.send_task("go.add", kwargs={"y": 3, "x": 2})), 5)


@case("Python → Go: arguments")
def some_by_position_and_some_by_name():
    equal(get(app.send_task("go.greet", ["ada"], {"greeting": "hi", "times": 2})), "hi ada 2")


@case("Python → Go: arguments")
def none_where_a_pointer_is():
    equal(get(app.send_task("go.greet", ["ada", 1, None])), "hello ada 1")


@case("Python → Go: arguments")
def any_number_of_them_is_a_list():
    equal(get(send("go.join", "-", ["a", "b", "c"])), "a-b-c")


@case("Python → Go: arguments")
def no_arguments_and_no_result():
    equal(get(send("go.nothing")), None)


@case("Python → Go: arguments")
def a_missing_one_is_a_type_error():
    error = raises("TypeError", lambda: get(send("go.add", 2)))
    assert "y" in str(error) and "missing" in str(error), error


@case("Python → Go: arguments")
def an_unknown_one_is_a_type_error():
    error = raises("TypeError", lambda: get(app.send_task("go.add", kwargs={"x": 1, "y": 2, "z": 3})))
    assert "z" in str(error) and "unknown" in str(error), error


@case("Python → Go: arguments")
def one_too_many_is_a_type_error():
    raises("TypeError", lambda: get(send("go.add", 1, 2, 3)))


@case("Python → Go: arguments")
def one_given_twice_is_a_type_error():
    raises("TypeError", lambda: get(app.send_task("go.add", [1, 2], {"x": 1})))


@case("Python → Go: arguments")
def one_of_another_type_is_a_type_error():
    error = raises("TypeError", lambda: get(send("go.add", "two", 3)))
    assert "want int" in str(error), error


@case("Python → Go: arguments")
def an_unknown_task_is_not_registered():
    raises("NotRegistered", lambda: get(send("go.no.such")))


@case("Python → Go: arguments")
def any_text():
    for text in ["", "größer 漢字 🚀", "\x00\x01\x1f\x7f", "a" * 100, "\u2028\ufeff\ufffd", "\U0010ffff"]:
        equal(get(send("go.join", "", [text])), text)


@case("Python → Go: arguments")
def big_payloads():
    import hashlib

    text = "größer" * 200_000
    data = text.encode()
    want = f"{len(data)} {hashlib.sha256(data).hexdigest()}"
    for serializer in "json", "msgpack":
        equal(get(send("go.digest", text, serializer=serializer)), want)
    equal(get(send("go.repeat", "größer", 200_000)), text)


# Serializers and compression


def in_serializer(serializer):
    equal(get(send("go.add", 2, 3, serializer=serializer)), 5)
    equal(get(app.send_task("go.greet", ["größer 🚀"], {"times": 2, "greeting": None}, serializer=serializer)), "hello größer 🚀 2")
    error = raises("QuotaError", lambda: get(send("go.fail", "typed", serializer=serializer)))
    equal(str(error), "over the quota of 3")


@case("Python → Go: serializers")
def json():
    in_serializer("json")


@case("Python → Go: serializers")
def msgpack():
    in_serializer("msgpack")


@case("Python → Go: serializers")
def yaml():
    in_serializer("yaml")


@case("Python → Go: serializers")
def pickle_is_refused():
    raises("ContentDisallowed", lambda: get(send("go.add", 2, 3, serializer="pickle")))


def compressed(compression):
    text = "größer" * 1000
    for serializer in "json", "msgpack", "yaml":
        equal(get(send("go.join", "", [text], compression=compression, serializer=serializer)), text)


@case("Python → Go: compression")
def zlib():
    compressed("zlib")


@case("Python → Go: compression")
def gzip():
    compressed("gzip")


@case("Python → Go: compression")
def bzip2():
    compressed("bzip2")


@case("Python → Go: compression")
def zstd():
    try:
        import zstandard
    except ImportError:
        return  # Celery can't compress with it either
    compressed("zstd")


@case("Python → Go: compression")
def lzma_is_refused():
    raises("DecodeError", lambda: get(send("go.add", 2, 3, compression="lzma")))


# Times


def about(**options):
    """What the Go task knows of its message, with times as datetimes."""
    m = get(app.send_task("go.about", **options))
    for key in "eta", "expires", "now":
        m[key] = m[key] and utc(datetime.fromisoformat(m[key]))
    return m


def utc(at):
    return at.astimezone(timezone.utc)


def held_until(at, given):
    m = about(eta=given)
    equal(m["eta"], utc(at))
    assert m["now"] >= utc(at), f"ran at {m['now']}, before {at}"
    assert m["now"] - utc(at) < timedelta(seconds=PATIENCE / 2), f"ran at {m['now']}, long after {at}"


@case("Python → Go: eta")
def countdown():
    before = datetime.now(timezone.utc)
    m = about(countdown=1.5)
    assert m["now"] - before >= timedelta(seconds=1.5), m


@case("Python → Go: eta")
def aware():
    at = datetime.now(timezone.utc) + timedelta(seconds=1)
    held_until(at, at)


@case("Python → Go: eta")
def naive_is_utc():
    at = datetime.now(timezone.utc) + timedelta(seconds=1)
    held_until(at, at.replace(tzinfo=None))


@case("Python → Go: eta")
def with_an_offset():
    at = (datetime.now(timezone.utc) + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    held_until(at, at)


@case("Python → Go: eta")
def without_microseconds():
    at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
    held_until(at, at)


@case("Python → Go: eta")
def as_text():
    at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
    held_until(at, at.strftime("%Y-%m-%dT%H:%M:%SZ"))


@case("Python → Go: eta")
def in_the_past_is_now():
    m = about(eta=datetime(2020, 1, 1, tzinfo=timezone.utc))
    equal(m["eta"], datetime(2020, 1, 1, tzinfo=timezone.utc))


@case("Python → Go: expires")
def in_time():
    before = datetime.now(timezone.utc)
    m = about(expires=120)
    assert timedelta(seconds=119) < m["expires"] - before < timedelta(seconds=150), m


@case("Python → Go: expires")
def as_a_time():
    at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    equal(about(expires=at)["expires"], at)


@case("Python → Go: expires")
def too_late_is_revoked():
    result = app.send_task("go.about", countdown=1.5, expires=0.2)
    error = raises("TaskRevokedError", lambda: get(result))
    equal(str(error), "expired")
    equal(result.state, states.REVOKED)


@case("Python → Go: time limits")
def soft():
    before = time.monotonic()
    error = raises("SoftTimeLimitExceeded", lambda: get(send("go.wait", 600, soft_time_limit=0.5)))
    assert isinstance(error, SoftTimeLimitExceeded), type(error)
    assert time.monotonic() - before < PATIENCE


@case("Python → Go: time limits")
def hard():
    raises("SoftTimeLimitExceeded", lambda: get(send("go.wait", 600, time_limit=0.5)))


@case("Python → Go: time limits")
def the_sooner_one_counts():
    left = get(send("go.wait", 0, soft_time_limit=100, time_limit=200))
    assert 50 < left <= 100, left


@case("Python → Go: time limits")
def none():
    equal(get(send("go.wait", 0)), -1.0)


# Results


@case("Python → Go: results")
def values():
    equal(get(send("go.add", 2**62, 2**62 - 1)), 2**63 - 1)
    equal(get(send("go.noted", "nobody's")), [])
    equal(get(send("go.join", "", ["ä"])), "ä")


@case("Python → Go: results")
def errors_with_type_message_and_traceback():
    result = send("go.fail", "wrapped")
    error = raises("QuotaError", lambda: get(result))
    equal(str(error), "charging ada: over the quota of 3")
    equal(result.state, states.FAILURE)
    assert result.failed() and "QuotaError: over the quota of 3" in result.traceback, result.traceback


@case("Python → Go: results")
def a_panic_has_its_stack():
    result = send("go.fail", "panic")
    error = raises("PanicError", lambda: get(result))
    assert "at the disco" in str(error), error
    assert "gotasks" in result.traceback and "tasks.go:" in result.traceback, result.traceback


@case("Python → Go: results")
def an_error_without_a_type():
    error = raises("Error", lambda: get(send("go.fail", "unicode")))
    equal(str(error), "größer als 3 €, 🚀")


@case("Python → Go: results")
def the_last_step_of_a_chain_has_the_error_of_the_first():
    chain = app.signature("go.fail", ("typed",)) | app.signature("go.add", (1,))
    result = chain.apply_async()
    error = raises("QuotaError", lambda: get(result))
    equal(str(error), "over the quota of 3")


@case("Python → Go: results")
def errors_can_be_looked_at():
    result = send("go.fail", "typed")
    error = result.get(timeout=PATIENCE, propagate=False)
    equal(type(error).__name__, "QuotaError")
    equal(result.successful(), False)


@case("Python → Go: results")
def states_on_the_way():
    seen = []
    result = send("go.flaky", 2)
    result.get(timeout=PATIENCE, on_message=lambda meta: seen.append((meta["status"], meta["result"])))
    names = [state for state, _ in seen]
    assert names.count(states.RETRY) == 2 and names[-1] == states.SUCCESS, seen
    assert states.STARTED in names, seen
    started = next(value for state, value in seen if state == states.STARTED)
    assert started["pid"] > 0 and "@" in started["hostname"], started
    retry = next(value for state, value in seen if state == states.RETRY)
    equal(retry["exc_type"] if isinstance(retry, dict) else type(retry).__name__, "QuotaError")


@case("Python → Go: results")
def ignored_by_the_caller():
    result = send("go.add", 2, 3, ignore_result=True)
    raises("TimeoutError", lambda: AsyncResult(result.id, app=app).get(timeout=1))


@case("Python → Go: results")
def ignored_by_the_task_but_not_by_the_caller():
    # As in Celery: the header ignore_result of a plain send_task is False, and it decides.
    equal(get(send("go.silent")), 1)


# Retries


@case("Python → Go: retries")
def until_it_succeeds():
    equal(get(send("go.flaky", 2)), 3)


@case("Python → Go: retries")
def until_they_are_used_up():
    error = raises("QuotaError", lambda: get(send("go.flaky", 99)))
    equal(str(error), "over the quota of 3")


@case("Python → Go: retries")
def begun_by_the_caller():
    equal(get(send("go.flaky", 3, retries=2)), 4)


# Identity


@case("Python → Go: identity")
def id_of_the_callers_choice():
    unique = uuid.uuid4().hex
    for id in str(uuid.uuid4()), "order-" + unique, "größer " + unique:
        result = app.send_task("go.about", task_id=id)
        equal(result.id, id)
        m = get(result)
        equal(m["id"], id)
        equal(m["root"], id)
        equal(m["queue"], GO_QUEUE)


@case("Python → Go: identity")
def root_and_parent():
    m = get(app.send_task("go.about", root_id="the-root", parent_id="the-parent"))
    equal(m["root"], "the-root")
    equal(m["parent"], "the-parent")


@case("Python → Go: identity")
def headers_of_the_callers_own():
    headers = {"text": "größer", "millis": 1_700_000_000_123, "negative": -(2**40), "none": None, "pi": 3.14,
               "yes": True, "list": [1, "a", None], "map": {"a": {"b": 1}}, "at": datetime(2026, 1, 2)}
    equal(get(send("go.add", 2, 3, headers=headers)), 5)


@case("Python → Go: identity")
def a_shadow_name():
    equal(get(send("go.add", 2, 3, shadow="sum")), 5)


@case("Python → Go: identity")
def signatures():
    equal(get(app.signature("go.add", args=(2, 3)).delay()), 5)
    equal(get(app.signature("go.add", args=(2,)).apply_async((3,))), 5)
    equal(get(app.signature("go.add", kwargs={"x": 2, "y": 3}).set(countdown=0.1).apply_async()), 5)
    equal(get(app.signature("go.greet", ("ada",), {"times": 1, "greeting": None}, immutable=True).delay()), "hello ada 1")


@case("Python → Go: identity")
def a_task_declared_in_python():
    @app.task(name="go.add", bind=False)
    def go_add(x, y):
        raise NotImplementedError

    equal(get(go_add.delay(2, 3)), 5)


@case("Python → Go: priority")
def reaches_the_task():
    # Go counts from 0, the highest; RabbitMQ and Celery up to 9.
    equal(about(priority=7)["priority"], 2)
    equal(about(priority=0)["priority"], 9)


@case("Python → Go: waiting")
def gives_up():
    result = app.send_task("go.wait", [5.0])
    try:
        result.get(timeout=0.2)
        raise AssertionError("no timeout")
    except TimeoutError:
        pass
