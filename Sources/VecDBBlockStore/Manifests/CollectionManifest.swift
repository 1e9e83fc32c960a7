import VecDBBytes

/// One collection of a database at one LSN.
package struct CollectionManifest: Sendable, Hashable {
  package var id: UInt32
  /// At most 1,024 bytes.
  package var name: String
  /// What the index keeps beside its arrays; opaque here.
  package var state: [UInt8]
  /// The digest of the graph, where it was computed.
  package var graphDigest: Digest?
  package var dataDigest: Digest
  /// How many live records there are.
  package var count: UInt64
  package var arrays: [ArrayManifest]

  package init(
    id: UInt32, name: String, state: [UInt8], graphDigest: Digest?, dataDigest: Digest,
    count: UInt64, arrays: [ArrayManifest]
  ) {
    self.id = id
    self.name = name
    self.state = state
    self.graphDigest = graphDigest
    self.dataDigest = dataDigest
    self.count = count
    self.arrays = arrays
  }

  /// The array of that name, if there is one.
  package func array(_ name: String) -> ArrayManifest? { arrays.first { $0.name == name } }
}

extension CollectionManifest {
  func encode(into writer: inout ByteWriter) {
    writer.write(id)
    writer.write(name)
    writer.write(count)
    writer.write(dataDigest)
    writer.write(UInt8(graphDigest == nil ? 0 : 1))
    if let graphDigest { writer.write(graphDigest) }
    writer.write(counted: state)
    writer.write(UInt32(arrays.count))
    for array in arrays { array.encode(into: &writer) }
  }

  init(from reader: inout ByteReader) throws {
    let id = try reader.read(UInt32.self, "collection id")
    let name = try reader.readString(maximum: 1024, "collection name")
    let count = try reader.read(UInt64.self, "record count")
    let dataDigest = try reader.readDigest("data digest")
    let graphDigest: Digest?
    switch try reader.read(UInt8.self, "graph digest mark") {
    case 0: graphDigest = nil
    case 1: graphDigest = try reader.readDigest("graph digest")
    default: throw reader.failure("graph digest mark")
    }
    let state = Array(try reader.readCounted("collection state"))
    let arrayCount = Int(try reader.read(UInt32.self, "number of arrays"))
    guard arrayCount <= Manifest.arrayLimit else { throw reader.failure("number of arrays") }
    var arrays: [ArrayManifest] = []
    var names = Set<String>()
    for _ in 0..<arrayCount {
      let array = try ArrayManifest(from: &reader)
      guard names.insert(array.name).inserted else { throw reader.failure("array name") }
      arrays.append(array)
    }
    self.init(
      id: id, name: name, state: state, graphDigest: graphDigest, dataDigest: dataDigest,
      count: count, arrays: arrays)
  }
}
