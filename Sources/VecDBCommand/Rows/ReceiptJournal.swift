import Glibc
import VecDB

/// A file that gains a line `{"epoch":1,"lsn":7,"rows":3000}` for each acknowledged batch, durable
/// before the next batch is acknowledged: the proof that a test or an auditor holds against the
/// database after a crash. `rows` counts from the start of the import.
final class ReceiptJournal {
  private let path: String
  private let descriptor: Int32

  init(path: String) throws {
    self.path = path
    descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw VecDBError(
        .inputOutput, "cannot open the file for receipts: \(errorText(errno))", at: path,
        remedy: "Check the path and its permissions.")
    }
  }

  deinit { _ = close(descriptor) }

  func append(rows: Int, _ receipt: Receipt) throws {
    let line = Array("{\"epoch\":\(receipt.epoch),\"lsn\":\(receipt.lsn),\"rows\":\(rows)}\n".utf8)
    let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    // Pipes and devices have nothing to sync.
    guard written == line.count, fdatasync(descriptor) == 0 || errno == EINVAL else {
      throw VecDBError(
        .inputOutput, "cannot write a receipt: \(errorText(errno))", at: path,
        remedy: "The records themselves are durable. Check the disk of the file for receipts.")
    }
  }
}
