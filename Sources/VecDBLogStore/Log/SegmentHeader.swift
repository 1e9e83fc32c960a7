import VecDBBytes
import VecDBFiles

/// What a segment says about itself, in its table `header`. Bytes:
///
///     offset  size  field
///          0     4  "VDBG"
///          4     1  version 1
///          5     3  zero
///          8     1  1 if sealed, else 0
///          9     8  start: LSN before the segment's first
///         17    32  chain at the start
///         49     8  covered: LSN up to which the main file holds everything
///         57    32  chain there
///         89     4  n, length of the identity
///         93     n  identity (LogIdentity)
///       93+n     4  CRC-32C of all before
struct SegmentHeader: Equatable {
  private static let magic: UInt32 = 0x4742_4456  // "VDBG"
  private static let version: UInt8 = 1

  var identity: LogIdentity
  /// The end of the segment before: this segment's first LSN is one more.
  var start: LogPosition
  /// Written before every checkpoint, so that the main file cannot lose rows unnoticed; the
  /// segment's end once it is sealed.
  var covered: LogPosition
  /// A sealed segment never changes again.
  var isSealed = false

  func encoded() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 256)
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(raw: [0, 0, 0])
    writer.write(UInt8(isSealed ? 1 : 0))
    writer.write(start)
    writer.write(covered)
    writer.write(counted: identity.encoded())
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  init(identity: LogIdentity, start: LogPosition) {
    self.identity = identity
    self.start = start
    covered = start
  }

  init(decoding bytes: UnsafeRawBufferPointer, at place: String) throws {
    let decoded = try decoding("segment header", at: place) {
      var reader = ByteReader(bytes)
      try reader.expect(Self.magic, version: Self.version, "segment header", at: place)
      let sealed = try reader.read(UInt8.self, "seal")
      guard sealed <= 1 else { throw reader.failure("seal") }
      let start = try reader.readPosition("start")
      let covered = try reader.readPosition("covered end")
      let identity = try reader.readCounted("identity")
      let checked = UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset])
      guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(checked) else {
        throw reader.failure("CRC")
      }
      try reader.expectEnd("end of the segment header")
      return (sealed == 1, start, covered, try LogIdentity(decoding: identity, at: place))
    }
    (isSealed, start, covered, identity) = decoded
  }
}
