import Foundation
import Testing
import VecDB

/// What a repository has of a history that a newer one left behind is listed, and can be restored.
@Suite struct EndedHistoryTests {
  private static func restored(
    _ site: BranchTests.Site, _ target: RestoreTarget, epoch: UInt64?
  ) async throws -> String {
    let options = RestoreOptions(verification: .quick, epoch: epoch, replacing: true)
    return try await Database.restore(
      from: site.repository, to: site.directory.file("copy"), target: target, options: options
    ).dataDigest
  }

  /// Random histories of writes, snapshots and their return, archived after each write: every state
  /// that the repository was told of comes back by its epoch and LSN.
  @Test(arguments: UInt64(1)...4)
  func `every archived state comes back by epoch and LSN`(seed: UInt64) async throws {
    let site = try await BranchTests.Site(seed: seed &* 104_729)
    try await site.write(3)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("first")
    struct Place: Hashable {
      var epoch: UInt64
      var lsn: UInt64
    }
    var states: [Place: String] = [:]
    var log: [String] = []
    for _ in 0..<12 {
      if Int.random(in: 0..<3, using: &site.generator) == 0 {
        try await site.setBack(to: "first")
        log.append("back")
      }
      for _ in 0..<Int.random(in: 1...3, using: &site.generator) {
        try await site.write(1)
        if Bool.random(using: &site.generator) {
          _ = try await site.database.archive(to: site.repository)
        } else {
          _ = try await site.database.backup(to: site.repository)
        }
        let stats = try site.database.stats()
        states[Place(epoch: stats.epoch, lsn: stats.lsn)] = stats.dataDigest
        log.append("\(stats.epoch)/\(stats.lsn)")
      }
    }
    for (place, digest) in states {
      let found = try await Self.restored(site, .lsn(place.lsn), epoch: place.epoch)
      #expect(found == digest, "seed \(seed): \(place), \(log)")
    }
    // The end of each history is where its list says that it is.
    let newest = try #require(states.keys.map(\.epoch).max())
    let ended = try Database.endedHistories(in: site.repository)
    #expect(Set(ended.map(\.epoch)) == Set(states.keys.map(\.epoch).filter { $0 < newest }))
    for history in ended {
      let own = states.keys.filter { $0.epoch == history.epoch }
      #expect(own.map(\.lsn).max() == history.lastLSN, "seed \(seed): \(history), \(log)")
      let last = try await Self.restored(site, .latest, epoch: history.epoch)
      #expect(last == states[Place(epoch: history.epoch, lsn: history.lastLSN)])
    }
    // All was archived, so that nothing is missing anywhere.
    let backups = try Database.backups(in: site.repository)
    #expect(backups.allSatisfy { $0.gapFirstLSN == nil }, "seed \(seed): \(backups), \(log)")
    try await site.database.close()
  }

  /// It removes files of the repository, so that this must be a directory.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["VECDB_TEST_STORE"] == nil))
  func `a gap ends before the next restore point of its history`() async throws {
    let site = try await BranchTests.Site(seed: 5)
    try await site.write(2)
    let first = try await site.database.backup(to: site.repository)
    try await site.snapshot("snapshot")
    try await site.write(3)
    let second = try await site.database.backup(to: site.repository)
    try await site.write(1)
    let end = try await site.database.archive(to: site.repository)
    let endDigest = try BranchTests.digest(site.database)
    // The log between the two restore points is gone, that after the second is there.
    let log = site.repository + "/log"
    let folder =
      log + "/" + (try #require(try FileManager.default.contentsOfDirectory(atPath: log).first))
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let lsns = name.split(separator: "-").compactMap { UInt64($0.prefix { $0.isNumber }) }
      guard let last = lsns.last, last > first.lsn, last <= second.lsn else { continue }
      try FileManager.default.removeItem(atPath: folder + "/" + name)
    }
    let before = try Database.backups(in: site.repository)
    #expect(before[0].replayableThroughLSN < second.lsn - 1, "there is no gap to tell of")
    #expect(before[0].gapFirstLSN == before[0].replayableThroughLSN + 1)
    #expect(before[0].gapLastLSN == second.lsn - 1)
    #expect(before[1].gapFirstLSN == nil)

    try await site.setBack(to: "snapshot")
    try await site.write(1)
    let branch = try await site.database.backup(to: site.repository)
    let after = try Database.backups(in: site.repository)
    #expect(after.map(\.gapFirstLSN) == [before[0].gapFirstLSN, nil, nil])
    let ended = try Database.endedHistories(in: site.repository)
    #expect(ended.map(\.epoch) == [first.epoch] && ended[0].lastLSN == end.lsn)
    #expect(ended[0].afterLSN == branch.branch?.commonLSN)
    // Whoever asks for what only the older history has is told how.
    do {
      _ = try await Self.restored(site, .lsn(end.lsn), epoch: nil)
      Issue.record("an LSN of another history was restored")
    } catch let error as VecDBError {
      #expect(error.code == .notFound && error.remedy.contains("--epoch 1"), "\(error)")
    }
    #expect(try await Self.restored(site, .lsn(end.lsn), epoch: first.epoch) == endDigest)
    await expectError(.notFound) {
      _ = try await Self.restored(site, .latest, epoch: branch.epoch + 7)
    }
    try await site.database.close()
  }

  /// Both histories have a mark of one name, and the ended one goes on as the database.
  @Test func `an ended history has its own marks, and can go on`() async throws {
    let site = try await BranchTests.Site(seed: 7)
    try await site.write(2)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("snapshot")
    func mark(after writes: Int) async throws -> (digest: String, epoch: UInt64) {
      try await site.write(writes)
      _ = try await site.database.mark("release")
      let digest = try BranchTests.digest(site.database)
      try await site.write(2)
      _ = try await site.database.archive(to: site.repository)
      return (digest, try site.database.stats().epoch)
    }
    let older = try await mark(after: 3)
    let olderEnd = try BranchTests.digest(site.database)
    try await site.setBack(to: "snapshot")
    let newer = try await mark(after: 5)
    #expect(older.epoch < newer.epoch)
    #expect(try await Self.restored(site, .mark("release"), epoch: nil) == newer.digest)
    #expect(try await Self.restored(site, .mark("release"), epoch: older.epoch) == older.digest)

    try await site.database.close()
    let options = RestoreOptions(
      verification: .quick, epoch: older.epoch, replacing: true, continues: true)
    _ = try await Database.restore(
      from: site.repository, to: site.path, target: .latest, options: options)
    site.database = try await BranchTests.open(site.path)
    #expect(try BranchTests.digest(site.database) == olderEnd)
    try await site.write(3)
    _ = try await site.database.archive(to: site.repository)
    let last = try BranchTests.digest(site.database)
    #expect(try await Self.restored(site, .latest, epoch: nil) == last)
    #expect(try await Self.restored(site, .mark("release"), epoch: newer.epoch) == newer.digest)
    #expect(try await Database.verify(repository: site.repository, samples: 2).problems == [])
    try await site.database.close()
  }

  @Test func `a repository within the database is refused`() async throws {
    let site = try await BranchTests.Site(seed: 6)
    try await site.write(2)
    for place in ["/repository", "/a/b", ""] {
      await expectError(.invalidArgument) {
        _ = try await site.database.backup(to: site.path + place)
      }
      await expectError(.invalidArgument) {
        _ = try await site.database.archive(to: site.path + place)
      }
    }
    try await site.database.close()
  }
}
