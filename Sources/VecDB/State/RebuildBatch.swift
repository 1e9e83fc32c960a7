import VecDBBytes

/// A batch that concerns a rebuild, as the log holds it. Layout behind version and kind, all
/// little-endian, each beginning with UInt32 collection, UInt32 generation, Int64 time in
/// milliseconds since 1970:
/// - 6 begin: the plan (see `RebuildPlan.encode`)
/// - 7 swap: UInt64 the LSN before this batch, 32-byte graph digest of the new generation there
/// - 8 rollback: counted reason
/// - 9 retire: counted reason
/// - 10 exchange: nothing; instead of a generation it has the id of the other collection
package enum RebuildBatch: Sendable, Hashable {
  /// The number is the new generation's.
  case begin(RebuildPlan)
  /// The new generation takes over.
  case swap(lsn: UInt64, digest: Digest)
  /// The old generation takes over again; the new one is given up.
  case rollback(reason: String)
  /// The generation that does not serve is given up.
  case retire(reason: String)
  /// Two collections exchange their names: what the first was called stands for the second.
  case exchange

  /// Reasons are for people.
  package static let maximumReasonBytes = 4_096

  package struct Header: Sendable, Hashable {
    package var collection: UInt32
    /// The generation that the rebuild made or makes.
    package var number: UInt32
    package var timeMilliseconds: Int64

    package init(collection: UInt32, number: UInt32, timeMilliseconds: Int64) {
      self.collection = collection
      self.number = number
      self.timeMilliseconds = timeMilliseconds
    }
  }

  private var kind: BatchPayload.Kind {
    switch self {
    case .begin: .rebuildBegin
    case .swap: .rebuildSwap
    case .rollback: .rebuildRollback
    case .retire: .rebuildRetire
    case .exchange: .exchange
    }
  }

  /// The payload of the batch.
  package func encode(_ header: Header) -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 256)
    writer.write(BatchPayload.version)
    writer.write(kind.rawValue)
    writer.write(header.collection)
    writer.write(header.number)
    writer.write(header.timeMilliseconds)
    switch self {
    case .begin(let plan): plan.encode(to: &writer)
    case .swap(let lsn, let digest):
      writer.write(lsn)
      writer.write(digest)
    case .rollback(let reason), .retire(let reason): writer.write(reason)
    case .exchange: break
    }
    return writer.bytes
  }

  /// Reads what follows version and kind, to the end.
  static func decode(
    _ kind: BatchPayload.Kind, _ reader: inout ByteReader
  ) throws -> (Header, RebuildBatch) {
    let header = Header(
      collection: try reader.read("collection id"), number: try reader.read("generation"),
      timeMilliseconds: try reader.read("time"))
    let batch: RebuildBatch
    switch kind {
    case .rebuildBegin: batch = .begin(try RebuildPlan(from: &reader))
    case .rebuildSwap:
      batch = .swap(lsn: try reader.read("swap LSN"), digest: try reader.readDigest("graph digest"))
    case .rebuildRollback:
      batch = .rollback(reason: try reader.readString(maximum: maximumReasonBytes, "reason"))
    case .rebuildRetire:
      batch = .retire(reason: try reader.readString(maximum: maximumReasonBytes, "reason"))
    case .exchange: batch = .exchange
    default: throw reader.failure("kind")
    }
    try reader.expectEnd("end of batch")
    return (header, batch)
  }
}
