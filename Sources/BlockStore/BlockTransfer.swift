import Bytes
import Dispatch
import Files
import Synchronization

/// How far a transfer is.
package struct TransferProgress: Sendable, Equatable {
  package var doneBlocks = 0
  package var totalBlocks = 0
  package var doneBytes = 0
  package var totalBytes = 0
  /// What had to be sent; the rest was there.
  package var sentBlocks = 0
  package var sentBytes = 0
}

/// Moves the blocks of a manifest between the local disk and a repository, proving every hash on
/// the way. Blocks that are at their destination are not moved.
package struct BlockTransfer: Sendable {
  /// How many blocks are moved at the same time; at least 1.
  package var threads: Int
  /// Called after every block, by one thread at a time; what it throws ends the transfer.
  package var progress: @Sendable (TransferProgress) throws -> Void

  package init(
    threads: Int = 4, progress: @escaping @Sendable (TransferProgress) throws -> Void = { _ in }
  ) {
    self.threads = max(1, threads)
    self.progress = progress
  }

  /// A block to move: what it is for errors, its hash and its length.
  struct Item: Sendable {
    var description: String
    var hash: Digest
    var lengthBytes: Int
  }

  /// Stores all blocks and lists of the arrays in the repository that are not there yet. The caller
  /// holds a `BlockPin` on the manifest that they belong to, and publishes the manifest
  /// afterwards.
  package func publish(
    _ manifest: Manifest, from store: BlockStore, to repository: any Repository
  ) throws -> TransferProgress {
    let items = try Self.items(of: manifest) { try store.list(of: $0) }
    return try run(items) { item in
      if try repository.hasBlock(item.hash, lengthBytes: item.lengthBytes) { return false }
      return try store.read(item.hash).withUnsafeBytes { try repository.putBlock(item.hash, $0) }
    }
  }

  /// Cuts a file that does not change meanwhile into blocks and stores those that the repository
  /// lacks. The result is restored by `fetchFile`.
  package func publishFile(
    _ path: String, name: String, fileSystem: any FileSystem, to repository: any Repository
  ) throws -> (array: ArrayManifest, progress: TransferProgress) {
    let handle = try fileSystem.open(path, .read)
    let size = try handle.sizeBytes()
    let count = BlockList.blockCount(lengthBytes: size)
    let hashes = Guarded([Digest](repeating: .zero, count: count))
    let items = (0..<count).map {
      Item(
        description: "block \($0) of file '\(name)'", hash: .zero,
        lengthBytes: BlockList.blockLengthBytes($0, of: size))
    }
    let progress = try run(
      items,
      indexed: { index, item in
        var bytes = [UInt8](repeating: 0, count: item.lengthBytes)
        let read = try bytes.withUnsafeMutableBytes {
          try handle.read(at: index * blockSizeBytes, into: $0)
        }
        guard read == item.lengthBytes else {
          throw StoreError(.inputOutput, "the file became shorter while it was read", at: path)
        }
        let hash = SHA256.hash(bytes)
        hashes.withLock { $0[index] = hash }
        return try bytes.withUnsafeBytes { try repository.putBlock(hash, $0) }
      })
    let list = try BlockList(hashes: hashes.withLock { $0 }, lengthBytes: size)
    let encoded = list.encode()
    let hash = SHA256.hash(encoded)
    try encoded.withUnsafeBytes { _ = try repository.putBlock(hash, $0) }
    let array = ArrayManifest(name: name, rowStrideBytes: 1, lengthBytes: size, list: hash)
    return (array, progress)
  }

  /// Brings all blocks and lists of the collections' arrays (not the records file) into a
  /// checkpoint that is then committed with the manifest. Blocks that the store has are taken
  /// from there.
  package func fetch(
    _ manifest: Manifest, from repository: any Repository, into writer: CheckpointWriter
  ) throws -> TransferProgress {
    var local = manifest
    local.records = nil
    let items = try Self.items(of: local) { try repository.list(of: $0) }
    var done = TransferProgress()
    done.totalBlocks = items.count
    done.totalBytes = items.reduce(0) { $0 + $1.lengthBytes }
    // A window is fetched in parallel and then written in order, so that arrays lie in sequence.
    let window = threads * 4
    for start in stride(from: 0, to: items.count, by: window) {
      let part = Array(items[start..<min(start + window, items.count)])
      let wanted = part.filter { !writer.has($0.hash) }
      let fetched = Guarded([Digest: [UInt8]]())
      _ = try BlockTransfer(threads: threads).run(wanted) { item in
        let bytes = try Self.fetch(item, from: repository)
        fetched.withLock { $0[item.hash] = bytes }
        return true
      }
      let blocks = fetched.withLock { $0 }
      for item in part {
        if let bytes = blocks[item.hash] {
          try bytes.withUnsafeBytes { try writer.write($0, hash: item.hash) }
          done.sentBlocks += 1
          done.sentBytes += item.lengthBytes
        } else {
          try writer.reuse(item.hash)
        }
        done.doneBlocks += 1
        done.doneBytes += item.lengthBytes
        try progress(done)
      }
    }
    return done
  }

  /// Writes a file that `publishFile` stored; the file must not be there yet. Durable on return.
  package func fetchFile(
    _ array: ArrayManifest, from repository: any Repository, to path: String,
    fileSystem: any FileSystem
  ) throws -> TransferProgress {
    let list = try repository.list(of: array)
    let handle = try fileSystem.open(path, .createNew)
    let items = list.hashes.indices.map {
      Item(
        description: "block \($0) of file '\(array.name)'", hash: list.hashes[$0],
        lengthBytes: list.blockLengthBytes($0))
    }
    let progress = try run(
      items,
      indexed: { index, item in
        let bytes = try Self.fetch(item, from: repository)
        try bytes.withUnsafeBytes { try handle.write($0, at: index * blockSizeBytes) }
        return true
      })
    try handle.sync()
    try fileSystem.syncDirectory(directoryName(path))
    return progress
  }

  private static func fetch(_ item: Item, from repository: any Repository) throws -> [UInt8] {
    let bytes: [UInt8]
    do { bytes = try repository.getBlock(item.hash) } catch var error as StoreError {
      error.message = "\(item.description): \(error.message)"
      throw error
    }
    guard bytes.count == item.lengthBytes else {
      throw StoreError(
        .corrupt, "\(item.description) has \(bytes.count) bytes, not \(item.lengthBytes)",
        at: "\(repository.location), block \(item.hash)", remedy: Remedy.repository)
    }
    return bytes
  }

  /// All blocks and lists of a manifest, each once: the blocks of an array in order, then its list.
  static func items(
    of manifest: Manifest, list: (ArrayManifest) throws -> BlockList
  ) throws -> [Item] {
    var items: [Item] = []
    var seen = Set<Digest>()
    for (description, array) in manifest.namedArrays {
      let list = try list(array)
      for (index, hash) in list.hashes.enumerated() where seen.insert(hash).inserted {
        items.append(
          Item(
            description: "block \(index) of \(description)", hash: hash,
            lengthBytes: list.blockLengthBytes(index)))
      }
      if seen.insert(array.list).inserted {
        items.append(
          Item(
            description: "the list of \(description)", hash: array.list,
            lengthBytes: BlockList.encodedSizeBytes(lengthBytes: array.lengthBytes)))
      }
    }
    return items
  }

  private func run(
    _ items: [Item], _ move: @Sendable (Item) throws -> Bool
  ) throws -> TransferProgress {
    try run(items, indexed: { try move($1) })
  }

  /// Moves every item on `threads` threads; `move` returns whether it had to be sent. The first
  /// error stops all threads and is thrown.
  private func run(
    _ items: [Item], indexed move: @Sendable (Int, Item) throws -> Bool
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
    DispatchQueue.concurrentPerform(iterations: min(threads, items.count)) { _ in
      while shared.withLock({ $0.failure == nil }) {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < items.count else { return }
        do {
          let isSent = try move(index, items[index])
          try shared.withLock { shared in
            shared.progress.doneBlocks += 1
            shared.progress.doneBytes += items[index].lengthBytes
            if isSent {
              shared.progress.sentBlocks += 1
              shared.progress.sentBytes += items[index].lengthBytes
            }
            try progress(shared.progress)
          }
        } catch {
          shared.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    return try shared.withLock { shared in
      if let failure = shared.failure { throw failure }
      return shared.progress
    }
  }
}
