"""Task messages that other versions of Celery sent, as they were captured."""
import base64
import json
from pathlib import Path

import amqp
from kombu.compression import decompress
from kombu.serialization import loads, prepare_accept_content

from fleet import GO_QUEUE

CAPTURED = Path("../../../testdata/celery")
VERSIONS = {"5.6.3": CAPTURED, "head": CAPTURED / "head", "5.2.6": CAPTURED / "5.2.6"}

# These messages ask for other tasks to follow, and are replayed in workflows.py.
WORKFLOWS = "chain", "chord", "link"

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
        self.first_protocol = path.stem.startswith("task-v1-")
        if self.first_protocol:  # everything is in the body
            self.fields = loads(self.body, self.properties["content_type"], self.properties["content_encoding"], accept=ACCEPT)
            self.id = self.fields["id"]

    def wanted(self):
        if self.first_protocol:
            return True
        if self.headers.get("task") != "go.add" or (self.headers.get("eta") or "").startswith("2099"):
            return False
        return not any(word in self.name for word in WORKFLOWS) and self.properties.get("content_type") != "application/data"

    def arguments(self):
        if self.first_protocol:
            return self.fields["args"], self.fields["kwargs"]
        body = self.body
        if self.headers.get("compression"):
            body = decompress(body, self.headers["compression"])
        args, kwargs, embed = loads(body, self.properties["content_type"], self.properties["content_encoding"], accept=ACCEPT)
        assert not has_tasks(embed), embed
        return args, kwargs

    def answer(self):
        """The state and the result, or the type of the exception."""
        if self.headers.get("expires") or self.first_protocol and self.fields["expires"]:
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


