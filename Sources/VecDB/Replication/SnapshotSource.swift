import Dispatch
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

/// One state of a live database, kept readable block by block until the last reference goes: what a
/// new replica, or one that was rewound, is built from.
package final class SnapshotSource: Sendable {
  /// With the records, as a repository would have it.
  package let manifest: Manifest
  private let pin: BlockPin
  private let blocks: BlockStore
  private let files: any FileSystem
  private let recordsPath: String
  private let records: any FileHandle
  private let recordsList: [UInt8]
  private let places: [Digest: (offset: Int, length: Int)]
  private let listHash: Digest

  init(
    pin: BlockPin, blocks: BlockStore, files: any FileSystem, recordsPath: String, source: String
  ) throws {
    self.pin = pin
    self.blocks = blocks
    self.files = files
    self.recordsPath = recordsPath
    try files.removeTree(recordsPath)
    let copy = try files.open(recordsPath, .createNew)
    records = copy
    let original = try files.open(source, .read)
    let size = try original.sizeBytes()
    let hashes = try Self.copy(original, to: copy, sizeBytes: size, at: source)
    var places: [Digest: (offset: Int, length: Int)] = [:]
    for (index, hash) in hashes.enumerated() {
      places[hash] = (index * blockSizeBytes, BlockList.blockLengthBytes(index, of: size))
    }
    self.places = places
    recordsList = try BlockList(hashes: hashes, lengthBytes: size).encode()
    listHash = SHA256.hash(recordsList)
    var manifest = pin.manifest
    manifest.records = ArrayManifest(
      name: "records.sqlite", rowStrideBytes: 1, lengthBytes: size, list: listHash)
    self.manifest = manifest
  }

  /// Copies a file on two threads, and returns the hashes of its blocks.
  private static func copy(
    _ original: any FileHandle, to copy: any FileHandle, sizeBytes: Int, at source: String
  ) throws -> [Digest] {
    let count = BlockList.blockCount(lengthBytes: sizeBytes)
    let done = Guarded(
      (hashes: [Digest](repeating: .zero, count: count), failure: (any Error)?.none))
    DispatchQueue.concurrentPerform(iterations: 2) { thread in
      var buffer = [UInt8](repeating: 0, count: blockSizeBytes)
      for index in stride(from: thread, to: count, by: 2) {
        let length = BlockList.blockLengthBytes(index, of: sizeBytes)
        if length < buffer.count { buffer.removeLast(buffer.count - length) }
        do {
          try buffer.withUnsafeMutableBytes { bytes in
            guard try original.read(at: index * blockSizeBytes, into: bytes) == length else {
              throw StoreError(
                .inputOutput, "the file became shorter while it was read", at: source)
            }
            try copy.write(UnsafeRawBufferPointer(bytes), at: index * blockSizeBytes)
          }
          let hash = SHA256.hash(buffer)
          done.withLock { $0.hashes[index] = hash }
        } catch {
          return done.withLock { $0.failure = error }
        }
      }
    }
    return try done.withLock { done in
      if let failure = done.failure { throw failure }
      return done.hashes
    }
  }

  deinit {
    pin.release()
    do { try files.removeTree(recordsPath) } catch {
      // Left behind, it is replaced by the next one of its name or removed with the database.
    }
  }

  /// Nil if the snapshot has no such block.
  package func block(_ hash: Digest) throws -> [UInt8]? {
    if hash == listHash { return recordsList }
    if let place = places[hash] {
      var bytes = [UInt8](repeating: 0, count: place.length)
      _ = try bytes.withUnsafeMutableBytes { try records.read(at: place.offset, into: $0) }
      return bytes
    }
    do { return try blocks.read(hash) } catch let error as StoreError where error.kind == .notFound
    { return nil }
  }
}

extension Database {
  /// A snapshot of the present state, from a checkpoint that is made for it. Writes and searches go
  /// on; the records are copied locally, so that only the copying holds their checkpoint off.
  package func makeSnapshot() async throws -> SnapshotSource {
    try requireOpen()
    let held = try await holdRestorePoint()
    do {
      let source = try await onBackground { [engine] in
        try SnapshotSource(
          pin: held.pin, blocks: engine.blocks, files: engine.fileSystem,
          recordsPath: "\(engine.directory.path)/snapshot-\(UniqueID.random())",
          source: engine.directory.records)
      }
      held.records.end()
      return source
    } catch { throw VecDBError(wrapping: error) }
  }
}
