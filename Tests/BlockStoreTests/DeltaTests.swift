import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

/// Blocks that are kept as differences to earlier ones.
@Suite struct DeltaTests {
  static func repository(_ disk: SimulatedDisk) throws -> StoredRepository {
    try StoredRepository.openOrCreate("/repo", databaseID: 7, fileSystem: disk)
  }

  /// Stores a block and returns its hash and what was stored.
  static func put(
    _ bytes: [UInt8], on base: Digest?, _ repository: StoredRepository
  ) throws -> (hash: Digest, stored: Int) {
    let hash = SHA256.hash(bytes)
    let stored = try bytes.withUnsafeBytes {
      try repository.putBlock(hash, $0, basedOn: base)
    }
    try repository.synchronize()
    return (hash, stored)
  }

  @Test func everyKindOfChangeComesBack() throws {
    let disk = SimulatedDisk()
    let repository = try Self.repository(disk)
    var random = SplitMix64(seed: 1)
    let original = random.bytes(300_007)
    let base = try Self.put(original, on: nil, repository).hash
    for round in 0..<60 {
      var changed = original
      for _ in 0..<Int(random.next() % 40) {
        changed[Int(random.next() % UInt64(changed.count))] ^= UInt8(1 + random.next() % 255)
      }
      switch round % 6 {
      case 0: changed.removeLast(Int(random.next() % 20))
      case 1: changed += random.bytes(Int(random.next() % 50))
      case 2: changed[0] ^= 1
      case 3: changed[changed.count - 1] ^= 1
      default: break
      }
      let (hash, stored) = try Self.put(changed, on: base, repository)
      #expect(stored < 2_000 || hash == base)
      #expect(try repository.getBlock(hash) == changed)
      #expect(try repository.hasBlock(hash, lengthBytes: changed.count))
    }
    // What differs too much is kept in full.
    let other = random.bytes(300_007)
    #expect(try Self.put(other, on: base, repository).stored == other.count)
    // So is what has a base that is not there, or damaged.
    var changed = original
    changed[77] ^= 1
    #expect(
      try Self.put(changed, on: SHA256.hash([1]), repository).stored == changed.count)
    disk.corrupt("/repo/blocks/" + base.hex, at: 9)
    changed[78] ^= 1
    #expect(try Self.put(changed, on: base, repository).stored == changed.count)
  }

  @Test func chainsAreFoldedAndNeverTooLong() throws {
    let repository = try Self.repository(SimulatedDisk())
    var random = SplitMix64(seed: 2)
    var bytes = random.bytes(100_000)
    var hash = try Self.put(bytes, on: nil, repository).hash
    var depths: [Int] = []
    var total = 0
    for _ in 0..<70 {
      for _ in 0..<3 { bytes[Int(random.next() % 100_000)] ^= 85 }
      let next = try Self.put(bytes, on: hash, repository)
      hash = next.hash
      total += next.stored
      #expect(try repository.getBlock(hash) == bytes)
      depths.append(try repository.bases(of: hash).count)
    }
    #expect(depths.max() == 16)
    #expect(depths.count { $0 == 0 } == 4)
    #expect(total < 5 * 100_000)
    // Deltas that together are as large as the block are folded too.
    depths = []
    for _ in 0..<12 {
      for index in 0..<2_000 { bytes[Int(random.next() % 6_000) * 16 + index % 3] ^= 3 }
      hash = try Self.put(bytes, on: hash, repository).hash
      depths.append(try repository.bases(of: hash).count)
    }
    #expect(depths.contains(0))
  }

  @Test func everyFlippedBitOfADeltaIsFound() throws {
    let disk = SimulatedDisk()
    let repository = try Self.repository(disk)
    var random = SplitMix64(seed: 3)
    var bytes = random.bytes(5_000)
    let base = try Self.put(bytes, on: nil, repository).hash
    for index in stride(from: 5, to: 5_000, by: 700) { bytes[index] ^= 255 }
    let hash = try Self.put(bytes, on: base, repository).hash
    let path = "/repo/deltas/" + hash.hex
    let size = try #require(disk.contents(path)).count
    for index in 0..<size {
      disk.corrupt(path, at: index)
      let error = #expect(throws: StoreError.self) { try repository.getBlock(hash) }
      #expect(error?.location == path)
      disk.corrupt(path, at: index)
    }
    for length in [0, 1, 63, 64, size - 1] {
      let whole = try #require(disk.contents(path))
      disk.replace(path, with: Array(whole.prefix(length)))
      #expect(throws: StoreError.self) { try repository.getBlock(hash) }
      disk.replace(path, with: whole)
    }
    #expect(try repository.getBlock(hash) == bytes)
    // Written again in full, the delta is gone.
    try bytes.withUnsafeBytes { try repository.renewBlock(hash, $0) }
    #expect(disk.contents(path) == nil)
    #expect(try repository.getBlock(hash) == bytes)
  }

  @Test func format() throws {
    let disk = SimulatedDisk()
    let repository = try Self.repository(disk)
    let base = [UInt8](repeating: 1, count: 400)
    var bytes = base + [9]
    bytes[200] = 5
    let first = try Self.put(base, on: nil, repository).hash
    let second = try Self.put(bytes, on: first, repository).hash
    let stored = try #require(disk.contents("/repo/deltas/" + second.hex))
    var expected = Array("VDBDELT\0".utf8) + [1, 0, 0, 0] + first.bytes
    expected += [1, 0, 0, 0, 0x91, 1, 0, 0, 83, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]
    expected += [0xc8, 1, 8, 0xc0, 1, 1, 5, 1, 1, 1, 1, 1, 1, 1, 9]
    #expect(Array(stored.dropLast(4)) == expected)
  }
}
