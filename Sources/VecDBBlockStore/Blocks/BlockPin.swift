import Synchronization
import VecDBFiles

/// Keeps every block of a manifest on the disk while a backup or a build reads them. Ends with
/// `release` or with the last reference.
package final class BlockPin: Sendable {
  package let manifest: Manifest
  private let store: BlockStore
  private let id: UInt64
  private let isReleased = Atomic(false)

  init(store: BlockStore, manifest: Manifest, id: UInt64) {
    self.store = store
    self.manifest = manifest
    self.id = id
  }

  deinit { release() }

  package func release() {
    guard !isReleased.exchange(true, ordering: .acquiringAndReleasing) else { return }
    store.state.withLock { $0.pins[id] = nil }
  }
}

extension BlockStore {
  /// Pins a manifest; throws `.corrupt` if not all its blocks are there. Waits while garbage is
  /// collected.
  package func pin(_ manifest: Manifest) throws -> BlockPin {
    try removal.withLock { _ in
      _ = try blocks(of: manifest)
      return register(manifest)
    }
  }

  /// Pins the newest usable manifest, with no moment in between at which it could go; nil if there
  /// is none.
  package func pinNewest() throws -> BlockPin? {
    try removal.withLock { _ in try newestManifest().map { register($0.manifest) } }
  }

  private func register(_ manifest: Manifest) -> BlockPin {
    let id = state.withLock { state in
      state.nextPin += 1
      state.pins[state.nextPin] = manifest
      return state.nextPin
    }
    return BlockPin(store: self, manifest: manifest, id: id)
  }
}
