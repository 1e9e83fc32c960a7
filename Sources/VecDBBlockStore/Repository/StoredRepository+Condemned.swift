import VecDBBytes
import VecDBFiles

/// A block that no restore point needed when the repository was last pruned. It is deleted once it
/// has been condemned for long enough and was not written again meanwhile.
package struct CondemnedBlock: Sendable, Hashable {
  /// The name that it is stored under.
  package var hash: Digest
  /// When it was condemned, by the clock of whoever pruned, in milliseconds since 1970.
  package var condemnedMilliseconds: Int64
  /// The file's time of modification then: another one means that a backup has renewed the block.
  package var modifiedMilliseconds: Int64

  package init(hash: Digest, condemnedMilliseconds: Int64, modifiedMilliseconds: Int64) {
    self.hash = hash
    self.condemnedMilliseconds = condemnedMilliseconds
    self.modifiedMilliseconds = modifiedMilliseconds
  }
}

/// The file `condemned`, replaced by each prune: `VDBCOND\0`, u32 version, u64 count, then for each
/// block its hash, i64 time condemned and i64 time modified; SHA-256 of all before.
extension StoredRepository {
  private static let condemnedMagic = Array("VDBCOND\0".utf8)
  private static let condemnedVersion: UInt32 = 1
  private static let condemnedName = "condemned"

  /// Throws `.corrupt` or `.unknownVersion`.
  package func condemnedBlocks() throws -> [CondemnedBlock] {
    guard try store.info(Self.condemnedName) != nil else { return [] }
    let bytes = try get(Self.condemnedName, maximumBytes: 1 << 30)
    let place = store.place(Self.condemnedName)
    func corrupt(_ what: String) -> StoreError {
      StoreError(
        .corrupt, "the list of blocks pending deletion is damaged: \(what)", at: place,
        remedy: "Remove that file; the next prune makes a new one.")
    }
    return try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      do {
        guard try reader.readRaw(count: 8, "magic").elementsEqual(Self.condemnedMagic) else {
          throw reader.failure("magic")
        }
        let version: UInt32 = try reader.read("version")
        guard version == Self.condemnedVersion else {
          throw StoreError(
            .unknownVersion, "the list of blocks pending deletion has format version \(version)",
            at: place, remedy: "Use a newer vecdb.")
        }
        let count: UInt64 = try reader.read("count")
        guard count <= UInt64(reader.remaining / 48) else { throw reader.failure("count") }
        let blocks = try (0..<count).map { _ in
          CondemnedBlock(
            hash: try reader.readDigest("hash"),
            condemnedMilliseconds: try reader.read("time condemned"),
            modifiedMilliseconds: try reader.read("time modified"))
        }
        let checked = UnsafeRawBufferPointer(rebasing: buffer[..<reader.offset])
        guard try reader.readDigest("hash") == SHA256.hash(Array(checked)) else {
          throw reader.failure("hash")
        }
        try reader.expectEnd("end")
        return blocks
      } catch let failure as ByteReader.Failure { throw corrupt("\(failure)") }
    }
  }

  /// Replaces the list; durable on return.
  package func replaceCondemnedBlocks(with blocks: [CondemnedBlock]) throws {
    var writer = ByteWriter(reservingCapacity: 64 + blocks.count * 48)
    writer.write(raw: Self.condemnedMagic)
    writer.write(Self.condemnedVersion)
    writer.write(UInt64(blocks.count))
    for block in blocks {
      writer.write(block.hash)
      writer.write(block.condemnedMilliseconds)
      writer.write(block.modifiedMilliseconds)
    }
    writer.write(SHA256.hash(writer.bytes))
    try writer.bytes.withUnsafeBytes { try replace(Self.condemnedName, $0) }
  }
}
