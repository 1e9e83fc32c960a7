import Glibc

/// A process of this machine, so that a later one can tell that it has died: the boot, the name space of
/// process numbers, the number, and when it began.
enum ProcessIdentity {
  /// Of this process; empty where the system does not tell.
  static let own: String = {
    let process = getpid()
    guard let place, let start = start(of: process) else { return "" }
    return "\(place) \(process) \(start)"
  }()

  /// Whether the process that was so described was one of this machine and has certainly ended.
  static func hasEnded(_ text: String) -> Bool {
    let parts = text.split(separator: " ")
    guard parts.count == 3, let place, parts[0] == place, let process = pid_t(parts[1]), process > 0
    else { return false }
    if kill(process, 0) != 0 { return errno == ESRCH }
    guard let start = start(of: process) else { return false }
    return start != parts[2]
  }

  /// Where a process number means one process.
  private static let place: String? = {
    guard let boot = read("/proc/sys/kernel/random/boot_id"), !boot.isEmpty else { return nil }
    var link = [CChar](repeating: 0, count: 64)
    let count = readlink("/proc/self/ns/pid", &link, link.count - 1)
    guard count > 0 else { return nil }
    let space = String(decoding: link[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (boot + "/" + space).filter { !$0.isWhitespace }
  }()

  /// The 22nd field of its state, behind the name in parentheses.
  private static func start(of process: pid_t) -> Substring? {
    guard let state = read("/proc/\(process)/stat"), let end = state.lastIndex(of: ")") else {
      return nil
    }
    let fields = state[state.index(after: end)...].split(separator: " ")
    return fields.count > 19 ? fields[19] : nil
  }

  private static func read(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    guard count >= 0 else { return nil }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
