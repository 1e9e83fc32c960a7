import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

@Suite struct RepositoryTests {
  let directory: TemporaryDirectory
  let fileSystem = PosixFileSystem()
  let databaseID = makeManifest(lsn: 1, arrays: []).databaseID

  init() throws { directory = try TemporaryDirectory() }

  var path: String { directory.path + "/repo" }

  func open() throws -> StoredRepository {
    try StoredRepository.openOrCreate(path, databaseID: databaseID, fileSystem: fileSystem)
  }

  func makeStore(_ name: String) throws -> BlockStore {
    try BlockStore(directory: directory.path + "/" + name, fileSystem: fileSystem)
  }

  /// What was put and is not published, since something else failed, leaves no files.
  @Test func whatWasGivenUpLeavesNothing() throws {
    do {
      let repository = try open()
      for number in 0..<20 {
        let bytes = [UInt8](repeating: UInt8(number), count: 1_000)
        try bytes.withUnsafeBytes { _ = try repository.putBlock(SHA256.hash(bytes), $0) }
      }
      #expect(try fileSystem.list(path + "/blocks").count == 20)
    }
    #expect(try fileSystem.list(path + "/blocks") == [])
  }

  @Test(arguments: [1, 4]) func backupIsIncrementalAndRestores(threads: Int) throws {
    var random = SplitMix64(seed: 6)
    let store = try makeStore("db")
    let records = random.bytes(2_500_000)
    let recordsPath = directory.path + "/records.sqlite"
    try fileSystem.writeAtomically(records, to: recordsPath)
    var model = ArrayModel(arrays: [
      "a": random.bytes(9 * blockSizeBytes + 5), "b": random.bytes(77),
    ])
    let transfer = BlockTransfer(threads: threads)

    func backup(lsn: UInt64) throws -> (TransferProgress, TransferProgress) {
      let repository = try open()
      let pin = try store.pin(try #require(try store.newestManifest()).manifest)
      var manifest = pin.manifest
      let first = try transfer.publish(manifest, from: store, to: repository)
      let (array, second) = try transfer.publishFile(
        recordsPath, name: "records.sqlite", fileSystem: fileSystem, to: repository)
      manifest.records = array
      try repository.putManifest(manifest)
      return (first, second)
    }

    try model.checkpoint(store, lsn: 1, previous: nil)
    let full = try backup(lsn: 1)
    #expect(full.0.sentBlocks == 13)
    #expect(full.0.doneBytes == full.0.totalBytes)
    #expect(full.1.sentBlocks == 4)
    let before = model
    model.arrays["a"]?[0] ^= 255
    try model.checkpoint(store, lsn: 2, previous: before)
    let incremental = try backup(lsn: 2)
    #expect(incremental.0.sentBlocks == 2)
    #expect(incremental.1.sentBlocks == 0)
    #expect(try RepositoryVerifier(open()).verify().damage.isEmpty)
    #expect(try fileSystem.list(path + "/blocks").allSatisfy { !$0.hasSuffix(".tmp") })

    for (lsn, expected) in [(1, before), (2, model)] as [(UInt64, ArrayModel)] {
      let repository = try StoredRepository.open(path, fileSystem: fileSystem)
      let entry = try #require(try repository.newestManifest(lsn: lsn))
      let manifest = try repository.getManifest(entry)
      let restored = try makeStore("restored-\(lsn)")
      let writer = try restored.beginCheckpoint(lsn: manifest.lsn)
      let fetched = try transfer.fetch(manifest, from: repository, into: writer)
      #expect(fetched.doneBlocks == fetched.totalBlocks)
      var local = manifest
      local.records = nil
      _ = try writer.commit(local)
      let target = directory.path + "/restored-\(lsn)/records.sqlite"
      _ = try transfer.fetchFile(
        try #require(manifest.records), from: repository, to: target, fileSystem: fileSystem)
      #expect(try fileSystem.readAll(target) == records)
      #expect(try mapped(local, restored) == expected.arrays)
      #expect(try restored.verify().isEmpty)
    }
  }

  @Test func aDeltaRestoreFetchesOnlyWhatIsMissing() throws {
    var random = SplitMix64(seed: 7)
    let store = try makeStore("db")
    let first = ArrayModel(arrays: ["a": random.bytes(6 * blockSizeBytes)])
    try first.checkpoint(store, lsn: 1, previous: nil)
    let repository = try open()
    let manifest = try #require(try store.newestManifest()).manifest
    _ = try BlockTransfer().publish(manifest, from: store, to: repository)
    try repository.putManifest(manifest)
    var second = first
    second.arrays["a"]?[5 * blockSizeBytes] ^= 1
    try second.checkpoint(store, lsn: 2, previous: first)
    try second.checkpoint(store, lsn: 3, previous: second)
    _ = try store.collectGarbage()
    let writer = try store.beginCheckpoint(lsn: 1, compaction: .none)
    let progress = try BlockTransfer().fetch(manifest, from: repository, into: writer)
    #expect(progress.sentBlocks <= 2)
    _ = try writer.commit(manifest)
    #expect(try mapped(manifest, store) == first.arrays)
  }

  @Test func manifestsAreExclusiveAndSorted() throws {
    let repository = try open()
    for (epoch, lsn) in [(2, 5), (1, 10), (1, 9)] as [(UInt64, UInt64)] {
      try repository.putManifest(makeManifest(lsn: lsn, epochCounter: epoch, arrays: []))
    }
    #expect(
      try repository.manifests() == [
        ManifestEntry(epochCounter: 1, lsn: 9), ManifestEntry(epochCounter: 1, lsn: 10),
        ManifestEntry(epochCounter: 2, lsn: 5),
      ])
    #expect(try repository.newestManifest(lsn: 9)?.lsn == 5)
    #expect(try repository.newestManifest(epochCounter: 1)?.lsn == 10)
    let error = #expect(throws: StoreError.self) {
      try repository.putManifest(makeManifest(lsn: 9, arrays: []))
    }
    #expect(error?.kind == .alreadyExists)
    try repository.deleteManifest(ManifestEntry(epochCounter: 1, lsn: 9))
    let missing = #expect(throws: StoreError.self) {
      try repository.getManifest(ManifestEntry(epochCounter: 1, lsn: 9))
    }
    #expect(missing?.kind == .notFound)
  }

  @Test func logPiecesArePublishedOnce() throws {
    let repository = try open()
    let piece = LogPiece(epochCounter: 3, firstLSN: 1, lastLSN: 20)
    try repository.putLog(piece, [1, 2, 3])
    try repository.putLog(piece, [1, 2, 3])
    #expect(throws: StoreError.self) { try repository.putLog(piece, [1, 2, 4]) }
    try repository.putLog(LogPiece(epochCounter: 3, firstLSN: 21, lastLSN: 21), [])
    #expect(try repository.logPieces().map(\.lastLSN) == [20, 21])
    #expect(try repository.getLog(piece) == [1, 2, 3])
    try repository.deleteLog(piece)
    #expect(throws: StoreError.self) { try repository.getLog(piece) }
  }

  @Test func anEpochIsClaimedOnce() throws {
    let repository = try open()
    try repository.claimEpoch(counter: 4, id: 99)
    try repository.claimEpoch(counter: 4, id: 99)
    let error = #expect(throws: StoreError.self) { try repository.claimEpoch(counter: 4, id: 98) }
    #expect(error?.kind == .alreadyExists)
    #expect(try repository.claimedEpochs().map(\.id) == [99])
  }

  @Test func wrongPathsAreNamed() throws {
    func kind(_ body: () throws -> Void) -> StoreError? {
      do { try body() } catch { return error as? StoreError }
      return nil
    }
    let missing = kind { _ = try StoredRepository.open(path, fileSystem: fileSystem) }
    #expect(missing?.kind == .notFound)
    #expect(missing?.location == path)
    #expect(missing?.remedy.isEmpty == false)
    try fileSystem.createDirectory(path)
    #expect(
      kind { _ = try StoredRepository.open(path, fileSystem: fileSystem) }?.kind == .notFound)
    try fileSystem.writeAtomically([1], to: path + "/something")
    #expect(kind { _ = try open() }?.kind == .alreadyExists)
    let file = path + "/something"
    #expect(
      kind { _ = try StoredRepository.open(file, fileSystem: fileSystem) }?.kind == .notFound)
    #expect(
      kind {
        _ = try StoredRepository.create(file, databaseID: 1, fileSystem: fileSystem)
      }?.kind == .alreadyExists)
    let other = directory.path + "/other"
    _ = try StoredRepository.create(other, databaseID: 1, fileSystem: fileSystem)
    #expect(
      kind {
        _ = try StoredRepository.openOrCreate(other, databaseID: 2, fileSystem: fileSystem)
      }?.kind == .invalidArgument)
    let repository = try StoredRepository.open(other, fileSystem: fileSystem)
    #expect(
      kind { try repository.putManifest(makeManifest(lsn: 1, arrays: [])) }?.kind
        == .invalidArgument)
  }

  @Test func aTransferCanBeCancelledAndRunAgain() throws {
    var random = SplitMix64(seed: 8)
    let store = try makeStore("db")
    let model = ArrayModel(arrays: ["a": random.bytes(6 * blockSizeBytes)])
    try model.checkpoint(store, lsn: 1, previous: nil)
    let manifest = try #require(try store.newestManifest()).manifest
    let cancelling = BlockTransfer(threads: 2) { progress in
      if progress.doneBlocks == 3 { throw StoreError(.cancelled, "stop") }
    }
    #expect(throws: StoreError.self) {
      try cancelling.publish(manifest, from: store, to: try open())
    }
    let repository = try open()
    _ = try BlockTransfer().publish(manifest, from: store, to: repository)
    try repository.putManifest(manifest)
    #expect(try RepositoryVerifier(repository).verify().soundManifests.count == 1)
    _ = try repository.removeTemporaries(olderThanMilliseconds: .max)
    #expect(try fileSystem.list(path + "/blocks").count == 7)
  }
}
