import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Proves a repository: every manifest, every list, every block that they name.
package struct RepositoryVerifier: Sendable {
  package struct Report: Sendable {
    /// The manifests all of whose blocks are there and undamaged.
    package var soundManifests: [ManifestEntry] = []
    package var damagedManifests: [ManifestEntry] = []
    package var damage: [BlockDamage] = []
    package var checkedBlocks = 0
    package var checkedBytes = 0
    /// Blocks that no manifest needs, such as an interrupted backup leaves.
    package var unusedBlocks = 0
  }

  /// What has been read: several manifests share most blocks.
  private struct Checked {
    var blocks: Set<Digest> = []
    var failures: [Digest: StoreError] = [:]
  }

  private let repository: any Repository

  package init(_ repository: any Repository) { self.repository = repository }

  /// Reads every block once, however many manifests name it. Throws only what `progress` throws,
  /// and errors of reading that are not damage. `progress` gets bytes read so far; their total is
  /// known as far as lists have been read.
  package func verify(
    progress: (VerifyProgress) throws -> Void = { _ in }
  ) throws -> Report {
    var report = Report()
    var checked = Checked()
    var done = VerifyProgress()
    for entry in try repository.manifests() {
      let before = report.damage.count
      do {
        let manifest = try repository.getManifest(entry)
        for (description, array) in manifest.namedArrays {
          let collection = manifest.collections.first { $0.arrays.contains(array) }?.name
          try verify(
            array, description: "\(description) at LSN \(entry.lsn)", collection: collection,
            &checked, &report, &done, progress)
        }
      } catch let error as StoreError where Self.isDamage(error) {
        report.damage.append(BlockDamage(error))
      }
      if report.damage.count == before {
        report.soundManifests.append(entry)
      } else {
        report.damagedManifests.append(entry)
      }
    }
    report.checkedBlocks = checked.blocks.count
    report.checkedBytes = done.doneBytes
    report.unusedBlocks = try unusedBlocks(checked)
    return report
  }

  /// Blocks that neither a manifest names nor another block is a difference to.
  private func unusedBlocks(_ checked: Checked) throws -> Int {
    var used = Set<Digest>()
    for hash in checked.blocks {
      used.insert(repository.storedName(of: hash))
      guard checked.failures[hash] == nil else { continue }
      do {
        for base in try repository.bases(of: hash) { used.insert(repository.storedName(of: base)) }
      } catch let error as StoreError where Self.isDamage(error) {
        continue
      }
    }
    return try repository.blocks().count { !used.contains($0) }
  }

  private static func isDamage(_ error: StoreError) -> Bool {
    [.corrupt, .notFound, .limitExceeded, .unknownVersion].contains(error.kind)
  }

  /// What is wrong with a block; nil if it is sound.
  private static func failure(
    of hash: Digest, _ lengthBytes: Int, _ repository: any Repository
  ) throws -> StoreError? {
    do {
      let bytes = try repository.getBlock(hash)
      try repository.checkSpareForm(of: hash)
      guard bytes.count != lengthBytes else { return nil }
      return StoreError(
        .corrupt, "the block has \(bytes.count) bytes",
        at: "\(repository.location), block \(hash)", remedy: Remedy.repository)
    } catch let error as StoreError where isDamage(error) { return error }
  }

  private func verify(
    _ array: ArrayManifest, description: String, collection: String?,
    _ checked: inout Checked, _ report: inout Report, _ done: inout VerifyProgress,
    _ progress: (VerifyProgress) throws -> Void
  ) throws {
    let list: BlockList
    do { list = try repository.list(of: array) } catch var error as StoreError
      where Self.isDamage(error)
    {
      checked.blocks.insert(array.list)
      error.message = "the list of \(description): \(error.message)"
      report.damage.append(BlockDamage(error, collection: collection, array: array.name))
      return
    }
    checked.blocks.insert(array.list)
    let batch = max(1, repository.requestsAtOnce)
    done.totalBytes += array.lengthBytes
    for (index, hash) in list.hashes.enumerated() {
      if index % batch == 0 {
        let fresh = (index..<min(index + batch, list.hashes.count)).filter {
          checked.blocks.insert(list.hashes[$0]).inserted
        }
        let found = try Parallel.map(fresh, threads: batch) { [repository] in
          try Self.failure(of: list.hashes[$0], list.blockLengthBytes($0), repository)
        }
        for (index, failure) in zip(fresh, found) {
          checked.failures[list.hashes[index]] = failure
        }
      }
      done.doneBytes += list.blockLengthBytes(index)
      if var error = checked.failures[hash] {
        error.message = "block \(index) of \(description): \(error.message)"
        report.damage.append(
          BlockDamage(error, collection: collection, array: array.name, block: index))
      }
      try progress(done)
    }
  }
}
