"""The shared library: its functions, its errors, and calls that the keyboard can interrupt."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from ctypes import (
    POINTER, byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint8, c_uint32, c_uint64,
    c_void_p)
from typing import Any

from ._errors import VecDBError, error_of

#: What this package calls: the first number must be equal, the second at least so great.
_ABI = (1, 1)


class ErrorObject(ctypes.Structure):
    _fields_ = [("code", c_int32), ("name", c_char_p), ("message", c_char_p),
                ("location", c_char_p), ("remedy", c_char_p)]


class WrittenObject(ctypes.Structure):
    _fields_ = [(name, c_uint64) for name in (
        "epoch", "lsn", "inserted", "updated", "unchanged", "deleted", "batches")]


class RowsObject(ctypes.Structure):
    _fields_ = [
        ("count", c_size_t), ("dimensions", c_size_t), ("keys", c_void_p),
        ("key_offsets", POINTER(c_uint64)), ("metadata", c_void_p),
        ("metadata_offsets", POINTER(c_uint64)), ("vectors", POINTER(c_float)),
        ("distances", POINTER(c_float)), ("queries", c_size_t),
        ("query_offsets", POINTER(c_uint64)), ("found", POINTER(c_uint8)), ("next", c_void_p),
        ("next_length", c_size_t), ("warning", c_char_p), ("lsn", c_uint64),
        ("groups", c_void_p), ("groups_length", c_size_t), ("versions", POINTER(c_uint64))]


class SearchOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("k", c_size_t), ("ef", c_size_t), ("recall", c_double),
                ("filter", c_char_p), ("filter_length", c_size_t), ("fields", c_uint32),
                ("exact", c_uint32), ("threads", c_size_t)]


_TEXT: list[Any] = [c_char_p, c_size_t]
_JSON: list[Any] = [POINTER(c_void_p), POINTER(c_size_t)]
_LIST: list[Any] = [c_char_p, c_size_t, c_void_p]
_ROWS: list[Any] = [POINTER(POINTER(RowsObject))]
_WRITTEN: list[Any] = [POINTER(WrittenObject)]
_HANDLE: list[Any] = [POINTER(c_uint64)]
#: The arguments of each function without the error, which is the last one of all.
_FUNCTIONS: dict[str, list[Any]] = {
    "open": [*_TEXT, *_TEXT, *_HANDLE],
    "close": [c_uint64],
    "stats": [c_uint64, c_int32, *_JSON],
    "checkpoint": [c_uint64, *_JSON],
    "check": [c_uint64, *_JSON],
    "create_collection": [c_uint64, *_TEXT, c_size_t, *_TEXT, *_TEXT, *_HANDLE],
    "open_collection": [c_uint64, *_TEXT, *_HANDLE],
    "drop_collection": [c_uint64, *_TEXT],
    "collections": [c_uint64, *_JSON],
    "collection_info": [c_uint64, *_JSON],
    "upsert": [c_uint64, c_size_t, *_LIST, c_void_p, c_int32, c_size_t, *_LIST, *_WRITTEN],
    "upsert_with": [
        c_uint64, c_size_t, *_LIST, c_void_p, c_int32, c_size_t, *_LIST, *_TEXT, *_WRITTEN],
    "update": [c_uint64, c_size_t, *_LIST, *_LIST, *_WRITTEN],
    "update_where": [c_uint64, *_TEXT, *_TEXT, *_WRITTEN],
    "facets": [c_uint64, *_TEXT, *_TEXT, c_size_t, *_JSON],
    "delete": [c_uint64, c_size_t, *_LIST, *_WRITTEN],
    "delete_where": [c_uint64, *_TEXT, *_WRITTEN],
    "search": [c_uint64, c_size_t, c_void_p, c_int32, c_size_t, POINTER(SearchOptions), *_ROWS],
    "search_diverse": [
        c_uint64, c_void_p, c_int32, c_size_t, POINTER(SearchOptions), c_double, c_size_t, *_ROWS],
    "search_within": [
        c_uint64, c_void_p, c_int32, c_size_t, POINTER(SearchOptions), c_float, *_ROWS],
    "search_grouped": [
        c_uint64, c_void_p, c_int32, c_size_t, POINTER(SearchOptions), *_TEXT, c_size_t, *_ROWS],
    "search_near": [
        c_uint64, c_size_t, *_LIST, c_size_t, *_LIST, POINTER(SearchOptions), *_ROWS],
    "get": [c_uint64, c_size_t, *_LIST, c_uint32, *_ROWS],
    "scroll": [c_uint64, *_TEXT, c_size_t, *_TEXT, c_uint32, *_ROWS],
    "count": [c_uint64, *_TEXT, *_HANDLE],
    "backup": [c_uint64, *_TEXT, *_TEXT, *_JSON],
    "restore": [*_TEXT, *_TEXT, *_TEXT, *_JSON],
    "backups": [*_TEXT, *_JSON],
    "verify": [*_TEXT, *_TEXT, *_JSON],
    "mark": [c_uint64, *_TEXT, *_JSON],
    "remove_mark": [c_uint64, *_TEXT],
    "marks": [c_uint64, *_JSON],
    "rebuild": [c_uint64, *_TEXT, *_JSON],
    "rebuild_status": [c_uint64, *_JSON],
}


def _load() -> ctypes.CDLL:
    path = os.environ.get("VECDB_LIBRARY") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "libvecdb.so")
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"vecdb cannot load its library: {error}. It needs Linux on x86-64 with glibc 2.34 or "
            "later") from error
    library.vecdb_abi_version.restype = c_uint32
    found = library.vecdb_abi_version()
    if found >> 16 != _ABI[0] or found & 0xFFFF < _ABI[1]:
        raise ImportError(
            f"{path} has version {found >> 16}.{found & 0xFFFF} of the interface, not "
            f"{_ABI[0]}.{_ABI[1]}. Install the library and the package of the same wheel")
    for name, arguments in _FUNCTIONS.items():
        function = getattr(library, "vecdb_" + name)
        function.argtypes = [*arguments, POINTER(POINTER(ErrorObject))]
        function.restype = c_int32
    for name, argument in {
            "error_free": POINTER(ErrorObject), "text_free": c_void_p,
            "rows_free": POINTER(RowsObject), "collection_release": c_uint64}.items():
        function = getattr(library, "vecdb_" + name)
        function.argtypes, function.restype = [argument], None
    return library


LIBRARY = _load()
_FUNCTION = {name: getattr(LIBRARY, "vecdb_" + name) for name in _FUNCTIONS}


def call(name: str, *arguments: Any) -> None:
    """Calls a function of the library on this thread.

    :raises VecDBError: what the library reports.
    """
    error = POINTER(ErrorObject)()
    if _FUNCTION[name](*arguments, byref(error)) != 0:
        raise _taken(error)


def _taken(error: Any) -> VecDBError:
    if not error:
        return VecDBError("there is no memory for an error")
    found = error.contents
    code, message, location, remedy = (
        (text or b"").decode("utf-8", "replace")
        for text in (found.name, found.message, found.location, found.remedy))
    LIBRARY.vecdb_error_free(error)
    return error_of(code, message, location, remedy)


#: Threads whose call shall end.
_stopping: set[int] = set()


def _wants_end(_context: object) -> int:
    return 1 if threading.get_ident() in _stopping else 0


_hook = ctypes.CFUNCTYPE(c_int32, c_void_p)(_wants_end)
LIBRARY.vecdb_set_wait_hook.argtypes = [c_void_p, c_void_p]
LIBRARY.vecdb_set_wait_hook.restype = None
LIBRARY.vecdb_set_wait_hook(ctypes.cast(_hook, c_void_p), None)


def long_call(name: str, *arguments: Any) -> None:
    """As `call`, for work that may take long: a KeyboardInterrupt cancels it.

    Python handles signals only on the main thread and not while that is in C code. So the main thread
    lets another one call, and waits in Python.
    """
    if threading.current_thread() is not threading.main_thread():
        call(name, *arguments)
        return
    failures: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            call(name, *arguments)
        except BaseException as failure:  # handed to the thread that waits
            failures.append(failure)
        finally:
            done.set()

    interruption: BaseException | None = None
    thread = threading.Thread(target=work, name="vecdb", daemon=True)
    thread.start()
    ident = thread.ident or 0
    while not done.is_set():
        try:
            done.wait()
        except BaseException as raised:  # a KeyboardInterrupt, or what a signal's handler raises
            interruption = interruption or raised
            _stopping.add(ident)
    _stopping.discard(ident)
    if interruption is not None:
        raise interruption
    if failures:
        raise failures[0]


def json_call(name: str, *arguments: Any) -> Any:
    """Calls a function that reports in JSON."""
    text, length = c_void_p(), c_size_t()
    long_call(name, *arguments, byref(text), byref(length))
    try:
        return json.loads(ctypes.string_at(text.value or 0, length.value))
    finally:
        LIBRARY.vecdb_text_free(text)


def text(value: object, name: str) -> tuple[bytes, int]:
    """A text with its length."""
    if not isinstance(value, str):
        raise error_of("invalidArgument", f"{name} is {type(value).__name__}", name, "Pass a str.")
    encoded = value.encode("utf-8", "surrogatepass")
    return encoded, len(encoded)


def path(value: object, name: str) -> tuple[bytes, int]:
    """A path, which may be an os.PathLike."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return text(value, name)


def _plain_fields(fields: object) -> object:
    """NumPy's scalars and arrays as Python's."""
    if not isinstance(fields, dict):
        raise error_of(
            "invalidArgument", f"the fields are {type(fields).__name__}", "set", "Pass a dict.")
    return {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in fields.items()}


def options(**members: Any) -> tuple[bytes, int]:
    """The options that are not None, as JSON."""
    if members.get("set") is not None:
        members["set"] = _plain_fields(members["set"])
    given = {name: value for name, value in members.items() if value is not None}
    try:
        encoded = json.dumps(given, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise error_of("invalidArgument", str(error), "options", "") from error
    return encoded, len(encoded)
