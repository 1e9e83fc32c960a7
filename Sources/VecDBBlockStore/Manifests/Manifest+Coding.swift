import VecDBBytes
import VecDBFiles

extension Manifest {
  /// Equal manifests have equal bytes.
  package func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(raw: Self.magic)
    writer.write(Self.version)
    writer.write(databaseID)
    writer.write(epochCounter)
    writer.write(lsn)
    writer.write(chain)
    writer.write(timeMilliseconds)
    writer.write(recordsLSN)
    writer.write(counted: epochs)
    writer.write(counted: catalog)
    writer.write(UInt32(collections.count))
    for collection in collections { collection.encode(into: &writer) }
    writer.write(UInt8(records == nil ? 0 : 1))
    if let records { records.encode(into: &writer) }
    writer.write(UInt32(annotations.count))
    let sorted = annotations.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for (name, value) in sorted {
      writer.write(name)
      writer.write(value)
    }
    writer.write(SHA256.hash(writer.bytes))
    return writer.bytes
  }

  /// Throws `.corrupt` for bytes that `encode` did not write and `.unknownVersion` for undamaged
  /// ones of another version. `location` and `remedy` are what errors say.
  package init(
    decoding bytes: [UInt8], at location: String, remedy: String? = nil
  ) throws {
    let remedy = remedy ?? Remedy.restore
    self = try bytes.withUnsafeBytes { buffer in
      try decoding("manifest", at: location, remedy: remedy) {
        let bodySize = buffer.count - Digest.sizeBytes
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: buffer.prefix(max(0, bodySize))))
        guard try reader.readRaw(count: 8, "magic").elementsEqual(Self.magic) else {
          throw reader.failure("magic")
        }
        let version = try reader.read(UInt32.self, "version")
        var trailer = ByteReader(UnsafeRawBufferPointer(rebasing: buffer.dropFirst(bodySize)))
        let body = UnsafeRawBufferPointer(rebasing: buffer.prefix(bodySize))
        guard try trailer.readDigest("hash") == SHA256.hash(body) else {
          throw StoreError(
            .corrupt, "the manifest does not match its own SHA-256", at: location, remedy: remedy)
        }
        guard version == Self.version else {
          throw StoreError(
            .unknownVersion, "the manifest has the unknown version \(version)", at: location,
            remedy: Remedy.upgrade)
        }
        return try Manifest(body: &reader)
      }
    }
  }

  private init(body reader: inout ByteReader) throws {
    databaseID = try reader.read(UInt128.self, "database id")
    epochCounter = try reader.read(UInt64.self, "epoch counter")
    lsn = try reader.read(UInt64.self, "lsn")
    chain = try reader.readDigest("chain")
    timeMilliseconds = try reader.read(Int64.self, "time")
    recordsLSN = try reader.read(UInt64.self, "records LSN")
    epochs = Array(try reader.readCounted("epochs"))
    catalog = Array(try reader.readCounted("catalog"))
    let collectionCount = Int(try reader.read(UInt32.self, "number of collections"))
    guard collectionCount <= Self.collectionLimit else {
      throw reader.failure("number of collections")
    }
    collections = []
    var ids = Set<UInt32>()
    for _ in 0..<collectionCount {
      let collection = try CollectionManifest(from: &reader)
      guard ids.insert(collection.id).inserted else { throw reader.failure("collection id") }
      collections.append(collection)
    }
    switch try reader.read(UInt8.self, "records mark") {
    case 0: records = nil
    case 1: records = try ArrayManifest(from: &reader)
    default: throw reader.failure("records mark")
    }
    let annotationCount = Int(try reader.read(UInt32.self, "number of annotations"))
    guard annotationCount <= Self.annotationLimit else {
      throw reader.failure("number of annotations")
    }
    annotations = [:]
    var previous: String?
    for _ in 0..<annotationCount {
      let name = try reader.readString("annotation name")
      if let previous, !previous.utf8.lexicographicallyPrecedes(name.utf8) {
        throw reader.failure("annotation name")
      }
      annotations[name] = try reader.readString("annotation value")
      previous = name
    }
    try reader.expectEnd("end")
  }
}
