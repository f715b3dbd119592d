"""Publishes messages that other versions of Celery sent, as they were captured, and holds a Go worker's answers
against the captured answers of Celery's workers."""
import json
import os
import socket
import time

import amqp
from kombu.serialization import loads

from captured import ACCEPT, VERSIONS, Captured, read
from suite import PATIENCE, case, equal


def exchange(messages):
    """Publishes all messages and returns their final answers by id."""
    host, port = os.environ["BROKER"].split("@")[1].strip("/").split(":")
    answers = {}
    with amqp.Connection(f"{host}:{port}", userid="guest", password="guest") as connection:
        channel = connection.channel()
        reply_to = channel.queue_declare("", exclusive=True).queue
        channel.basic_consume(reply_to, no_ack=True, callback=lambda m: answers.__setitem__(m.properties["correlation_id"], m))
        for message in messages:
            message.publish(channel, reply_to)
        deadline = time.monotonic() + PATIENCE
        awaited = {m.id for m in messages if not m.headers.get("ignore_result")}
        while not awaited <= answers.keys() and time.monotonic() < deadline:
            try:
                connection.drain_events(timeout=1)
            except socket.timeout:
                pass
    return answers


def same_structure(got, want):
    for key, value in want.items():
        if key in ("date_done", "group_id", "parent_id"):
            continue  # unreleased versions add these; readers do without
        assert key in got, f"{key} is missing in {got}"
        if key != "result" and key != "traceback":
            assert type(got[key]) is type(value), f"{key}: got {got[key]!r}, want one like {value!r}"
    if isinstance(want["result"], dict):
        equal(sorted(got["result"]), sorted(want["result"]))
        for key, value in want["result"].items():
            equal(type(got["result"][key]), type(value))


EXAMPLES = {"SUCCESS": "result-rpc-success", "FAILURE": "result-rpc-failure-typeerror", "REVOKED": "result-rpc-expired"}


def check(message):
    if message.headers.get("ignore_result"):
        assert message.id not in answers, "an answer that nobody wants"
        return
    state, value = message.answer()
    assert message.id in answers, "no answer"
    answer = answers[message.id]
    got = loads(answer.body, answer.properties["content_type"], answer.properties["content_encoding"], accept=ACCEPT)
    equal(got["task_id"], message.id)
    equal(got["status"], state)
    equal(got["result"] if state == "SUCCESS" else got["result"]["exc_type"], value)
    example = read(VERSIONS[message.version] / (EXAMPLES[state] + ".json"))
    same_structure(got, json.loads(example["body_text_if_utf8"]))


messages = [Captured(version, path) for version, folder in VERSIONS.items() for path in sorted(folder.glob("task-v?-*.json"))]
messages = [m for m in messages if m.wanted()]
answers = exchange(messages)
for message in messages:
    def captured(message=message):
        check(message)

    captured.__name__ = message.name
    case("captured from " + message.version)(captured)
