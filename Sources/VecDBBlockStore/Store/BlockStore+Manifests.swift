import VecDBBytes
import VecDBFiles

/// A manifest that can be opened, and what had to be passed over to find it.
package struct ManifestSelection: Sendable {
  package var manifest: Manifest
  /// The number of the checkpoint that wrote it.
  package var number: UInt64
  /// Why newer manifests could not be used; empty when all is well. The log must still reach back
  /// to this manifest's LSN, which holds if it is trimmed through `trimmableLSN` only.
  package var damage: [StoreError]
}

extension BlockStore {
  /// The newest manifest whose lists are undamaged and whose blocks are all in readable packs; nil
  /// if there is none at all. Throws `.corrupt` if there are manifests but none can be used.
  ///
  /// The blocks themselves are not read: `verify` does that. Cost O(blocks).
  package func newestManifest() throws -> ManifestSelection? {
    let found = try usableManifests(limit: 1).first
    let damage = state.withLock { state in
      state.damagedManifests.filter { $0.key > found?.number ?? 0 }
        .sorted { $0.key > $1.key }.map(\.value)
    }
    if let found {
      return ManifestSelection(manifest: found.manifest, number: found.number, damage: damage)
    }
    guard let first = damage.first else { return nil }
    throw StoreError(
      .corrupt, "none of the \(damage.count) manifests can be used; the newest: \(first.message)",
      at: first.location, remedy: Remedy.restore)
  }

  /// The log may be trimmed through this LSN: the lower of the two manifests that are kept, so
  /// that either can be brought up to date. 0 while fewer than two can be used. Cost O(blocks).
  package func trimmableLSN() throws -> UInt64 {
    let kept = try usableManifests(limit: 2)
    return kept.count < 2 ? 0 : kept.map(\.manifest.lsn).min() ?? 0
  }

  /// The newest manifests whose blocks are all there, newest first, with these blocks. Those that
  /// lack one are marked as damaged.
  func usableManifests(
    limit: Int
  ) throws -> [(number: UInt64, manifest: Manifest, blocks: Set<Digest>)] {
    var found: [(number: UInt64, manifest: Manifest, blocks: Set<Digest>)] = []
    for number in state.withLock({ $0.usableManifestNumbers }) where found.count < limit {
      guard let manifest = manifest(number: number) else { continue }
      do {
        found.append((number, manifest, try blocks(of: manifest)))
      } catch var error as StoreError where error.kind == .corrupt {
        error.message = "\(manifestPath(number)) cannot be used: \(error.message)"
        state.withLock { [error] in $0.damagedManifests[number] = error }
      }
    }
    return found
  }

  /// Number and LSN of all manifests on disk that are not known to be damaged, newest first.
  package var manifestNumbers: [(number: UInt64, lsn: UInt64)] {
    state.withLock { state in
      state.usableManifestNumbers.compactMap { number in
        state.manifests[number].map { (number, $0.lsn) }
      }
    }
  }

  /// The manifest of that checkpoint, if it is kept.
  package func manifest(number: UInt64) -> Manifest? { state.withLock { $0.manifests[number] } }

  /// The block list of an array, proven by its hash.
  package func list(of array: ArrayManifest) throws -> BlockList {
    if let known = state.withLock({ $0.lists[array.list] }) {
      return try Self.check(known, fits: array)
    }
    let list = try BlockList(decoding: try read(array.list), at: "list \(array.list)")
    state.withLock { $0.lists[array.list] = list }
    return try Self.check(list, fits: array)
  }

  static func check(_ list: BlockList, fits array: ArrayManifest) throws -> BlockList {
    guard list.lengthBytes == array.lengthBytes else {
      throw StoreError(
        .corrupt,
        "the list of '\(array.name)' is for \(list.lengthBytes) bytes, not \(array.lengthBytes)",
        at: "list \(array.list)", remedy: Remedy.restore)
    }
    return list
  }

  /// Every block that a manifest needs, lists included; throws `.corrupt`, naming the array and
  /// the block, if one is not in a readable pack or has another length there.
  func blocks(of manifest: Manifest) throws -> Set<Digest> {
    var needed = Set<Digest>()
    for (description, array) in manifest.namedArrays {
      let list: BlockList
      do { list = try self.list(of: array) } catch var error as StoreError {
        error.message = "the list of \(description): \(error.message)"
        throw error
      }
      needed.insert(array.list)
      try state.withLock { state in
        for (index, hash) in list.hashes.enumerated() {
          guard let location = state.locations[hash] else {
            throw state.missing(hash, "block \(index) of \(description)")
          }
          guard location.lengthBytes == list.blockLengthBytes(index) else {
            throw StoreError(
              .corrupt, "block \(index) of \(description) has \(location.lengthBytes) bytes",
              at: "block \(hash)", remedy: Remedy.restore)
          }
          needed.insert(hash)
        }
      }
    }
    return needed
  }
}

extension BlockStore.State {
  /// The numbers of the manifests not known to be damaged, newest first.
  var usableManifestNumbers: [UInt64] {
    manifests.keys.filter { damagedManifests[$0] == nil }.sorted(by: >)
  }

  func missing(_ hash: Digest, _ what: String) -> StoreError {
    var message = "\(what) is in no pack"
    if let (_, error) = damagedPacks.min(by: { $0.key < $1.key }) {
      message += "; of \(damagedPacks.count) damaged packs the first: \(error)"
    }
    return StoreError(.corrupt, message, at: "block \(hash)", remedy: Remedy.restore)
  }
}
