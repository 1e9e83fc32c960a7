"""vecdb: an embedded vector database. No acknowledged write is lost, and every recovery is proven.

>>> import numpy, vecdb
>>> with vecdb.open("books.vecdb") as database:
...     books = database.create_collection("books", dimensions=3, metric="cosine")
...     _ = books.upsert(["a", "b"], numpy.eye(2, 3, dtype="float32"), [{"year": 1851}, {"year": 1922}])
...     books.search([1, 0, 0], k=1, filter=vecdb.F.year < 1900).keys
['a']

Every error is a :class:`VecDBError`. All objects may be used from several threads at once; searches
release the interpreter's lock. A process that has used vecdb may fork, but its children cannot use it.
"""

from ._collection import Collection, Facets, Written
from ._database import Database, backups, open, restore, verify
from ._errors import (
    AlreadyExists, Cancelled, Closed, Conflict, Corrupt, DiskFull, Forked, InputOutput,
    InvalidArgument, LimitExceeded, Locked, NotFound, NotPrimary, NotReached, OutcomeUnknown, Overloaded, Poisoned,
    ReadOnly, UnknownVersion, VecDBError, VerificationFailed)
from ._filters import F, Field, Filter
from ._rows import Group, Hit, Hits, Page, Record, Results

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists", "Cancelled", "Closed", "Collection", "Conflict", "Corrupt", "Database",
    "DiskFull", "F", "Facets", "Field", "Filter", "Forked", "Group", "Hit", "Hits", "InputOutput",
    "InvalidArgument", "LimitExceeded", "Locked", "NotFound", "NotPrimary", "NotReached",
    "OutcomeUnknown", "Overloaded", "Page", "Poisoned", "ReadOnly", "Record", "Results",
    "UnknownVersion", "VecDBError", "VerificationFailed", "Written", "backups", "open", "restore",
    "verify"]
