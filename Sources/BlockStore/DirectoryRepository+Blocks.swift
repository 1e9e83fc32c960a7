import Bytes
import Files

extension DirectoryRepository {
  /// A batch is published when it has this many blocks or bytes.
  private static let batchBlocks = 256
  private static let batchBytes = 256 << 20

  private func blockPath(_ hash: Digest) -> String { blocksDirectory + "/" + hash.hex }

  package func hasBlock(_ hash: Digest, lengthBytes: Int) throws -> Bool {
    if pending.withLock({ $0.hashes.contains(hash) }) { return true }
    return try fileSystem.info(blockPath(hash))?.sizeBytes == lengthBytes
  }

  @discardableResult
  package func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    guard try !hasBlock(hash, lengthBytes: bytes.count) else { return false }
    let isMine = try pending.withLock { pending in
      if let failure = pending.failure { throw failure }
      return pending.hashes.insert(hash).inserted
    }
    guard isMine else { return false }
    do {
      let (path, handle) = try Self.openTemporary(for: blockPath(hash), fileSystem: fileSystem)
      do {
        try handle.write(bytes, at: 0)
        handle.startSync()
      } catch {
        // What cannot be removed now is cleared up by `removeTemporaries`.
        try? fileSystem.remove(path)
        throw error
      }
      let isFull = try pending.withLock { pending in
        if let failure = pending.failure { throw failure }
        pending.files.append(PendingBlock(hash: hash, temporaryPath: path, handle: handle))
        pending.bytes += bytes.count
        return pending.files.count >= Self.batchBlocks || pending.bytes >= Self.batchBytes
      }
      if isFull { try publishBatch() }
      return true
    } catch {
      fail(error)
      throw error
    }
  }

  package func synchronize() throws {
    try publishBatch()
    try pending.withLock { if let failure = $0.failure { throw failure } }
    // Also for blocks that another process renamed and did not live to make durable.
    try fileSystem.syncDirectory(blocksDirectory)
  }

  /// Takes all pending blocks and gives them their names once their bytes are durable.
  private func publishBatch() throws { try publishing.withLock { _ in try publishBatchLocked() } }

  private func publishBatchLocked() throws {
    let batch = pending.withLock { pending in
      defer {
        pending.files = []
        pending.bytes = 0
      }
      return pending.files
    }
    do {
      for file in batch { try file.handle.sync() }
      for file in batch {
        // Replaces a copy of another length, which hasBlock did not count.
        try fileSystem.rename(file.temporaryPath, to: blockPath(file.hash))
      }
      pending.withLock { pending in for file in batch { pending.hashes.remove(file.hash) } }
    } catch {
      for file in batch {
        // Those already renamed are not there; the others are cleared up by `removeTemporaries`.
        try? fileSystem.remove(file.temporaryPath)
      }
      fail(error)
      throw error
    }
  }

  /// After a failure nothing more is published through this value: a block that another thread
  /// took for stored may be missing.
  private func fail(_ error: any Error) {
    let abandoned = pending.withLock { pending in
      pending.failure =
        pending.failure ?? (error as? StoreError)
        ?? StoreError(.inputOutput, "a block could not be stored: \(error)", at: location)
      defer {
        pending.files = []
        pending.hashes = []
        pending.bytes = 0
      }
      return pending.files
    }
    // What cannot be removed now is cleared up by `removeTemporaries`.
    for file in abandoned { try? fileSystem.remove(file.temporaryPath) }
  }

  package func getBlock(_ hash: Digest) throws -> [UInt8] {
    let path = blockPath(hash)
    guard try fileSystem.exists(path) else {
      throw StoreError(
        .notFound, "a block is missing from the repository", at: path,
        remedy: Remedy.repository)
    }
    let bytes = try fileSystem.readAll(path, maximumBytes: storedBlockLimitBytes)
    guard SHA256.hash(bytes) == hash else {
      throw StoreError(
        .corrupt, "a block of \(bytes.count) bytes does not match its hash", at: path,
        remedy: Remedy.repository)
    }
    return bytes
  }

  package func blocks() throws -> [Digest] {
    try fileSystem.list(blocksDirectory).compactMap { Digest(hex: $0) }
  }

  package func deleteBlock(_ hash: Digest) throws { try fileSystem.remove(blockPath(hash)) }
}
