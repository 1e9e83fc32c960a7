import Logging
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore

/// Blocks that are derived from others, built anew: graph, codes, columns and keys follow from the
/// vectors, the batches they came with, and the records. A block counts only if it has the hash that
/// is looked for, so that a repair gives back exactly what was there.
struct DerivedBlocks {
  let blocks: BlockStore
  let manifest: Manifest
  let threads: Int
  let logger: Logger
  /// Nil if the records cannot be read: then what the index itself holds must do.
  let openRecords: () -> RecordStore?
  private var records: RecordStore?
  private var found: [Digest: [UInt8]]?
  /// Blocks that were handed out.
  private(set) var count = 0

  init(
    blocks: BlockStore, manifest: Manifest, threads: Int, logger: Logger,
    openRecords: @escaping () -> RecordStore?
  ) {
    self.blocks = blocks
    self.manifest = manifest
    self.threads = threads
    self.logger = logger
    self.openRecords = openRecords
  }

  /// The bytes with that hash; nil if nothing here gives them. The first call builds every
  /// collection of which something is damaged: as long as an import takes.
  mutating func block(_ hash: Digest) throws -> [UInt8]? {
    if found == nil {
      found = [:]
      records = openRecords()
      for collection in manifest.collections {
        do {
          let built = try rebuild(collection)
          found?.merge(built) { first, _ in first }
        } catch let error as StoreError where !Self.isDamage(error) {
          throw error
        } catch {
          // Its blocks stay missing, and are reported as such.
          logger.info(
            "cannot rebuild the blocks of a collection",
            metadata: ["collection": "\(collection.name)", "error": "\(error)"])
        }
      }
      try records?.close()
      records = nil
    }
    guard let bytes = found?[hash] else { return nil }
    count += 1
    return bytes
  }

  private func rebuild(_ stored: CollectionManifest) throws -> [Digest: [UInt8]] {
    var result: [Digest: [UInt8]] = [:]
    let generations = try StoredGenerations(decoding: stored.state, at: stored.name).generations
    for (number, state) in generations {
      result.merge(try rebuild(stored, number, state)) { first, _ in first }
    }
    return result
  }

  private func rebuild(
    _ stored: CollectionManifest, _ generation: UInt32, _ state: [UInt8]
  ) throws -> [Digest: [UInt8]] {
    var damaged = 0
    let options = VecDBIndex.IndexOptions(threads: threads)
    let old = try IndexGeneration(opening: state, options: options) { name, length, base in
      let arrayName = StoredGenerations.arrayName(name, of: generation)
      guard let array = stored.array(arrayName), array.lengthBytes == length,
        let list = try intact({ try blocks.list(of: array) })
      else {
        damaged += 1
        return
      }
      for (number, hash) in list.hashes.enumerated() {
        // A damaged block stays zero.
        guard let bytes = try intact({ try blocks.read(hash) }),
          bytes.count == list.blockLengthBytes(number)
        else {
          damaged += 1
          continue
        }
        (base + number * blockSizeBytes).copyMemory(
          from: Array(bytes), byteCount: bytes.count)
      }
    }
    guard damaged > 0 else { return [:] }
    let new = try old.replayed(options: options) { slot in try record(stored.id, slot, old) }
    var result: [Digest: [UInt8]] = [:]
    var lists: [String: (length: Int, hashes: [Digest])] = [:]
    try new.forEachBlock { name, length, _, bytes in
      let hash = SHA256.hash(bytes)
      lists[name, default: (length, [])].hashes.append(hash)
      if try intact({ try blocks.read(hash) }) == nil { result[hash] = Array(bytes) }
    }
    for (length, hashes) in lists.values {
      let list = try BlockList(hashes: hashes, lengthBytes: length).encode()
      result[SHA256.hash(list)] = list
    }
    return result
  }

  /// Nil for what is damaged or gone.
  private func intact<Value>(_ body: () throws -> Value) throws -> Value? {
    do { return try body() } catch let error as StoreError where Self.isDamage(error) {
      return nil
    }
  }

  /// Also what the disk cannot read.
  private static func isDamage(_ error: StoreError) -> Bool {
    [.corrupt, .notFound, .unknownVersion, .inputOutput].contains(error.kind)
  }

  /// What records know of a live slot.
  private func record(
    _ collection: UInt32, _ slot: Int, _ index: IndexGeneration
  ) throws -> (key: [UInt8], hash: Digest, [ColumnValue])? {
    guard let row = try records?.row(collection: collection, slot: UInt32(slot)),
      let vector = index.vector(slot)
    else { return nil }
    let key = Array(row.key.utf8)
    let hash = vector.withUnsafeBytes {
      recordHash(
        key: key, metadata: row.metadata, expiryMilliseconds: row.expiryMilliseconds, vector: $0)
    }
    var values: [ColumnValue] = []
    try row.metadata.withUnsafeBytes { bytes in
      try CanonicalMetadata.forEachField(in: bytes) { name, value in
        values.append(ColumnValue(field: Array(name), value: Array(value)))
      }
    }
    return (key, hash, values)
  }
}
