import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What a node has bound itself to, in the file `node` of the database's directory: whether it
/// writes or follows, the highest epoch that it knows, and those that it has promised itself to. A
/// missing file stands for a node that writes and has heard of nothing.
///
///     offset  size  field
///          0     4  "VDBN"
///          4     1  version 2
///          5     3  zero
///          8     1  bit 0: the node follows another one; bit 1: it goes on writing if the
///                   candidates that it promised itself to give up
///          9     8  counter of the highest epoch that is known to have begun
///         17    16  its id
///         33    16  the node's own id
///         49     4  n, the number of epochs that were promised
///         53  24*n  counter and id of each
///     53+24*n     4  m, the number of epochs that the node wanted to begin and gave up
///             24*m  counter and id of each
///                4  CRC-32C of all before
///
/// Version 1 ends after the id of the epoch, with the CRC.
package struct NodeRecord: Sendable, Hashable {
  /// An epoch's counter and id.
  package struct EpochKey: Sendable, Hashable {
    package var counter: UInt64
    package var id: UniqueID

    package init(counter: UInt64, id: UniqueID) {
      self.counter = counter
      self.id = id
    }

    func isAbove(_ other: EpochKey) -> Bool {
      (counter, id.high, id.low) > (other.counter, other.id.high, other.id.low)
    }
  }

  private static let magic: UInt32 = 0x4e42_4456  // "VDBN"
  private static let version: UInt8 = 2
  private static let promisesMaximum = 64

  package var isFollower = false
  /// It wrote when it promised itself to a candidate, and writes again if that gives up.
  package var resumes = false
  package var known = EpochKey(counter: 0, id: .zero)
  package var promised: [EpochKey] = []
  package var givenUp: [EpochKey] = []
  /// Who this node is, whatever it is called; zero if it was never a node.
  package var nodeID = UniqueID.zero

  package init() {}

  package func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(raw: [0, 0, 0])
    writer.write(UInt8((isFollower ? 1 : 0) | (resumes ? 2 : 0)))
    writer.write(known.counter)
    writer.write(known.id)
    writer.write(nodeID)
    for epochs in [promised, givenUp] {
      writer.write(UInt32(epochs.count))
      for epoch in epochs {
        writer.write(epoch.counter)
        writer.write(epoch.id)
      }
    }
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// The lowest epoch that the node accepts.
  private var floor: EpochKey { promised.reduce(known) { $1.isAbove($0) ? $1 : $0 } }

  package static func path(in directory: String) -> String { directory + "/node" }

  /// Throws `.corrupt` or `.unknownVersion`.
  package static func read(in directory: String, _ files: any FileSystem) throws -> NodeRecord {
    let path = path(in: directory)
    guard try files.exists(path) else { return NodeRecord() }
    let bytes = try files.readAll(path, maximumBytes: 4_096)
    return try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      do { return try NodeRecord(from: &reader, buffer, path) } catch let failure
        as ByteReader.Failure
      {
        throw StoreError(
          .corrupt, "the node's record cannot be read: \(failure)", at: path,
          remedy: "Find out which copy is the primary, and remove this file only there.")
      }
    }
  }

  private init(
    from reader: inout ByteReader, _ buffer: UnsafeRawBufferPointer, _ path: String
  ) throws {
    guard try reader.read(UInt32.self, "magic number") == Self.magic else {
      throw reader.failure("magic number")
    }
    let version = try reader.read(UInt8.self, "version")
    guard (1...Self.version).contains(version) else {
      throw StoreError(
        .unknownVersion, "the node's record has format version \(version)", at: path,
        remedy: "Use a newer vecdb.")
    }
    _ = try reader.readRaw(count: 3, "reserved bytes")
    let flags = try reader.read(UInt8.self, "flags")
    isFollower = flags & 1 != 0
    resumes = flags & 2 != 0
    known.counter = try reader.read("epoch counter")
    known.id = try reader.readUniqueID("epoch id")
    if version > 1 {
      nodeID = try reader.readUniqueID("node id")
      promised = try Self.readEpochs(&reader, "promises")
      givenUp = try Self.readEpochs(&reader, "epochs given up")
    }
    let checked = UnsafeRawBufferPointer(rebasing: buffer[..<reader.offset])
    guard try reader.read(UInt32.self, "CRC") == CRC32C.checksum(checked) else {
      throw reader.failure("CRC")
    }
    try reader.expectEnd("end of the node's record")
  }

  private static func readEpochs(
    _ reader: inout ByteReader, _ what: String
  ) throws -> [EpochKey] {
    let count = Int(try reader.read(UInt32.self, what))
    guard count <= promisesMaximum else { throw reader.failure(what) }
    return try (0..<count).map { _ in
      EpochKey(counter: try reader.read(what), id: try reader.readUniqueID(what))
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
    guard floor.isAbove(EpochKey(counter: epoch.counter, id: epoch.id)) else { return nil }
    return VecDBError(
      .readOnly,
      "another copy has become the primary, or is about to: epoch \(floor.counter) is known, this "
        + "is epoch \(epoch.counter)", at: path,
      remedy: "Let this copy follow the new primary with `vecdb rejoin`.")
  }
}
