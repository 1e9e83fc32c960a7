import VecDBBytes
import VecDBFiles

/// The one form in which log leaves a database: to archives, over the network, into saved tails.
///
///     size  field
///        4  "VDBS"
///        1  version 1
///        3  zero
///        8  LSN before the first frame
///       32  chain there
///        4  n, length of the identity
///        n  identity (LogIdentity) at the time of writing
///        4  CRC-32C of all before
///        …  frames (LogFrame), each following the one before
///        4  "VDBE"                          } the end of a complete stream; a connection
///        8  LSN of the last frame           } that just stops has none
///       32  chain there                     }
///        4  CRC-32C of these 44 bytes       }
package enum LogFrameStream {
  static let magic: UInt32 = 0x5342_4456  // "VDBS"
  static let endMagic: UInt32 = 0x4542_4456  // "VDBE"
  static let version: UInt8 = 1
  static let fixedHeaderBytes = 52
  static let identityBytesMaximum = 8 << 20
  static let endBytes = 48

  /// The bytes before the first frame; `start` is the position that the first frame follows.
  package static func header(identity: LogIdentity, start: LogPosition) -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 256)
    writer.write(magic)
    writer.write(version)
    writer.write(raw: [0, 0, 0])
    writer.write(start)
    writer.write(counted: identity.encoded())
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// The bytes after the last frame, whose position is `end`.
  package static func trailer(end: LogPosition) -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: endBytes)
    writer.write(endMagic)
    writer.write(end)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// A stream that is put together frame by frame, as they are encoded already.
  package struct Piece: Sendable {
    package let firstLSN: UInt64
    package let epochCounter: UInt64
    /// The position of the last frame.
    package private(set) var end: LogPosition
    private var frames: [[UInt8]] = []
    private let header: [UInt8]
    /// Of the frames so far.
    package private(set) var sizeBytes = 0

    /// `start` is the position that the first frame follows.
    package init(identity: LogIdentity, start: LogPosition, epochCounter: UInt64) {
      header = LogFrameStream.header(identity: identity, start: start)
      firstLSN = start.lsn + 1
      end = start
      self.epochCounter = epochCounter
    }

    package mutating func append(_ frame: EncodedLogFrame) {
      frames.append(frame.bytes)
      sizeBytes += frame.bytes.count
      end = frame.position
    }

    /// The whole stream.
    package func encoded() -> [UInt8] {
      let trailer = LogFrameStream.trailer(end: end)
      var bytes: [UInt8] = []
      bytes.reserveCapacity(header.count + sizeBytes + trailer.count)
      bytes += header
      for frame in frames { bytes += frame }
      bytes += trailer
      return bytes
    }
  }
}

/// Takes a stream apart as its bytes arrive, in pieces of any size, and checks every CRC and the
/// chain. Holds what is not consumed yet, at most one frame and the piece it was fed.
package struct LogFrameStreamReader: Sendable {
  /// What the stream belongs to; nil until its header has arrived.
  package private(set) var identity: LogIdentity?
  /// The position before the first frame; nil until the header has arrived.
  package private(set) var start: LogPosition?
  /// The last frame's position so far; nil until the header has arrived.
  package private(set) var position: LogPosition?
  /// True once the end of a complete stream has been read.
  package private(set) var isComplete = false

  private let place: String
  private var buffer: [UInt8] = []
  private var consumed = 0

  /// `place` names the stream in errors.
  package init(place: String) { self.place = place }

  package mutating func feed(_ bytes: some Sequence<UInt8>) {
    if consumed > 0 {
      buffer.removeSubrange(..<consumed)
      consumed = 0
    }
    buffer.append(contentsOf: bytes)
  }

  /// The next whole frame; nil if more bytes are needed or the stream is complete. Throws
  /// `.corrupt` or `.unknownVersion`, and should not be used further then.
  package mutating func next() throws -> LogFrame? {
    guard try readHeaderIfNeeded(), let position else { return nil }
    guard let magic = try peekMagic() else { return nil }
    if magic == LogFrameStream.endMagic {
      try readEnd(position)
      return nil
    }
    guard magic == LogFrame.magic else {
      throw corrupt("neither a frame nor the end follows LSN \(position.lsn)", at: place)
    }
    guard
      let length = buffer.withUnsafeBytes({
        LogFrame.lengthBytes(ofFrameBeginning: UnsafeRawBufferPointer(rebasing: $0[consumed...]))
      })
    else { return nil }
    guard length <= LogFrame.overheadBytes + LogFrame.payloadBytesMaximum else {
      throw corrupt("the frame after LSN \(position.lsn) is too long", at: place)
    }
    let place = place
    guard let frame = try take(length, { try LogFrame(decoding: $0, at: place) }) else {
      return nil
    }
    try frame.checkFollows(position, at: place)
    guard frame.epochCounter == identity?.epochCounter(at: frame.lsn) else {
      throw corrupt("LSN \(frame.lsn) is of epoch \(frame.epochCounter)", at: place)
    }
    self.position = frame.position
    return frame
  }

  /// Throws `.corrupt` unless the stream was complete and nothing follows it.
  package func expectComplete() throws {
    guard isComplete, consumed == buffer.count else {
      throw corrupt("the stream is cut short or has bytes behind its end", at: place)
    }
  }

  private mutating func readHeaderIfNeeded() throws -> Bool {
    if position != nil { return true }
    let fixed = LogFrameStream.fixedHeaderBytes
    guard buffer.count - consumed >= fixed else { return false }
    let place = place
    // Refuse what is no stream before believing the length in it.
    let identityBytes = try buffer.withUnsafeBytes { bytes in
      try decoding("log stream", at: place) {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
        try reader.expect(
          LogFrameStream.magic, version: LogFrameStream.version, "log stream", at: place)
        _ = try reader.readPosition("start")
        let count = Int(try reader.read(UInt32.self, "length of the identity"))
        guard count <= LogFrameStream.identityBytesMaximum else {
          throw reader.failure("length of the identity")
        }
        return count
      }
    }
    let header = try take(fixed + identityBytes + 4) { bytes in
      try decoding("log stream header", at: place) {
        var reader = ByteReader(bytes)
        _ = try reader.readRaw(count: 8, "magic number and version")
        let start = try reader.readPosition("start")
        let identity = try reader.readCounted("identity")
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset])
        guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(checked) else {
          throw reader.failure("CRC")
        }
        return (start, try LogIdentity(decoding: identity, at: place))
      }
    }
    guard let (start, identity) = header else { return false }
    self.start = start
    self.identity = identity
    position = start
    return true
  }

  private func peekMagic() throws -> UInt32? {
    guard !isComplete, buffer.count - consumed >= 4 else { return nil }
    return buffer.withUnsafeBytes {
      UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: consumed, as: UInt32.self))
    }
  }

  private mutating func readEnd(_ position: LogPosition) throws {
    let place = place
    let end = try take(LogFrameStream.endBytes) { bytes in
      try decoding("end of the log stream", at: place) {
        var reader = ByteReader(bytes)
        _ = try reader.read(UInt32.self, "magic number")
        let end = try reader.readPosition("end")
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset])
        guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(checked) else {
          throw reader.failure("CRC")
        }
        return end
      }
    }
    guard let end else { return }
    guard end == position else {
      throw corrupt("the stream lacks frames before its end", at: place)
    }
    isComplete = true
  }

  /// Hands the next `count` bytes to `body`; nil if they have not arrived.
  private mutating func take<Result>(
    _ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result? {
    guard buffer.count - consumed >= count else { return nil }
    let result = try buffer.withUnsafeBytes {
      try body(UnsafeRawBufferPointer(rebasing: $0[consumed..<consumed + count]))
    }
    consumed += count
    return result
  }
}
