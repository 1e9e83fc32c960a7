import VecDBBytes
import VecDBFiles

/// A block, list or file that is not what it should be.
package struct BlockDamage: Sendable, Equatable {
  package var error: StoreError
  /// The collection, array and block that are hit, as far as they are known.
  package var collection: String?
  package var array: String?
  package var block: Int?

  package init(
    _ error: StoreError, collection: String? = nil, array: String? = nil, block: Int? = nil
  ) {
    self.error = error
    self.collection = collection
    self.array = array
    self.block = block
  }
}

/// How far a verification is, in bytes of packs or blocks.
package struct VerifyProgress: Sendable, Equatable {
  package var doneBytes = 0
  package var totalBytes = 0
}

extension BlockStore {
  /// Reads everything that is kept: the two newest usable manifests and all after them, their
  /// lists, and all packs (a damaged older manifest is told too: one to fall back on is missing); compares each block with its hash and the rest of each page with zero.
  /// Returns all damage found, none if all is well; throws only what
  /// `progress` throws, and errors of reading that are not damage.
  ///
  /// Holds the removal lock: `collectGarbage`, `pin` and `beginCheckpoint` wait meanwhile. Use
  /// `verify(manifest:)` under a pin while the database serves.
  package func verify(
    progress: (VerifyProgress) throws -> Void = { _ in }
  ) throws -> [BlockDamage] {
    try removal.withLock { _ in
      let floor = try usableManifests(limit: 2).last?.number ?? 0
      let (manifests, packs, known) = state.withLock { state in
        (
          state.manifests.filter { $0.key >= floor }.sorted { $0.key > $1.key },
          state.packs.values.sorted { $0.number < $1.number },
          state.damagedPacks.values.map { BlockDamage($0) }
            + state.damagedManifests.values.map { BlockDamage($0) }
        )
      }
      var damage = known
      var names: [Digest: BlockDamage] = [:]
      for (number, manifest) in manifests {
        damage += try verifyManifestFile(number, manifest)
        for collection in manifest.collections {
          for array in collection.arrays {
            damage += try checkPresence(array, collection: collection.name, names: &names)
          }
        }
      }
      var done = VerifyProgress()
      done.totalBytes = packs.reduce(0) { $0 + $1.sizeBytes }
      for pack in packs {
        damage += try verify(pack, names: names, &done, progress)
      }
      return damage
    }
  }

  /// Compares every block of a manifest with its hash. The caller holds a pin on it.
  package func verify(
    _ manifest: Manifest, progress: (VerifyProgress) throws -> Void = { _ in }
  ) throws -> [BlockDamage] {
    var damage: [BlockDamage] = []
    var done = VerifyProgress()
    var seen = Set<Digest>()
    done.totalBytes = manifest.namedArrays.reduce(0) { $0 + $1.array.lengthBytes }
    for collection in manifest.collections {
      for array in collection.arrays {
        let hashes: [Digest]
        do { hashes = try list(of: array).hashes } catch let error as StoreError {
          damage.append(BlockDamage(error, collection: collection.name, array: array.name))
          done.doneBytes += array.lengthBytes
          continue
        }
        for (index, hash) in hashes.enumerated() {
          do { if seen.insert(hash).inserted { _ = try read(hash) } } catch let error as StoreError
            where error.kind == .corrupt
          {
            damage.append(
              BlockDamage(error, collection: collection.name, array: array.name, block: index))
          }
          done.doneBytes += BlockList.blockLengthBytes(index, of: array.lengthBytes)
          try progress(done)
        }
      }
    }
    return damage
  }

  func verifyManifestFile(_ number: UInt64, _ manifest: Manifest) throws -> [BlockDamage] {
    let path = manifestPath(number)
    do {
      let bytes = try fileSystem.readAll(path, maximumBytes: Manifest.sizeLimitBytes)
      guard try Manifest(decoding: bytes, at: path) == manifest else {
        throw StoreError(
          .corrupt, "the manifest is not the one that was opened", at: path,
          remedy: Remedy.restore)
      }
      return []
    } catch let error as StoreError { return [BlockDamage(error)] }
  }

  /// Notes which block of which array each hash is, and reports those that are in no pack.
  func checkPresence(
    _ array: ArrayManifest, collection: String, names: inout [Digest: BlockDamage]
  ) throws -> [BlockDamage] {
    // Names the place; the error is filled in where damage is found.
    let intact = StoreError(.corrupt, "")
    names[array.list] = BlockDamage(intact, collection: collection, array: array.name)
    let list: BlockList
    do { list = try self.list(of: array) } catch let error as StoreError {
      return [BlockDamage(error, collection: collection, array: array.name)]
    }
    var damage: [BlockDamage] = []
    for (index, hash) in list.hashes.enumerated() {
      var name = BlockDamage(
        intact, collection: collection, array: array.name, block: index)
      if find(hash)?.location.lengthBytes != list.blockLengthBytes(index) {
        name.error = state.withLock { $0.missing(hash, "block \(index) of '\(array.name)'") }
        damage.append(name)
      }
      names[hash] = name
    }
    return damage
  }

  /// Compares a pack's table and all its blocks with their hashes.
  func verify(
    _ pack: PackFile, names: [Digest: BlockDamage], _ done: inout VerifyProgress,
    _ progress: (VerifyProgress) throws -> Void
  ) throws -> [BlockDamage] {
    let end = done.doneBytes + pack.sizeBytes
    do {
      _ = try PackFile(opening: pack.path, number: pack.number, fileSystem: fileSystem)
    } catch let error as StoreError { return [BlockDamage(error)] }
    var damage: [BlockDamage] = []
    for entry in pack.entries {
      let paddedLength = pageAligned(entry.lengthBytes)
      func report(_ message: String) {
        var found = names[entry.hash] ?? BlockDamage(StoreError(.corrupt, ""))
        var words = "block \(entry.hash) \(message)"
        if let array = found.array, let collection = found.collection {
          words += ": block \(found.block.map(String.init) ?? "list") of array '\(array)'"
          words += " of collection '\(collection)'"
        }
        found.error = StoreError(
          .corrupt, words, at: "\(pack.path), byte \(entry.offsetBytes)",
          remedy: Remedy.restore)
        damage.append(found)
      }
      do {
        let bytes = try pack.read(at: entry.offsetBytes, count: paddedLength)
        bytes.withUnsafeBytes { buffer in
          let block = UnsafeRawBufferPointer(rebasing: buffer.prefix(entry.lengthBytes))
          if SHA256.hash(block) != entry.hash {
            report("does not match its hash")
          } else if !buffer.dropFirst(entry.lengthBytes).allSatisfy({ $0 == 0 }) {
            report("is not followed by zeros")
          }
        }
      } catch let error as StoreError {
        report("cannot be read: \(error)")
      }
      done.doneBytes += paddedLength
      try progress(done)
    }
    done.doneBytes = end
    return damage
  }
}
