import Glibc
import VecDB

/// The bytes of a file or pipe, read front to back through one buffer of constant size.
///
/// A path that ends in `.gz` is read through the `gzip` program, whose failure (a truncated or
/// damaged file) is an error at the end of the bytes that could be read. `-` is standard input.
final class ByteSource {
  /// What errors call the source.
  let path: String
  /// Bytes handed out so far, after decompression.
  private(set) var offset = 0
  /// The bytes there are; nil for pipes and compressed files, where only reading tells.
  let sizeBytes: Int?
  /// Bytes of the file on disk; 0 for a pipe.
  let storedBytes: Int

  private let descriptor: Int32
  private let gzip: GzipProcess?
  private var buffer: [UInt8]
  private var start = 0
  private var end = 0
  private var atEnd = false

  /// Bytes asked of the operating system at once.
  private static let bufferBytes = 1 << 20
  /// The longest line that is accepted: a vector of 65,536 components and 1 MiB of metadata fit.
  private static let lineBytesMax = 16 << 20

  init(path: String) throws {
    self.path = path == "-" ? "standard input" : path
    buffer = [UInt8](repeating: 0, count: Self.bufferBytes)
    guard path != "-" else {
      (descriptor, gzip, sizeBytes, storedBytes) = (STDIN_FILENO, nil, nil, 0)
      return
    }
    // A pipe whose other end nobody has opened yet is waited for below, where a signal ends that.
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      let code = errno
      throw VecDBError(
        code == ENOENT ? .notFound : .inputOutput,
        code == ENOENT ? "there is no such file" : "cannot open the file: \(errorText(code))",
        at: path, remedy: "Check the path and its permissions.")
    }
    var info = stat()
    guard fstat(file, &info) == 0, info.st_mode & S_IFMT != S_IFDIR else {
      _ = Glibc.close(file)
      throw VecDBError(
        .invalidArgument, "this is a directory, not a file", at: path,
        remedy: "Name a file of vectors.")
    }
    if info.st_mode & S_IFMT != S_IFREG {
      do { try Self.awaitWriter(file, path) } catch {
        _ = Glibc.close(file)
        throw error
      }
    }
    storedBytes = Int(info.st_size)
    if path.hasSuffix(".gz") {
      do { gzip = try GzipProcess(compressed: file, path: path) } catch {
        _ = Glibc.close(file)
        throw error
      }
      descriptor = file
      sizeBytes = nil
    } else {
      (descriptor, gzip) = (file, nil)
      sizeBytes = info.st_mode & S_IFMT == S_IFREG ? Int(info.st_size) : nil
    }
  }

  deinit {
    gzip?.terminate()
    if descriptor != STDIN_FILENO { _ = Glibc.close(descriptor) }
  }

  /// How far reading is, from 0 to 1; nil for pipes. For a compressed file it is how far gzip is.
  var fraction: Double? {
    guard storedBytes > 0 else { return nil }
    // gzip reads through a descriptor that shares its position with ours.
    let position = gzip == nil ? offset : Int(lseek(descriptor, 0, SEEK_CUR))
    return min(1, Double(max(position, 0)) / Double(storedBytes))
  }

  /// Fills the buffer; returns how many bytes there were, fewer than asked only at the end.
  func read(into target: UnsafeMutableRawBufferPointer) throws -> Int {
    var done = 0
    while done < target.count {
      if start == end, try !fill() { break }
      let count = min(end - start, target.count - done)
      buffer.withUnsafeBytes { bytes in
        let part = UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
        UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count]).copyMemory(from: part)
      }
      start += count
      done += count
    }
    offset += done
    return done
  }

  /// Replaces `line` with the next line without its end; false at the end of the file.
  func readLine(into line: inout [UInt8]) throws -> Bool {
    line.removeAll(keepingCapacity: true)
    var found = false
    while true {
      if start == end, try !fill() { break }
      found = true
      let newline = buffer.withUnsafeBytes { bytes -> Int? in
        guard let base = bytes.baseAddress, let hit = memchr(base + start, 10, end - start) else {
          return nil
        }
        return UnsafeRawPointer(hit) - base
      }
      let stop = newline ?? end
      line.append(contentsOf: buffer[start..<stop])
      offset += stop - start + (newline == nil ? 0 : 1)
      start = newline == nil ? end : stop + 1
      guard line.count <= Self.lineBytesMax else {
        throw VecDBError(
          .limitExceeded, "a line is longer than \(Self.lineBytesMax) bytes", at: path,
          remedy: "Write one JSON object per line.")
      }
      if newline != nil { break }
    }
    if line.last == 13 { line.removeLast() }
    return found
  }

  /// Reads the next piece into the empty buffer; false at the end.
  private func fill() throws -> Bool {
    guard !atEnd else { return false }
    let source = gzip?.output ?? descriptor
    while true {
      if sizeBytes == nil { try Self.awaitInput(source, path) }
      let count = buffer.withUnsafeMutableBytes { Glibc.read(source, $0.baseAddress, $0.count) }
      if count > 0 {
        start = 0
        end = count
        return true
      }
      if count == 0 {
        atEnd = true
        try gzip?.finish()
        return false
      }
      if errno != EINTR {
        throw VecDBError(
          .inputOutput, "reading failed at byte \(offset): \(errorText(errno))", at: path,
          remedy: "Check the disk, then run the command again.")
      }
    }
  }
}

extension ByteSource {
  /// Returns when there is something to read, or the end of it.
  ///
  /// - Throws: `cancelled` if a signal asks to stop meanwhile.
  fileprivate static func awaitInput(_ descriptor: Int32, _ path: String) throws {
    while true {
      var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let found = poll(&state, 1, 100)
      // What cannot be polled is read.
      if found > 0 || found < 0 && errno != EINTR { return }
      guard !Interruption.requested else {
        throw VecDBError(
          .cancelled, "interrupted while waiting for input", at: path,
          remedy: "Run the command again.")
      }
    }
  }

  /// Waits for the other end of a pipe, and has it read like a file from then on.
  fileprivate static func awaitWriter(_ descriptor: Int32, _ path: String) throws {
    try awaitInput(descriptor, path)
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0 else {
      throw VecDBError(.inputOutput, "cannot set up reading: \(errorText(errno))", at: path)
    }
  }
}

/// The operating system's words for an error number.
func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
