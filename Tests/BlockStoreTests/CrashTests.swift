import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedDisk

/// What must hold and does not.
struct Violation: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Power failures at every operation, and failing operations, of checkpoints and backups.
@Suite struct CrashTests {
  static let database = "/db"

  /// The content at an LSN: arrays that grow, change in part, stay, or are new.
  static func model(_ lsn: UInt64) -> ArrayModel {
    var grown: [UInt8] = []
    for step in 0...lsn {
      var random = SplitMix64(seed: step)
      grown += random.bytes(1500)
    }
    var random = SplitMix64(seed: lsn / 2)
    return ArrayModel(arrays: [
      "grows": grown, "changes at times": random.bytes(6000), "stays": Array("stays".utf8),
      "new \(lsn)": [UInt8(truncatingIfNeeded: lsn)],
    ])
  }

  static func open(_ disk: SimulatedDisk) throws -> BlockStore {
    try BlockStore(directory: database, fileSystem: disk)
  }

  /// Makes checkpoints of LSN `acknowledged + 1` to `last`, each with garbage collected behind it.
  static func advance(
    _ store: BlockStore, to last: UInt64, acknowledged: inout UInt64
  ) throws {
    while acknowledged < last {
      let old = try store.newestManifest()?.manifest.lsn
      try model(acknowledged + 1).checkpoint(
        store, lsn: acknowledged + 1, previous: old.map { model($0) })
      acknowledged += 1
      _ = try store.collectGarbage()
    }
  }

  /// Opens the store: it must hold the acknowledged checkpoint or the one after it, whole, without
  /// damage; nothing unneeded may stay; and the next checkpoints must succeed.
  static func check(_ disk: SimulatedDisk, acknowledged: UInt64) throws {
    guard try disk.exists(database) else {
      if acknowledged > 0 { throw Violation("the database is gone") }
      return
    }
    let store = try open(disk)
    let found = try checkContent(store, acknowledged: acknowledged)
    guard try store.verify().isEmpty else { throw Violation("damage after a crash") }
    _ = try store.collectGarbage()
    let packs = try disk.list(store.packsDirectory).compactMap { UInt64($0.prefix(20)) }
    let needed = try neededPacks(disk, store, packs)
    guard Set(packs) == needed else { throw Violation("packs \(packs), needed \(needed)") }
    let manifests = try disk.list(store.manifestsDirectory)
    guard manifests.count <= 2, manifests.allSatisfy({ $0.hasSuffix(".manifest") }) else {
      throw Violation("left over: \(manifests)")
    }
    var next = found
    try advance(store, to: found + 2, acknowledged: &next)
    _ = try checkContent(try open(disk.restarted(.syncedOnly)), acknowledged: next)
  }

  /// The packs that the kept manifests need, found out from the files alone: for each block the
  /// newest pack that holds it and is not newer than the manifest.
  static func neededPacks(
    _ disk: SimulatedDisk, _ store: BlockStore, _ packs: [UInt64]
  ) throws -> Set<UInt64> {
    var holders: [Digest: [UInt64]] = [:]
    for number in packs {
      let name = String(repeating: "0", count: 20 - "\(number)".count) + "\(number).pack"
      let bytes = try disk.readAll(store.packsDirectory + "/" + name)
      let count = (bytes.count - 56) % 4096 / 48
      for entry in 0..<count {
        let start = bytes.count - 56 - (count - entry) * 48
        let hash = bytes[start..<start + 32].withUnsafeBytes { $0.baseAddress.map(Digest.init) }
        if let hash { holders[hash, default: []].append(number) }
      }
    }
    var needed = Set<UInt64>()
    for (number, _) in store.manifestNumbers {
      for array in store.manifest(number: number)?.collections.flatMap(\.arrays) ?? [] {
        for hash in [array.list] + (try store.list(of: array).hashes) {
          guard let pack = holders[hash]?.filter({ $0 <= number }).max() else {
            throw Violation("manifest \(number) needs a pack that is newer")
          }
          needed.insert(pack)
        }
      }
    }
    return needed
  }

  static func checkContent(_ store: BlockStore, acknowledged: UInt64) throws -> UInt64 {
    guard let selection = try store.newestManifest() else {
      if acknowledged > 0 { throw Violation("no manifest; acknowledged \(acknowledged)") }
      return 0
    }
    let lsn = selection.manifest.lsn
    guard selection.damage.isEmpty else { throw Violation("damage: \(selection.damage)") }
    guard lsn == acknowledged || lsn == acknowledged + 1 else {
      throw Violation("found \(lsn), acknowledged \(acknowledged)")
    }
    guard try mapped(selection.manifest, store) == model(lsn).arrays else {
      throw Violation("other content at \(lsn)")
    }
    return lsn
  }

  @Test(arguments: [true, false]) func checkpointsSurvivePowerFailures(_ isFirst: Bool) throws {
    let start: UInt64 = isFirst ? 0 : 2
    var test = CrashTest(
      initial: start,
      prepare: { disk in
        try disk.createDirectory(Self.database)
        var acknowledged: UInt64 = 0
        if start > 0 { try Self.advance(Self.open(disk), to: start, acknowledged: &acknowledged) }
      },
      work: { disk, acknowledged in
        try Self.advance(try Self.open(disk), to: start + 3, acknowledged: &acknowledged)
      },
      check: { try Self.check($0, acknowledged: $1) })
    test.options.powersafeOverwrite = false
    let checked = try test.run(seed: 21, chances: 2)
    #expect(checked > 100)
  }

  /// The process dies at any operation, another one goes on with what the operating system still
  /// has in memory, and then the power fails.
  @Test(arguments: [Fault.Effect.inputOutputError, .failedSync, .diskFull], 0...2)
  func aPowerFailureAfterAFailedOperationIsSurvived(
    _ effect: Fault.Effect, laterCheckpoints: Int
  ) throws {
    for survival in [Survival.syncedOnly, .random(seed: 5), .random(seed: 6)] {
      var strike = 0
      while try dieAndGoOn(
        effect, at: strike, laterCheckpoints: laterCheckpoints, survival: survival)
      {
        strike += 1
      }
      #expect(strike > 10)
    }
  }

  /// False if the work had fewer operations.
  private func dieAndGoOn(
    _ effect: Fault.Effect, at strike: Int, laterCheckpoints: Int, survival: Survival
  ) throws -> Bool {
    let disk = SimulatedDisk(seed: UInt64(strike))
    try disk.createDirectory(Self.database)
    var acknowledged: UInt64 = 0
    try Self.advance(try Self.open(disk), to: 2, acknowledged: &acknowledged)
    disk.inject(Fault(effect, skipping: strike))
    do {
      try Self.advance(try Self.open(disk), to: 4, acknowledged: &acknowledged)
      return false
    } catch let error as StoreError {
      #expect([.inputOutput, .diskFull].contains(error.kind), "\(error)")
    }
    disk.removeFaults()
    let store = try Self.open(disk)
    var seen = try Self.checkContent(store, acknowledged: acknowledged)
    if laterCheckpoints > 0 {
      try Self.advance(store, to: seen + UInt64(laterCheckpoints), acknowledged: &seen)
      acknowledged = seen
    }
    _ = try store.collectGarbage()
    do {
      try Self.check(disk.restarted(survival), acknowledged: acknowledged)
    } catch {
      Issue.record("\(effect) at \(strike), then \(survival): \(error)\n\(disk.trace.suffix(40))")
    }
    return true
  }

  @Test func aFullDiskLeavesTheStoreUsable() throws {
    var strike = 0
    var isStruck = true
    while isStruck {
      let disk = SimulatedDisk()
      try disk.createDirectory(Self.database)
      let store = try Self.open(disk)
      var acknowledged: UInt64 = 0
      try Self.advance(store, to: 2, acknowledged: &acknowledged)
      let before = disk.filePaths
      disk.inject(Fault(.diskFull, skipping: strike, times: .max))
      do {
        try Self.advance(store, to: 3, acknowledged: &acknowledged)
        isStruck = false
      } catch let error as StoreError {
        #expect(error.kind == .diskFull)
        #expect(disk.filePaths == before)
      }
      disk.removeFaults()
      try Self.advance(store, to: 4, acknowledged: &acknowledged)
      try Self.check(disk.restarted(.syncedOnly), acknowledged: acknowledged)
      strike += 1
    }
    #expect(strike > 5)
  }

  @Test func aFailedSyncPoisons() throws {
    for skipped in 0..<4 {
      let disk = SimulatedDisk()
      try disk.createDirectory(Self.database)
      let store = try Self.open(disk)
      var acknowledged: UInt64 = 0
      try Self.advance(store, to: 2, acknowledged: &acknowledged)
      disk.inject(Fault(.failedSync, skipping: skipped))
      let first = #expect(throws: StoreError.self) {
        try Self.advance(store, to: 3, acknowledged: &acknowledged)
      }
      #expect(first?.kind == .inputOutput)
      let second = #expect(throws: StoreError.self) { try store.beginCheckpoint(lsn: 3) }
      #expect(second?.kind == .poisoned)
      #expect(try store.collectGarbage().postponed != nil)
      _ = try Self.checkContent(store, acknowledged: acknowledged)
    }
  }

  /// What a crash may leave of blocks longer than one: a pack of several MiB.
  @Test func largePacksSurvivePowerFailures() throws {
    var random = SplitMix64(seed: 9)
    let first = ArrayModel(arrays: ["a": random.bytes(2 * blockSizeBytes + 999)])
    var second = first
    second.arrays["a"]?[blockSizeBytes + 5] ^= 1
    let models = [first, second]
    let test = CrashTest(
      initial: 0,
      prepare: { try $0.createDirectory(Self.database) },
      work: { disk, acknowledged in
        let store = try Self.open(disk)
        for (index, model) in models.enumerated() {
          try model.checkpoint(
            store, lsn: UInt64(index) + 1, previous: index == 0 ? nil : models[index - 1])
          acknowledged = index + 1
        }
      },
      check: { disk, acknowledged in
        let store = try Self.open(disk)
        let found = try store.newestManifest()
        let lsn = Int(found?.manifest.lsn ?? 0)
        guard lsn == acknowledged || lsn == acknowledged + 1 else {
          throw Violation("found \(lsn), acknowledged \(acknowledged)")
        }
        if let found, try mapped(found.manifest, store) != models[lsn - 1].arrays {
          throw Violation("other content at \(lsn)")
        }
      })
    try test.run(seed: 31, chances: 1, limit: 16)
  }

  // MARK: Repositories

  static let databaseID = makeManifest(lsn: 1, arrays: []).databaseID

  static func backup(_ store: BlockStore, _ repository: StoredRepository) throws {
    guard let manifest = try store.newestManifest()?.manifest else { return }
    _ = try BlockTransfer(threads: 1).publish(manifest, from: store, to: repository)
    try repository.putLog(
      LogPiece(epochCounter: 1, firstLSN: manifest.lsn, lastLSN: manifest.lsn), [1, 2, 3])
    try repository.putManifest(manifest)
  }

  @Test func backupsSurvivePowerFailures() throws {
    let test = CrashTest(
      initial: UInt64(0),
      prepare: { disk in
        try disk.createDirectory(Self.database)
        var acknowledged: UInt64 = 0
        try Self.advance(try Self.open(disk), to: 1, acknowledged: &acknowledged)
      },
      work: { disk, acknowledged in
        let store = try Self.open(disk)
        let repository = try StoredRepository.openOrCreate(
          "/repo", databaseID: Self.databaseID, fileSystem: disk)
        for lsn in 1...3 as ClosedRange<UInt64> {
          var reached = try store.newestManifest()?.manifest.lsn ?? 0
          try Self.advance(store, to: lsn, acknowledged: &reached)
          try Self.backup(store, repository)
          acknowledged = lsn
        }
      },
      check: { disk, acknowledged in
        let repository = try StoredRepository.openOrCreate(
          "/repo", databaseID: Self.databaseID, fileSystem: disk)
        let report = try RepositoryVerifier(repository).verify()
        guard report.damage.isEmpty else { throw Violation("damage: \(report.damage)") }
        let found = report.soundManifests.map(\.lsn)
        guard found.starts(with: 1..<acknowledged + 1), found.count <= acknowledged + 1 else {
          throw Violation("backups \(found), acknowledged \(acknowledged)")
        }
        let pieces = try repository.logPieces().map(\.firstLSN)
        guard pieces.starts(with: found) else { throw Violation("log \(pieces), \(found)") }
        _ = try repository.removeTemporaries(olderThanMilliseconds: .max)
        if let left = disk.filePaths.first(where: { $0.hasPrefix("/repo") && $0.hasSuffix(".tmp") })
        {
          throw Violation("left over: \(left)")
        }
        // The next backup goes through, whatever blocks are there.
        let store = try Self.open(disk)
        var reached = try store.newestManifest()?.manifest.lsn ?? 0
        try Self.advance(store, to: reached + 1, acknowledged: &reached)
        try Self.backup(store, repository)
        let later = disk.restarted(.syncedOnly)
        let reopened = try StoredRepository.open("/repo", fileSystem: later)
        let second = try RepositoryVerifier(reopened).verify()
        guard second.damage.isEmpty, second.soundManifests.last?.lsn == reached else {
          throw Violation("the backup after the crash: \(second.damage)")
        }
      })
    let checked = try test.run(seed: 41, chances: 2)
    #expect(checked > 100)
  }

  @Test func anEpochClaimSurvivesOrIsFree() throws {
    let test = CrashTest(
      initial: false,
      prepare: { disk in
        _ = try StoredRepository.create("/repo", databaseID: 1, fileSystem: disk)
      },
      work: { disk, isClaimed in
        let repository = try StoredRepository.open("/repo", fileSystem: disk)
        try repository.claimEpoch(counter: 7, id: 1)
        isClaimed = true
      },
      check: { disk, isClaimed in
        let repository = try StoredRepository.open("/repo", fileSystem: disk)
        do {
          try repository.claimEpoch(counter: 7, id: 2)
          if isClaimed { throw Violation("an epoch was claimed twice") }
        } catch let error as StoreError where error.kind == .alreadyExists {}
      })
    try test.run(seed: 51)
  }

  @Test func aFullDiskFailsTheBackupAndLeavesNoTemporaries() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory(Self.database)
    var acknowledged: UInt64 = 0
    let store = try Self.open(disk)
    try Self.advance(store, to: 1, acknowledged: &acknowledged)
    for strike in 0..<12 {
      let path = "/repo\(strike)"
      let repository = try StoredRepository.create(
        path, databaseID: Self.databaseID, fileSystem: disk)
      disk.inject(Fault(.diskFull, pathContaining: path, skipping: strike, times: .max))
      let error = #expect(throws: StoreError.self) { try Self.backup(store, repository) }
      #expect(error?.kind == .diskFull)
      disk.removeFaults()
      #expect(try repository.manifests().isEmpty)
      #expect(!disk.filePaths.contains { $0.hasPrefix(path) && $0.hasSuffix(".tmp") })
      let again = try StoredRepository.open(path, fileSystem: disk)
      try Self.backup(store, again)
      #expect(try RepositoryVerifier(again).verify().soundManifests.count == 1)
    }
  }
}
