import Glibc
import VecDB

/// Writes a file under a temporary name beside its own and renames it when it is complete, so that
/// a reader never sees half of it. What was not published is removed.
final class FileWriter {
  private let path: String
  private let temporary: String
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var published = false

  private static let bufferBytes = 1 << 18

  init(path: String) throws {
    self.path = path
    temporary = "\(path).\(getpid()).tmp"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failed("cannot create the file", errno) }
  }

  deinit {
    _ = close(descriptor)
    if !published { unlink(temporary) }
  }

  func write(_ bytes: [UInt8]) throws {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Makes the contents durable and gives the file its name.
  func publish() throws {
    try flush()
    guard fsync(descriptor) == 0 else { throw failed("cannot sync the file", errno) }
    guard rename(temporary, path) == 0 else { throw failed("cannot rename the file", errno) }
    published = true
  }

  private func flush() throws {
    var done = 0
    while done < buffer.count {
      let count = buffer.withUnsafeBytes { bytes in
        Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw failed("cannot write the file", errno)
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }

  private func failed(_ what: String, _ code: Int32) -> VecDBError {
    VecDBError(
      code == ENOSPC ? .diskFull : .inputOutput, "\(what): \(errorText(code))", at: path,
      remedy: "Check the path, its permissions and the free space.")
  }
}
