import VecDBBytes

/// One message on a connection, as it stands in the stream of bytes:
///
///     offset  size  field
///          0     4  "VDBW"
///          4     1  major version 1: another one is refused
///          5     1  minor version of the sender: any is accepted
///          6     1  kind of message
///          7     1  flags: bit 0 set if a receiver that does not know the kind may skip it
///          8     8  sequence: 0, 1, 2 … in each direction of a connection
///         16     4  n, length of the payload
///         20     4  CRC-32C of bytes 0 ..< 20
///         24     n  payload
///       24+n     4  CRC-32C of bytes 0 ..< 24 + n
///
/// The CRC of the header is checked before its length is believed.
package struct WireFrame: Sendable, Hashable {
  static let magic: UInt32 = 0x5742_4456  // "VDBW"
  package static let majorVersion: UInt8 = 1
  package static let minorVersion: UInt8 = 0
  static let skippableFlag: UInt8 = 1
  static let headerBytes = 24
  package static let overheadBytes = headerBytes + 4

  package var minorVersion: UInt8
  package var kind: UInt8
  package var isSkippable: Bool
  package var sequence: UInt64
  package var payload: [UInt8]

  package init(
    kind: UInt8, sequence: UInt64, payload: [UInt8], isSkippable: Bool = false,
    minorVersion: UInt8 = WireFrame.minorVersion
  ) {
    self.minorVersion = minorVersion
    self.kind = kind
    self.isSkippable = isSkippable
    self.sequence = sequence
    self.payload = payload
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: Self.overheadBytes + payload.count)
    writer.write(Self.magic)
    writer.write(Self.majorVersion)
    writer.write(minorVersion)
    writer.write(kind)
    writer.write(isSkippable ? Self.skippableFlag : 0)
    writer.write(sequence)
    writer.write(UInt32(payload.count))
    let headerChecksum = CRC32C.checksum(writer.bytes)
    writer.write(headerChecksum)
    payload.withUnsafeBytes { writer.write(raw: $0) }
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }
}

/// Why a connection cannot go on.
package struct WireError: Error, Sendable, Hashable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) { self.description = description }
}

/// Takes the bytes of a connection apart, in pieces of any size. Holds at most one frame and the
/// piece that it was fed; throws on the first byte that does not belong.
package struct WireFrameReader: Sendable {
  /// The longest payload that is accepted: small before the peer is known, so that a stranger
  /// cannot make this side keep much.
  package var payloadBytesMaximum: Int
  private var buffer: [UInt8] = []
  private var consumed = 0
  private var nextSequence: UInt64 = 0

  package init(payloadBytesMaximum: Int) { self.payloadBytesMaximum = payloadBytesMaximum }

  /// True if the bytes so far end between two frames.
  package var isBetweenFrames: Bool { consumed == buffer.count }

  package mutating func feed(_ bytes: some Sequence<UInt8>) {
    if consumed > 0 {
      buffer.removeSubrange(..<consumed)
      consumed = 0
    }
    buffer.append(contentsOf: bytes)
  }

  /// The next whole frame; nil if more bytes are needed.
  package mutating func next() throws -> WireFrame? {
    let available = buffer.count - consumed
    guard available >= WireFrame.headerBytes else {
      try checkBeginning(available)
      return nil
    }
    let (frame, length) = try buffer.withUnsafeBytes { bytes -> (WireFrame, Int) in
      let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
      var reader = ByteReader(rest)
      do {
        guard try reader.read(UInt32.self, "magic") == WireFrame.magic else {
          throw stranger(rest)
        }
        let major = try reader.read(UInt8.self, "major version")
        guard major == WireFrame.majorVersion else {
          throw WireError("the peer speaks protocol version \(major), this side version 1")
        }
        let minor = try reader.read(UInt8.self, "minor version")
        let kind = try reader.read(UInt8.self, "kind")
        let flags = try reader.read(UInt8.self, "flags")
        let sequence = try reader.read(UInt64.self, "sequence")
        let length = Int(try reader.read(UInt32.self, "length"))
        let header = UnsafeRawBufferPointer(rebasing: rest[..<20])
        guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(header) else {
          throw WireError("the header of a frame does not match its CRC")
        }
        guard length <= payloadBytesMaximum else {
          throw WireError("a frame of \(length) bytes; the limit is \(payloadBytesMaximum)")
        }
        guard sequence == nextSequence else {
          throw WireError("frame \(sequence) came instead of frame \(nextSequence)")
        }
        return (
          WireFrame(
            kind: kind, sequence: sequence, payload: [],
            isSkippable: flags & WireFrame.skippableFlag != 0, minorVersion: minor), length
        )
      } catch let failure as ByteReader.Failure { throw WireError("\(failure)") }
    }
    guard available >= WireFrame.overheadBytes + length else { return nil }
    return try take(frame, length)
  }

  private mutating func take(_ header: WireFrame, _ length: Int) throws -> WireFrame {
    let start = consumed
    let end = start + WireFrame.headerBytes + length
    var frame = header
    try buffer.withUnsafeBytes { bytes in
      let stored = UInt32(
        littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt32.self))
      guard stored == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) else {
        throw WireError("a frame does not match its CRC")
      }
      frame.payload = Array(bytes[(start + WireFrame.headerBytes)..<end])
    }
    consumed = end + 4
    nextSequence += 1
    return frame
  }

  /// Refuses garbage as soon as its first bytes are there.
  private func checkBeginning(_ available: Int) throws {
    let magic = withUnsafeBytes(of: WireFrame.magic.littleEndian) { Array($0) }
    let count = min(available, 4)
    guard buffer[consumed..<consumed + count].elementsEqual(magic[..<count]) else {
      throw buffer.withUnsafeBytes {
        stranger(UnsafeRawBufferPointer(rebasing: $0[consumed...]))
      }
    }
  }

  private func stranger(_ bytes: UnsafeRawBufferPointer) -> WireError {
    // A handshake or an alert of TLS, of whatever version.
    guard let first = bytes.first, [0x15, 0x16].contains(first), bytes.count < 2 || bytes[1] == 3
    else { return WireError("these are not the bytes of a vecdb replication connection") }
    return WireError("the peer speaks TLS, and this side does not")
  }
}
