import VecDBBytes
import VecDBFiles

/// Runs a decoder and turns its failure into the error that callers of this module get.
func decoding<Result>(
  _ structure: String, at place: String, _ body: () throws -> Result
) throws -> Result {
  do { return try body() } catch let failure as ByteReader.Failure {
    throw corrupt("damaged \(structure): \(failure)", at: place)
  }
}

/// Bytes on disk that cannot be what we wrote.
func corrupt(_ message: String, at place: String) -> StoreError {
  StoreError(.corrupt, message, at: place, remedy: corruptionRemedy)
}

extension ByteReader {
  /// Reads a magic number, a version byte and three reserved zero bytes, as each of our formats
  /// begins.
  mutating func expect(
    _ magic: UInt32, version: UInt8, _ structure: String, at place: String
  ) throws {
    guard try read(UInt32.self, "magic number") == magic else { throw failure("magic number") }
    let found = try read(UInt8.self, "version")
    guard found == version else {
      throw StoreError(
        .unknownVersion, "\(structure) of format version \(found); this program knows \(version)",
        at: place, remedy: "Use a newer vecdb.")
    }
    for _ in 0..<3 {
      guard try read(UInt8.self, "reserved byte") == 0 else { throw failure("reserved byte") }
    }
  }

  package mutating func readUniqueID(_ field: String) throws -> UniqueID {
    UniqueID(high: try read(UInt64.self, field), low: try read(UInt64.self, field))
  }
}

extension ByteWriter {
  package mutating func write(_ id: UniqueID) {
    write(id.high)
    write(id.low)
  }
}

extension ByteReader {
  package mutating func readPosition(_ field: String) throws -> LogPosition {
    LogPosition(lsn: try read(UInt64.self, field), chain: try readDigest(field))
  }
}

extension ByteWriter {
  package mutating func write(_ position: LogPosition) {
    write(position.lsn)
    write(position.chain)
  }
}
