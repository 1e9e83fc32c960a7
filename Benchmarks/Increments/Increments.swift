import VecDBBlockStore
import VecDBBytes
import VecDBFiles

// What changed between the last two restore points of a repository, in rows of the arrays: what an
// incremental backup has to carry at the least. Prints the bytes of changed rows, and of new ones.
//
//   vecdb-increments REPOSITORY

@main struct Increments {
  static func main() throws {
    guard let path = CommandLine.arguments.dropFirst().first else {
      print("usage: vecdb-increments REPOSITORY")
      return
    }
    let repository = try StoredRepository.open(path, fileSystem: PosixFileSystem())
    let entries = try repository.manifests().suffix(2)
    guard let first = entries.first, let last = entries.last, entries.count == 2 else {
      print("0 0")
      return
    }
    let old = try repository.getManifest(first)
    let new = try repository.getManifest(last)
    var changed = 0
    var grown = 0
    for (collection, _, array) in new.placedArrays {
      let before = old.placedArrays.first {
        $0.collection == collection && $0.array.name == array.name
      }
      guard let before = before?.array, before.list != array.list else { continue }
      changed += try changedBytes(before, array, repository)
      grown += max(0, array.lengthBytes - before.lengthBytes)
    }
    print("\(changed) \(grown)")
  }

  /// The bytes of the rows that both have and that differ. The file of records counts by its pages.
  private static func changedBytes(
    _ old: ArrayManifest, _ new: ArrayManifest, _ repository: StoredRepository
  ) throws -> Int {
    let stride = new.rowStrideBytes > 1 ? new.rowStrideBytes : 4096
    let shared = min(old.lengthBytes, new.lengthBytes)
    let (before, after) = (try repository.list(of: old).hashes, try repository.list(of: new).hashes)
    var rows = Set<Int>()
    for (index, (one, other)) in zip(before, after).enumerated() where one != other {
      let (left, right) = (try repository.getBlock(one), try repository.getBlock(other))
      let start = index * blockSizeBytes
      for offset in 0..<min(left.count, right.count, shared - start)
      where left[offset] != right[offset] {
        rows.insert((start + offset) / stride)
      }
    }
    return rows.count * stride
  }
}
