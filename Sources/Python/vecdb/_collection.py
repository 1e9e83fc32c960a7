"""Collections: records that are written, read, found and deleted."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from ctypes import POINTER, byref
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ._errors import InvalidArgument
from ._filters import Filter, filter_text
from ._inputs import Matrix, Texts, key_texts, metadata_texts
from ._library import (
    LIBRARY, RowsObject, SearchOptions, WrittenObject, call, json_call, long_call, options, text)
from ._rows import METADATA, VECTORS, Group, Hits, Metadata, Page, Record, Results, Rows

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped, unused-ignore]
    import pyarrow  # type: ignore[import-untyped, unused-ignore]

    from ._database import Database

_SEARCH_SIZE = ctypes.sizeof(SearchOptions)
#: A batch of more queries than this can be interrupted from the keyboard.
_SHORT_BATCH = 64


class Written(NamedTuple):
    """What a write did. The epoch and LSN name its place in the log."""

    epoch: int
    lsn: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    batches: int


class Facets(NamedTuple):
    """How often the values of a field occur."""

    #: Values with their counts, the most frequent first.
    values: list[tuple[Any, int]]
    #: How many different values there are.
    distinct: int
    #: Records that match the filter; ``missing``: those of them that lack the field.
    matching: int
    missing: int


def _milliseconds(moment: object) -> int:
    if not isinstance(moment, datetime):
        raise InvalidArgument(
            f"the moment is {type(moment).__name__}", "expires", "Pass a datetime.")
    return round(moment.timestamp() * 1000)


def _names(names: object) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InvalidArgument(
            f"the names are {type(names).__name__}", "remove", "Pass a list of str.")
    return list(names)


def _whole(value: object, name: str) -> int:
    """A number for C: not negative, and small enough for it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgument(f"{name} is {type(value).__name__}", name, "Pass an int.")
    number = int(value.__index__())
    if not 0 <= number < 1 << 63:
        raise InvalidArgument(f"{name} is {number}", name, "Pass a smaller number of at least 0.")
    return number


def _asked(
    k: int, filter: str | Filter | None, ef: int | None, recall: float | None, exact: bool,
    metadata: bool, vectors: bool, threads: int = 1
) -> SearchOptions:
    condition = filter_text(filter)
    if ef is not None and _whole(ef, "ef") == 0:
        raise InvalidArgument("ef is 0", "ef", "Use 1 to 65536.")
    if recall is not None and not 0 < recall < 1:
        raise InvalidArgument(
            f"the recall target is {recall}", "recall", "Use a number between 0 and 1.")
    return SearchOptions(
        _SEARCH_SIZE, _whole(k, "k"), ef or 0, recall or 0, condition,
        0 if condition is None else len(condition),
        (METADATA if metadata else 0) | (VECTORS if vectors else 0), exact,
        threads if threads == 1 else _whole(threads, "threads"))


def _no_rows(columns: int) -> Any:
    import numpy

    return numpy.empty((0, columns), numpy.float32)


def _written(result: WrittenObject) -> Written:
    return Written(*(getattr(result, name) for name in Written._fields))


class Collection:
    """A collection of records with vectors of one dimension and metric.

    Get one from :meth:`Database.create_collection` or :meth:`Database.collection`. All methods may be
    called from several threads at once.
    """

    def __init__(self, database: Database, handle: int) -> None:
        self._handle = handle
        self._database = database
        info = json_call("collection_info", handle)
        #: The name.
        self.name: str = info["name"]
        #: Components of each vector.
        self.dimensions: int = info["dimensions"]
        #: ``l2``, ``cosine``, ``dot`` or ``hamming``.
        self.metric: str = info["metric"]

    def __del__(self) -> None:
        handle = getattr(self, "_handle", 0)
        if handle:
            LIBRARY.vecdb_collection_release(handle)

    def __repr__(self) -> str:
        return f"<vecdb.Collection {self.name!r}: {self.dimensions} dimensions, {self.metric}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a collection cannot be pickled; open its database where you need it")

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get([key], vectors=False)[0] is not None

    def upsert(
        self, keys: Iterable[str], vectors: Any,
        metadata: Sequence[Metadata | None] | None = None, *, policy: str | None = None,
        if_version: int | None = None, expires: datetime | None = None
    ) -> Written:
        """Writes records, and returns when they are on disk and searches find them.

        A record replaces the one with its key. Up to 16 MiB are one batch, which is written whole or
        not at all.

        :param vectors: a row for each key; float32, float16, int8 and packed bits (uint8) are read from
            the array's own memory if it is C-contiguous; float64 and lists are rounded to float32.
        :param metadata: a dict of scalars and lists of scalars for each key, or None.
        :param policy: ``overwrite``, ``skipExisting``, ``failIfExisting``, ``skipMissing`` or
            ``failIfMissing``.
        :param if_version: write one record only if its :attr:`Record.version` is this.
        :param expires: when the records are deleted; without a time zone it is local time.
        :raises InvalidArgument: for a wrong number, type, shape, NaN or key; nothing is written.
        :raises AlreadyExists: by the policy ``failIfExisting``; :class:`NotFound` by ``failIfMissing``.
        :raises Conflict: if the record has another version.
        """
        texts = key_texts(keys)
        if texts.count == 0 and isinstance(vectors, (list, tuple)) and not vectors:
            vectors = _no_rows(self.dimensions)
        matrix = Matrix(vectors, self.dimensions, "vectors")
        if matrix.count != texts.count:
            raise InvalidArgument(
                f"there are {matrix.count} vectors for {texts.count} keys", "vectors",
                "Pass a row for each key.")
        fields = metadata_texts(metadata, texts.count)
        result = WrittenObject()
        given: tuple[Any, ...] = ()
        if policy is not None or if_version is not None or expires is not None:
            given = options(
                policy=policy, ifVersion=if_version,
                expiresMilliseconds=None if expires is None else max(1, _milliseconds(expires)))
        long_call(
            "upsert_with" if given else "upsert", self._handle, texts.count, *texts.arguments,
            matrix.pointer, matrix.type, matrix.columns,
            *(fields.arguments if fields else (None, 0, None)), *given, byref(result))
        return _written(result)

    def update(
        self, keys: Iterable[str], set: Metadata | None = None, *, remove: Sequence[str] = (),
        remove_others: bool = False, if_version: int | None = None
    ) -> Written:
        """Changes the metadata of these records and leaves their vectors, as one batch.

        :param set: fields that get these values; ``remove``: names of fields that go.
        :param remove_others: whether all fields go that are not set.
        :param if_version: only if each record's :attr:`Record.version` is this.
        :raises NotFound: for a key that is not there; nothing is changed.
        :raises Conflict: if the record has another version.
        """
        return self._update(keys, options(
            set=set, remove=_names(remove), removeOthers=remove_others, ifVersion=if_version)[0])

    def touch(self, keys: Iterable[str], expires: datetime | None) -> Written:
        """Sets when these records are deleted; None for never."""
        return self._update(keys, options(
            expiresMilliseconds=0 if expires is None else max(1, _milliseconds(expires)))[0])

    def _update(self, keys: Iterable[str], change: bytes) -> Written:
        texts = key_texts(keys)
        changes = Texts([change] * texts.count)
        result = WrittenObject()
        long_call("update", self._handle, texts.count, *texts.arguments, *changes.arguments,
                  byref(result))
        return _written(result)

    def update_where(
        self, filter: str | Filter, set: Metadata | None = None, *, remove: Sequence[str] = (),
        remove_others: bool = False
    ) -> Written:
        """Changes the metadata of all records that match, up to 16 MiB as one batch."""
        condition = filter_text(filter)
        if condition is None:
            raise InvalidArgument("the filter is None", "filter", "For all records pass: 'true'.")
        result = WrittenObject()
        long_call(
            "update_where", self._handle, condition, len(condition),
            *options(set=set, remove=_names(remove), removeOthers=remove_others), byref(result))
        return _written(result)

    def facets(
        self, field: str, *, filter: str | Filter | None = None, limit: int = 100
    ) -> Facets:
        """Counts the values of a field in the records that match, the most frequent first.

        :param limit: how many values to return, 1 to 65,536.
        """
        condition = filter_text(filter)
        found = json_call("facets", self._handle, *text(field, "field"), condition,
                          len(condition or b""), _whole(limit, "limit"))
        return Facets(
            [(one["value"], one["count"]) for one in found["values"]], found["distinct"],
            found["matching"], found["missing"])

    def upsert_table(self, table: Any, *, key: str = "key", vector: str = "vector") -> Written:
        """Writes the rows of a DataFrame of pandas, or of a table or batch of Arrow.

        The columns but those of the key and the vector are metadata; a field that has no value in a
        row (None, NaN) is left out of its record.

        :param vector: a column of lists or arrays of equal length; in Arrow, a column of lists of a
            fixed size and float32 is read in its own memory.
        """
        from ._tables import columns

        return self.upsert(*columns(table, key, vector))

    def search(
        self, queries: Any, k: int = 10, *, filter: str | Filter | None = None,
        ef: int | None = None, recall: float | None = None, exact: bool = False,
        metadata: bool = False, vectors: bool = False, threads: int = 1
    ) -> Any:
        """The k nearest records of one query (a vector: :class:`Hits`) or of several (a matrix:
        :class:`Results`). Pass many queries at once: one call costs some microseconds.

        :param k: 1 to 65,536. Fewer come only where fewer records match.
        :param filter: a text such as ``year >= 2020 and lang in ('de', 'en')``, or an expression of
            :data:`F`.
        :param ef: candidates, 1 to 65,536: more find more and take longer.
        :param recall: the recall to reach, such as 0.95; vecdb measures what that takes.
        :param exact: compare with every record.
        :param metadata: return metadata as well; ``vectors``: and vectors.
        :param threads: how many threads of the library share the queries.
        """
        matrix = Matrix(queries, self.dimensions, "queries")
        asked = _asked(k, filter, ef, recall, exact, metadata, vectors, threads)
        pointer = POINTER(RowsObject)()
        is_short = matrix.count <= _SHORT_BATCH
        (call if is_short else long_call)(
            "search", self._handle, matrix.count, matrix.address if is_short else matrix.pointer,
            matrix.type, matrix.columns, byref(asked), byref(pointer))
        rows = Rows(pointer)
        return Hits(rows, 0) if matrix.is_single else Results(rows)

    def _search_one(self, name: str, query: Any, asked: SearchOptions, *arguments: Any) -> Rows:
        matrix = Matrix(query, self.dimensions, "query")
        if matrix.count != 1:
            raise InvalidArgument(f"there are {matrix.count} queries", "query", "Pass one vector.")
        pointer = POINTER(RowsObject)()
        long_call(
            name, self._handle, matrix.pointer, matrix.type, matrix.columns, byref(asked),
            *arguments, byref(pointer))
        return Rows(pointer)

    def search_diverse(
        self, query: Any, k: int = 10, *, relevance: float = 0.5, candidates: int | None = None,
        filter: str | Filter | None = None, ef: int | None = None, recall: float | None = None,
        exact: bool = False, metadata: bool = False, vectors: bool = False
    ) -> Hits:
        """k records that are near to the query and unlike each other, in the order of their choice.

        :param relevance: from 0, only unlike each other, to 1, only near.
        :param candidates: the nearest records to choose from; default: four times k and at least 50.
        """
        if not 0 <= relevance <= 1:
            raise InvalidArgument(
                f"the relevance is {relevance}", "relevance", "Use a number from 0 to 1.")
        asked = _asked(k, filter, ef, recall, exact, metadata, vectors)
        return Hits(self._search_one(
            "search_diverse", query, asked, relevance, _whole(candidates or 0, "candidates")), 0)

    def search_within(
        self, query: Any, distance: float, *, limit: int | None = None,
        filter: str | Filter | None = None, ef: int | None = None, recall: float | None = None,
        exact: bool = False, metadata: bool = False, vectors: bool = False
    ) -> Hits:
        """All records at most `distance` away, nearest first.

        :param limit: at most so many, the nearest ones.
        :raises LimitExceeded: without a limit, if there are more than 65,536.
        """
        if limit == 0:
            raise InvalidArgument("the limit is 0", "limit", "Use 1 to 65536.")
        asked = _asked(limit or 0, filter, ef, recall, exact, metadata, vectors)
        return Hits(self._search_one("search_within", query, asked, float(distance)), 0)

    def search_grouped(
        self, query: Any, by: str, *, groups: int = 10, per_group: int = 3,
        filter: str | Filter | None = None, ef: int | None = None, recall: float | None = None,
        exact: bool = False, metadata: bool = False, vectors: bool = False
    ) -> list[Group]:
        """The nearest records in groups of those that have the same value in a field: the best
        passages of the best documents. The group with the nearest record comes first."""
        asked = _asked(groups, filter, ef, recall, exact, metadata, vectors)
        rows = self._search_one(
            "search_grouped", query, asked, *text(by, "by"), _whole(per_group, "per_group"))
        return [Group(value, Hits(rows, place)) for place, value in enumerate(rows.groups)]

    def search_near(
        self, keys: Iterable[str], *, away_from: Iterable[str] = (), k: int = 10,
        filter: str | Filter | None = None, ef: int | None = None, recall: float | None = None,
        exact: bool = False, metadata: bool = False, vectors: bool = False
    ) -> Hits:
        """The records nearest to stored ones, and not near to others. Those named are left out.

        :raises NotFound: for a key that no record has.
        """
        near, others = key_texts(keys), key_texts(away_from)
        asked = _asked(k, filter, ef, recall, exact, metadata, vectors)
        pointer = POINTER(RowsObject)()
        long_call(
            "search_near", self._handle, near.count, *near.arguments, others.count,
            *others.arguments, byref(asked), byref(pointer))
        return Hits(Rows(pointer), 0)

    def get(
        self, keys: Iterable[str], *, metadata: bool = True, vectors: bool = True
    ) -> list[Record | None]:
        """The records with these keys, in their order; None where there is none."""
        texts = key_texts(keys)
        pointer = POINTER(RowsObject)()
        call("get", self._handle, texts.count, *texts.arguments,
             (METADATA if metadata else 0) | (VECTORS if vectors else 0), byref(pointer))
        rows = Rows(pointer)
        return [rows.record(place) if found else None for place, found in enumerate(rows.found)]

    def delete(
        self, keys: Iterable[str] | None = None, *, filter: str | Filter | None = None
    ) -> Written:
        """Deletes the records with these keys, or those that match the filter, as one batch."""
        if (keys is None) == (filter is None):
            raise InvalidArgument(
                "delete takes keys or a filter", "delete", "Pass one of both; for all: filter='true'.")
        result = WrittenObject()
        if keys is not None:
            texts = key_texts(keys)
            long_call("delete", self._handle, texts.count, *texts.arguments, byref(result))
        else:
            condition = filter_text(filter) or b""
            long_call("delete_where", self._handle, condition, len(condition), byref(result))
        return _written(result)

    def page(
        self, after: str | None = None, limit: int = 1000, *, filter: str | Filter | None = None,
        metadata: bool = True, vectors: bool = True
    ) -> Page:
        """Up to `limit` (1 to 10,000) records in the order of their keys' bytes."""
        condition = filter_text(filter)
        cursor = None if after is None else after.encode("utf-8", "surrogatepass")
        pointer = POINTER(RowsObject)()
        call("scroll", self._handle, cursor, len(cursor or b""), _whole(limit, "limit"), condition,
             len(condition or b""), (METADATA if metadata else 0) | (VECTORS if vectors else 0),
             byref(pointer))
        rows = Rows(pointer)
        return Page([rows.record(place) for place in range(rows.count)], rows.next)

    def scroll(
        self, *, filter: str | Filter | None = None, metadata: bool = True, vectors: bool = True,
        page_size: int = 1000
    ) -> Iterator[Record]:
        """All records that match, in the order of their keys' bytes, a page at a time."""
        after: str | None = None
        while True:
            records, after = self.page(
                after, page_size, filter=filter, metadata=metadata, vectors=vectors)
            yield from records
            if after is None:
                return

    def count(self, filter: str | Filter | None = None) -> int:
        """How many records match; all without a filter."""
        condition = filter_text(filter)
        result = ctypes.c_uint64()
        call("count", self._handle, condition, len(condition or b""), byref(result))
        return result.value

    def to_pandas(
        self, *, filter: str | Filter | None = None, vectors: bool = True
    ) -> pandas.DataFrame:
        """All records that match: ``key``, a column for each field, and ``vector``."""
        from ._tables import frame

        return frame(list(self.scroll(filter=filter, vectors=vectors)), {})

    def to_arrow(
        self, *, filter: str | Filter | None = None, vectors: bool = True
    ) -> pyarrow.Table:
        """The same as a table of Arrow."""
        from ._tables import table

        return table(list(self.scroll(filter=filter, vectors=vectors)), {})

    def rebuild(
        self, *, m: int | None = None, ef_construction: int | None = None,
        codes: str | None = None, threads: int | None = None,
        records_per_second: int | None = None, minimum_recall: float | None = None,
        grace_seconds: int | None = None
    ) -> dict[str, Any]:
        """Builds a new index while the old one serves, and swaps them if the new one is as good."""
        report: dict[str, Any] = json_call("rebuild", self._handle, *options(
            m=m, efConstruction=ef_construction, codes=codes, threads=threads,
            recordsPerSecond=records_per_second, minimumRecall=minimum_recall,
            graceSeconds=grace_seconds))
        return report

    def rebuild_status(self) -> dict[str, Any]:
        """How far a rebuild is."""
        status: dict[str, Any] = json_call("rebuild_status", self._handle)
        return status
