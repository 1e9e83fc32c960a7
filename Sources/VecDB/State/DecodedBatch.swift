import VecDBBytes
import VecDBFiles
import VecDBIndex

/// A batch read back from its payload. Vectors, keys and metadata point into the payload and
/// are valid only inside the closure that receives the batch.
package enum DecodedBatch {
  case create(CollectionDefinition)
  case drop(collection: UInt32)
  case write(WriteBatch)
  case mark(name: String, isSet: Bool, timeMilliseconds: Int64)
  case maintenance(collection: UInt32, IndexGeneration.MaintenanceStep)
  case rebuild(RebuildBatch.Header, RebuildBatch)
  case acknowledgement([UInt8])

  /// The collection that it concerns; nil if it concerns none or all.
  var collectionID: UInt32? {
    switch self {
    case .create(let definition): definition.id
    case .drop(let collection): collection
    case .write(let write): write.collection
    case .rebuild(let header, _): header.collection
    case .maintenance(let collection, _): collection
    case .mark, .acknowledgement: nil
    }
  }

  package struct WriteBatch {
    package var collection: UInt32
    package var dimensions: Int
    package var firstSlot: UInt32
    package var deaths: [UInt32]
    package var births: [DecodedBirth]
    /// Slots that the first births take; the others take consecutive ones from `firstSlot` on.
    package var reused: [UInt32]

    /// The slot of a birth.
    func slot(_ index: Int) -> UInt32 {
      index < reused.count ? reused[index] : firstSlot + UInt32(index - reused.count)
    }
  }

  package struct DecodedBirth {
    package var key: UnsafeRawBufferPointer
    package var metadata: UnsafeRawBufferPointer
    package var expiryMilliseconds: Int64
    package var hash: Digest
    package var vector: UnsafeBufferPointer<Float>
  }

  /// Decodes `payload` and hands it to `body`. Throws `.corrupt` or `.unknownVersion`, naming the
  /// LSN.
  package static func with<Result>(
    _ payload: [UInt8], lsn: UInt64, _ body: (DecodedBatch) throws -> Result
  ) throws -> Result {
    try payload.withUnsafeBytes { bytes in
      let batch: DecodedBatch
      do {
        batch = try decode(bytes, lsn: lsn)
      } catch let failure as ByteReader.Failure {
        throw StoreError(
          .corrupt, "the batch cannot be read: \(failure)", at: "LSN \(lsn)",
          remedy: "Restore the database from a backup.")
      }
      return try body(batch)
    }
  }

  private static func decode(_ bytes: UnsafeRawBufferPointer, lsn: UInt64) throws -> DecodedBatch {
    var reader = ByteReader(bytes)
    let version: UInt8 = try reader.read("version")
    guard (BatchPayload.version...BatchPayload.reusingVersion).contains(version) else {
      throw StoreError(
        .unknownVersion, "the batch has format version \(version); this program knows 1 and 2",
        at: "LSN \(lsn)", remedy: "Open the database with a newer vecdb.")
    }
    let isReusing = version == BatchPayload.reusingVersion
    guard let kind = BatchPayload.Kind(rawValue: try reader.read("kind")),
      !isReusing || kind == .write
    else { throw reader.failure("kind") }
    switch kind {
    case .createCollection:
      let definition = try CollectionDefinition(from: &reader)
      try reader.expectEnd("end of batch")
      return .create(definition)
    case .dropCollection:
      let collection: UInt32 = try reader.read("collection id")
      try reader.expectEnd("end of batch")
      return .drop(collection: collection)
    case .write:
      return .write(try decodeWrite(&reader, isReusing: isReusing))
    case .acknowledgement:
      let policy = Array(try reader.readCounted(maximum: 1 << 16, "acknowledgement policy"))
      try reader.expectEnd("end of batch")
      return .acknowledgement(policy)
    case .mark:
      let isSet: UInt8 = try reader.read("whether the mark is set")
      guard isSet <= 1 else { throw reader.failure("whether the mark is set") }
      let name = try reader.readString(maximum: DatabaseLimits.maximumNameBytes, "name of the mark")
      let time: Int64 = try reader.read("time of the mark")
      try reader.expectEnd("end of batch")
      return .mark(name: name, isSet: isSet == 1, timeMilliseconds: time)
    case .maintenance:
      let collection: UInt32 = try reader.read("collection id")
      let step: UInt8 = try reader.read("maintenance step")
      let first: UInt32 = try reader.read("first slot")
      let end: UInt32 = try reader.read("end of slots")
      try reader.expectEnd("end of batch")
      switch step {
      case 1 where first <= end:
        return .maintenance(collection: collection, .repair(Int(first)..<Int(end)))
      case 2: return .maintenance(collection: collection, .collect)
      default: throw reader.failure("maintenance step")
      }
    case .rebuildBegin, .rebuildSwap, .rebuildRollback, .rebuildRetire, .exchange:
      let (header, batch) = try RebuildBatch.decode(kind, &reader)
      return .rebuild(header, batch)
    }
  }

  private static func decodeWrite(
    _ reader: inout ByteReader, isReusing: Bool
  ) throws -> WriteBatch {
    let collection: UInt32 = try reader.read("collection id")
    let firstSlot: UInt32 = try reader.read("first slot")
    let deathCount = Int(try reader.read(UInt32.self, "deaths"))
    let birthCount = Int(try reader.read(UInt32.self, "births"))
    let dimensions = Int(try reader.read(UInt32.self, "dimensions"))
    let reusedCount = isReusing ? Int(try reader.read(UInt32.self, "reused slots")) : 0
    guard (1...DatabaseLimits.maximumDimensions).contains(dimensions),
      deathCount + reusedCount <= reader.remaining / 4, reusedCount <= birthCount,
      birthCount <= reader.remaining / (dimensions * 4 + 48)
    else { throw reader.failure("counts") }
    var deaths: [UInt32] = []
    deaths.reserveCapacity(deathCount)
    for _ in 0..<deathCount { deaths.append(try reader.read("dead slot")) }
    let reused = try (0..<reusedCount).map { _ in
      try reader.read(UInt32.self, "reused slot")
    }
    var births: [DecodedBirth] = []
    births.reserveCapacity(birthCount)
    for _ in 0..<birthCount {
      births.append(
        DecodedBirth(
          key: try reader.readCounted(maximum: DatabaseLimits.maximumKeyBytes, "key"),
          metadata: try reader.readCounted("metadata"),
          expiryMilliseconds: try reader.read("expiry"),
          hash: try reader.readDigest("record hash"),
          vector: UnsafeBufferPointer(start: nil, count: 0)))
    }
    while reader.offset % 4 != 0 {
      guard try reader.read(UInt8.self, "padding") == 0 else { throw reader.failure("padding") }
    }
    for index in births.indices {
      let raw = try reader.readRaw(count: dimensions * 4, "vector")
      births[index].vector = raw.assumingMemoryBound(to: Float.self)
    }
    try reader.expectEnd("end of batch")
    return WriteBatch(
      collection: collection, dimensions: dimensions, firstSlot: firstSlot, deaths: deaths,
      births: births, reused: reused)
  }
}
