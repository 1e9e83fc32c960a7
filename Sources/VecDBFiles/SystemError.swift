import Glibc

/// Turns an `errno` into a `StoreError` that names the operation and the path.
///
/// `ENOSPC` and `EDQUOT` become `.diskFull`, `ENOENT` `.notFound`, `EEXIST` and `ENOTEMPTY`
/// `.alreadyExists`, `ENAMETOOLONG` `.invalidArgument`, everything else `.inputOutput`.
///
/// - Parameters:
///   - code: The value of `errno`.
///   - operation: A verb with its object, to follow "cannot", such as "open the file".
///   - path: The file or directory that the operation was for.
package func systemError(_ code: Int32, _ operation: String, at path: String) -> StoreError {
  let (kind, remedy): (StoreError.Kind, String) =
    switch code {
    case ENOSPC: (.diskFull, "Free space on this file system, then try again.")
    case EDQUOT: (.diskFull, "Free space or raise the quota, then try again.")
    case ENOENT: (.notFound, "Check the path.")
    case ENOTDIR: (.inputOutput, "Check the path: a part of it is a file, not a directory.")
    case EEXIST, ENOTEMPTY: (.alreadyExists, "Choose another name, or remove the existing one.")
    case EACCES, EPERM: (.inputOutput, "Check the owner and the permissions.")
    case EROFS: (.inputOutput, "The file system is mounted read-only.")
    case EMFILE, ENFILE: (.inputOutput, "Raise the limit of open files (ulimit -n).")
    case ENAMETOOLONG: (.invalidArgument, "Choose a shorter path.")
    case EFBIG: (.inputOutput, "Raise the limit of the file size (ulimit -f).")
    case ENOMEM:
      (.inputOutput, "Free memory, or raise the limit of mappings (vm.max_map_count).")
    case EIO: (.inputOutput, "Check the device and the system log.")
    default: (.inputOutput, "")
    }
  // Since glibc 2.32 strerror returns constant or thread-local text.
  let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
  return StoreError(kind, "cannot \(operation): \(reason)", at: path, remedy: remedy)
}

/// Repeats a system call while a signal interrupts it; throws `systemError` when it returns -1.
@inline(__always)
func retryingOnInterrupt<Result: SignedInteger>(
  _ operation: @autoclosure () -> String, at path: String, _ call: () -> Result
) throws -> Result {
  while true {
    let result = call()
    if result != -1 { return result }
    let code = errno
    if code != EINTR { throw systemError(code, operation(), at: path) }
  }
}
