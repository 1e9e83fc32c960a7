import VecDBBytes
import VecDBFiles

/// When a checkpoint also rewrites blocks out of packs that are mostly dead, so that these can be
/// removed once no kept manifest needs them.
package struct CompactionPolicy: Sendable {
  /// Packs of which less than this part is needed by the newest manifest are emptied.
  package var minimumLiveFraction: Double
  /// At most this much is rewritten by one checkpoint.
  package var limitBytes: Int

  package init(minimumLiveFraction: Double = 0.5, limitBytes: Int = 256 << 20) {
    self.minimumLiveFraction = minimumLiveFraction
    self.limitBytes = limitBytes
  }

  package static let none = CompactionPolicy(minimumLiveFraction: 0, limitBytes: 0)
}

/// What a checkpoint wrote.
package struct CheckpointSummary: Sendable, Equatable {
  package var number: UInt64
  package var writtenBlocks = 0
  package var writtenBytes = 0
  /// Part of what was written: blocks taken out of mostly dead packs.
  package var compactedBytes = 0
}

/// One checkpoint in the making. Used by one thread at a time; ends with `commit` or `abandon`,
/// which also happens when the last reference goes.
package final class CheckpointWriter {
  package private(set) var number: UInt64
  private let store: BlockStore
  private let lsn: UInt64
  private let emptiedPacks: Set<UInt64>
  private var pack: PackWriter?
  private var written: [Digest: BlockLocation] = [:]
  private var summary: CheckpointSummary
  private var isOpen = true
  /// What the present pack has.
  package private(set) var packBytes = 0

  init(store: BlockStore, number: UInt64, lsn: UInt64, emptiedPacks: Set<UInt64>) {
    self.store = store
    self.number = number
    self.lsn = lsn
    self.emptiedPacks = emptiedPacks
    summary = CheckpointSummary(number: number)
  }

  deinit { abandon() }

  /// Stores a block under its SHA-256 unless a pack has it already.
  @discardableResult
  package func write(_ bytes: UnsafeRawBufferPointer) throws -> Digest {
    let hash = SHA256.hash(bytes)
    try write(bytes, hash: hash)
    return hash
  }

  @discardableResult
  package func write(_ bytes: [UInt8]) throws -> Digest {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Stores a block whose hash the caller has just computed or proven.
  func write(_ bytes: UnsafeRawBufferPointer, hash: Digest) throws {
    try requireOpen()
    guard !bytes.isEmpty, bytes.count <= storedBlockLimitBytes else {
      throw StoreError(.invalidArgument, "a block must not have \(bytes.count) bytes")
    }
    guard !has(hash) else { return }
    try append(bytes, hash: hash)
  }

  /// Whether the block is in this checkpoint's pack or in one that stays.
  package func has(_ hash: Digest) -> Bool {
    if written[hash] != nil { return true }
    guard let (_, location) = store.find(hash) else { return false }
    return !emptiedPacks.contains(location.packNumber)
  }

  /// Takes over a block of an earlier manifest. It is copied if its pack is being emptied. Throws
  /// `.corrupt` if it is not there.
  package func reuse(_ hash: Digest) throws {
    try requireOpen()
    guard !has(hash) else { return }
    let bytes = try store.read(hash)
    try bytes.withUnsafeBytes { try append($0, hash: hash) }
    summary.compactedBytes += bytes.count
  }

  @discardableResult
  package func writeList(_ list: BlockList) throws -> Digest { try write(list.encode()) }

  /// Writes what changed of an array, and its list.
  ///
  /// `previous` is the array's list in the newest manifest, nil for a new array. A block is taken
  /// from it unless it is in `dirtyBlocks`, has another length now, or was not there; the others
  /// are asked of `read`, which fills the whole buffer (at most `blockSizeBytes`) with the block
  /// of that index. Blocks are asked for in ascending order.
  package func writeArray(
    name: String, rowStrideBytes: Int, lengthBytes: Int, previous: BlockList?,
    dirtyBlocks: some Sequence<Int>, read: (Int, UnsafeMutableRawBufferPointer) throws -> Void
  ) throws -> ArrayManifest {
    try requireOpen()
    let count = BlockList.blockCount(lengthBytes: lengthBytes)
    let dirty = Set(dirtyBlocks)
    var hashes: [Digest] = []
    hashes.reserveCapacity(count)
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: blockSizeBytes, alignment: packPageSizeBytes)
    defer { buffer.deallocate() }
    for index in 0..<count {
      let length = BlockList.blockLengthBytes(index, of: lengthBytes)
      if let previous, !dirty.contains(index), index < previous.hashes.count,
        previous.blockLengthBytes(index) == length
      {
        try reuse(previous.hashes[index])
        hashes.append(previous.hashes[index])
      } else {
        let block = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(length))
        try read(index, block)
        hashes.append(try write(UnsafeRawBufferPointer(block)))
      }
    }
    let list = try writeList(BlockList(hashes: hashes, lengthBytes: lengthBytes))
    return ArrayManifest(
      name: name, rowStrideBytes: rowStrideBytes, lengthBytes: lengthBytes, list: list)
  }

  /// Makes the pack durable, then the manifest, and reads both back; afterwards the manifest is the
  /// store's newest.
  ///
  /// On `.diskFull`, and if the manifest does not fit the blocks, nothing has changed and the store
  /// goes on. After any other error the store takes no further checkpoint until it is opened anew,
  /// because what is durable is not known.
  package func commit(_ manifest: Manifest) throws -> CheckpointSummary {
    try requireOpen()
    guard manifest.lsn == lsn else {
      throw StoreError(
        .invalidArgument, "the manifest is for LSN \(manifest.lsn), the checkpoint for \(lsn)")
    }
    isOpen = false
    defer { store.endWriting() }
    var isManifestNamed = false
    var published: PackFile?
    do {
      published = try pack?.finish()
      if let published { store.state.withLock { $0.add(published) } }
      _ = try store.blocks(of: manifest)
      try store.publish(manifest, number: number) { isManifestNamed = true }
      return summary
    } catch {
      if !isManifestNamed {
        if published != nil { store.forget(pack: number) }
        pack?.removeTemporary()
        pack?.removePublished()
      }
      if isManifestNamed || !Self.leavesNothing(error) { store.poison(error) }
      throw error
    }
  }

  /// Makes what was written so far durable, and goes on in another pack. It stays where it is even if
  /// the checkpoint is given up: `PackBlocks` finds it.
  package func finishPack() throws {
    try requireOpen()
    guard let finished = pack else { return }
    pack = nil
    do {
      let published = try finished.finish()
      store.state.withLock { $0.add(published) }
    } catch {
      finished.removeTemporary()
      throw error
    }
    number = store.state.withLock { state in
      state.lastNumber += 1
      return state.lastNumber
    }
    summary.number = number
    packBytes = 0
  }

  /// Gives the checkpoint up and removes what it wrote; no effect after `commit`.
  package func abandon() {
    guard isOpen else { return }
    isOpen = false
    pack?.removeTemporary()
    store.endWriting()
  }

  /// Whether an error before the manifest had its name leaves the disk as it was. A failed sync
  /// does not: what it should have made durable may be gone although it can still be read.
  private static func leavesNothing(_ error: any Error) -> Bool {
    switch (error as? StoreError)?.kind {
    case .diskFull, .corrupt, .limitExceeded: true
    default: false
    }
  }

  private func append(_ bytes: UnsafeRawBufferPointer, hash: Digest) throws {
    if pack == nil {
      pack = try PackWriter(
        directory: store.packsDirectory, number: number, lsn: lsn, fileSystem: store.fileSystem)
    }
    guard let pack else { return }
    written[hash] = try pack.append(bytes, hash: hash)
    summary.writtenBlocks += 1
    summary.writtenBytes += bytes.count
    packBytes += bytes.count
  }

  private func requireOpen() throws {
    guard isOpen else { throw StoreError(.invalidArgument, "the checkpoint has ended") }
  }
}

extension BlockStore {
  /// Begins a checkpoint of the state at `lsn`. Throws `.invalidArgument` while another one runs,
  /// `.poisoned` after one that failed with its outcome unknown.
  package func beginCheckpoint(
    lsn: UInt64, compaction: CompactionPolicy = CompactionPolicy()
  ) throws -> CheckpointWriter {
    try removal.withLock { _ in
      try makeWriter(lsn: lsn, emptied: packsToEmpty(compaction))
    }
  }

  /// A checkpoint that takes nothing for granted that is in the packs `emptied`.
  func makeWriter(lsn: UInt64, emptied: Set<UInt64>) throws -> CheckpointWriter {
    let number = try state.withLock { state in
      if let poison = state.poison { throw poison }
      guard !state.isWriting else {
        throw StoreError(.invalidArgument, "another checkpoint is being written", at: directory)
      }
      state.isWriting = true
      state.lastNumber += 1
      return state.lastNumber
    }
    return CheckpointWriter(store: self, number: number, lsn: lsn, emptiedPacks: emptied)
  }

  func endWriting() { state.withLock { $0.isWriting = false } }

  func forget(pack number: UInt64) { state.withLock { $0.remove(packs: [number]) } }

  func poison(_ error: any Error) {
    let poison = StoreError(
      .poisoned, "an earlier checkpoint failed, and its files are in an unknown state: \(error)",
      at: directory, remedy: "Close the database and open it again.")
    state.withLock { $0.poison = poison }
  }

  /// Makes a manifest durable; calls `named` when its name may have appeared.
  func publish(_ manifest: Manifest, number: UInt64, named: () -> Void) throws {
    let bytes = manifest.encode()
    guard bytes.count <= Manifest.sizeLimitBytes else {
      throw StoreError(
        .limitExceeded,
        "a manifest has \(bytes.count) bytes; the limit is \(Manifest.sizeLimitBytes)")
    }
    let path = manifestPath(number)
    let temporary = path + ".tmp"
    do {
      if state.withLock({ !$0.isDirectorySynced }) {
        // A process that died may have made the two directories and not lived to sync this one.
        try fileSystem.syncDirectory(directory)
        state.withLock { $0.isDirectorySynced = true }
      }
      let handle = try fileSystem.open(temporary, .createOrTruncate)
      try bytes.withUnsafeBytes { try handle.write($0, at: 0) }
      try handle.sync()
    } catch {
      // If it cannot be removed now, it goes when the store is next opened.
      try? fileSystem.remove(temporary)
      throw error
    }
    named()
    try fileSystem.renameExclusively(temporary, to: path)
    try fileSystem.syncDirectory(manifestsDirectory)
    guard try fileSystem.readAll(path, maximumBytes: Manifest.sizeLimitBytes) == bytes else {
      throw StoreError(.corrupt, "a manifest just written reads back differently", at: path)
    }
    state.withLock { $0.manifests[number] = manifest }
  }
}
