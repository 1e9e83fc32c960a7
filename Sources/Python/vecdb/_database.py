"""Databases: opening, closing, backups and proofs."""

from __future__ import annotations

import atexit
import ctypes
import os
import weakref
from ctypes import byref
from types import TracebackType
from typing import Any, NoReturn

from ._collection import Collection
from ._errors import AlreadyExists, InvalidArgument, NotFound, VecDBError
from ._library import LIBRARY, call, json_call, long_call, options, path, text

_open: weakref.WeakSet[Database] = weakref.WeakSet()


class Database:
    """An open database. Use it as a context manager, or call :meth:`close`.

    Made by :func:`open`. Only one process can have a database open; others use the ``vecdb`` command
    meanwhile. At the end of the interpreter, databases that are open are closed.
    """

    def __init__(self, handle: int, location: str) -> None:
        self._handle = handle
        self._owner = os.getpid()
        #: The directory.
        self.path = location
        _open.add(self)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<vecdb.Database {self.path!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a database cannot be pickled; open it in one process")

    def __del__(self) -> None:
        if getattr(self, "_handle", 0) and self._owner == os.getpid():
            try:
                call("close", self._handle)
            except VecDBError:
                pass  # nobody can be told here; what was acknowledged is durable

    def close(self) -> None:
        """Waits for writes, writes a checkpoint and closes. Closing again does nothing."""
        long_call("close", self._handle)
        _open.discard(self)

    def create_collection(
        self, name: str, dimensions: int, metric: str = "cosine", *, m: int | None = None,
        ef_construction: int | None = None, codes: str | None = None, exist_ok: bool = False
    ) -> Collection:
        """Creates a collection.

        :param metric: ``l2``, ``cosine``, ``dot`` or ``hamming``.
        :param m: links of a node, 4 to 64, default 16; ``ef_construction``: 8 to 4,096, default 128.
        :param codes: ``automatic``, ``bytes`` or ``float32``.
        :param exist_ok: take the one of that name, if it has these dimensions and this metric.
        :raises AlreadyExists: if there is one of that name.
        """
        if exist_ok:
            try:
                found = self.collection(name)
            except NotFound:
                pass
            else:
                if (found.dimensions, found.metric) != (dimensions, metric):
                    raise AlreadyExists(
                        f"the collection has {found.dimensions} dimensions and the metric "
                        f"{found.metric}", name, "Use another name, or its dimensions and metric.")
                return found
        if isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 0:
            raise InvalidArgument(
                f"dimensions is {dimensions!r:.50}", "dimensions", "Pass an int from 1 to 65536.")
        handle = ctypes.c_uint64()
        long_call(
            "create_collection", self._handle, *text(name, "name"), min(dimensions, 1 << 40),
            *text(metric, "metric"),
            *options(m=m, efConstruction=ef_construction, codes=codes), byref(handle))
        return Collection(self, handle.value)

    def collection(self, name: str) -> Collection:
        """The collection of this name.

        :raises NotFound: if there is none.
        """
        handle = ctypes.c_uint64()
        call("open_collection", self._handle, *text(name, "name"), byref(handle))
        return Collection(self, handle.value)

    def collections(self) -> list[dict[str, Any]]:
        """Name, dimensions, metric, index and count of each collection."""
        found: list[dict[str, Any]] = json_call("collections", self._handle)
        return found

    def drop_collection(self, name: str) -> None:
        """Removes a collection and its records."""
        long_call("drop_collection", self._handle, *text(name, "name"))

    def stats(self, *, graph_digests: bool = False) -> dict[str, Any]:
        """Counters, and digests of the data and, if asked for, of the graphs."""
        found: dict[str, Any] = json_call("stats", self._handle, 1 if graph_digests else 0)
        return found

    def checkpoint(self) -> dict[str, Any]:
        """Writes a checkpoint, so that the next opening replays no log."""
        report: dict[str, Any] = json_call("checkpoint", self._handle)
        return report

    def check(self) -> dict[str, Any]:
        """Reads every block, log frame, record and link. Damage is listed in ``problems``."""
        report: dict[str, Any] = json_call("check", self._handle)
        return report

    def backup(
        self, repository: str | os.PathLike[str], *, bytes_per_second: int | None = None,
        low_priority: bool | None = None, repair: bool | None = None
    ) -> dict[str, Any]:
        """Sends what the repository lacks, while the database serves."""
        report: dict[str, Any] = json_call(
            "backup", self._handle, *path(repository, "repository"),
            *options(bytesPerSecond=bytes_per_second, lowPriority=low_priority, repair=repair))
        return report

    def mark(self, name: str) -> dict[str, Any]:
        """Names the present state, so that it can be restored."""
        info: dict[str, Any] = json_call("mark", self._handle, *text(name, "name"))
        return info

    def remove_mark(self, name: str) -> None:
        """Forgets a name."""
        long_call("remove_mark", self._handle, *text(name, "name"))

    def marks(self) -> list[dict[str, Any]]:
        """The marks."""
        found: list[dict[str, Any]] = json_call("marks", self._handle)
        return found


def open(
    location: str | os.PathLike[str], *, create: bool = True, checkpoint_on_close: bool | None = None,
    control_socket: bool | None = None, build_threads: int | None = None,
    checkpoint_log_bytes: int | None = None, backup_bytes_per_second: int | None = None,
    scrub_bytes_per_second: int | None = None, rebuild_policy: str | None = None,
    log_level: str | None = None
) -> Database:
    """Opens the database in a directory, and creates it if there is none.

    :param create: False raises :class:`NotFound` if there is none.
    :param scrub_bytes_per_second: how fast the background check reads; 0 turns it off.
    :param log_level: ``off``, ``error``, ``warning`` (default), ``info`` or ``debug``; the log goes to
        standard error.
    :raises Locked: if it is open already.
    :raises Corrupt: naming the file; all files are left as they were.
    """
    handle = ctypes.c_uint64()
    place = path(location, "path")
    long_call("open", *place, *options(
        createIfMissing=create, checkpointOnClose=checkpoint_on_close,
        controlSocket=control_socket, buildThreads=build_threads,
        checkpointLogBytes=checkpoint_log_bytes, backupBytesPerSecond=backup_bytes_per_second,
        scrubBytesPerSecond=scrub_bytes_per_second, rebuildPolicy=rebuild_policy,
        logLevel=log_level), byref(handle))
    return Database(handle.value, place[0].decode("utf-8", "replace"))


def restore(
    repository: str | os.PathLike[str], location: str | os.PathLike[str], *, lsn: int | None = None,
    time: float | None = None, mark: str | None = None, verification: str | None = None,
    collections: list[str] | None = None, replace: bool | None = None,
    discard_unsaved: bool | None = None, replace_unrelated: bool | None = None,
    continues: bool | None = None
) -> dict[str, Any]:
    """Builds a copy of a database, proves it, then renames it into place.

    :param lsn: the state after this batch; ``time``: at this second since 1970; ``mark``: of this name.
        Without one of these, the latest state.
    :param verification: ``full`` (default) or ``quick``.
    :param replace: replace an older copy at `location`, and fetch only what differs.
    :param continues: go on as the same database.
    :raises VerificationFailed: if the copy does not pass; nothing is made live.
    """
    report: dict[str, Any] = json_call(
        "restore", *path(repository, "repository"), *path(location, "path"), *options(
            lsn=lsn, timeMilliseconds=None if time is None else int(time * 1000), mark=mark,
            verification=verification, collections=collections, replacing=replace,
            discardsUnsaved=discard_unsaved, replacesUnrelated=replace_unrelated,
            continues=continues))
    return report


def backups(repository: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The restore points of a repository."""
    found: list[dict[str, Any]] = json_call("backups", *path(repository, "repository"))
    return found


def verify(
    repository: str | os.PathLike[str], *, verification: str | None = None,
    samples: int | None = None
) -> dict[str, Any]:
    """Proves that the restore points of a repository can be restored."""
    report: dict[str, Any] = json_call(
        "verify", *path(repository, "repository"),
        *options(verification=verification, samples=samples))
    return report


@atexit.register
def _close_all() -> None:
    # Threads that wait in the library must not come back to an interpreter that ends.
    LIBRARY.vecdb_set_wait_hook(None, None)
    for database in list(_open):
        if database._owner == os.getpid():
            try:
                call("close", database._handle)
            except VecDBError:
                pass  # what was acknowledged is durable
