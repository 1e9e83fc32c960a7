import Logging
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// Blocks that lie on this disk, so that they need not be fetched: those of a database, open or
/// closed, or of a copy that was broken off. Every block is compared with its hash.
final class NearbyBlocks: Sendable {
  private enum Packs: Sendable {
    case store(BlockStore)
    case partial(PackBlocks)
  }

  private let packs: Packs?
  private let records: (any FileHandle)?
  private let places: [Digest: (offset: Int, length: Int)]
  private let logger: Logger
  private let unusable = RepeatedFailure(
    "cannot use a block of this disk, and fetch it instead", level: .info)
  /// How much there is.
  let contentBytes: Int

  /// Those of the database at `path`, if there is one. `open` is that database, if it is open: it
  /// goes on, and what it changes meanwhile is fetched instead.
  init(path: String, open: Database?, _ files: any FileSystem, _ logger: Logger) throws {
    self.logger = logger
    let directory = DatabaseDirectory(path: path)
    if let open {
      packs = .store(open.engine.blocks)
    } else if try Opening.isDatabase(directory, files) {
      let store = try BlockStore(directory: path, fileSystem: files)
      _ = try store.newestManifest()
      packs = .store(store)
    } else {
      packs = nil
    }
    (records, places) = try packs == nil ? (nil, [:]) : Self.records(at: directory.records, files)
    contentBytes = 0
  }

  /// Those of a copy that was broken off.
  init(partial directory: DatabaseDirectory, _ files: any FileSystem, _ logger: Logger) throws {
    self.logger = logger
    let blocks = try PackBlocks(directory: directory.path, fileSystem: files)
    packs = .partial(blocks)
    (records, places) = try Self.records(at: directory.records, files)
    contentBytes = blocks.contentBytes + places.values.reduce(0) { $0 + $1.length }
  }

  /// The file of records, cut as snapshots cut it.
  private static func records(
    at path: String, _ files: any FileSystem
  ) throws -> ((any FileHandle)?, [Digest: (offset: Int, length: Int)]) {
    guard try files.exists(path) else { return (nil, [:]) }
    let handle = try files.open(path, .read)
    let size = try handle.sizeBytes()
    var found: [Digest: (offset: Int, length: Int)] = [:]
    for index in 0..<BlockList.blockCount(lengthBytes: size) {
      let length = BlockList.blockLengthBytes(index, of: size)
      var bytes = [UInt8](repeating: 0, count: length)
      let count = try bytes.withUnsafeMutableBytes {
        try handle.read(at: index * blockSizeBytes, into: $0)
      }
      if count == length { found[SHA256.hash(bytes)] = (index * blockSizeBytes, length) }
    }
    return (handle, found)
  }

  /// Nil if it is not here.
  func block(_ hash: Digest) -> [UInt8]? {
    do {
      if let place = places[hash], let records {
        var bytes = [UInt8](repeating: 0, count: place.length)
        _ = try bytes.withUnsafeMutableBytes { try records.read(at: place.offset, into: $0) }
        if SHA256.hash(bytes) == hash { return bytes }
      }
      switch packs {
      case .store(let store): return store.locate(hash) == nil ? nil : try store.read(hash)
      case .partial(let blocks): return try blocks.block(hash)
      case nil: return nil
      }
    } catch {
      unusable.note(error, logger)
      return nil
    }
  }
}

/// Looks for a block on this disk before asking the other node.
final class LayeredBlocks: BlockSource {
  private let nearby: [NearbyBlocks]
  private let remote: any BlockSource
  private let sums = Guarded((fetched: 0, reused: 0))

  init(nearby: [NearbyBlocks], remote: any BlockSource) {
    self.nearby = nearby
    self.remote = remote
  }

  var counts: (fetched: Int, reused: Int) { sums.withLock { $0 } }
  var databaseID: UInt128 { remote.databaseID }
  var location: String { remote.location }

  func getBlock(_ hash: Digest) throws -> [UInt8] {
    for blocks in nearby {
      guard let bytes = blocks.block(hash) else { continue }
      sums.withLock { $0.reused += bytes.count }
      return bytes
    }
    let bytes = try remote.getBlock(hash)
    sums.withLock { $0.fetched += bytes.count }
    return bytes
  }
}
