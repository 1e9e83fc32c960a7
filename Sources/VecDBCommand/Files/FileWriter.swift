import Glibc
import VecDB

/// Writes a file that a reader never sees half of: it gets its name when it is complete, and what
/// was not published is removed.
///
/// A symbolic link stays, and the file it leads to is replaced. What is no regular file (a pipe, a device, a stream under `/dev` or
/// `/proc`) is not replaced but written to.
final class FileWriter {
  private enum Destination {
    /// A file without a name yet, or under `temporary`, that becomes `path`.
    case replacing(path: String, temporary: String?)
    /// Something that is there and stays what it is.
    case existing
  }

  private let path: String
  private let descriptor: Int32
  private var destination: Destination
  private var buffer: [UInt8] = []

  private static let bufferBytes = 1 << 18

  init(path: String) throws {
    self.path = path
    let target = try Self.resolved(path)
    var info = stat()
    let isThere = stat(target, &info) == 0
    guard !isThere || info.st_mode & S_IFMT != S_IFDIR else {
      throw VecDBError(
        .invalidArgument, "this is a directory, not a file", at: path, remedy: "Name a file.")
    }
    if isThere, info.st_mode & S_IFMT != S_IFREG || Self.isStream(target) {
      descriptor = open(target, O_WRONLY | O_APPEND | O_CLOEXEC)
      guard descriptor >= 0 else { throw Self.failed("cannot open what is there", errno, path) }
      destination = .existing
      return
    }
    let (file, temporary) = try Self.create(beside: target, path)
    descriptor = file
    destination = .replacing(path: target, temporary: temporary)
    guard isThere else { return }
    // Whoever could read and write the old file can do so with the new one, as far as we may say.
    _ = fchown(descriptor, info.st_uid, info.st_gid)
    _ = fchmod(descriptor, info.st_mode & 0o7777)
  }

  deinit {
    _ = close(descriptor)
    if case .replacing(_, let temporary?) = destination { unlink(temporary) }
  }

  /// Whether this is where standard output goes as well.
  var isStandardOutput: Bool {
    var (own, other) = (stat(), stat())
    return fstat(descriptor, &own) == 0 && fstat(STDOUT_FILENO, &other) == 0
      && own.st_dev == other.st_dev && own.st_ino == other.st_ino
  }

  func write(_ bytes: [UInt8]) throws {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Makes the contents durable and gives the file its name.
  func publish() throws {
    try flush()
    guard fsync(descriptor) == 0 else {
      // Pipes and most devices have nothing to sync.
      if case .existing = destination, errno == EINVAL || errno == EROFS { return }
      throw Self.failed("cannot sync the file", errno, path)
    }
    guard case .replacing(let target, var temporary) = destination else { return }
    if temporary == nil { temporary = try named(beside: target) }
    guard let temporary, rename(temporary, target) == 0 else {
      throw Self.failed("cannot rename the file", errno, path)
    }
    destination = .existing
  }

  private func flush() throws {
    var done = 0
    while done < buffer.count {
      let count = buffer.withUnsafeBytes { bytes in
        Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if count > 0 {
        done += count
      } else if count == 0 || errno != EINTR {
        throw Self.failed("cannot write the file", count == 0 ? EIO : errno, path)
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }

  // MARK: Names

  /// The path with the links at its end followed, also where the last leads to nothing yet.
  private static func resolved(_ path: String) throws -> String {
    var path = path
    for _ in 0..<40 {
      guard !isStream(path) else { return path }
      var target = [CChar](repeating: 0, count: Int(PATH_MAX))
      let count = readlink(path, &target, target.count)
      // Most often: no link.
      guard count > 0 else { return path }
      guard
        let link = String(validating: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      else {
        throw failed("cannot follow the link, whose target is not UTF-8", EILSEQ, path)
      }
      path = link.hasPrefix("/") ? link : folder(of: path) + link
    }
    throw failed("cannot follow the links", ELOOP, path)
  }

  /// With the slash.
  private static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
  }

  /// Names that stand for something which is open elsewhere, such as `/dev/stdout`.
  private static func isStream(_ path: String) -> Bool {
    path.hasPrefix("/dev/") && !path.hasPrefix("/dev/shm/") || path.hasPrefix("/proc/")
  }

  /// A new file beside `target`: without a name where the file system can do that, so that nothing
  /// is left of it however the process ends.
  private static func create(
    beside target: String, _ path: String
  ) throws -> (descriptor: Int32, temporary: String?) {
    let folder = folder(of: target)
    // O_TMPFILE of Linux, which the Swift module of glibc does not have.
    let hasNames = access("/proc/self/fd", X_OK) == 0
    let unnamed =
      !hasNames
      ? -1
      : open(
        folder.isEmpty ? "." : folder, 0o20_000_000 | O_DIRECTORY | O_WRONLY | O_CLOEXEC, 0o644)
    if unnamed >= 0 { return (unnamed, nil) }
    for _ in 0..<100 {
      let name = temporaryName(of: target)
      let file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      if file >= 0 { return (file, name) }
      guard errno == EEXIST else { break }
    }
    throw failed("cannot create the file", errno, path)
  }

  /// Gives the file without a name a temporary one, since only a rename replaces what is there.
  private func named(beside target: String) throws -> String {
    for _ in 0..<100 {
      let name = Self.temporaryName(of: target)
      let source = "/proc/self/fd/\(descriptor)"
      if linkat(AT_FDCWD, source, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 {
        destination = .replacing(path: target, temporary: name)
        return name
      }
      guard errno == EEXIST else { break }
    }
    throw Self.failed("cannot name the file", errno, path)
  }

  private static func temporaryName(of target: String) -> String {
    // Short, so that the longest names have room for it.
    let folder = folder(of: target)
    return "\(folder).vecdb-\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp"
  }

  private static func failed(_ what: String, _ code: Int32, _ path: String) -> VecDBError {
    VecDBError(
      code == ENOSPC || code == EDQUOT ? .diskFull : .inputOutput, "\(what): \(errorText(code))",
      at: path, remedy: "Check the path, its permissions and the free space.")
  }
}
