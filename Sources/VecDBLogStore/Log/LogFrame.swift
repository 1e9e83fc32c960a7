import VecDBBytes
import VecDBFiles

/// A place in a history. Two logs with equal positions hold the same history up to there.
package struct LogPosition: Hashable, Sendable, CustomStringConvertible {
  /// The empty history.
  package static let zero = LogPosition(lsn: 0, chain: .zero)

  /// The number of batches so far, and so the number of the last one; 0 if there is none.
  package var lsn: UInt64
  /// Running SHA-256 over everything up to here.
  package var chain: Digest

  package init(lsn: UInt64, chain: Digest) {
    self.lsn = lsn
    self.chain = chain
  }

  package var description: String { "LSN \(lsn), chain \(chain.hex.prefix(16))…" }
}

/// One batch as it stands in the log, in archives and on the network, always in these bytes:
///
///     offset  size  field
///          0     4  "VDBF"
///          4     1  version 1
///          5     3  zero
///          8     8  LSN
///         16     8  counter of the epoch that wrote it
///         24     8  time, milliseconds since 1970 (signed)
///         32     4  n, the payload's length
///         36     n  payload
///       36+n    32  chain = SHA-256(chain of LSN - 1, bytes 0 ..< 36 + n)
///       68+n     4  CRC-32C of bytes 0 ..< 68 + n
///
/// The CRC finds damage in one frame alone; the chain also proves which history it belongs to.
package struct LogFrame: Hashable, Sendable {
  /// 16 MiB, the largest batch, and room for what resolving it adds.
  package static let payloadBytesMaximum = 17 << 20
  static let magic: UInt32 = 0x4642_4456  // "VDBF"
  static let version: UInt8 = 1
  static let headerBytes = 36
  static let trailerBytes = Digest.sizeBytes + 4
  /// A frame has this many bytes more than its payload.
  package static let overheadBytes = headerBytes + trailerBytes

  package var lsn: UInt64
  package var epochCounter: UInt64
  package var timeMilliseconds: Int64
  package var payload: [UInt8]
  /// The chain after this frame.
  package var chain: Digest

  package var position: LogPosition { LogPosition(lsn: lsn, chain: chain) }

  /// Makes the frame that follows `previous`, computing its chain. Cost: one SHA-256 of the
  /// payload.
  package init(
    after previous: LogPosition, epochCounter: UInt64, timeMilliseconds: Int64, payload: [UInt8]
  ) {
    lsn = previous.lsn + 1
    self.epochCounter = epochCounter
    self.timeMilliseconds = timeMilliseconds
    self.payload = payload
    chain = .zero
    chain = Self.chain(after: previous.chain, header: header, payload: payload)
  }

  private var header: [UInt8] {
    var writer = ByteWriter(reservingCapacity: Self.headerBytes)
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(raw: [0, 0, 0])
    writer.write(lsn)
    writer.write(epochCounter)
    writer.write(timeMilliseconds)
    writer.write(UInt32(payload.count))
    return writer.bytes
  }

  private static func chain(after previous: Digest, header: [UInt8], payload: [UInt8]) -> Digest {
    var hash = SHA256()
    hash.update(previous)
    hash.update(header)
    hash.update(payload)
    return hash.finalize()
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: Self.overheadBytes + payload.count)
    writer.write(raw: header)
    payload.withUnsafeBytes { writer.write(raw: $0) }
    writer.write(chain)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// Reads a whole frame and checks its CRC, but not its chain, for which the one before is needed.
  /// Throws `StoreError` that names `place`.
  package init(decoding bytes: UnsafeRawBufferPointer, at place: String) throws {
    let fields = try Fields(of: bytes, at: place)
    self.init(
      lsn: fields.position.lsn, epochCounter: fields.epochCounter,
      timeMilliseconds: fields.timeMilliseconds, payload: Array(fields.payload),
      chain: fields.position.chain)
  }

  /// What `init(decoding:at:)` reads, its payload left where it is.
  struct Fields {
    var position: LogPosition
    var epochCounter: UInt64
    var timeMilliseconds: Int64
    /// A part of the bytes that were read.
    var payload: UnsafeRawBufferPointer

    init(of bytes: UnsafeRawBufferPointer, at place: String) throws {
      self = try decoding("log frame", at: place) {
        var reader = ByteReader(bytes)
        try reader.expect(LogFrame.magic, version: LogFrame.version, "log frame", at: place)
        let lsn = try reader.read(UInt64.self, "LSN")
        let epochCounter = try reader.read(UInt64.self, "epoch")
        let timeMilliseconds = try reader.read(Int64.self, "time")
        let payload = try reader.readCounted(maximum: LogFrame.payloadBytesMaximum, "payload")
        let chain = try reader.readDigest("chain")
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset])
        guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(checked) else {
          throw corrupt("the CRC of log frame \(lsn) does not match its bytes", at: place)
        }
        try reader.expectEnd("end of the log frame")
        return Fields(
          position: LogPosition(lsn: lsn, chain: chain), epochCounter: epochCounter,
          timeMilliseconds: timeMilliseconds, payload: payload)
      }
    }

    private init(
      position: LogPosition, epochCounter: UInt64, timeMilliseconds: Int64,
      payload: UnsafeRawBufferPointer
    ) {
      self.position = position
      self.epochCounter = epochCounter
      self.timeMilliseconds = timeMilliseconds
      self.payload = payload
    }
  }

  init(
    lsn: UInt64, epochCounter: UInt64, timeMilliseconds: Int64, payload: [UInt8], chain: Digest
  ) {
    self.lsn = lsn
    self.epochCounter = epochCounter
    self.timeMilliseconds = timeMilliseconds
    self.payload = payload
    self.chain = chain
  }

  /// The length of the frame that begins with these bytes; nil if there are too few to say.
  static func lengthBytes(ofFrameBeginning bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.count >= headerBytes else { return nil }
    let payload = bytes.loadUnaligned(fromByteOffset: headerBytes - 4, as: UInt32.self)
    return overheadBytes + Int(UInt32(littleEndian: payload))
  }

  /// Throws `.corrupt` unless this frame continues the history that ends at `previous`.
  package func checkFollows(_ previous: LogPosition, at place: String) throws {
    try position.checkFollows(previous, at: place) {
      Self.chain(after: previous.chain, header: header, payload: payload)
    }
  }
}

extension LogPosition {
  /// `expected` gives the chain that must stand here if the number is right.
  func checkFollows(
    _ previous: LogPosition, at place: String, expected: () -> Digest
  ) throws {
    guard lsn == previous.lsn + 1 else {
      throw corrupt("LSN \(lsn) is where \(previous.lsn + 1) should be", at: place)
    }
    let expected = expected()
    guard chain == expected else {
      throw corrupt("LSN \(lsn) does not continue the history before it", at: place)
    }
  }
}
