import Bytes
import Files
import LogStore

/// What a node has bound itself to, in the file `node` of the database's directory: whether it
/// writes or follows, and the highest epoch that it has heard of or promised itself to. A missing
/// file stands for a node that writes and has heard of nothing.
///
///     offset  size  field
///          0     4  "VDBN"
///          4     1  version 1
///          5     3  zero
///          8     1  1 if the node follows another one, else 0
///          9     8  counter of the highest epoch
///         17    16  its id
///         33     4  CRC-32C of all before
package struct NodeRecord: Sendable, Hashable {
  private static let magic: UInt32 = 0x4e42_4456  // "VDBN"
  private static let version: UInt8 = 1

  package var isFollower = false
  package var epochCounter: UInt64 = 0
  package var epochID = UniqueID.zero

  package init() {}

  package func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(raw: [0, 0, 0])
    writer.write(UInt8(isFollower ? 1 : 0))
    writer.write(epochCounter)
    writer.write(epochID)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// Whether this record knows a higher epoch.
  func isAbove(_ other: NodeRecord) -> Bool {
    (epochCounter, epochID.high, epochID.low)
      > (other.epochCounter, other.epochID.high, other.epochID.low)
  }

  package static func path(in directory: String) -> String { directory + "/node" }

  /// Throws `.corrupt` or `.unknownVersion`.
  package static func read(in directory: String, _ files: any FileSystem) throws -> NodeRecord {
    let path = path(in: directory)
    guard try files.exists(path) else { return NodeRecord() }
    let bytes = try files.readAll(path, maximumBytes: 4_096)
    return try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      do {
        guard try reader.read(UInt32.self, "magic number") == magic else {
          throw reader.failure("magic number")
        }
        let version = try reader.read(UInt8.self, "version")
        guard version == Self.version else {
          throw StoreError(
            .unknownVersion, "the node's record has format version \(version)", at: path,
            remedy: "Use a newer vecdb.")
        }
        _ = try reader.readRaw(count: 3, "reserved bytes")
        var record = NodeRecord()
        record.isFollower = try reader.read(UInt8.self, "role") == 1
        record.epochCounter = try reader.read("epoch counter")
        record.epochID = try reader.readUniqueID("epoch id")
        let checked = UnsafeRawBufferPointer(rebasing: buffer[..<reader.offset])
        guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(checked) else {
          throw reader.failure("CRC")
        }
        try reader.expectEnd("end of the node's record")
        return record
      } catch let failure as ByteReader.Failure {
        throw StoreError(
          .corrupt, "the node's record cannot be read: \(failure)", at: path,
          remedy: "Find out which copy is the primary; then remove the file on that one alone.")
      }
    }
  }

  /// Durable on return.
  package func write(in directory: String, _ files: any FileSystem) throws {
    try files.writeAtomically(encoded(), to: Self.path(in: directory))
  }

  /// Why clients may not write to a database of this epoch; nil if they may.
  func refusal(epoch: Epoch, path: String) -> VecDBError? {
    if isFollower {
      return VecDBError(
        .readOnly, "this copy follows a primary", at: path,
        remedy: "Write to the primary, or make this one the primary with `vecdb promote`.")
    }
    let isStale =
      (epoch.counter, epoch.id.high, epoch.id.low)
      < (epochCounter, epochID.high, epochID.low)
    guard isStale else { return nil }
    return VecDBError(
      .readOnly,
      "another copy has become the primary: epoch \(epochCounter) is known, this is "
        + "epoch \(epoch.counter)", at: path,
      remedy: "Let it follow the new primary with `vecdb rejoin`.")
  }
}
