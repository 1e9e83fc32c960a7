import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A copy of the database that a restore takes the place of: a source of blocks that need not be
/// fetched. Locked as long as it is held.
final class OlderCopy: Sendable {
  let directory: DatabaseDirectory
  let blocks: BlockStore
  let lock: any FileLock
  private let recordsPath: String
  let fileSystem: any FileSystem
  /// Where in the records file each of its blocks is.
  private let records: [Digest: (offset: Int, length: Int)]

  /// Throws `.locked`; anything that is no readable database is an error too, since nobody should lose
  /// what it is.
  init(_ directory: DatabaseDirectory, fileSystem: any FileSystem) throws {
    guard try Self.wasMadeHere(directory, fileSystem) else {
      throw StoreError(
        .invalidArgument, "the path is not a database, so a restore does not replace it",
        at: directory.path, remedy: "Choose another path, or move it away.")
    }
    self.directory = directory
    lock = try BriefOwners.waiting {
      try fileSystem.lock(directory.lockFile, owner: "a restore")
    }
    self.fileSystem = fileSystem
    recordsPath = directory.records
    blocks = try BlockStore(directory: directory.path, fileSystem: fileSystem)
    records = try Self.hashRecords(directory.records, fileSystem)
  }

  /// Whether a directory has what only vecdb puts there: many others have an entry `log`.
  private static func wasMadeHere(
    _ directory: DatabaseDirectory, _ files: any FileSystem
  ) throws -> Bool {
    func has(_ folder: String, _ suffix: String) throws -> Bool {
      guard try files.info(folder)?.isDirectory == true else { return false }
      return try files.list(folder).contains { $0.hasSuffix(suffix) }
    }
    return try has(directory.log, ".segment") && has(directory.path + "/manifests", ".manifest")
  }

  private static func hashRecords(
    _ path: String, _ fileSystem: any FileSystem
  ) throws -> [Digest: (offset: Int, length: Int)] {
    guard try fileSystem.exists(path) else { return [:] }
    let handle = try fileSystem.open(path, .read)
    let size = try handle.sizeBytes()
    var result: [Digest: (offset: Int, length: Int)] = [:]
    for index in 0..<BlockList.blockCount(lengthBytes: size) {
      let length = BlockList.blockLengthBytes(index, of: size)
      var bytes = [UInt8](repeating: 0, count: length)
      let offset = index * blockSizeBytes
      guard try bytes.withUnsafeMutableBytes({ try handle.read(at: offset, into: $0) }) == length
      else { break }
      result[SHA256.hash(bytes)] = (offset, length)
    }
    return result
  }

  /// The bytes of a block if this copy has it undamaged. Any other is fetched from the repository.
  func block(_ hash: Digest) -> [UInt8]? {
    if blocks.locate(hash) != nil, let bytes = try? blocks.read(hash) { return bytes }
    guard let (offset, length) = records[hash] else { return nil }
    var bytes = [UInt8](repeating: 0, count: length)
    let count = try? bytes.withUnsafeMutableBytes {
      try fileSystem.open(recordsPath, .read).read(at: offset, into: $0)
    }
    return count == length && SHA256.hash(bytes) == hash ? bytes : nil
  }

  func release() { lock.unlock() }
}
