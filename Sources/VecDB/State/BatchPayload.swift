import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore

/// One batch as the log holds it: all that `apply` needs, resolved.
///
/// Layout, little-endian: UInt8 version (1; 2 for a write that reuses slots), UInt8 kind, then by kind
/// - 1 create: UInt32 collection id, counted name, UInt32 dimensions, UInt8 metric, UInt32 M,
///   UInt32 efConstruction, UInt64 seed
/// - 2 drop: UInt32 collection id
/// - 3 write: UInt32 collection id, UInt32 first new slot, UInt32 deaths, UInt32 births, UInt32
///   dimensions; in version 2 UInt32 reused; deaths × UInt32 slot; in version 2 reused × UInt32 slot,
///   those of the first births; births × (counted key, counted canonical metadata, Int64 expiry,
///   32-byte record hash); zeros up to a multiple of 4; births × dimensions × float32
/// - 4 mark: UInt8 1 set or 0 removed, counted name, Int64 time in milliseconds since 1970
/// - 5 maintenance: UInt32 collection id, UInt8 step, UInt32 first slot, UInt32 end; step 1 repairs the
///   links of these slots, step 2 (0, 0) frees dead slots that nothing leads to
/// - 6 to 10, rebuilds: see `RebuildBatch`
/// - 11 acknowledgement: counted policy, in the form of the replication protocol
package enum BatchPayload {
  static let version: UInt8 = 1
  /// Of a write that gives free slots to records.
  static let reusingVersion: UInt8 = 2

  enum Kind: UInt8 {
    case createCollection = 1
    case dropCollection = 2
    case write = 3
    case mark = 4
    case maintenance = 5
    case rebuildBegin = 6
    case rebuildSwap = 7
    case rebuildRollback = 8
    case rebuildRetire = 9
    case exchange = 10
    case acknowledgement = 11
  }
}

/// Everything that defines a collection; logged when it is created and kept in the catalog.
package struct CollectionDefinition: Sendable, Hashable {
  package var id: UInt32
  package var name: String
  package var dimensions: Int
  package var metric: Metric
  package var options: IndexOptions
  /// Decides the levels of nodes.
  package var seed: UInt64

  func encode(to writer: inout ByteWriter) {
    writer.write(id)
    writer.write(name)
    writer.write(UInt32(dimensions))
    writer.write(metric.code)
    options.encode(to: &writer)
    writer.write(seed)
  }

  package init(
    id: UInt32, name: String, dimensions: Int, metric: Metric, options: IndexOptions, seed: UInt64
  ) {
    self.id = id
    self.name = name
    self.dimensions = dimensions
    self.metric = metric
    self.options = options
    self.seed = seed
  }

  init(from reader: inout ByteReader) throws {
    id = try reader.read("collection id")
    name = try reader.readString(
      maximum: DatabaseLimits.maximumStoredNameBytes, "collection name")
    dimensions = Int(try reader.read(UInt32.self, "dimensions"))
    guard let metric = Metric(code: try reader.read("metric")) else {
      throw reader.failure("metric")
    }
    self.metric = metric
    options = try IndexOptions(from: &reader)
    seed = try reader.read("seed")
    guard (1...DatabaseLimits.maximumDimensions).contains(dimensions) else {
      throw reader.failure("dimensions")
    }
  }
}

extension Metric {
  /// The metric's number in the formats.
  var code: UInt8 {
    switch self {
    case .l2: 1
    case .cosine: 2
    case .dot: 3
    case .hamming: 4
    }
  }

  init?(code: UInt8) {
    switch code {
    case 1: self = .l2
    case 2: self = .cosine
    case 3: self = .dot
    case 4: self = .hamming
    default: return nil
    }
  }
}

/// A record ready to be written: validated, encoded and hashed on the caller's thread.
package struct PreparedRecord: Sendable {
  package var key: String
  /// The key in UTF-8.
  package var keyBytes: [UInt8]
  package var vector: [Float]
  package var metadata: [UInt8]
  package var expiryMilliseconds: Int64
  package var hash: Digest
  /// What must hold of the record that it finds under its key. Not part of what is written.
  var condition = WriteCondition.policy(.overwrite)

  package init(
    key: String, vector: [Float], metadata: [UInt8], expiryMilliseconds: Int64 = 0
  ) {
    let keyBytes = Array(key.utf8)
    self.key = key
    self.keyBytes = keyBytes
    self.vector = vector
    self.metadata = metadata
    self.expiryMilliseconds = expiryMilliseconds
    hash = vector.withUnsafeBytes {
      recordHash(
        key: keyBytes, metadata: metadata, expiryMilliseconds: expiryMilliseconds, vector: $0)
    }
  }

  /// Bytes in a batch at most: with two lengths, expiry and hash, the slot that it takes, and that of
  /// the record that it replaces.
  var sizeBytes: Int { keyBytes.count + metadata.count + vector.count * 4 + 56 }
}

/// What identifies a record's content: SHA-256 over the counted key, the counted canonical
/// metadata, the expiry and the vector's bits. The data digest is built from these.
func recordHash(
  key: [UInt8], metadata: [UInt8], expiryMilliseconds: Int64, vector: UnsafeRawBufferPointer
) -> Digest {
  var writer = ByteWriter(reservingCapacity: key.count + metadata.count + 16)
  writer.write(counted: key)
  writer.write(counted: metadata)
  writer.write(expiryMilliseconds)
  var hasher = SHA256()
  hasher.update(writer.bytes)
  hasher.update(vector)
  return hasher.finalize()
}

extension BatchPayload {
  package static func encodeCreate(_ definition: CollectionDefinition) -> [UInt8] {
    var writer = header(.createCollection)
    definition.encode(to: &writer)
    return writer.bytes
  }

  package static func encodeDrop(collection: UInt32) -> [UInt8] {
    var writer = header(.dropCollection)
    writer.write(collection)
    return writer.bytes
  }

  package static func encodeMark(name: String, isSet: Bool, timeMilliseconds: Int64) -> [UInt8] {
    var writer = header(.mark)
    writer.write(UInt8(isSet ? 1 : 0))
    writer.write(name)
    writer.write(timeMilliseconds)
    return writer.bytes
  }

  package static func encodeAcknowledgement(_ policy: [UInt8]) -> [UInt8] {
    var writer = header(.acknowledgement)
    writer.write(counted: policy)
    return writer.bytes
  }

  package static func encodeWrite(
    collection: UInt32, dimensions: Int, firstSlot: UInt32, deaths: [UInt32],
    births: [PreparedRecord], reusing reused: [UInt32] = []
  ) -> [UInt8] {
    let size = births.reduce(64 + (deaths.count + reused.count) * 4) { $0 + $1.sizeBytes }
    var writer = header(
      .write, version: reused.isEmpty ? version : reusingVersion, capacity: size)
    writer.write(collection)
    writer.write(firstSlot)
    writer.write(UInt32(deaths.count))
    writer.write(UInt32(births.count))
    writer.write(UInt32(dimensions))
    if !reused.isEmpty { writer.write(UInt32(reused.count)) }
    for slot in deaths { writer.write(slot) }
    for slot in reused { writer.write(slot) }
    for birth in births {
      writer.write(counted: birth.keyBytes)
      writer.write(counted: birth.metadata)
      writer.write(birth.expiryMilliseconds)
      writer.write(birth.hash)
    }
    while writer.count % 4 != 0 { writer.write(UInt8(0)) }
    for birth in births { birth.vector.withUnsafeBytes { writer.write(raw: $0) } }
    return writer.bytes
  }

  package static func encodeMaintenance(
    collection: UInt32, _ step: IndexGeneration.MaintenanceStep
  ) -> [UInt8] {
    var writer = header(.maintenance)
    writer.write(collection)
    switch step {
    case .repair(let slots):
      writer.write(UInt8(1))
      writer.write(UInt32(slots.lowerBound))
      writer.write(UInt32(slots.upperBound))
    case .collect:
      writer.write(UInt8(2))
      writer.write(UInt32(0))
      writer.write(UInt32(0))
    }
    return writer.bytes
  }

  /// Makes sure, before a batch is logged, that whoever replays the log can read it: decodes it by the
  /// code that does.
  ///
  /// - Throws: `limitExceeded`, `invalidArgument`.
  package static func requireReplayable(_ payload: [UInt8], lsn: UInt64) throws {
    guard payload.count <= LogFrame.payloadBytesMaximum else {
      throw VecDBError(
        .limitExceeded,
        "the batch has \(payload.count) bytes; the limit is \(LogFrame.payloadBytesMaximum)",
        remedy: "Write or delete fewer records at once.")
    }
    do { try DecodedBatch.with(payload, lsn: lsn) { _ in } } catch let error as StoreError {
      throw VecDBError(
        .invalidArgument, "vecdb could not replay this batch: \(error.message)",
        remedy: "Change the value that is beyond its limit. vecdb changed nothing.")
    }
  }

  /// Whether a batch frees what died before it. The step of maintenance stands behind version, kind
  /// and collection.
  static func frees(_ payload: [UInt8]) -> Bool {
    payload.count > 6 && payload[1] == Kind.maintenance.rawValue && payload[6] == 2
  }

  private static func header(
    _ kind: Kind, version: UInt8 = BatchPayload.version, capacity: Int = 64
  ) -> ByteWriter {
    var writer = ByteWriter(reservingCapacity: capacity)
    writer.write(version)
    writer.write(kind.rawValue)
    return writer
  }
}
