"""Publishes the messages of workflows that other versions of Celery sent, as they were captured but for the queues, and holds
what a Go worker sends after them against what they ask for, and its form against what Celery's workers sent."""
import json
import os
import socket
import time
import uuid

import amqp
import redis
from kombu.serialization import loads

from fleet import GO_QUEUE
from captured import ACCEPT, VERSIONS, WORKFLOWS, Captured, read
from suite import PATIENCE, case, equal

NEXT = "next-" + uuid.uuid4().hex


def signatures(tree):
    """All signatures in a body."""
    if isinstance(tree, dict):
        if "task" in tree and "options" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from signatures(part)


class Workflow:
    """A captured message whose steps go to the queue of the test. A broken one has arguments that go.add(x, y) does not take."""

    def __init__(self, captured, broken=False):
        self.captured, self.broken = captured, broken
        self.name = captured.name + ("-broken" if broken else "")
        body = json.loads(captured.body)
        for s in signatures(body):
            if s["subtask_type"] not in ("group", "chord"):
                s["options"]["queue"] = NEXT
        self.headers = dict(captured.headers)
        if captured.first_protocol:
            body.update(eta=None, expires=None)  # else it has expired long ago
            self.id = body["id"]
            self.args, self.embed = body["args"], {"callbacks": body["callbacks"], "errbacks": body["errbacks"], "chain": None, "chord": None}
        else:
            self.id = self.headers["id"]
            self.args, _, self.embed = body
        self.root = self.headers.get("root_id") or self.id
        if broken:
            self.id += "-broken"
            self.headers.update(id=self.id)
            body[0] = ["two", 3]
        self.body = json.dumps(body)

    def publish(self, channel):
        properties = {k: v for k, v in self.captured.properties.items() if k not in ("reply_to", "expiration")}
        properties["correlation_id"] = self.id
        channel.basic_publish(amqp.Message(self.body, application_headers=self.headers, **properties), exchange="", routing_key=GO_QUEUE)

    def steps(self):
        """What must follow: the signature, its arguments, the rest of the chain, the group and the body of the chord."""
        out = []

        def apply(s, before, chain=None, group=None, chord=None):
            if s["subtask_type"] == "chord":
                header = s["kwargs"]["header"]
                for member in header["kwargs"]["tasks"]:
                    apply(member, before, None, header["options"]["task_id"], s["kwargs"]["body"])
            elif s["subtask_type"] == "group":
                for member in s["kwargs"]["tasks"]:
                    apply(member, before, None, s["options"]["task_id"])
            else:
                args = s["args"] if s["immutable"] else before + s["args"]
                out.append((s, args, chain or None, s["options"].get("group_id") or group, chord))

        if self.broken:
            for s in self.embed["errbacks"] or []:
                apply(s, [self.id])
            return out
        before = [sum(self.args)]
        for s in self.embed["callbacks"] or []:
            apply(s, before)
        if self.embed["chain"]:
            apply(self.embed["chain"][-1], before, self.embed["chain"][:-1])
        return out


def exchange(workflows):
    """Publishes all workflows and returns the messages that follow by the ids of their parents."""
    host, port = os.environ["BROKER"].split("@")[1].strip("/").split(":")
    store = redis.Redis.from_url(os.environ["RESULTS"])
    for w in workflows:
        if w.embed["chord"]:  # as the client has done
            store.set(f"celery-taskset-meta-{w.headers['group']}.s", 2, ex=600)
    messages = []
    with amqp.Connection(f"{host}:{port}", userid="guest", password="guest") as connection:
        channel = connection.channel()
        channel.queue_declare(NEXT, durable=True, auto_delete=False, arguments={"x-expires": 600_000})
        tag = channel.basic_consume(NEXT, no_ack=True, callback=messages.append)
        for w in workflows:
            w.publish(channel)
        wanted = sum(len(w.steps()) for w in workflows) + sum(1 for w in workflows if w.embed["chord"]) // 2
        deadline = time.monotonic() + PATIENCE
        # Where a result is there, what follows is on its way: it is over when nothing more comes for a while.
        while time.monotonic() < deadline:
            done = all(store.exists("celery-task-meta-" + w.id) for w in workflows)
            try:
                connection.drain_events(timeout=0.5)
            except socket.timeout:
                if done and len(messages) >= wanted:
                    break
        channel.basic_cancel(tag)
        channel.queue_delete(NEXT)
    followers = {}
    for m in messages:
        followers.setdefault(m.headers["parent_id"], []).append(m)
    return followers


def payload(message):
    return loads(message.body, message.properties["content_type"], message.properties["content_encoding"], accept=ACCEPT)


# Steps as Celery's workers have sent them.
FORM = read(VERSIONS["5.6.3"] / "task-v2-chain-next.json")["headers"]


def check_step(w, message, s, args, chain, group, chord):
    headers, options = message.headers, s["options"]
    got_args, got_kwargs, embed = payload(message)
    equal((got_args, got_kwargs), (args, s["kwargs"]))
    equal((headers["root_id"], headers["parent_id"], headers["retries"]), (w.root, w.id, 0))
    equal(message.properties["correlation_id"], headers["id"])
    equal(message.properties.get("reply_to", ""), options.get("reply_to", ""))
    equal(message.properties.get("priority", 0), options.get("priority", 0))
    if options.get("task_id"):
        equal(headers["id"], options["task_id"])
    assert bool(headers.get("eta")) == ("countdown" in options), headers
    if group:
        equal((headers.get("group"), headers.get("group_index")), (group, options.get("group_index")))  # 5.2 has no index here
    equal(embed.get("chain") or None, chain)
    equal([e["task"] for e in embed.get("errbacks") or []], [e["task"] for e in options.get("link_error") or []])
    body = chord and embed["chord"]
    equal(body and (body["task"], body["options"]["task_id"]), chord and (chord["task"], chord["options"]["task_id"]))
    for name, value in headers.items():  # what is not set is left out
        if FORM.get(name) is not None:
            equal(type(value), type(FORM[name]))
    assert headers.keys() >= {"lang", "task", "id", "origin"}, headers


def check(w):
    got = [m for m in followers.get(w.id, []) if not w.embed["chord"]]
    steps = w.steps()
    equal(sorted(m.headers["task"] for m in got), sorted(s["task"] for s, *_ in steps))
    for s, args, *more in steps:
        same = [m for m in got if m.headers["task"] == s["task"] and payload(m)[0] == args]
        assert same, f"no {s['task']}{args} in {[payload(m) for m in got]}"
        check_step(w, same[0], s, args, *more)


def check_chord(parts):
    """The last part of the header sends the body, with all results in their order."""
    body = parts[0].embed["chord"]
    sent = [m for w in parts for m in followers.get(w.id, [])]
    equal([m.headers["task"] for m in sent], [body["task"]])
    equal(payload(sent[0])[0], [[sum(w.args) for w in parts]])
    equal((sent[0].headers["id"], sent[0].headers.get("group")), (body["options"]["task_id"], body["options"].get("group_id")))
    equal(sent[0].properties["reply_to"], body["options"]["reply_to"])
    assert sent[0].headers["root_id"] in [w.root for w in parts], sent[0].headers


workflows = []
for version, folder in VERSIONS.items():
    for path in sorted(folder.glob("task-v?-*.json")):
        c = Captured(version, path)
        asks = any(word in c.name for word in WORKFLOWS) and c.headers.get("task") == "go.add" or c.name == "task-v1-json-full"
        if asks:
            workflows.append(Workflow(c))
            if workflows[-1].embed["errbacks"]:
                workflows.append(Workflow(c, broken=True))
followers = exchange(workflows)
for w in workflows:
    def captured(w=w):
        check(w)

    captured.__name__ = w.name
    case("workflows captured from " + w.captured.version)(captured)
for version in VERSIONS:
    def chord(parts=[w for w in workflows if w.captured.version == version and w.embed["chord"]]):
        check_chord(parts)

    case("workflows captured from " + version)(chord)


@case("workflows captured from all")
def nothing_else_follows():
    equal(sorted(parent for parent in followers if parent not in [w.id for w in workflows]), [])
