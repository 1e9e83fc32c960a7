"""Filters of Haystack as filters of vecdb."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from haystack.errors import FilterError

from ._documents import KEY, TEXT, all_of, always, any_of
from ._filters import Field, Filter

#: Before the names of fields that hold a date as microseconds: as the clock on the wall showed it,
#: and, where the date has a time zone, as a point in time.
WALL, INSTANT = "_wall.", "_instant."

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DATE = re.compile(r"\d{4}-\d\d-\d\d($|[Tt ])")


def moments(value: object) -> tuple[int, int | None] | None:
    """The microseconds of an ISO date on the wall and, with a time zone, in time; None for no date."""
    if isinstance(value, str) and _DATE.match(value):
        try:
            # Python before 3.11 does not read a Z.
            value = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", value))
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    wall = (value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    if value.tzinfo is None:
        return wall, None
    return wall, (value.astimezone(timezone.utc).replace(tzinfo=None) - _EPOCH) // _MICROSECOND


def date_fields(fields: dict[str, Any]) -> dict[str, int]:
    """The dates among the fields, as numbers that can be compared."""
    found = {}
    for name, value in fields.items():
        moment = moments(value)
        if moment is not None:
            found[WALL + name] = moment[0]
            if moment[1] is not None:
                found[INSTANT + name] = moment[1]
    return found


def _compared_dates(
    name: str, moment: tuple[int, int | None], compare: Callable[[Field, int], Filter]
) -> Filter:
    """As Haystack compares dates: where one has no time zone, it has that of the other."""
    wall, instant = Field(WALL + name), Field(INSTANT + name)
    by_wall = compare(wall, moment[0])
    if moment[1] is None:
        return by_wall
    return (instant.exists() & compare(instant, moment[1])) | (~instant.exists() & by_wall)


def _equal(name: str, value: Any) -> Filter:
    field = Field(name)
    if value is None:
        return any_of([~field.exists(), field == None])  # noqa: E711
    if isinstance(value, dict):
        raise FilterError(
            f"the value of '{name}' is a dict; compare its fields instead, such as '{name}.field'")
    moment = moments(value)
    same_text: Filter = field == ("" if isinstance(value, datetime) else value)
    if moment is None:
        return same_text
    same_date = _compared_dates(name, moment, lambda one, number: one == number)
    return any_of([same_text, same_date]) if isinstance(value, str) else same_date


def _among(name: str, value: Any) -> Filter:
    if not isinstance(value, list):
        raise FilterError(
            f"the value of '{name}' is {type(value).__name__}; 'in' and 'not in' need a list")
    plain = [one for one in value if one is not None and moments(one) is None]
    rest = [_equal(name, one) for one in value if one is None or moments(one) is not None]
    return any_of([Field(name).in_(plain), *rest] if plain else rest)


_ORDER: dict[str, Callable[[Field, Any], Filter]] = {
    ">": lambda field, value: field > value,
    ">=": lambda field, value: field >= value,
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
}
_EQUALITY: dict[str, Callable[[str, Any], Filter]] = {
    "==": _equal,
    "!=": lambda name, value: ~_equal(name, value),
    "in": _among,
    "not in": lambda name, value: ~_among(name, value),
}


def _ordered(name: str, operator: str, value: Any) -> Filter:
    if value is None:
        return Filter("false")
    if isinstance(value, (str, datetime)):
        moment = moments(value)
        if moment is None:
            raise FilterError(
                f"'{value}' is no ISO date; '{operator}' compares numbers and ISO dates only")
        return _compared_dates(name, moment, _ORDER[operator])
    if not isinstance(value, (int, float)):
        raise FilterError(
            f"the value of '{name}' is {type(value).__name__}; '{operator}' compares numbers and "
            "ISO dates only")
    return _ORDER[operator](Field(name), value)


def field_name(name: str) -> str:
    """The record's field for a field of a filter."""
    if name == "content":
        return TEXT
    if name == "id":
        return KEY
    if name in ("embedding", "blob", "score", "sparse_embedding"):
        raise FilterError(f"'{name}' cannot be filtered; use id, content or a field of meta")
    return name.removeprefix("meta.")


def translated(filters: dict[str, Any] | None) -> Filter | None:
    """The filter of vecdb that matches the same documents.

    :raises FilterError: for a filter that Haystack refuses, or that vecdb cannot express.
    """
    if not filters:
        return None
    if not isinstance(filters, dict):
        raise FilterError(f"the filters are {type(filters).__name__}; pass a dict")
    for name in ("operator", "value") if "field" in filters else ("operator", "conditions"):
        if name not in filters:
            raise FilterError(f"'{name}' is missing in {filters}")
    operator = filters["operator"]
    if "field" in filters:
        name, value = field_name(filters["field"]), filters["value"]
        if operator in _EQUALITY:
            return _EQUALITY[operator](name, value)
        if operator in _ORDER:
            return _ordered(name, operator, value)
        raise FilterError(f"there is no comparison '{operator}'; use {[*_EQUALITY, *_ORDER]}")
    # An empty condition says nothing.
    parts = [always(translated(one)) for one in filters["conditions"]]
    if operator == "AND":
        return all_of(parts)
    if operator == "OR":
        return any_of(parts)
    if operator == "NOT":
        return ~always(all_of(parts))
    raise FilterError(f"there is no operator '{operator}'; use AND, OR or NOT")
