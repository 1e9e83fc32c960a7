"""Filters as expressions: they build the text that the library reads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NoReturn, Union

from ._errors import InvalidArgument

Value = Union[None, bool, int, float, str, datetime]


def _number(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"the text is {type(value).__name__}", "filter", "Pass a str.")
    return value


def _literal(value: Any) -> str:
    value = _number(value)
    if isinstance(value, datetime):
        # What has no time zone is UTC in vecdb, and local time in Python.
        return f"date('{value.astimezone(timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}')"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgument(f"{value} cannot be compared with", "filter", "Use a finite number.")
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    raise InvalidArgument(
        f"a {type(value).__name__} cannot be compared with", "filter",
        "Use None, bool, int, float, str, datetime, or a list of these.")


class Filter:
    """A condition on metadata. Combine filters with ``&``, ``|`` and ``~``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidArgument(f"a filter is text, not {type(text).__name__}", "filter")
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Filter({self._text!r})"

    def __and__(self, other: Filter) -> Filter:
        return Filter(f"({self}) and ({_checked(other)})")

    def __or__(self, other: Filter) -> Filter:
        return Filter(f"({self}) or ({_checked(other)})")

    def __invert__(self) -> Filter:
        return Filter(f"not ({self})")

    def __bool__(self) -> NoReturn:
        raise TypeError("a filter is neither true nor false; combine filters with &, | and ~")


def _checked(other: object) -> Filter:
    if not isinstance(other, Filter):
        raise TypeError(f"a filter cannot be combined with {type(other).__name__}")
    return other


class Field:
    """A field of the metadata: ``F.year`` or ``F["any name"]``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise InvalidArgument(f"a field's name is text, not {type(name).__name__}", "filter")
        self._name = '"' + name.replace('"', '""') + '"'

    def _compare(self, sign: str, value: object) -> Filter:
        return Filter(f"{self._name} {sign} {_literal(value)}")

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compare("==", value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compare("!=", value)

    def __lt__(self, value: Value) -> Filter:
        return self._compare("<", value)

    def __le__(self, value: Value) -> Filter:
        return self._compare("<=", value)

    def __gt__(self, value: Value) -> Filter:
        return self._compare(">", value)

    def __ge__(self, value: Value) -> Filter:
        return self._compare(">=", value)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        raise TypeError("a field is neither true nor false; compare it with a value")

    def in_(self, values: Iterable[Value]) -> Filter:
        """Whether the field has one of the values."""
        if isinstance(values, str):
            raise InvalidArgument("the values are a text", "filter", "Pass a list of values.")
        literals = [_literal(value) for value in values]
        # The library's lists are not empty; nothing is in an empty one.
        return Filter(f"{self._name} in ({', '.join(literals)})") if literals else Filter("false")

    def contains(self, value: Value) -> Filter:
        """Whether the field is an array that has the value."""
        return Filter(f"{self._name} contains {_literal(value)}")

    def exists(self) -> Filter:
        """Whether the record has the field."""
        return Filter(f"exists({self._name})")

    def is_missing(self) -> Filter:
        """Whether the record lacks the field."""
        return Filter(f"is_missing({self._name})")

    def is_null(self) -> Filter:
        """Whether the field is there and None."""
        return Filter(f"is_null({self._name})")

    def is_empty(self) -> Filter:
        """Whether the field is a text or an array of length 0."""
        return Filter(f"is_empty({self._name})")

    def between(self, low: Value, high: Value) -> Filter:
        """Whether the field is neither below `low` nor above `high`."""
        return Filter(f"{self._name} between {_literal(low)} and {_literal(high)}")

    def starts_with(self, text: str) -> Filter:
        """Whether the field is a text that begins like this."""
        return self._compare("starts_with", _text(text))

    def contains_text(self, text: str) -> Filter:
        """Whether the field is a text with this text in it."""
        return self._compare("contains_text", _text(text))

    def like(self, pattern: str, *, ignore_case: bool = False) -> Filter:
        """Whether the field is a text of this form: ``%`` is any text, ``_`` one character."""
        return self._compare("ilike" if ignore_case else "like", _text(pattern))


class _Fields:
    """Makes fields by attribute or item."""

    def __getattr__(self, name: str) -> Field:
        if name.startswith("__"):
            raise AttributeError(name)
        return Field(name)

    def __getitem__(self, name: str) -> Field:
        return Field(name)

    def __repr__(self) -> str:
        return "vecdb.F"


#: Fields of the metadata, for filters: ``(F.year >= 2020) & F.lang.in_(["de", "en"])``.
F = _Fields()


def filter_text(filter: str | Filter | None) -> bytes | None:
    """The text that the library reads; None for no filter."""
    if filter is None:
        return None
    if not isinstance(filter, (str, Filter)):
        raise InvalidArgument(
            f"the filter is {type(filter).__name__}", "filter", "Pass a text or an expression of F.")
    return str(filter).encode("utf-8", "surrogatepass")
