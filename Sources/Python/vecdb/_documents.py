"""What the adapters for LangChain, Haystack and LlamaIndex share: texts with metadata in a collection."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import reduce
from typing import Any, Union

from . import _database
from ._collection import Collection
from ._database import Database
from ._errors import InvalidArgument, NotFound
from ._filters import Filter

#: The fields of a record that are not the document's own metadata.
TEXT, JSON, KEY = "_text", "_json", "_key"

#: A field's name has at most so many.
_NAME_BYTES = 256

Place = Union[str, "os.PathLike[str]", Database]


def missing(framework: str, package: str, extra: str, error: ImportError) -> ImportError:
    """The error for a framework that is not installed."""
    return ImportError(
        f"{framework} cannot be imported ({error}). Install it with: pip install 'vecdb[{extra}]' "
        f"(or: pip install {package})")


class Documents:
    """The records of one collection as documents. The collection comes with the first documents.

    :param place: a path, which is opened and closed again by :meth:`close`; or an open database, which
        stays open.
    :param dimensions: of the vectors; None takes those of the first documents.
    """

    def __init__(
        self, place: Place, name: str, metric: str, dimensions: int | None = None
    ) -> None:
        if metric not in ("cosine", "dot", "l2"):
            raise InvalidArgument(f"the metric is {metric!r}", "metric", "Use cosine, dot or l2.")
        self._owned = not isinstance(place, Database)
        self.database = place if isinstance(place, Database) else _database.open(place)
        self.name = name
        self.found: Collection | None = None
        self.metric, self._dimensions = metric, dimensions
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self.found = self.database.collection(self.name)
        except NotFound:
            if self._dimensions is not None:
                self.require(self._dimensions)
            return
        if self.found.metric != self.metric:
            raise InvalidArgument(
                f"the collection has the metric {self.found.metric}, not {self.metric}", self.name,
                "Pass its metric, or use another collection.")
        if self._dimensions not in (None, self.found.dimensions):
            raise InvalidArgument(
                f"the collection has {self.found.dimensions} dimensions, not {self._dimensions}",
                self.name, "Pass its dimensions, or use another collection.")

    def require(self, dimensions: int) -> Collection:
        """The collection, which is created if there is none."""
        if self.found is None:
            self.found = self.database.create_collection(self.name, dimensions, self.metric)
        return self.found

    def close(self) -> None:
        """Closes the database if it was given as a path."""
        if self._owned:
            self.database.close()

    def clear(self) -> None:
        """Deletes all documents."""
        if self.found is not None:
            self.found.delete(filter="true")

    def similarity(self, distance: float) -> float:
        """Greater for nearer: the cosine, the inner product, or 1 / (1 + distance) for l2."""
        if self.metric == "l2":
            return 1 / (1 + max(distance, 0.0))
        return -distance if self.metric == "dot" else 1 - distance


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _flatten(metadata: dict[str, Any], prefix: str, fields: dict[str, Any], where: str) -> bool:
    """Adds the fields that filters can use. Whether they say all that the metadata say."""
    is_whole = True
    for name, value in metadata.items():
        if not isinstance(name, str):
            raise InvalidArgument(
                f"the name {name!r:.50} is {type(name).__name__}", where, "Pass a str.")
        full = prefix + name
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, dict):
            _flatten(value, full + ".", fields, where)
            is_whole = False
        elif not 1 <= len(full.encode("utf-8", "surrogatepass")) <= _NAME_BYTES:
            is_whole = False
        elif _is_plain(value) or (
                isinstance(value, (list, tuple)) and all(_is_plain(one) for one in value)):
            is_whole = is_whole and not isinstance(value, tuple) and full not in fields
            fields[full] = value
        else:
            is_whole = False
    return is_whole


def _plain(value: object) -> object:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no metadata")


def packed(text: str | None, metadata: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields of a record. Fields within fields are named with dots, as in ``author.name``.

    What the fields cannot say, such as lists within lists, is kept as JSON beside them, so that the
    document comes back as it was.
    """
    fields: dict[str, Any] = {}
    is_whole = _flatten(metadata, "", fields, where)
    for name in fields:
        if name in (TEXT, JSON, KEY):
            raise InvalidArgument(
                f"the name {name!r} is reserved", where, "Give the field another name.")
    if not is_whole:
        try:
            fields[JSON] = json.dumps(metadata, ensure_ascii=False, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                f"the metadata are not JSON: {error}", where,
                "Use None, bool, int, finite float, str, and lists and dicts of these.") from error
    if text is not None:
        fields[TEXT] = text
    return fields


def unpacked(fields: dict[str, Any] | None) -> tuple[str | None, dict[str, Any]]:
    """The text and the metadata of a record. Fields of adapters that begin with ``_`` stay in."""
    fields = dict(fields or {})
    text, whole = fields.pop(TEXT, None), fields.pop(JSON, None)
    fields.pop(KEY, None)
    if whole is not None:
        fields = json.loads(whole)
    return text, fields


def all_of(filters: Iterable[Filter | None]) -> Filter | None:
    """Whether all hold; None for none."""
    given = [one for one in filters if one is not None]
    return reduce(Filter.__and__, given) if given else None


def always(filter: Filter | None) -> Filter:
    """The filter; for None the one that matches all."""
    return Filter("true") if filter is None else filter


def any_of(filters: Iterable[Filter]) -> Filter:
    """Whether at least one holds; never for none."""
    given = list(filters)
    return reduce(Filter.__or__, given) if given else Filter("false")
