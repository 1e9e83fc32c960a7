import VecDBBytes

/// The collections as readers find them, by name. The writer replaces the whole after each group
/// that created or dropped one; searches hold a collection's runtime and never come here.
final class Catalog: Sendable {
  private let byName = Guarded<[[UInt8]: CollectionRuntime]>([:])

  func replace(with collections: some Sequence<CollectionRuntime>) {
    let named = collections.map { (Array($0.definition.name.utf8), $0) }
    byName.withLock { $0 = Dictionary(uniqueKeysWithValues: named) }
  }

  func find(_ name: String) -> CollectionRuntime? {
    let key = Array(name.utf8)
    return byName.withLock { $0[key] }
  }

  /// All collections, by name.
  var all: [CollectionRuntime] {
    byName.withLock { Array($0.values) }.sorted {
      $0.definition.name.utf8.lexicographicallyPrecedes($1.definition.name.utf8)
    }
  }
}
