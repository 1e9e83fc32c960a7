import VecDBBytes
import VecDBFiles

/// A frame in the bytes in which it stands everywhere, for those that pass it on: its payload is
/// not taken out, nor its CRC computed again. CRC and form were checked.
package struct EncodedLogFrame: Sendable {
  package let position: LogPosition
  package let epochCounter: UInt64
  package let timeMilliseconds: Int64
  package let bytes: [UInt8]

  package var lsn: UInt64 { position.lsn }
  package var decoded: LogFrame {
    LogFrame(
      lsn: lsn, epochCounter: epochCounter, timeMilliseconds: timeMilliseconds,
      payload: Array(bytes[LogFrame.headerBytes..<bytes.count - LogFrame.trailerBytes]),
      chain: position.chain)
  }

  /// Throws as `LogFrame(decoding:at:)`.
  package init(_ bytes: [UInt8], at place: String) throws {
    (position, epochCounter, timeMilliseconds) = try bytes.withUnsafeBytes { bytes in
      let fields = try LogFrame.Fields(of: bytes, at: place)
      return (fields.position, fields.epochCounter, fields.timeMilliseconds)
    }
    self.bytes = bytes
  }

  /// Throws as `LogFrame.checkFollows(_:at:)`.
  package func checkFollows(_ previous: LogPosition, at place: String) throws {
    try position.checkFollows(previous, at: place) {
      bytes.withUnsafeBytes { bytes in
        var hash = SHA256()
        hash.update(previous.chain)
        hash.update(UnsafeRawBufferPointer(rebasing: bytes.dropLast(LogFrame.trailerBytes)))
        return hash.finalize()
      }
    }
  }
}
