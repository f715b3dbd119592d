from __future__ import annotations

import base64 as _base64
import re as _re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Generic, NewType, Optional, Protocol, TypedDict, TypeVar, Union

if TYPE_CHECKING:
    celery: Any  # which has no types of its own
else:
    import celery

_A = TypeVar("_A", bound=tuple[Any, ...])
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)

Timestamp = NewType("Timestamp", str)
"""An instant as Go writes it, RFC 3339: see timestamp and parse_timestamp."""

Base64 = NewType("Base64", str)
"""Bytes as text: see encode_bytes and decode_bytes."""

Nanoseconds = NewType("Nanoseconds", int)
"""A duration inside of a struct: see nanoseconds and parse_nanoseconds."""

Seconds = Union[float, str]
"""A duration, or Go's text for one that no float holds exactly: see parse_seconds."""


def timestamp(when: datetime) -> Timestamp:
    """Writes an instant. A datetime without a time zone is an error: it could be any."""
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone: give it one, such as timezone.utc")
    return Timestamp(when.isoformat())


def parse_timestamp(text: Timestamp) -> datetime:
    """Reads an instant. Go has nanoseconds, a datetime microseconds: the rest is cut off."""
    parts = _re.fullmatch(r"(.{10}T.{8})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if not parts:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    whole, fraction, zone = parts.groups("")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}{'+00:00' if zone == 'Z' else zone}")


def encode_bytes(data: bytes) -> Base64:
    return Base64(_base64.b64encode(data).decode())


def decode_bytes(text: Base64) -> bytes:
    return _base64.b64decode(text, validate=True)


def nanoseconds(span: timedelta) -> Nanoseconds:
    return Nanoseconds(span // timedelta(microseconds=1) * 1000)


def parse_nanoseconds(count: Nanoseconds) -> timedelta:
    return timedelta(microseconds=count // 1000)


def parse_seconds(span: Seconds) -> timedelta:
    """Reads a duration, to the microsecond."""
    if not isinstance(span, str):
        return timedelta(seconds=span)
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    parts = _re.findall(r"([0-9.]+)(h|ms|m|us|µs|ns|s)", span)
    total = sum((timedelta(seconds=float(number) * units[unit]) for number, unit in parts), timedelta())
    return -total if span.startswith("-") else total


class Result(Protocol[_R_co]):
    """A task that was sent: this is Celery's AsyncResult, and what it returns has a type."""

    result: Any
    traceback: Optional[str]

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    def get(self, timeout: Optional[float] = ..., propagate: bool = ..., interval: float = ...) -> _R_co: ...
    def ready(self) -> bool: ...
    def successful(self) -> bool: ...
    def failed(self) -> bool: ...
    def forget(self) -> None: ...
    def revoke(self, connection: Any = ..., terminate: bool = ..., signal: Optional[str] = ...) -> None: ...


class Signature(Protocol[_R_co]):
    """A task with its arguments, to send or to put into a chain, group or chord: this is Celery's Signature."""

    def delay(self) -> Result[_R_co]: ...
    def apply_async(
        self,
        *,
        countdown: Optional[float] = ...,
        eta: Optional[datetime] = ...,
        expires: Union[float, datetime, None] = ...,
        task_id: Optional[str] = ...,
        link: Any = ...,
        link_error: Any = ...,
        headers: Optional[Mapping[str, Any]] = ...,
        **options: Any,
    ) -> Result[_R_co]: ...
    def set(self, **options: Any) -> Signature[_R_co]: ...
    def clone(self) -> Signature[_R_co]: ...
    def link(self, callback: Any) -> Any: ...
    def link_error(self, errback: Any) -> Any: ...
    def __or__(self, other: Any) -> Any: ...


_bound: Any = None


def bind(app: Any) -> None:
    """Has app send the tasks, instead of the current app."""
    global _bound
    _bound = app


class _Task(Generic[_A, _R]):
    """What all tasks have. An argument travels by the name that it has in Go."""

    def __init__(self, name: str, parameters: Sequence[str], options: Mapping[str, Any], secret: Sequence[str] = ()) -> None:
        self.name = name
        self._parameters, self._options, self._secret = parameters, options, secret

    def apply_async(
        self,
        args: _A,
        *,
        countdown: Optional[float] = None,
        eta: Optional[datetime] = None,
        expires: Union[float, datetime, None] = None,
        task_id: Optional[str] = None,
        link: Any = None,
        link_error: Any = None,
        headers: Optional[Mapping[str, Any]] = None,
        **options: Any,
    ) -> Result[_R]:
        """Sends the task with other options than its own."""
        if len(args) != len(self._parameters):
            raise TypeError(f"task {self.name} takes the arguments {', '.join(self._parameters)}: got {len(args)}")
        return self._s(dict(zip(self._parameters, args))).apply_async(
            countdown=countdown,
            eta=eta,
            expires=expires,
            task_id=task_id,
            link=link,
            link_error=link_error,
            headers=headers,
            **options,
        )

    def _s(self, kwargs: dict[str, Any], immutable: bool = False) -> Signature[_R]:
        # The queue is never declared here: its workers know whether it is a quorum queue.
        options: dict[str, Any] = {"serializer": "json", "declare": [], **self._options}
        if self._secret:
            options["kwargsrepr"] = repr({k: "***" if k in self._secret else v for k, v in kwargs.items()})
            options["argsrepr"] = "(...)"  # the result of another task, which may be the secret
        for key in ("queue", "routing_key"):
            if "{" in options.get(key, ""):
                options[key] = _re.sub(r"{(\w+)}", lambda m: _text(kwargs[m[1]]), options[key])
        signature: Signature[_R] = (_bound or celery.current_app).signature(
            self.name, kwargs=_wire(kwargs), options=options, immutable=immutable
        )
        return signature


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wire(value: Any) -> Any:
    """Makes what JSON has out of what it has not."""
    if isinstance(value, (bytes, bytearray)):
        return encode_bytes(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {k: _wire(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_wire(v) for v in value]
    return value
