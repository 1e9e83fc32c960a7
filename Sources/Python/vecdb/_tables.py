"""Records as tables of pandas and Arrow, and back. Both are imported only here, when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from ._errors import InvalidArgument
from ._rows import Hit, Metadata, Record

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped, unused-ignore]
    import pyarrow  # type: ignore[import-untyped, unused-ignore]

Rows = Sequence[Union[Hit, Record]]


def _module(name: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"this needs {name} ({error}). Install it with: pip install 'vecdb[{extra}]'") from error


def _fields(rows: Rows, taken: Sequence[str]) -> dict[str, list[Any]]:
    """A column for each field of the metadata, in the order of their first appearance."""
    found: dict[str, list[Any]] = {}
    for place, row in enumerate(rows):
        for name, value in (row.metadata or {}).items():
            if name in taken:
                raise InvalidArgument(
                    f"the field '{name}' has the name of a column of its own", f"key '{row.key}'",
                    "Give the field another name, or ask for no metadata.")
            found.setdefault(name, [None] * len(rows))[place] = value
    return found


def frame(rows: Rows, columns: dict[str, Any]) -> pandas.DataFrame:
    """The rows as a DataFrame: the key, the columns, the fields, and the vectors."""
    pandas = _module("pandas", "pandas")
    fields = _fields(rows, ["key", "vector", *columns])
    vectors = {"vector": [row.vector for row in rows]} if _has_vectors(rows) else {}
    return pandas.DataFrame({"key": [row.key for row in rows], **columns, **fields, **vectors})


def _has_vectors(rows: Rows) -> bool:
    return bool(rows) and rows[0].vector is not None


def table(rows: Rows, columns: dict[str, Any]) -> pyarrow.Table:
    """The rows as a table of Arrow; the vectors are lists of a fixed size."""
    import numpy

    arrow = _module("pyarrow", "arrow")
    found = {"key": arrow.array([row.key for row in rows], arrow.string()), **{
        name: arrow.array(values) for name, values in columns.items()}}
    for name, values in _fields(rows, ["key", "vector", *columns]).items():
        try:
            found[name] = arrow.array(values)
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
            raise InvalidArgument(
                f"the values of the field are of several types: {error}", name,
                "Use to_pandas(), or ask for no metadata.") from error
    if _has_vectors(rows):
        matrix = numpy.stack([row.vector for row in rows if row.vector is not None])
        found["vector"] = arrow.FixedSizeListArray.from_arrays(
            arrow.array(matrix.ravel()), matrix.shape[1])
    return arrow.table(found)


def columns(table: Any, key: str, vector: str) -> tuple[list[str], Any, list[Metadata | None]]:
    """Keys, vectors and metadata of a DataFrame or of a table of Arrow."""
    kind = type(table).__module__.partition(".")[0]
    if kind not in ("pandas", "pyarrow") or not hasattr(table, "columns"):
        raise InvalidArgument(
            f"the table is {type(table).__name__}", "table",
            "Pass a DataFrame of pandas, or a Table or RecordBatch of pyarrow.")
    names = list(table.column_names if kind == "pyarrow" else table.columns)
    for name in (key, vector):
        if names.count(name) != 1:
            raise InvalidArgument(
                f"there are {names.count(name)} columns of the name '{name}'", "table",
                f"It has {names}; pass key= and vector= for others.")
    rest = [name for name in names if name not in (key, vector)]
    if kind == "pyarrow":
        return table[key].to_pylist(), _arrow_matrix(table[vector], vector), _metadata(
            table.num_rows, {name: table[name].to_pylist() for name in rest})
    return table[key].tolist(), _stacked(table[vector], vector), _metadata(
        len(table), {name: table[name].tolist() for name in rest})


def _stacked(values: Any, name: str) -> Any:
    import numpy

    listed = list(values)
    if not listed:
        return []
    try:
        return numpy.stack([numpy.asarray(one) for one in listed])
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"the vectors are no matrix: {error}", name, "Use lists of numbers of equal length."
        ) from error


def _arrow_matrix(column: Any, name: str) -> Any:
    arrow = _module("pyarrow", "arrow")
    if isinstance(column, arrow.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, arrow.ChunkedArray):
        column = arrow.concat_arrays(column.chunks)
    if column.null_count:
        raise InvalidArgument(
            f"{column.null_count} rows have no vector", name, "Leave these rows out.")
    if not arrow.types.is_fixed_size_list(column.type):
        return _stacked(column.to_pylist(), name)
    width = column.type.list_size
    values = column.flatten()
    if values.null_count:
        raise InvalidArgument(
            f"{values.null_count} components have no value", name, "Fill them, or leave them out.")
    return values.to_numpy(zero_copy_only=False).reshape(-1, width)


def _metadata(count: int, fields: dict[str, list[Any]]) -> list[Metadata | None]:
    return [
        {str(name): values[place] for name, values in fields.items() if not _is_missing(values[place])}
        for place in range(count)]


def _is_missing(value: Any) -> bool:
    """None, NaN, and pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value
