import VecDBBlockStore
import VecDBBytes
import VecDBIndex

/// One collection's arrays as they were when the checkpoint began.
struct PinnedCollection: Sendable {
  let definition: CollectionDefinition
  let count: Int
  let dataDigest: Digest
  /// The generation that serves, then the other one if there is one.
  let generations: [PinnedGeneration]
  /// The collection in the manifest before, whose blocks stand for what did not change since.
  let previous: CollectionManifest?

  /// Pins every collection of a state; the writer must be between batches.
  static func pinAll(
    of state: DatabaseState, previous: Manifest?
  ) -> [PinnedCollection] {
    state.sortedCollections.map { collection in
      let previous = previous?.collections.first { $0.id == collection.id }
      return PinnedCollection(
        definition: collection.definition, count: collection.count,
        dataDigest: collection.dataDigest,
        generations: collection.pinGenerations(previous: previous), previous: previous)
    }
  }
}

/// One generation's arrays as they were when the checkpoint began.
struct PinnedGeneration: Sendable {
  let number: UInt32
  let state: [UInt8]
  /// Nil where the manifest before has all of it: `state` is from there.
  let snapshot: IndexSnapshot?

  init(_ number: UInt32, _ snapshot: IndexSnapshot) {
    self.number = number
    self.snapshot = snapshot
    state = snapshot.state
  }

  /// The generation as it was in the manifest before.
  init(_ number: UInt32, carrying state: [UInt8]) {
    self.number = number
    self.state = state
    snapshot = nil
  }
}
