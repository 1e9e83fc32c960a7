import Dispatch
import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// How far a transfer is.
package struct TransferProgress: Sendable, Equatable {
  package var doneBlocks = 0
  package var totalBlocks = 0
  package var doneBytes = 0
  package var totalBytes = 0
  /// What had to be sent, in the form in which it is stored; the rest was there.
  package var sentBlocks = 0
  package var sentBytes = 0

  mutating func add(_ bytes: Int, sent: Int) {
    doneBlocks += 1
    totalBlocks += 1
    doneBytes += bytes
    totalBytes += bytes
    if sent > 0 {
      sentBlocks += 1
      sentBytes += sent
    }
  }
}

/// Moves the blocks of a manifest between the local disk and a repository, proving every hash on
/// the way. Blocks that are at their destination are not moved.
package struct BlockTransfer: Sendable {
  /// How many blocks are moved at the same time; at least 1.
  package var threads: Int
  /// Whether the work yields the processor to everything else.
  package var isLowPriority = false
  /// Where blocks may be found that then need not be fetched; nil for one that is not there. What it
  /// returns must have been compared with the hash.
  package var nearby: (@Sendable (Digest) -> [UInt8]?)?
  /// `fetch` makes what it has durable each time that it is so much, for whoever takes up what was
  /// broken off.
  package var packBytesMaximum = Int.max
  /// Told what went otherwise than it should without harm to the result.
  package var notice: @Sendable (String) -> Void = { _ in }
  /// Called after every block, by one thread at a time; what it throws ends the transfer.
  package var progress: @Sendable (TransferProgress) throws -> Void

  package init(
    threads: Int = 4, progress: @escaping @Sendable (TransferProgress) throws -> Void = { _ in }
  ) {
    self.threads = max(1, threads)
    self.progress = progress
  }

  private static let blocksPerSyncStep = 8

  /// A block to move: what it is for errors, its hash and its length.
  struct Item: Sendable {
    var description: String
    var hash: Digest
    var lengthBytes: Int
    /// The block that was in its place before.
    var base: Digest?
  }

  /// Stores all blocks and lists of the arrays in the repository that are not there yet. The caller
  /// holds a `BlockPin` on the manifest that they belong to, and publishes the manifest
  /// afterwards. What changed little since `previous`, a manifest of the repository, is stored as a
  /// difference.
  package func publish(
    _ manifest: Manifest, from store: BlockStore, to repository: any Repository,
    previous: Manifest? = nil
  ) throws -> TransferProgress {
    let bases = Bases(previous, in: repository, notice)
    let items = try Self.items(of: manifest, bases: bases) { try store.list(of: $0) }
    let buffers = BlockBuffers()
    return try run(items, threads: threads(for: repository)) { item in
      if try repository.hasBlock(item.hash, lengthBytes: item.lengthBytes) { return 0 }
      return try buffers.withBuffer(item.lengthBytes) { buffer in
        try store.read(item.hash, into: buffer)
        return try repository.putBlock(
          item.hash, UnsafeRawBufferPointer(buffer), basedOn: item.base)
      }
    }
  }

  /// Cuts a file that does not change meanwhile into blocks and stores those that the repository
  /// lacks. The result is restored by `fetchFile`. `previous` is the same file in a manifest of the
  /// repository.
  package func publishFile(
    _ path: String, name: String, fileSystem: any FileSystem, to repository: any Repository,
    previous: ArrayManifest? = nil
  ) throws -> (array: ArrayManifest, progress: TransferProgress) {
    let old = Bases(nil, in: repository, notice).list(of: previous)
    let handle = try fileSystem.open(path, .read)
    let size = try handle.sizeBytes()
    let count = BlockList.blockCount(lengthBytes: size)
    let hashes = Guarded([Digest](repeating: .zero, count: count))
    let items = (0..<count).map {
      Item(
        description: "block \($0) of file '\(name)'", hash: .zero,
        lengthBytes: BlockList.blockLengthBytes($0, of: size))
    }
    let buffers = BlockBuffers()
    var progress = try run(
      items, threads: threads(for: repository),
      indexed: { index, item in
        try buffers.withBuffer(item.lengthBytes) { buffer in
          let read = try handle.read(at: index * blockSizeBytes, into: buffer)
          guard read == item.lengthBytes else {
            throw StoreError(.inputOutput, "the file became shorter while it was read", at: path)
          }
          let bytes = UnsafeRawBufferPointer(buffer)
          let hash = SHA256.hash(bytes)
          hashes.withLock { $0[index] = hash }
          let base = index < old.count ? old[index] : nil
          return try repository.putBlock(hash, bytes, basedOn: base)
        }
      })
    let list = try BlockList(hashes: hashes.withLock { $0 }, lengthBytes: size)
    let encoded = list.encode()
    let hash = SHA256.hash(encoded)
    let sent = try encoded.withUnsafeBytes {
      try repository.putBlock(hash, $0, basedOn: previous?.list)
    }
    progress.add(encoded.count, sent: sent)
    let array = ArrayManifest(name: name, rowStrideBytes: 1, lengthBytes: size, list: hash)
    return (array, progress)
  }

  /// Brings all blocks and lists of the collections' arrays (not the records file) into a
  /// checkpoint that is then committed with the manifest. Blocks that the store has are taken
  /// from there.
  package func fetch(
    _ manifest: Manifest, from source: any BlockSource, into writer: CheckpointWriter
  ) throws -> TransferProgress {
    var local = manifest
    local.records = nil
    let items = try Self.items(of: local) { try source.list(of: $0) }
    var done = TransferProgress()
    done.totalBlocks = items.count
    done.totalBytes = items.reduce(0) { $0 + $1.lengthBytes }
    let wanted = items.filter { !writer.has($0.hash) }
    let nearby = nearby
    let ahead = try FetchAhead(wanted, threads: threads(for: source)) { item in
      if let bytes = nearby?(item.hash), bytes.count == item.lengthBytes { return (bytes, 0) }
      let bytes = try Self.fetch(item, from: source)
      return (bytes, bytes.count)
    }
    defer { ahead.stop() }
    // Written in order, so that arrays lie in sequence, while what comes next is fetched.
    var position = 0
    for item in items {
      if position < wanted.count, wanted[position].hash == item.hash {
        position += 1
        let (bytes, sent) = try ahead.next()
        try bytes.withUnsafeBytes { try writer.write($0, hash: item.hash) }
        done.sentBlocks += 1
        done.sentBytes += sent
        if writer.packBytes >= packBytesMaximum { try writer.finishPack() }
      } else {
        try writer.reuse(item.hash)
      }
      done.doneBlocks += 1
      done.doneBytes += item.lengthBytes
      try progress(done)
    }
    return done
  }

  /// Writes a file that `publishFile` stored; the file must not be there yet. Durable on return.
  package func fetchFile(
    _ array: ArrayManifest, from source: any BlockSource, to path: String,
    fileSystem: any FileSystem
  ) throws -> TransferProgress {
    let list = try source.list(of: array)
    let handle = try fileSystem.open(path, .createNew)
    let items = list.hashes.indices.map {
      Item(
        description: "block \($0) of file '\(array.name)'", hash: list.hashes[$0],
        lengthBytes: list.blockLengthBytes($0))
    }
    let nearby = nearby
    let progress = try run(
      items, threads: threads(for: source),
      indexed: { index, item in
        let own = nearby?(item.hash)
        let bytes = try own ?? Self.fetch(item, from: source)
        guard bytes.count == item.lengthBytes else {
          throw StoreError(.corrupt, "\(item.description) has another length", at: path)
        }
        try bytes.withUnsafeBytes { try handle.write($0, at: index * blockSizeBytes) }
        // On its way to the disk in steps, so that the final sync is short.
        if index % Self.blocksPerSyncStep == Self.blocksPerSyncStep - 1 { handle.startSync() }
        return own == nil ? bytes.count : 0
      })
    try handle.sync()
    try fileSystem.syncDirectory(directoryName(path))
    return progress
  }

  static func fetch(_ item: Item, from source: any BlockSource) throws -> [UInt8] {
    let bytes: [UInt8]
    do { bytes = try source.getBlock(item.hash) } catch var error as StoreError {
      error.message = "\(item.description): \(error.message)"
      throw error
    }
    guard bytes.count == item.lengthBytes else {
      throw StoreError(
        .corrupt, "\(item.description) has \(bytes.count) bytes, not \(item.lengthBytes)",
        at: "\(source.location), block \(item.hash)", remedy: Remedy.repository)
    }
    return bytes
  }

  /// All blocks and lists of a manifest, each once: the blocks of an array in order, then its list.
  static func items(
    of manifest: Manifest, bases: Bases = Bases(),
    list: (ArrayManifest) throws -> BlockList
  ) throws -> [Item] {
    var items: [Item] = []
    var seen = Set<Digest>()
    for (collection, description, array) in manifest.placedArrays {
      let list = try list(array)
      let previous = bases.array(array.name, of: collection, unless: array.list)
      for (index, hash) in list.hashes.enumerated() where seen.insert(hash).inserted {
        let base = previous.map { index < $0.blocks.count ? $0.blocks[index] : nil } ?? nil
        items.append(
          Item(
            description: "block \(index) of \(description)", hash: hash,
            lengthBytes: list.blockLengthBytes(index), base: base))
      }
      if seen.insert(array.list).inserted {
        items.append(
          Item(
            description: "the list of \(description)", hash: array.list,
            lengthBytes: BlockList.encodedSizeBytes(lengthBytes: array.lengthBytes),
            base: previous?.list))
      }
    }
    return items
  }

  /// What stood in the place of each block in an earlier manifest of a repository. What cannot be
  /// read there is left out, with a notice: the block is stored in full then.
  struct Bases {
    var previous: Manifest?
    var repository: (any Repository)?
    var notice: (String) -> Void = { _ in }

    init() {}

    init(
      _ previous: Manifest?, in repository: any Repository, _ notice: @escaping (String) -> Void
    ) {
      self.previous = previous
      self.repository = repository
      self.notice = notice
    }

    /// Nil if the array is new or the same as before.
    func array(
      _ name: String, of collection: UInt32?, unless list: Digest
    ) -> (list: Digest, blocks: [Digest])? {
      let place = previous?.placedArrays.first {
        $0.collection == collection && $0.array.name == name
      }
      guard let array = place?.array, array.list != list else { return nil }
      return (array.list, self.list(of: array))
    }

    func list(of array: ArrayManifest?) -> [Digest] {
      guard let array, let repository else { return [] }
      do { return try repository.list(of: array).hashes } catch {
        notice(
          "sending changed blocks of '\(array.name)' whole: the newest restore point has no "
            + "readable list of it: \(error)")
        return []
      }
    }
  }

  /// Where each block takes a request, many are under way at the same time.
  func threads(for source: any BlockSource) -> Int {
    max(threads, source.requestsAtOnce)
  }

  func run(
    _ items: [Item], threads: Int, _ move: @escaping @Sendable (Item) throws -> Int
  ) throws -> TransferProgress {
    try run(items, threads: threads, indexed: { try move($1) })
  }

  /// Moves every item on so many threads; `move` returns how many bytes had to be sent. The first
  /// error stops all threads and is thrown.
  private func run(
    _ items: [Item], threads: Int, indexed move: @escaping @Sendable (Int, Item) throws -> Int
  ) throws -> TransferProgress {
    struct Shared {
      var progress = TransferProgress()
      var failure: (any Error)?
    }
    let shared = Guarded(Shared())
    shared.withLock {
      $0.progress.totalBlocks = items.count
      $0.progress.totalBytes = items.reduce(0) { $0 + $1.lengthBytes }
    }
    let next = Atomic(0)
    let work: @Sendable () -> Void = {
      while shared.withLock({ $0.failure == nil }) {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < items.count else { return }
        do {
          let sent = try move(index, items[index])
          try shared.withLock { shared in
            shared.progress.doneBlocks += 1
            shared.progress.doneBytes += items[index].lengthBytes
            if sent > 0 {
              shared.progress.sentBlocks += 1
              shared.progress.sentBytes += sent
            }
            try progress(shared.progress)
          }
        } catch {
          shared.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    let count = min(threads, items.count)
    if isLowPriority || threads > self.threads {
      try LowPriorityThread.perform(count, yields: isLowPriority, work)
    } else {
      DispatchQueue.concurrentPerform(iterations: count) { _ in work() }
    }
    return try shared.withLock { shared in
      if let failure = shared.failure { throw failure }
      return shared.progress
    }
  }
}
