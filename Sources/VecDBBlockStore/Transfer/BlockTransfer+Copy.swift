import VecDBBytes
import VecDBFiles

extension BlockTransfer {
  /// Copies all blocks and lists of a manifest, its records included, that the repository lacks. What is
  /// read is compared with its hash. What changed little since `previous`, a manifest of the target, is
  /// stored as a difference.
  package func copy(
    _ manifest: Manifest, from source: any BlockSource, to repository: any Repository,
    previous: Manifest? = nil
  ) throws -> TransferProgress {
    let bases = Bases(previous, in: repository, notice)
    let items = try Self.items(of: manifest, bases: bases) { try source.list(of: $0) }
    let threads = max(threads(for: repository), threads(for: source))
    return try run(items, threads: threads) { item in
      if try repository.hasBlock(item.hash, lengthBytes: item.lengthBytes) { return 0 }
      let bytes = try Self.fetch(item, from: source)
      return try bytes.withUnsafeBytes {
        try repository.putBlock(item.hash, $0, basedOn: item.base)
      }
    }
  }
}
