import VecDBBlockStore
import VecDBBytes
import VecDBIndex

extension BlockProver {
  /// Compares blocks of a collection's generation with the hashes in the manifest.
  static func prover(
    of stored: CollectionManifest, generation: UInt32, _ blocks: BlockStore
  ) throws -> BlockProver {
    let lists = Dictionary(
      uniqueKeysWithValues: try stored.arrays.map { ($0.name, try blocks.list(of: $0)) })
    return BlockProver { [name = stored.name] array, block, bytes in
      let array = StoredGenerations.arrayName(array, of: generation)
      guard let hashes = lists[array]?.hashes, hashes.indices.contains(block),
        SHA256.hash(bytes) != hashes[block]
      else { return nil }
      let place = blocks.locate(hashes[block]).map { "\($0.packPath), byte \($0.offsetBytes)" }
      return "block \(block) of array '\(array)' of '\(name)' does not match its hash "
        + "(\(place ?? "its pack is gone"))"
    }
  }
}
