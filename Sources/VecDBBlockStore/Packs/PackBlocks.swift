import VecDBBytes
import VecDBFiles

/// The blocks in the packs of a directory that is no database: what is left of one that was being
/// built. No name in it counts on anything; each block is compared with its hash when it is read.
package final class PackBlocks: Sendable {
  private let packs: [PackFile]
  private let places: [Digest: (pack: Int, entry: PackFile.Entry)]
  /// The sum of the blocks' lengths.
  package let contentBytes: Int

  /// Takes every pack that can be read; others are left out.
  package init(directory: String, fileSystem: any FileSystem) throws {
    let folder = directory + "/packs"
    var packs: [PackFile] = []
    if try fileSystem.exists(folder) {
      for name in try fileSystem.list(folder) {
        guard let number = PackFile.number(fileName: name) else { continue }
        do {
          packs.append(
            try PackFile(opening: folder + "/" + name, number: number, fileSystem: fileSystem))
        } catch let error as StoreError where error.kind == .corrupt {
          // What was not finished has nothing that counts.
        }
      }
    }
    var places: [Digest: (pack: Int, entry: PackFile.Entry)] = [:]
    for (index, pack) in packs.enumerated() {
      for entry in pack.entries { places[entry.hash] = (index, entry) }
    }
    self.packs = packs
    self.places = places
    contentBytes = packs.reduce(0) { $0 + $1.contentBytes }
  }

  /// Nil if the block is not there, or is not what it was.
  package func block(_ hash: Digest) throws -> [UInt8]? {
    guard let (pack, entry) = places[hash] else { return nil }
    let bytes = try packs[pack].read(at: entry.offsetBytes, count: entry.lengthBytes)
    return SHA256.hash(bytes) == hash ? bytes : nil
  }
}
