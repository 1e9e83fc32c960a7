import VecDBBytes
import VecDBIndex

/// What `stats` tells of the state the writer owns: copied out after each commit group and each
/// checkpoint, so that any thread may read it.
struct Figures: Sendable {
  struct Collection: Sendable {
    var dataDigest: Digest
    var indexBytes: Int
    var count: Int
    var slots: Int
    var free: Int
    var graphCount: Int
  }

  var lsn: UInt64 = 0
  var chain = Digest.zero
  var dataDigest = Digest.zero
  var checkpointLSN: UInt64 = 0
  var collections: [UInt32: Collection] = [:]
  /// When writes are acknowledged, in the form of the replication protocol.
  var acknowledgement: [UInt8] = []
}

extension Figures {
  /// For the writer.
  init(_ state: DatabaseState, checkpointLSN: UInt64) {
    lsn = state.lsn
    chain = state.chain
    dataDigest = state.dataDigest
    self.checkpointLSN = checkpointLSN
    acknowledgement = state.acknowledgement
    collections = state.collections.mapValues { collection in
      let index = collection.index
      return Collection(
        dataDigest: collection.dataDigest, indexBytes: index.sizeBytes, count: collection.count,
        slots: index.assignedSlotCount, free: index.freeSlotCount, graphCount: index.graphSlotCount)
    }
  }
}
