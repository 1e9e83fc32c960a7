import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBFiles
import VecDBLogStore

/// A database that was set back to a snapshot of its directory, and copies of one database: what a
/// repository has is decided by the chain of the log, not by names and numbers.
@Suite(.inEveryKindOfRepository) struct BranchTests {
  static func open(_ path: String, place: [UInt8]? = nil) async throws -> Database {
    var configuration = DatabaseConfiguration()
    configuration.copyPlace = place
    configuration.controlSocket = false
    configuration.maintenanceMinimum = .max
    configuration.logSegmentBytes = 64 << 10
    configuration.logger.logLevel = .critical
    return try await Database.open(at: path, configuration: configuration)
  }

  static func digest(_ database: Database) throws -> String {
    try database.stats().dataDigest
  }

  /// A database beside which snapshots are kept, and its repository.
  final class Site {
    let directory: TemporaryDirectory
    var database: Database
    var generator: SeededGenerator
    var path: String { directory.file("db") }
    var repository: String { directory.file("repository") }

    init(seed: UInt64) async throws {
      directory = try TemporaryDirectory()
      generator = SeededGenerator(seed: seed)
      database = try await BranchTests.open(directory.file("db"))
      try await database.createCollection("items", dimensions: 8, metric: .l2)
    }

    func write(_ count: Int) async throws {
      let items = try database.collection("items")
      for _ in 0..<count {
        let key = "k\(Int.random(in: 0..<100, using: &generator))"
        try await items.upsert(VectorRecord(key: key, vector: generator.vector(8)))
      }
    }

    func snapshot(_ name: String) async throws {
      try await database.close()
      try? FileManager.default.removeItem(atPath: directory.file(name))
      try copyTree(atPath: path, toPath: directory.file(name))
      database = try await BranchTests.open(path)
    }

    /// Puts a snapshot in the place of the database.
    func setBack(to name: String) async throws {
      try await database.close()
      try FileManager.default.removeItem(atPath: path)
      try copyTree(atPath: directory.file(name), toPath: path)
      database = try await BranchTests.open(path)
    }

    /// The digest of what a restore gives.
    func restored(_ target: RestoreTarget = .latest, base: UInt64? = nil) async throws -> String {
      var options = RestoreOptions()
      options.base = base
      options.replacing = true
      options.verification = .quick
      return try await Database.restore(
        from: repository, to: directory.file("copy"), target: target, options: options
      ).dataDigest
    }
  }

  @Test(arguments: [0, 3, 10, 25], [false, true])
  func aSnapshotPutBackIsBackedUpAsABranch(writes: Int, archiving: Bool) async throws {
    let site = try await Site(seed: 71)
    try await site.write(20)
    let first = try await site.database.backup(to: site.repository)
    try await site.write(5)
    let shared = site.database.lsn
    let sharedDigest = try Self.digest(site.database)
    try await site.snapshot("snapshot")
    try await site.write(10)
    let lost = try await site.database.backup(to: site.repository)
    let lostDigest = try Self.digest(site.database)
    #expect(lost.branch == nil)

    try await site.setBack(to: "snapshot")
    try await site.write(writes)
    let branch: BranchReport?
    if archiving {
      branch = try await site.database.archive(to: site.repository).branch
    } else {
      branch = try await site.database.backup(to: site.repository).branch
    }
    #expect(branch?.commonLSN == shared, "\(String(describing: branch))")
    #expect(branch?.otherLSN == lost.lsn && branch?.epoch == lost.epoch + 1)
    #expect(try Self.digest(site.database) == (try await site.restored()))
    #expect(try await site.restored(.lsn(shared)) == sharedDigest)
    // The other line stays, and can be told apart unless both have a restore point of one LSN.
    if site.database.lsn != lost.lsn || archiving {
      #expect(try await site.restored(.lsn(lost.lsn), base: lost.lsn) == lostDigest)
    }
    // It goes on from there, like any other.
    try await site.write(4)
    let next = try await site.database.backup(to: site.repository)
    #expect(next.branch == nil && next.epoch == lost.epoch + 1)
    try await site.write(4)
    _ = try await site.database.archive(to: site.repository)
    let last = try Self.digest(site.database)
    #expect(try await site.restored() == last)
    #expect(try await site.restored(base: first.lsn) == last)
    let verified = try await Database.verify(repository: site.repository, samples: 4)
    #expect(verified.problems == [])
    try await site.database.close()
  }

  /// A machine that is set back to one snapshot again and again: each time it goes on in an epoch of
  /// its own, and each of its histories can be restored.
  @Test func aSnapshotPutBackTwiceIsBackedUpTwice() async throws {
    let site = try await Site(seed: 74)
    try await site.write(12)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("snapshot")
    try await site.write(6)
    _ = try await site.database.backup(to: site.repository)
    var ends: [(base: UInt64, digest: String)] = []
    for turn in 1...3 {
      try await site.setBack(to: "snapshot")
      try await site.write(6 + turn)
      let report = try await site.database.backup(to: site.repository)
      #expect(report.branch?.epoch == UInt64(turn) + 1, "\(String(describing: report.branch))")
      let digest = try Self.digest(site.database)
      #expect(try await site.restored() == digest)
      ends.append((report.lsn, digest))
      if turn == 2 { try await site.snapshot("second") }
    }
    for end in ends {
      #expect(try await site.restored(.lsn(end.base), base: end.base) == end.digest)
    }
    // Back to what has an epoch of its own.
    try await site.setBack(to: "second")
    try await site.write(9)
    #expect(try await site.database.archive(to: site.repository).branch?.epoch == 5)
    #expect(try await site.restored() == (try Self.digest(site.database)))
    // A copy elsewhere that does not know of it is refused, as ever.
    let other = try await Self.open(site.directory.file("snapshot"))
    await expectError(.invalidArgument) { _ = try await other.backup(to: site.repository) }
    #expect(try await Database.verify(repository: site.repository, samples: 3).problems == [])
    try await other.close()
    try await site.database.close()
  }

  /// Both of two copies that are written to learn of it, and neither claims what is not there.
  @Test func twoCopiesOfOneDatabaseAreNoticedByBoth() async throws {
    let site = try await Site(seed: 72)
    try await site.write(10)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("other")
    let other = try await Self.open(site.directory.file("other"))
    try await site.write(5)
    _ = try await site.database.archive(to: site.repository)
    try await other.collection("items").upsert(
      (0..<3).map {
        VectorRecord(key: "other\($0)", vector: [Float](repeating: Float($0), count: 8))
      })
    let branch = try await other.archive(to: site.repository).branch
    #expect(branch != nil)
    let refusal = await expectError(.invalidArgument) {
      _ = try await site.database.archive(to: site.repository)
    }
    #expect(refusal?.message.contains("another copy") == true, "\(String(describing: refusal))")
    await expectError(.invalidArgument) { _ = try await site.database.backup(to: site.repository) }
    #expect(try await site.restored() == (try Self.digest(other)))
    try await other.close()
    try await site.database.close()
  }

  /// Two copies that archive all the time at once.
  @Test func twoCopiesThatArchiveAtOnceAreNoticed() async throws {
    let site = try await Site(seed: 73)
    try await site.write(10)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("other")
    try await site.database.close()
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    var archive = ArchiveOptions(repository: site.repository)
    archive.intervalMilliseconds = 20
    configuration.archive = archive
    site.database = try await Database.open(at: site.path, configuration: configuration)
    let other = try await Database.open(
      at: site.directory.file("other"), configuration: configuration)
    let deadline = ContinuousClock.now + .seconds(20)
    var problems: [String?] = []
    while ContinuousClock.now < deadline {
      try await site.write(1)
      try await other.collection("items").upsert(
        VectorRecord(key: "other", vector: site.generator.vector(8)))
      problems = try [site.database, other].map { try $0.stats().archives.first?.problem }
      let epochs = Set([site.database, other].map(\.logIdentity.currentEpoch.counter))
      if problems.contains(where: { $0 != nil }), epochs.count == 2 { break }
      try await Task.sleep(nanoseconds: 10_000_000)
    }
    #expect(problems.contains { $0?.contains("another copy") == true }, "\(problems)")
    try? await other.close()
    try? await site.database.close()
  }

  /// Random histories of writes, backups, snapshots and their return. After every backup, and every
  /// archive that a restore point leads to, the latest restore is what the database is.
  @Test(arguments: UInt64(1)...6)
  func whatWasBackedUpIsWhatComesBack(seed: UInt64) async throws {
    let site = try await Site(seed: seed &* 7919)
    try await site.write(3)
    _ = try await site.database.backup(to: site.repository)
    var log: [String] = []
    var snapshots: [String] = []
    for step in 0..<25 {
      switch Int.random(in: 0..<10, using: &site.generator) {
      case 0...3:
        let count = Int.random(in: 1...6, using: &site.generator)
        try await site.write(count)
        log.append("write \(count)")
      case 4: _ = try await site.database.checkpoint()
      case 5:
        try await site.snapshot("s\(step)")
        snapshots.append("s\(step)")
        log.append("snapshot s\(step)")
      case 6:
        guard let name = snapshots.randomElement(using: &site.generator) else { continue }
        try await site.setBack(to: name)
        log.append("back to \(name)")
      default:
        let isBackup = Bool.random(using: &site.generator)
        if isBackup {
          _ = try await site.database.backup(to: site.repository)
        } else {
          _ = try await site.database.archive(to: site.repository)
        }
        log.append("\(isBackup ? "backup" : "archive") at \(site.database.lsn)")
        let (found, expected) = (try await site.restored(), try Self.digest(site.database))
        #expect(found == expected, "seed \(seed): \(log)")
      }
    }
    let verified = try await Database.verify(repository: site.repository, samples: 2)
    #expect(verified.problems == [], "seed \(seed): \(log)")
    try await site.database.close()
  }
}

/// A repository whose file system is not mounted any more.
@Suite struct MissingRepositoryTests {
  @Test func anEmptyPlaceIsNotTakenForTheRepository() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("mount")
    let away = directory.file("unmounted")
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    _ = try await database.backup(to: repository)
    let held = database.lsn
    try FileManager.default.moveItem(atPath: repository, toPath: away)
    for isEmptyDirectory in [false, true] {
      if isEmptyDirectory {
        try FileManager.default.createDirectory(
          atPath: repository, withIntermediateDirectories: false)
      }
      try await items.upsert(VectorRecord(key: "k\(isEmptyDirectory)", vector: [1, 2]))
      await expectError(.notFound) { _ = try await database.backup(to: repository) }
      await expectError(.notFound) { _ = try await database.archive(to: repository) }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: repository) == [])
    let archives = try database.stats().archives
    #expect(archives.map(\.lsn) == [held])
    #expect(archives.allSatisfy { $0.pendingBytes > 0 })
    // Mounted again, all goes on.
    try FileManager.default.removeItem(atPath: repository)
    try FileManager.default.moveItem(atPath: away, toPath: repository)
    #expect(try await database.archive(to: repository).frames == 2)
    // A new one is made if it is asked for.
    try FileManager.default.removeItem(atPath: repository)
    try await database.forgetArchive(repository)
    #expect(try await database.backup(to: repository).lsn == database.lsn)
    try await database.close()
  }

  /// Two disks that take turns at one mount point are two repositories.
  @Test func repositoriesThatTakeTurnsAreHeldApart() async throws {
    let directory = try TemporaryDirectory()
    let mount = directory.file("mount")
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    _ = try await database.backup(to: mount)
    let first = database.lsn
    try FileManager.default.moveItem(atPath: mount, toPath: directory.file("disk1"))
    try await items.upsert(VectorRecord(key: "a", vector: [1, 2]))
    _ = try await database.backup(to: directory.file("disk2"))
    try FileManager.default.moveItem(atPath: directory.file("disk2"), toPath: mount)
    try await items.upsert(VectorRecord(key: "b", vector: [1, 2]))
    _ = try await database.backup(to: mount)
    #expect(try database.stats().archives.map(\.lsn).sorted() == [first, database.lsn])
    // Known again after a restart, by what it is.
    try await database.close()
    let again = try await Database.open(at: directory.file("db"))
    #expect(try again.stats().archives.map(\.lsn).sorted() == [first, again.lsn])
    try FileManager.default.removeItem(atPath: mount)
    try FileManager.default.moveItem(atPath: directory.file("disk1"), toPath: mount)
    _ = try await again.backup(to: mount)
    #expect(try again.stats().archives.map(\.lsn) == [again.lsn, again.lsn])
    try await again.close()
  }

  @Test func aMountThatGoesWhileItIsArchivedToIsNoticed() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("mount")
    var configuration = DatabaseConfiguration()
    configuration.logger.logLevel = .critical
    var options = ArchiveOptions(repository: repository)
    options.intervalMilliseconds = 20
    configuration.archive = options
    // The process that archives below knows nothing of the repository's folders.
    let earlier = try await Database.open(at: directory.file("db"))
    try await earlier.createCollection("items", dimensions: 2, metric: .l2)
    _ = try await earlier.backup(to: repository)
    try await earlier.close()
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try database.collection("items")
    func wait(until condition: (ArchiveStats) -> Bool) async throws -> ArchiveStats? {
      for _ in 0..<1_000 {
        if let stats = try database.stats().archives.first, condition(stats) { return stats }
        try await Task.sleep(nanoseconds: 10_000_000)
      }
      return nil
    }
    #expect(try await wait { $0.lsn == database.lsn && $0.isContinuous } != nil)
    // Opened by now, with nothing to send.
    try await Task.sleep(nanoseconds: 500_000_000)
    let held = database.lsn
    try FileManager.default.moveItem(atPath: repository, toPath: directory.file("away"))
    try FileManager.default.createDirectory(
      atPath: repository, withIntermediateDirectories: false)
    try await items.upsert(VectorRecord(key: "a", vector: [1, 2]))
    let stats = try await wait { $0.problem != nil }
    #expect(stats?.lsn == held, "\(String(describing: stats))")
    try FileManager.default.removeItem(atPath: repository)
    try FileManager.default.moveItem(atPath: directory.file("away"), toPath: repository)
    #expect(try await wait { $0.lsn == database.lsn && $0.problem == nil } != nil)
    try await database.close()
  }
}
