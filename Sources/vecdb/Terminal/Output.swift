import ArgumentParser
import FoundationEssentials
import Glibc
import Synchronization
import VecDB

/// Standard output: results only, buffered, and written out at exit.
enum Output {
  private static let buffer = Mutex<[UInt8]>([])
  private static let bufferBytes = 1 << 16

  static func line(_ text: String) { bytes(Array(text.utf8) + [10]) }

  static func bytes(_ bytes: [UInt8]) {
    let full = buffer.withLock { buffer -> Bool in
      buffer.append(contentsOf: bytes)
      return buffer.count >= bufferBytes
    }
    if full { flush() }
  }

  /// One JSON object on one line, its keys sorted.
  static func json(_ value: some Encodable) {
    do {
      bytes(try encoded(value))
    } catch {
      flush()
      Terminal.message("vecdb: the report cannot be written as JSON: \(error)")
      exit(1)
    }
  }

  /// A line of JSON.
  static func encoded(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return Array(try encoder.encode(value)) + [10]
  }

  static func flush() {
    buffer.withLock { buffer in
      writeAll(buffer, to: STDOUT_FILENO)
      buffer.removeAll(keepingCapacity: true)
    }
  }

  /// Writes everything, or gives up silently: whoever read us has gone, or the disk is full and
  /// there is nowhere to say so.
  fileprivate static func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress! + done, $0.count - done)
      }
      if count > 0 { done += count } else if errno != EINTR { return }
    }
  }
}

/// Standard error and what is known of it.
enum Terminal {
  /// Whether a person watches: a terminal that can redraw a line.
  static let isInteractive =
    isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } ?? "dumb" != "dumb"

  static func message(_ text: String) {
    Output.writeAll(Array(text.utf8) + [10], to: STDERR_FILENO)
  }

  /// A line of JSON for programs that follow the work.
  static func event(_ value: some Encodable) {
    do { Output.writeAll(try Output.encoded(value), to: STDERR_FILENO) } catch {
      message("vecdb: an event cannot be written as JSON: \(error)")
    }
  }

  /// Redraws the line that progress is shown on.
  static func redraw(_ text: String) {
    Output.writeAll(Array("\r\u{1B}[K\(text)".utf8), to: STDERR_FILENO)
  }

  static func clearLine() { if isInteractive { redraw("") } }

  /// Columns of the terminal that standard error goes to; 80 where there is none.
  static var columns: Int { columns(of: STDERR_FILENO) ?? 80 }

  /// Columns of the terminal that standard output goes to; nil if it goes elsewhere.
  static var outputColumns: Int? { columns(of: STDOUT_FILENO) }

  private static func columns(of descriptor: Int32) -> Int? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return nil }
    return Int(size.ws_col)
  }
}

/// The options that every verb has.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print results as JSON, one object per line.")
  var json = false
}

/// How a verb of long work shows how far it is.
struct ProgressOptions: ParsableArguments {
  @Flag(help: "Print events of progress as JSON on standard error, one object per line.")
  var progressEvents = false
}
