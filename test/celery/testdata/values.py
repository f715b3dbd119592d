"""Sends values to Go tasks that return them, and tells what comes back.

Each line of standard input is one call: {"python": EXPRESSION, "task": NAME, "wire": SERIALIZER, "seen": TEXT}.
Each line of the output tells, in the same order, what became of it."""
import base64
import enum
import json
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

from kombu.serialization import register

from fleet import app
from suite import PATIENCE


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Size(str, enum.Enum):
    BIG = "big"


Pair = namedtuple("Pair", "x y")


class Enveloping(json.JSONEncoder):
    """JSON as kombu from 5.3 on writes it."""

    def default(self, o):
        if isinstance(o, datetime):
            return self.envelope("datetime", o.isoformat())
        if isinstance(o, date):
            return self.envelope("date", o.isoformat())
        if isinstance(o, time):
            return self.envelope("time", o.isoformat())
        if isinstance(o, Decimal):
            return self.envelope("decimal", str(o))
        if isinstance(o, UUID):
            return self.envelope("uuid", {"hex": o.hex})
        if isinstance(o, bytes):
            try:
                return self.envelope("bytes", o.decode())
            except UnicodeDecodeError:
                return self.envelope("base64", base64.b64encode(o).decode())
        return super().default(o)

    @staticmethod
    def envelope(kind, value):
        return {"__type__": kind, "__value__": value}


register("json-5.3", lambda o: json.dumps(o, cls=Enveloping), json.loads, "application/json", "utf-8")


def outcome(line):
    call = json.loads(line)
    try:
        result = app.send_task(call["task"], [eval(call["python"]), call["seen"]], serializer=call["wire"])
    except Exception as error:
        return {"unsent": type(error).__name__}
    try:
        value = result.get(timeout=PATIENCE)
        return {"value": repr(dict(sorted(value.items())) if isinstance(value, dict) else value)}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


def main():
    # One result after the other in each thread: rpc:// is slow to give out several at once.
    with ThreadPoolExecutor(4) as pool:
        for told in pool.map(outcome, sys.stdin):
            print(json.dumps(told))


if __name__ == "__main__":
    main()
