import VecDBBytes
import VecDBFiles

/// Where the blocks of a database can be read: a repository, or a snapshot of another node. Methods
/// may be called from several threads at once and throw `StoreError`.
package protocol BlockSource: Sendable {
  /// The database whose blocks these are.
  var databaseID: UInt128 { get }
  /// Words by which messages name the source.
  var location: String { get }

  /// How many reads are worth making at the same time; 0 where that is not what takes the time.
  var requestsAtOnce: Int { get }

  /// The bytes of a block, compared with its hash. Throws `.notFound` or `.corrupt`.
  func getBlock(_ hash: Digest) throws -> [UInt8]
}

extension BlockSource {
  package var requestsAtOnce: Int { 0 }

  /// The block list of an array, proven by its hash.
  package func list(of array: ArrayManifest) throws -> BlockList {
    let list = try BlockList(
      decoding: try getBlock(array.list), at: "\(location), list \(array.list)")
    return try BlockStore.check(list, fits: array)
  }
}
