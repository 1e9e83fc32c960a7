import FoundationEssentials
import Glibc
import VecDB

/// A directory that lives as long as the work that needs it. What processes that were killed have
/// left is removed when the next one is made.
struct TemporaryDirectory {
  /// Empty at first.
  let path: String
  private let outer: String
  private let lock: Int32

  private static let prefix = "vecdb-temporary-"
  private static let suffixLength = 6

  /// Under `TMPDIR`, or `/tmp`.
  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    Self.sweep(parent)
    var template = Array(
      "\(parent)/\(Self.prefix)\(String(repeating: "X", count: Self.suffixLength))".utf8CString)
    guard mkdtemp(&template) != nil else { throw Self.failure(errno, parent) }
    outer = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    path = outer + "/content"
    lock = Glibc.open(outer + "/lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    // The content comes after the lock: until then nobody takes it for something that was left.
    guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0, mkdir(path, 0o700) == 0 else {
      let code = errno
      remove()
      throw Self.failure(code, parent)
    }
  }

  private static func failure(_ code: Int32, _ parent: String) -> VecDBError {
    VecDBError(
      .inputOutput, "cannot make a temporary directory: \(errorText(code))", at: parent,
      remedy: "Set TMPDIR to a directory with enough space.")
  }

  /// Removes it with all that is in it. What cannot be removed is left to the next one.
  func remove() {
    Self.remove(outer)
    if lock >= 0 { close(lock) }
  }

  /// What cannot be removed is left to the next sweep.
  private static func remove(_ directory: String) {
    try? FileManager.default.removeItem(atPath: directory + "/content")
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Removes this user's directories of that name that nobody holds. Where that cannot be done, making
  /// a directory tells why.
  private static func sweep(_ parent: String) {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: parent) else { return }
    for name in names
    where name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + suffixLength {
      let directory = parent + "/" + name
      var status = stat()
      guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
        status.st_uid == geteuid(), lstat(directory + "/content", &status) == 0
      else { continue }
      let lock = Glibc.open(directory + "/lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
      guard lock >= 0 else { continue }
      if flock(lock, LOCK_EX | LOCK_NB) == 0 { remove(directory) }
      close(lock)
    }
  }
}

/// What this process takes of the machine's memory.
enum ProcessMemory {
  /// Resident bytes now, from /proc; 0 where there is none.
  static func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return 0 }
    let text = String(
      decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }
}
