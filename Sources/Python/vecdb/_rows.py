"""What calls find: copies of the library's rows, decoded when they are asked for."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ._library import LIBRARY

if TYPE_CHECKING:
    import numpy
    import pandas  # type: ignore[import-untyped, unused-ignore]
    import pyarrow  # type: ignore[import-untyped, unused-ignore]
    from numpy.typing import NDArray

METADATA, VECTORS = 1, 2
Metadata = dict[str, Any]


class Record(NamedTuple):
    """A record that was read; fields that were not asked for are None."""

    key: str
    metadata: Metadata | None
    vector: NDArray[numpy.float32] | None
    #: Names this state of the record, for `if_version`; None in hits.
    version: int | None = None


class Hit(NamedTuple):
    """A record that a search found."""

    key: str
    distance: float
    metadata: Metadata | None
    vector: NDArray[numpy.float32] | None


class Group(NamedTuple):
    """The nearest records that have the same value in a field."""

    value: Any
    hits: Hits


class Page(NamedTuple):
    """Records in the order of their keys, and where the next page begins; None at the end."""

    records: list[Record]
    next: str | None


def _array(pointer: Any, count: int, kind: str) -> Any:
    """A copy as an array of NumPy."""
    import numpy

    dtype = numpy.dtype(kind)
    if count == 0:
        return numpy.empty(0, dtype)
    return numpy.frombuffer(
        bytearray(ctypes.string_at(pointer, count * dtype.itemsize)), dtype=dtype)


class _Texts:
    """A list of texts that is decoded when it is asked for."""

    __slots__ = ("_bytes", "_offsets")

    def __init__(self, start: Any, offsets: Any, count: int) -> None:
        self._offsets = offsets[:count + 1]
        self._bytes = ctypes.string_at(start, self._offsets[count])

    def raw(self, place: int) -> bytes:
        return self._bytes[self._offsets[place]:self._offsets[place + 1]]

    def __getitem__(self, place: int) -> str:
        return self.raw(place).decode()


class Rows:
    """The rows of one call."""

    __slots__ = ("count", "keys", "metadata", "vectors", "distances", "queries", "found", "next",
                 "warning", "lsn", "groups", "versions")

    def __init__(self, pointer: Any) -> None:
        try:
            rows = pointer.contents
            self.count: int = rows.count
            self.keys = _Texts(rows.keys, rows.key_offsets, self.count)
            self.metadata: _Texts | None = None
            if rows.metadata:
                self.metadata = _Texts(rows.metadata, rows.metadata_offsets, self.count)
            self.vectors: NDArray[numpy.float32] | None = None
            if rows.vectors:
                self.vectors = _array(rows.vectors, self.count * rows.dimensions, "=f4").reshape(
                    self.count, rows.dimensions)
            self.distances: Any = None
            self.queries: list[int] = [0]
            if rows.distances:
                self.distances = _array(rows.distances, self.count, "=f4")
                self.queries = rows.query_offsets[:rows.queries + 1]
            self.found: list[int] = rows.found[:self.count] if rows.found else []
            self.next: str | None = None
            if rows.next:
                self.next = ctypes.string_at(rows.next, rows.next_length).decode()
            self.warning: str | None = rows.warning.decode() if rows.warning else None
            self.lsn: int = rows.lsn
            self.versions: list[int] = rows.versions[:self.count] if rows.versions else []
            self.groups: list[Any] = []
            if rows.groups:
                self.groups = json.loads(ctypes.string_at(rows.groups, rows.groups_length))
        finally:
            LIBRARY.vecdb_rows_free(pointer)

    def metadata_of(self, place: int) -> Metadata | None:
        if self.metadata is None:
            return None
        found: Metadata = json.loads(self.metadata.raw(place) or b"{}")
        return found

    def record(self, place: int) -> Record:
        vector = None if self.vectors is None else self.vectors[place]
        version = self.versions[place] if self.versions else None
        return Record(self.keys[place], self.metadata_of(place), vector, version)


class Hits(Sequence[Hit]):
    """The answer to one query, nearest first."""

    __slots__ = ("_rows", "_first", "_last")

    def __init__(self, rows: Rows, query: int) -> None:
        self._rows = rows
        self._first, self._last = rows.queries[query], rows.queries[query + 1]

    @property
    def keys(self) -> list[str]:
        """The keys."""
        return [self._rows.keys[place] for place in range(self._first, self._last)]

    @property
    def distances(self) -> NDArray[numpy.float32]:
        """The distances: exact, smaller is nearer."""
        found: NDArray[numpy.float32] = self._rows.distances[self._first:self._last]
        return found

    @property
    def metadata(self) -> list[Metadata | None]:
        """The metadata; None where it was not asked for."""
        return [self._rows.metadata_of(place) for place in range(self._first, self._last)]

    @property
    def vectors(self) -> NDArray[numpy.float32] | None:
        """A row for each hit; None if they were not asked for."""
        vectors = self._rows.vectors
        return None if vectors is None else vectors[self._first:self._last]

    @property
    def warning(self) -> str | None:
        """That the index is known to find too little; None if not."""
        return self._rows.warning

    @property
    def lsn(self) -> int:
        """The state that was searched."""
        return self._rows.lsn

    def __len__(self) -> int:
        return self._last - self._first

    def _hit(self, place: int) -> Hit:
        key, metadata, vector, _ = self._rows.record(place)
        return Hit(key, float(self._rows.distances[place]), metadata, vector)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...
    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        found = range(self._first, self._last)[place]
        return self._hit(found) if isinstance(found, int) else [self._hit(one) for one in found]

    def __iter__(self) -> Iterator[Hit]:
        return map(self._hit, range(self._first, self._last))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each hit: ``key``, ``distance``, the fields that were asked for, and ``vector``."""
        from ._tables import frame

        return frame(list(self), {"distance": self.distances})

    def to_arrow(self) -> pyarrow.Table:
        """The same as a table of Arrow."""
        from ._tables import table

        return table(list(self), {"distance": self.distances})

    def __repr__(self) -> str:
        return f"Hits({[(hit.key, hit.distance) for hit in self]})"


class Results(Sequence[Hits]):
    """The answers to several queries, in their order."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @property
    def keys(self) -> list[list[str]]:
        """The keys, a list for each query."""
        return [hits.keys for hits in self]

    @property
    def distances(self) -> NDArray[numpy.float32]:
        """A row for each query; where one found fewer records than another, infinity fills it up."""
        import numpy

        ends = self._rows.queries
        widths = [end - begin for begin, end in zip(ends, ends[1:])]
        width = max(widths, default=0)
        found: NDArray[numpy.float32] = self._rows.distances
        if all(one == width for one in widths):
            return found.reshape(len(widths), width)
        filled = numpy.full((len(widths), width), numpy.inf, dtype=numpy.float32)
        for place, one in enumerate(widths):
            filled[place, :one] = found[ends[place]:ends[place + 1]]
        return filled

    def __len__(self) -> int:
        return len(self._rows.queries) - 1

    @overload
    def __getitem__(self, place: int) -> Hits: ...
    @overload
    def __getitem__(self, place: slice) -> list[Hits]: ...
    def __getitem__(self, place: int | slice) -> Hits | list[Hits]:
        found = range(len(self))[place]
        if isinstance(found, int):
            return Hits(self._rows, found)
        return [Hits(self._rows, one) for one in found]

    def _columns(self) -> dict[str, Any]:
        import numpy

        ends = self._rows.queries
        places = numpy.repeat(numpy.arange(len(self)), numpy.diff(ends))
        return {"query": places, "distance": self._rows.distances}

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each hit: ``key``, the place of the ``query``, ``distance``, and the fields."""
        from ._tables import frame

        return frame([hit for hits in self for hit in hits], self._columns())

    def to_arrow(self) -> pyarrow.Table:
        """The same as a table of Arrow."""
        from ._tables import table

        return table([hit for hits in self for hit in hits], self._columns())

    def __repr__(self) -> str:
        return f"Results(of {len(self)} queries)"
