"""Publishes messages that other versions of Celery sent, as they were captured, and holds a Go worker's answers
against the captured answers of Celery's workers."""
import base64
import json
import os
import socket
import time
from pathlib import Path

import amqp
from kombu.compression import decompress
from kombu.serialization import loads, prepare_accept_content

from fleet import GO_QUEUE
from suite import PATIENCE, case, equal

CAPTURED = Path("../../../testdata/celery")
VERSIONS = {"5.6.3": CAPTURED, "head": CAPTURED / "head", "5.2.6": CAPTURED / "5.2.6"}

# What the tests of workflows are about: these messages ask for other tasks to follow.
WORKFLOWS = "chain", "chord", "link"
# Protocol 1: to be enabled with what reads it.
PROTOCOL_1 = "task-v1-"


ACCEPT = prepare_accept_content(["json", "msgpack", "yaml"])


def read(path):
    return json.loads(path.read_text())


def has_tasks(embed):
    return isinstance(embed, dict) and any(embed.values())


class Captured:
    """A captured task message, and what a worker with go.add(x int, y int) int has to answer."""

    def __init__(self, version, path):
        self.version, self.name = version, path.stem
        message = read(path)
        self.headers = message.get("headers") or {}
        self.properties = message.get("properties") or {}
        self.body = base64.b64decode(message.get("body_base64") or "")
        self.id = self.headers.get("id")

    def wanted(self):
        if self.headers.get("task") != "go.add" or (self.headers.get("eta") or "").startswith("2099"):
            return False
        return not any(word in self.name for word in WORKFLOWS) and self.properties.get("content_type") != "application/data"

    def arguments(self):
        body = self.body
        if self.headers.get("compression"):
            body = decompress(body, self.headers["compression"])
        args, kwargs, embed = loads(body, self.properties["content_type"], self.properties["content_encoding"], accept=ACCEPT)
        assert not has_tasks(embed), embed
        return args, kwargs

    def answer(self):
        """The state and the result, or the type of the exception."""
        if self.headers.get("expires"):
            return "REVOKED", "TaskRevokedError"
        if self.properties["content_type"] == "application/x-python-serialize":
            return "FAILURE", "ContentDisallowed"
        if self.headers.get("compression") == "application/zstd":  # Python may lack it; it is a text in place of a number
            return "FAILURE", "TypeError"
        if self.headers.get("compression") in ("application/x-lzma", "application/x-brotli"):
            return "FAILURE", "DecodeError"
        args, kwargs = self.arguments()
        named = dict(zip("xy", args), **kwargs)
        if len(args) <= 2 and sorted(named) == ["x", "y"] and all(type(n) is int for n in named.values()):
            return "SUCCESS", named["x"] + named["y"]
        return "FAILURE", "TypeError"

    def publish(self, channel, reply_to):
        properties = {k: v for k, v in self.properties.items() if k not in ("reply_to", "expiration")}
        message = amqp.Message(self.body, application_headers=self.headers, reply_to=reply_to, **properties)
        channel.basic_publish(message, exchange="", routing_key=GO_QUEUE)


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


messages = [Captured(version, path) for version, folder in VERSIONS.items() for path in sorted(folder.glob("task-v2-*.json"))]
messages = [m for m in messages if m.wanted()]
answers = exchange(messages)
for message in messages:
    def captured(message=message):
        check(message)

    captured.__name__ = message.name
    case("captured from " + message.version)(captured)
