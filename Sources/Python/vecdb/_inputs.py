"""Keys, vectors and metadata in the form that the library reads."""

from __future__ import annotations

import ctypes
import json
from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ._errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLOAT32, _FLOAT16, _INT8, _BITS = range(4)


class Texts:
    """One run of bytes, and offsets into it."""

    __slots__ = ("bytes", "count", "offsets")

    def __init__(self, texts: Sequence[bytes]) -> None:
        offsets = array("Q", bytes(8 * (len(texts) + 1)))
        end = 0
        for place, text in enumerate(texts, 1):
            end += len(text)
            offsets[place] = end
        self.bytes, self.count, self.offsets = b"".join(texts), len(texts), offsets

    @property
    def arguments(self) -> tuple[bytes, int, Any]:
        """For the library; the objects keep their memory alive, whichever thread makes the call."""
        kept = (ctypes.c_uint64 * (self.count + 1)).from_buffer(self.offsets)
        return self.bytes, len(self.bytes), kept


def key_texts(keys: Iterable[str]) -> Texts:
    """The keys; each must be a str."""
    if isinstance(keys, (str, bytes)):
        raise InvalidArgument(
            f"the keys are one {type(keys).__name__}", "keys", "Pass a list of str.")
    try:
        listed = list(keys)
    except TypeError:
        raise InvalidArgument(
            f"the keys are {type(keys).__name__}", "keys", "Pass a list of str.") from None
    encoded = []
    for place, key in enumerate(listed):
        # NumPy's str_ is a str as well.
        if not isinstance(key, str):
            raise InvalidArgument(
                f"the key is {type(key).__name__} ({key!r:.50})", f"keys {place}", "Pass a str.")
        encoded.append(key.encode("utf-8", "surrogatepass"))
    return Texts(encoded)


def metadata_texts(metadata: Sequence[dict[str, Any] | None] | None, count: int) -> Texts | None:
    """A JSON object for each record; None if there are none."""
    if metadata is None:
        return None
    if isinstance(metadata, (str, bytes, dict)) or not hasattr(metadata, "__len__"):
        raise InvalidArgument(
            f"the metadata is {type(metadata).__name__}", "metadata", "Pass a list of dicts.")
    if len(metadata) != count:
        raise InvalidArgument(
            f"there are {len(metadata)} metadata for {count} keys", "metadata",
            "Pass one for each key; None stands for no fields.")
    encoded = []
    for place, fields in enumerate(metadata):
        if fields is None:
            encoded.append(b"")
            continue
        if not isinstance(fields, dict):
            raise InvalidArgument(
                f"it is {type(fields).__name__}", f"metadata {place}", "Pass a dict.")
        for name in fields:
            if not isinstance(name, str):
                raise InvalidArgument(
                    f"the name {name!r:.50} is {type(name).__name__}", f"metadata {place}",
                    "Pass a str.")
        try:
            text = json.dumps(fields, ensure_ascii=False, allow_nan=False, default=_scalar)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                str(error), f"metadata {place}",
                "Use None, bool, int, finite float, str, and lists of these.") from error
        encoded.append(text.encode("utf-8", "surrogatepass"))
    return Texts(encoded)


def _scalar(value: object) -> object:
    """NumPy's scalars and arrays as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no metadata")


class Matrix:
    """Rows of vectors: the caller's memory where it can be used as it is, else a copy.

    float32, float16 and int8 are passed on; uint8 too where it has an eighth of the dimensions, as
    `numpy.packbits` makes them. float64 and lists are rounded to float32. What is not contiguous, not
    aligned or of another byte order is copied.
    """

    __slots__ = ("array", "columns", "count", "is_single", "type")
    array: NDArray[Any]

    def __init__(self, vectors: Any, dimensions: int, name: str) -> None:
        import numpy

        if (type(vectors) is numpy.ndarray and vectors.dtype == numpy.float32
                and vectors.ndim in (1, 2) and vectors.shape[-1] == dimensions):
            flags = vectors.flags
            if flags.c_contiguous and flags.aligned and vectors.dtype.isnative:
                # What most calls pass, and needs no conversion.
                self.is_single = vectors.ndim == 1
                self.count = 1 if self.is_single else vectors.shape[0]
                self.type, self.columns = _FLOAT32, dimensions
                self.array = vectors
                return
        if isinstance(vectors, (str, bytes, dict)) or vectors is None:
            raise InvalidArgument(
                f"they are {type(vectors).__name__}", name, "Pass an array of NumPy.")
        if not hasattr(vectors, "dtype"):
            try:
                vectors = numpy.asarray(vectors)
                if vectors.dtype.kind in "iu":
                    vectors = vectors.astype(numpy.float32)
            except (TypeError, ValueError, OverflowError) as error:
                raise InvalidArgument(
                    f"they are no matrix: {error}", name, "Pass rows of equal length.") from error
        found: NDArray[Any] = numpy.asarray(vectors)
        if found.ndim not in (1, 2):
            raise InvalidArgument(
                f"the array has {found.ndim} dimensions (shape {found.shape})", name,
                "Pass one vector, or a row for each vector.")
        self.is_single = found.ndim == 1
        if self.is_single:
            found = found.reshape(1, -1)
        self.count = found.shape[0]
        kind = found.dtype.kind + str(found.dtype.itemsize)
        width = dimensions
        if kind == "f8" or (found.size == 0 and found.dtype.kind in "fiu"):
            with numpy.errstate(over="ignore", invalid="ignore"):
                found = found.astype(numpy.float32)
            kind = "f4"
        if kind == "u1":
            if dimensions % 8 != 0 or found.shape[1] != dimensions // 8:
                raise InvalidArgument(
                    f"uint8 is for packed bits, and {found.shape[1]} bytes are not {dimensions} bits",
                    name, "Pass numpy.packbits(bits, axis=-1), or convert to float32.")
            width = dimensions // 8
        types = {"f4": _FLOAT32, "f2": _FLOAT16, "i1": _INT8, "u1": _BITS}
        if kind not in types:
            raise InvalidArgument(
                f"the array has the dtype {found.dtype}", name,
                "Use float32, float64, float16, int8, or uint8 for packed bits.")
        if found.shape[1] != width and self.count > 0:
            raise InvalidArgument(
                f"the vectors have {found.shape[1]} components (shape {found.shape}); the "
                f"collection has {dimensions} dimensions", name,
                f"Pass rows of {dimensions} components.")
        self.type, self.columns = types[kind], width
        self.array = numpy.require(
            found, dtype=found.dtype.newbyteorder("="), requirements=["C", "A"])

    @property
    def address(self) -> int | None:
        """For a call on this thread, as long as the matrix is there."""
        return int(self.array.ctypes.data) if self.count else None

    @property
    def pointer(self) -> Any:
        """For a call on any thread: it keeps the memory alive."""
        return self.array.ctypes.data_as(ctypes.c_void_p) if self.count else None
