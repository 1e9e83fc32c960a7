import VecDBBytes
import VecDBFiles

extension BlockStore {
  /// Where a block is on the disk, or nil.
  package func locate(
    _ hash: Digest
  ) -> (packPath: String, offsetBytes: Int, lengthBytes: Int)? {
    find(hash).map { ($0.pack.path, $0.location.offsetBytes, $0.location.lengthBytes) }
  }

  func find(_ hash: Digest) -> (pack: PackFile, location: BlockLocation)? {
    state.withLock { state in
      guard let location = state.locations[hash], let pack = state.packs[location.packNumber]
      else { return nil }
      return (pack, location)
    }
  }

  /// The bytes of a block, compared with its hash: `.corrupt`, naming pack and offset, if they
  /// differ. Any thread.
  package func read(_ hash: Digest) throws -> [UInt8] {
    guard let (pack, location) = find(hash) else {
      throw state.withLock { $0.missing(hash, "a block") }
    }
    let bytes = try pack.read(at: location.offsetBytes, count: location.lengthBytes)
    guard SHA256.hash(bytes) == hash else { throw Self.mismatch(hash, pack, location) }
    return bytes
  }

  /// As `read`, into a buffer that has the block's length.
  func read(_ hash: Digest, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard let (pack, location) = find(hash) else {
      throw state.withLock { $0.missing(hash, "a block") }
    }
    guard location.lengthBytes == buffer.count,
      try pack.handle.read(at: location.offsetBytes, into: buffer) == buffer.count,
      SHA256.hash(UnsafeRawBufferPointer(buffer)) == hash
    else { throw Self.mismatch(hash, pack, location) }
  }

  private static func mismatch(
    _ hash: Digest, _ pack: PackFile, _ location: BlockLocation
  ) -> StoreError {
    StoreError(
      .corrupt, "block \(hash) does not match its hash",
      at: "\(pack.path), byte \(location.offsetBytes)", remedy: Remedy.restore)
  }

  /// Maps an array privately over reserved pages from `base` (page-aligned) on, as few mappings as
  /// the packs allow: blocks that lie in sequence become one. The last page's rest is zero.
  ///
  /// Sizes are checked, contents are not: cost O(blocks). The mapping outlives the removal of the
  /// pack. On an error some pages may have been mapped already.
  package func mapArray(_ array: ArrayManifest, at base: UnsafeMutableRawPointer) throws {
    guard UInt(bitPattern: base) % UInt(packPageSizeBytes) == 0 else {
      throw StoreError(.invalidArgument, "an array can only be mapped at a page boundary")
    }
    let list = try list(of: array)
    for run in try runs(of: list, description: "array '\(array.name)'") {
      try fileSystem.map(
        run.pack.path, offset: run.offsetBytes, length: run.lengthBytes,
        at: base + run.firstBlock * blockSizeBytes)
    }
  }

  /// Blocks of an array that lie one behind the other in a pack.
  package struct Run: Sendable {
    var pack: PackFile
    package var firstBlock: Int
    package var offsetBytes: Int
    package var lengthBytes: Int
  }

  /// The blocks of a list, joined where one follows the other in the same pack.
  package func runs(of list: BlockList, description: String) throws -> [Run] {
    var runs: [Run] = []
    for (index, hash) in list.hashes.enumerated() {
      guard let (pack, location) = find(hash) else {
        throw state.withLock { $0.missing(hash, "block \(index) of \(description)") }
      }
      guard location.lengthBytes == list.blockLengthBytes(index) else {
        throw StoreError(
          .corrupt, "block \(index) of \(description) has \(location.lengthBytes) bytes",
          at: "\(pack.path), byte \(location.offsetBytes)", remedy: Remedy.restore)
      }
      if let last = runs.indices.last, runs[last].pack === pack,
        runs[last].offsetBytes + runs[last].lengthBytes == location.offsetBytes,
        runs[last].lengthBytes == (index - runs[last].firstBlock) * blockSizeBytes
      {
        runs[last].lengthBytes += location.lengthBytes
      } else {
        runs.append(
          Run(
            pack: pack, firstBlock: index, offsetBytes: location.offsetBytes,
            lengthBytes: location.lengthBytes))
      }
    }
    return runs
  }
}
