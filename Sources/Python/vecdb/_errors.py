"""The exceptions: one class for each code of the library."""

from __future__ import annotations


class VecDBError(Exception):
    """What every call of vecdb raises: what happened, where, and what to do about it."""

    #: The name of the code, such as ``notFound``.
    code: str = "other"
    #: What happened.
    message: str
    #: The file, key or argument that it happened to; may be empty.
    location: str
    #: What to do now; may be empty.
    remedy: str

    def __init__(self, message: str, location: str = "", remedy: str = "", code: str = "") -> None:
        self.message, self.location, self.remedy = message, location, remedy
        if code:
            self.code = code
        text = message + (f" ({location})" if location else "")
        super().__init__(text + (f". {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type[VecDBError], tuple[str, str, str, str]]:
        return type(self), (self.message, self.location, self.remedy, self.code)


class InvalidArgument(VecDBError, ValueError):
    """The call cannot be accepted. Nothing was changed."""
    code = "invalidArgument"


class NotFound(VecDBError, LookupError):
    """A database, collection, repository or restore point that is not there."""
    code = "notFound"


class AlreadyExists(VecDBError):
    """Something of that name is there."""
    code = "alreadyExists"


class Locked(VecDBError):
    """Another process, or another handle of this one, has the database open."""
    code = "locked"


class Corrupt(VecDBError):
    """Bytes that are not what their checksum says."""
    code = "corrupt"


class UnknownVersion(VecDBError):
    """A format that this version does not know."""
    code = "unknownVersion"


class DiskFull(VecDBError, OSError):
    """There is no space. Nothing was changed, and reads go on."""
    code = "diskFull"


class InputOutput(VecDBError, OSError):
    """The system refused or failed an operation."""
    code = "inputOutput"


class Poisoned(VecDBError):
    """A write failed with unknown outcome. Close the database and open it again."""
    code = "poisoned"


class LimitExceeded(VecDBError):
    """A documented limit was reached."""
    code = "limitExceeded"


class Overloaded(VecDBError):
    """The write queue stayed full. Nothing was written."""
    code = "overloaded"


class Closed(VecDBError):
    """The database is closed, or the collection was dropped."""
    code = "closed"


class Cancelled(VecDBError):
    """The operation was asked to stop."""
    code = "cancelled"


class VerificationFailed(VecDBError):
    """A restored copy did not pass its proof. Nothing was made live."""
    code = "verificationFailed"


class ReadOnly(VecDBError):
    """This copy follows another one."""
    code = "readOnly"


class NotPrimary(VecDBError):
    """The primary is handing over to another node."""
    code = "notPrimary"


class OutcomeUnknown(VecDBError):
    """The write is durable here, but not confirmed by enough replicas in time."""
    code = "outcomeUnknown"


class NotReached(VecDBError):
    """The state asked for was not reached in time."""
    code = "notReached"


class Conflict(VecDBError):
    """The record is not the version that the write asks for."""
    code = "conflict"


class Forked(VecDBError):
    """vecdb was used before this process was forked, and cannot be used in the child."""
    code = "forked"


_CLASSES: dict[str, type[VecDBError]] = {
    kind.code: kind for kind in VecDBError.__subclasses__()}


def error_of(code: str, message: str, location: str, remedy: str) -> VecDBError:
    """The exception of a code; VecDBError itself for a code that this version does not know."""
    return _CLASSES.get(code, VecDBError)(message, location, remedy, code)
