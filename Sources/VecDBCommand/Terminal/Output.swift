import ArgumentParser
import FoundationEssentials
import Glibc
import Synchronization
import VecDB

/// Standard output: results only, buffered, and written out at exit.
///
/// The first failure to write is kept, and everything after it is dropped: long work asks for it
/// (`requireWritable`), and no command ends with success after it.
enum Output {
  private struct State {
    var buffer: [UInt8] = []
    /// The `errno` of the first failure.
    var failure: Int32?
    var printedBytes = 0
  }

  private static let state = Mutex(State())
  private static let bufferBytes = 1 << 16

  static func line(_ text: String) { bytes(Array(text.utf8) + [10]) }

  static func bytes(_ bytes: [UInt8]) {
    let full = state.withLock { state -> Bool in
      state.printedBytes += bytes.count
      guard state.failure == nil else { return false }
      state.buffer.append(contentsOf: bytes)
      return state.buffer.count >= bufferBytes
    }
    if full { flush() }
  }

  /// One JSON object on one line, its keys sorted.
  static func json(_ value: some Encodable) {
    do {
      bytes(try encoded(value))
    } catch {
      flush()
      Terminal.message("vecdb: cannot write the report as JSON: \(error)")
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
    state.withLock { state in
      if state.failure == nil { state.failure = writeAll(state.buffer, to: STDOUT_FILENO) }
      state.buffer.removeAll(keepingCapacity: true)
    }
  }

  /// How much was printed, written out or not.
  static var printedBytes: Int { state.withLock { $0.printedBytes } }

  /// Throws if something that was printed could not be written.
  static func requireWritable() throws {
    guard let code = state.withLock({ $0.failure }) else { return }
    throw OutputFailure(code: code)
  }

  /// Writes what is left and closes the stream, since some file systems tell only then that there
  /// was no space.
  static func finish() throws {
    flush()
    if close(STDOUT_FILENO) != 0, errno != EBADF {
      let code = errno
      state.withLock { $0.failure = $0.failure ?? code }
    }
    try requireWritable()
  }

  /// Writes everything; returns the `errno` of a failure.
  fileprivate static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { bytes in
        write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      }
      if count > 0 {
        done += count
      } else if count == 0 {
        return EIO
      } else if errno == EAGAIN {
        // Whoever gave us the stream made it non-blocking.
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, 1_000)
      } else if errno != EINTR {
        return errno
      }
    }
    return nil
  }
}

/// Standard output could not be written: what was printed is not complete.
struct OutputFailure: Error {
  /// The `errno`.
  var code: Int32

  var error: VecDBError {
    VecDBError(
      code == ENOSPC || code == EDQUOT ? .diskFull : .inputOutput,
      "cannot write to standard output, so the output is incomplete: \(errorText(code))",
      remedy: "Free space, or redirect the output, then run the command again.")
  }
}

/// The three streams that every process begins with.
enum StandardStreams {
  /// Opens those that were closed, so that no file of the database gets their numbers, and what is
  /// printed with them. Reading and writing them still fails.
  static func occupy() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
      // The lowest free number is taken, and all below are in use.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}

/// Standard error and what is known of it.
enum Terminal {
  /// Whether a person watches: a terminal that can redraw a line.
  static let isInteractive =
    isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } ?? "dumb" != "dumb"

  static func message(_ text: String) {
    // Where this fails there is nowhere left to say so.
    _ = Output.writeAll(Array(text.utf8) + [10], to: STDERR_FILENO)
  }

  /// A line of JSON for programs that follow the work.
  static func event(_ value: some Encodable) {
    do { _ = Output.writeAll(try Output.encoded(value), to: STDERR_FILENO) } catch {
      message("vecdb: cannot write an event as JSON: \(error)")
    }
  }

  /// Redraws the line that progress is shown on.
  static func redraw(_ text: String) {
    _ = Output.writeAll(Array("\r\u{1B}[K\(text)".utf8), to: STDERR_FILENO)
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
  @Flag(help: "Print progress as JSON on standard error, one object per line.")
  var progressEvents = false
}
