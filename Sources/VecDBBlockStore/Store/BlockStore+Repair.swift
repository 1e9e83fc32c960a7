import VecDBBytes
import VecDBFiles

/// What a repair of a store did. With anything in `missing`, nothing was changed.
package struct BlockRepair: Sendable, Equatable {
  /// Packs and manifests that were damaged, each with what is wrong.
  package var damage: [StoreError] = []
  /// Blocks that had to be fetched, since no undamaged copy was on the disk.
  package var fetchedBlocks = 0
  package var fetchedBytes = 0
  /// What could not be had anywhere: the array and block, and where it was looked for.
  package var missing: [StoreError] = []
}

extension BlockStore {
  /// Makes the newest readable manifest whole again: takes every block out of damaged packs, those
  /// of which no copy here is intact from `fetch`, and writes them into a new pack. Two checkpoints
  /// of the same state are written, so that there is one to fall back on, and all that was
  /// damaged is removed.
  ///
  /// `fetch` returns the bytes of a block, proven by its hash, or nil. Nothing is changed where
  /// nothing is damaged, or where a block is missing. For the process that holds the database's
  /// lock, while nothing else uses the store. Cost: reads all packs.
  package func repair(fetch: (Digest) throws -> [UInt8]?) throws -> BlockRepair {
    var repair = BlockRepair()
    guard let manifest = state.withLock({ $0.manifests.max { $0.key < $1.key }?.value }) else {
      throw StoreError(
        .corrupt, "no manifest can be read", at: manifestsDirectory, remedy: Remedy.restore)
    }
    let damaged = try findDamage(&repair)
    guard !repair.damage.isEmpty else { return repair }
    let writer = try makeWriter(lsn: manifest.lsn, emptied: damaged)
    for (description, array) in manifest.namedArrays {
      try rescue(array, description, into: writer, fetch, &repair)
    }
    guard repair.missing.isEmpty else {
      writer.abandon()
      return repair
    }
    _ = try writer.commit(manifest)
    _ = try makeWriter(lsn: manifest.lsn, emptied: []).commit(manifest)
    _ = try collectGarbage()
    return repair
  }

  /// The numbers of damaged packs.
  private func findDamage(_ repair: inout BlockRepair) throws -> Set<UInt64> {
    // Also marks manifests of which a list or block is missing.
    _ = try usableManifests(limit: .max)
    let (packs, known) = state.withLock { state in
      (
        state.packs.values.sorted { $0.number < $1.number },
        state.damagedPacks.sorted { $0.key < $1.key }
      )
    }
    var damaged = Set(known.map(\.key))
    repair.damage += known.map(\.value)
    var done = VerifyProgress()
    for pack in packs {
      let found = try verify(pack, names: [:], &done) { _ in }
      if let first = found.first {
        damaged.insert(pack.number)
        repair.damage.append(first.error)
      }
    }
    repair.damage += state.withLock { state in
      state.damagedManifests.sorted { $0.key < $1.key }.map(\.value)
    }
    return damaged
  }

  private func rescue(
    _ array: ArrayManifest, _ description: String, into writer: CheckpointWriter,
    _ fetch: (Digest) throws -> [UInt8]?, _ repair: inout BlockRepair
  ) throws {
    guard let listBytes = try rescue(array.list, into: writer, fetch, &repair) else {
      repair.missing.append(lost(array.list, "the list of \(description)"))
      return
    }
    let list = try Self.check(
      BlockList(decoding: listBytes, at: "list \(array.list)"), fits: array)
    for (index, hash) in list.hashes.enumerated() where !writer.has(hash) {
      if try rescue(hash, into: writer, fetch, &repair) == nil {
        repair.missing.append(lost(hash, "block \(index) of \(description)"))
      }
    }
  }

  private func rescue(
    _ hash: Digest, into writer: CheckpointWriter, _ fetch: (Digest) throws -> [UInt8]?,
    _ repair: inout BlockRepair
  ) throws -> [UInt8]? {
    var bytes = try intactCopy(of: hash)
    if bytes == nil {
      bytes = try fetch(hash)
      if let bytes {
        repair.fetchedBlocks += 1
        repair.fetchedBytes += bytes.count
      }
    }
    if let bytes { try bytes.withUnsafeBytes { try writer.write($0, hash: hash) } }
    return bytes
  }

  /// The bytes of any copy of a block that matches its hash.
  private func intactCopy(of hash: Digest) throws -> [UInt8]? {
    for pack in state.withLock({ $0.packs.values.sorted { $0.number > $1.number } }) {
      for entry in pack.entries where entry.hash == hash {
        do {
          let bytes = try pack.read(at: entry.offsetBytes, count: entry.lengthBytes)
          if SHA256.hash(bytes) == hash { return bytes }
        } catch let error as StoreError where error.kind == .corrupt {
          continue
        }
      }
    }
    return nil
  }

  private func lost(_ hash: Digest, _ what: String) -> StoreError {
    StoreError(
      .corrupt, "there is no intact copy of \(what)", at: "block \(hash)",
      remedy: Remedy.restore)
  }
}
