import Glibc
import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

/// A directory on the real disk that goes with the value.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/vecdb-blocks-XXXXXX\0".utf8CString.dropLast())
    let made = try template.withUnsafeMutableBufferPointer { buffer in
      let base = try #require(buffer.baseAddress)
      return mkdtemp(base) != nil
    }
    try #require(made)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? PosixFileSystem().removeTree(path) }
}

extension SplitMix64 {
  mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count { withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) } }
    return Array(bytes.prefix(count))
  }
}

/// A manifest of one collection `c` with these arrays.
func makeManifest(
  lsn: UInt64, epochCounter: UInt64 = 1, arrays: [ArrayManifest], records: ArrayManifest? = nil
) -> Manifest {
  Manifest(
    databaseID: 0x0123_4567_89ab_cdef_1122_3344_5566_7788, epochs: [1, 2, 3],
    epochCounter: epochCounter, lsn: lsn, chain: SHA256.hash([UInt8(truncatingIfNeeded: lsn)]),
    timeMilliseconds: 1_700_000_000_000, catalog: [9, 8],
    collections: [
      CollectionManifest(
        id: 1, name: "c", state: [7, 7], graphDigest: nil, dataDigest: .zero, count: lsn,
        arrays: arrays)
    ],
    records: records, recordsLSN: lsn, annotations: ["recall": "0.99", "by": "test"])
}

/// The content of named arrays, checkpointed as the database does it: only changed blocks are
/// given to the writer.
struct ArrayModel {
  var arrays: [String: [UInt8]] = [:]

  /// Writes a checkpoint of the difference to `previous`, whose manifest is the store's newest.
  @discardableResult
  func checkpoint(
    _ store: BlockStore, lsn: UInt64, previous: ArrayModel?,
    compaction: CompactionPolicy = CompactionPolicy()
  ) throws -> CheckpointSummary {
    let old = try store.newestManifest()?.manifest
    let writer = try store.beginCheckpoint(lsn: lsn, compaction: compaction)
    var manifests: [ArrayManifest] = []
    for (name, bytes) in arrays.sorted(by: { $0.key < $1.key }) {
      let oldArray = previous == nil ? nil : old?.collections.first?.array(name)
      let list = try oldArray.map { try store.list(of: $0) }
      let before = previous?.arrays[name] ?? []
      let dirty = (0..<BlockList.blockCount(lengthBytes: bytes.count)).filter { block in
        let range = block * blockSizeBytes..<min((block + 1) * blockSizeBytes, bytes.count)
        return range.upperBound > before.count || bytes[range] != before[range]
      }
      manifests.append(
        try writer.writeArray(
          name: name, rowStrideBytes: 4, lengthBytes: bytes.count, previous: list,
          dirtyBlocks: dirty
        ) { block, buffer in
          let start = block * blockSizeBytes
          buffer.copyBytes(from: bytes[start..<start + buffer.count])
        })
    }
    return try writer.commit(makeManifest(lsn: lsn, arrays: manifests))
  }
}

/// The arrays of a manifest as the store maps them.
func mapped(_ manifest: Manifest, _ store: BlockStore) throws -> [String: [UInt8]] {
  var result: [String: [UInt8]] = [:]
  for array in manifest.collections.flatMap(\.arrays) {
    let size = (array.lengthBytes + packPageSizeBytes - 1) / packPageSizeBytes * packPageSizeBytes
    guard size > 0 else {
      result[array.name] = []
      continue
    }
    let base = try #require(
      mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    try #require(base != MAP_FAILED)
    defer { munmap(base, size) }
    try store.mapArray(array, at: base)
    let all = UnsafeRawBufferPointer(start: base, count: size)
    #expect(all.dropFirst(array.lengthBytes).allSatisfy { $0 == 0 })
    result[array.name] = Array(all.prefix(array.lengthBytes))
  }
  return result
}
