import Foundation

/// The outcome of every step that a writer was told of, in a file that survives the process: a line
/// `writer step +` for an acknowledged one, `writer step -` for one that was refused whole.
///
/// A line is one append, so that the process may be killed at any moment; a torn last line was
/// never counted on.
struct Receipts {
  struct Failure: Error, CustomStringConvertible { var description: String }

  private(set) var acknowledged: [Int: [Int]] = [:]
  /// Steps that were refused whole, for want of space or room.
  private(set) var refusedCount = 0
  /// The step after the last one of which the outcome is known.
  private(set) var next: [Int: Int] = [:]

  init(path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else { return }
    let text = try String(contentsOfFile: path, encoding: .utf8)
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    lines.removeLast()  // What follows the last line feed is torn, or nothing.
    for line in lines {
      let words = line.split(separator: " ")
      guard words.count == 3, let writer = Int(words[0]), let step = Int(words[1]) else {
        throw Failure(description: "\(path): '\(line)' is no receipt")
      }
      guard step == next[writer] ?? 0 else {
        throw Failure(description: "\(path): step \(step) of writer \(writer) is out of order")
      }
      next[writer] = step + 1
      if words[2] == "+" {
        acknowledged[writer, default: []].append(step)
      } else {
        refusedCount += 1
      }
    }
  }

  var acknowledgedCount: Int { acknowledged.values.reduce(0) { $0 + $1.count } }
}

/// Appends receipts. Any thread.
final class ReceiptWriter: Sendable {
  private let descriptor: Int32

  init(path: String) throws {
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o666)
    guard descriptor >= 0 else {
      throw Receipts.Failure(description: "\(path): cannot be opened")
    }
  }

  deinit { close(descriptor) }

  func add(writer: Int, step: Int, isAcknowledged: Bool) throws {
    let line = Array("\(writer) \(step) \(isAcknowledged ? "+" : "-")\n".utf8)
    guard write(descriptor, line, line.count) == line.count else {
      throw Receipts.Failure(description: "a receipt could not be written")
    }
  }
}
