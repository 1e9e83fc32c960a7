import Dispatch
import Synchronization
import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

@Suite struct CheckpointTests {
  let directory: TemporaryDirectory
  let fileSystem = PosixFileSystem()

  init() throws { directory = try TemporaryDirectory() }

  func open() throws -> BlockStore {
    try BlockStore(directory: directory.path, fileSystem: fileSystem)
  }

  @Test func anEmptyStoreHasNoManifest() throws {
    let store = try open()
    #expect(try store.newestManifest() == nil)
    #expect(try store.trimmableLSN() == 0)
    #expect(try store.verify().isEmpty)
    #expect(try store.collectGarbage().removedPacks == 0)
  }

  @Test func whatIsWrittenIsMappedAfterReopening() throws {
    var random = SplitMix64(seed: 1)
    let model = ArrayModel(arrays: [
      "large": random.bytes(3 * blockSizeBytes + 12_345), "exact": random.bytes(blockSizeBytes),
      "small": random.bytes(5), "empty": [], "zeros": [UInt8](repeating: 0, count: 1 << 21),
    ])
    let summary = try model.checkpoint(try open(), lsn: 7, previous: nil)
    // Four blocks of `large`, one each of `exact` and `small`, one of zeros, five lists.
    #expect(summary.writtenBlocks == 12)
    let store = try open()
    let selection = try #require(try store.newestManifest())
    #expect(selection.damage.isEmpty)
    #expect(selection.manifest.lsn == 7)
    #expect(try mapped(selection.manifest, store) == model.arrays)
    #expect(try store.verify().isEmpty)
    let large = try #require(selection.manifest.collections[0].array("large"))
    #expect(try store.runs(of: store.list(of: large), description: "").count == 1)
  }

  @Test func aSecondCheckpointWritesOnlyWhatChanged() throws {
    var random = SplitMix64(seed: 2)
    let first = ArrayModel(arrays: ["a": random.bytes(8 * blockSizeBytes + 100)])
    let store = try open()
    try first.checkpoint(store, lsn: 1, previous: nil)
    var second = first
    second.arrays["a"]?[3 * blockSizeBytes + 17] ^= 1
    second.arrays["a"]? += random.bytes(10)
    let summary = try second.checkpoint(store, lsn: 2, previous: first)
    #expect(summary.writtenBlocks == 3)
    #expect(summary.writtenBytes < 2 * blockSizeBytes)
    let reopened = try open()
    let manifest = try #require(try reopened.newestManifest()).manifest
    #expect(try mapped(manifest, reopened) == second.arrays)
    #expect(try reopened.trimmableLSN() == 1)
    let unchanged = try second.checkpoint(reopened, lsn: 3, previous: second)
    #expect(unchanged.writtenBlocks == 0)
  }

  @Test func garbageOfOldCheckpointsGoesAndMappingsStay() throws {
    var random = SplitMix64(seed: 3)
    let store = try open()
    var previous: ArrayModel?
    for lsn in 1...6 as ClosedRange<UInt64> {
      let model = ArrayModel(arrays: ["a": random.bytes(2 * blockSizeBytes)])
      try model.checkpoint(store, lsn: lsn, previous: previous)
      previous = model
      _ = try store.collectGarbage()
      #expect(try fileSystem.list(store.packsDirectory).count == Int(min(lsn, 2)))
      #expect(try fileSystem.list(store.manifestsDirectory).count == Int(min(lsn, 2)))
    }
    let manifest = try #require(try store.newestManifest()).manifest
    #expect(try mapped(manifest, store) == previous?.arrays)
  }

  @Test func aPinKeepsItsBlocks() throws {
    var random = SplitMix64(seed: 4)
    let store = try open()
    let first = ArrayModel(arrays: ["a": random.bytes(blockSizeBytes)])
    try first.checkpoint(store, lsn: 1, previous: nil)
    let pinned = try #require(try store.newestManifest()).manifest
    let pin = try store.pin(pinned)
    for lsn in 2...4 as ClosedRange<UInt64> {
      let model = ArrayModel(arrays: ["a": random.bytes(blockSizeBytes)])
      try model.checkpoint(store, lsn: lsn, previous: nil)
      _ = try store.collectGarbage()
    }
    #expect(try mapped(pin.manifest, store) == first.arrays)
    #expect(try store.verify(pin.manifest).isEmpty)
    pin.release()
    #expect(try store.collectGarbage().removedPacks == 1)
    #expect(throws: StoreError.self) { try store.pin(pinned) }
  }

  @Test func mostlyDeadPacksAreEmptied() throws {
    var random = SplitMix64(seed: 5)
    let store = try open()
    var model = ArrayModel(arrays: ["a": random.bytes(6 * blockSizeBytes)])
    try model.checkpoint(store, lsn: 1, previous: nil)
    for lsn in 2...5 as ClosedRange<UInt64> {
      let before = model
      // Four of six blocks change; the other two lie in ever the same pack until it is emptied.
      for block in 0..<4 { model.arrays["a"]?[block * blockSizeBytes] &+= 1 }
      let summary = try model.checkpoint(store, lsn: lsn, previous: before)
      if lsn == 3 { #expect(summary.compactedBytes >= 2 * blockSizeBytes) }
      _ = try store.collectGarbage()
    }
    #expect(try fileSystem.list(store.packsDirectory).count <= 3)
    let manifest = try #require(try store.newestManifest()).manifest
    #expect(try mapped(manifest, store) == model.arrays)
  }

  @Test func anAbandonedCheckpointLeavesNothing() throws {
    let store = try open()
    do {
      let writer = try store.beginCheckpoint(lsn: 1)
      try writer.write([1, 2, 3])
      #expect(throws: StoreError.self) { try store.beginCheckpoint(lsn: 1) }
      writer.abandon()
      #expect(throws: StoreError.self) { try writer.write([1]) }
      let dropped = try store.beginCheckpoint(lsn: 1)
      try dropped.write([1, 2, 3])
    }
    #expect(try fileSystem.list(store.packsDirectory).isEmpty)
    try ArrayModel(arrays: ["a": [1]]).checkpoint(store, lsn: 1, previous: nil)
  }

  @Test func aManifestWithoutItsBlocksIsRefused() throws {
    let store = try open()
    let writer = try store.beginCheckpoint(lsn: 1)
    let list = try writer.writeList(BlockList(hashes: [SHA256.hash([5])], lengthBytes: 1))
    let array = ArrayManifest(name: "a", rowStrideBytes: 1, lengthBytes: 1, list: list)
    let error = #expect(throws: StoreError.self) {
      try writer.commit(makeManifest(lsn: 1, arrays: [array]))
    }
    #expect(error?.kind == .corrupt)
    #expect(try fileSystem.list(store.packsDirectory).isEmpty)
    #expect(try fileSystem.list(store.manifestsDirectory).isEmpty)
    try ArrayModel(arrays: ["a": [1]]).checkpoint(store, lsn: 1, previous: nil)
  }

  @Test func leftoversGoOnOpening() throws {
    let store = try open()
    try ArrayModel(arrays: ["a": [1]]).checkpoint(store, lsn: 1, previous: nil)
    try fileSystem.writeAtomically([1], to: store.packsDirectory + "/x.pack.tmp")
    try fileSystem.writeAtomically([1], to: store.manifestsDirectory + "/x.manifest.tmp")
    _ = try open()
    #expect(try fileSystem.list(store.packsDirectory).count == 1)
    #expect(try fileSystem.list(store.manifestsDirectory).count == 1)
  }

  @Test func readersWithPinsSeeWholeStatesBesideCheckpoints() throws {
    let store = try open()
    @Sendable func model(_ lsn: UInt64) -> ArrayModel {
      var random = SplitMix64(seed: lsn)
      return ArrayModel(arrays: ["a": random.bytes(40_000), "b": random.bytes(10)])
    }
    try model(1).checkpoint(store, lsn: 1, previous: nil)
    let isDone = Atomic(false)
    let failures = Mutex([String]())
    let reads = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: 3) { worker in
      do {
        if worker == 0 {
          defer { isDone.store(true, ordering: .releasing) }
          for lsn in 2...25 as ClosedRange<UInt64> {
            try model(lsn).checkpoint(store, lsn: lsn, previous: nil)
            _ = try store.collectGarbage()
          }
        } else {
          repeat {
            let pin = try #require(try store.pinNewest())
            let expected = model(pin.manifest.lsn).arrays
            for array in pin.manifest.collections.flatMap(\.arrays) {
              let blocks = try store.list(of: array).hashes.map { try store.read($0) }
              guard Array(blocks.joined()) == expected[array.name] else {
                throw StoreError(.corrupt, "other content at \(pin.manifest.lsn)")
              }
            }
            pin.release()
            reads.add(1, ordering: .relaxed)
          } while !isDone.load(ordering: .acquiring)
        }
      } catch { failures.withLock { $0.append("\(error)") } }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(reads.load(ordering: .relaxed) >= 2)
    #expect(try store.verify().isEmpty)
  }

  @Test func randomHistoriesEqualTheirModel() throws {
    let seed: UInt64 = 20_260_101
    var random = SplitMix64(seed: seed)
    var store = try open()
    var model = ArrayModel(arrays: ["a": [], "b": []])
    var lsn: UInt64 = 0
    for step in 0..<40 {
      let before = model
      for name in ["a", "b"] {
        if Bool.random(using: &random) {
          model.arrays[name]? += random.bytes(Int.random(in: 0...700_000, using: &random))
        }
        if let count = model.arrays[name]?.count, count > 0, Bool.random(using: &random) {
          model.arrays[name]?[Int.random(in: 0..<count, using: &random)] &+= 1
        }
      }
      lsn += 1
      try model.checkpoint(store, lsn: lsn, previous: step == 0 ? nil : before)
      if Bool.random(using: &random) { _ = try store.collectGarbage() }
      if step % 5 == 0 { store = try open() }
      let manifest = try #require(try store.newestManifest()).manifest
      #expect(manifest.lsn == lsn)
      #expect(try mapped(manifest, store) == model.arrays, "seed \(seed), step \(step)")
    }
    #expect(try store.verify().isEmpty)
  }
}
