import FoundationEssentials
import Glibc
import VecDB

/// A directory that lives as long as the work that needs it.
struct TemporaryDirectory {
  let path: String

  /// Under `TMPDIR`, or `/tmp`.
  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/vecdb-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw VecDBError(
        .inputOutput, "cannot make a temporary directory: \(errorText(errno))", at: parent,
        remedy: "Set TMPDIR to a directory with enough space.")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Removes it with all that is in it. What cannot be removed is left to the system's cleaning.
  func remove() {
    try? FileManager.default.removeItem(atPath: path)
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
