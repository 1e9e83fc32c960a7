import Testing
import VecDB
import VecDBBlockStore
import VecDBSimulatedDisk

/// A repair gives back exactly what was there, or says what is missing and changes nothing.
@Suite struct RepairTests {
  /// The damaged database's fixture, backed up to its very end.
  private static let prepared = Result { () -> (DamageFixture, SimulatedDisk) in
    let fixture = try DamageFixture()
    let disk = fixture.closed.restarted(.everything)
    let database = try DamageFixture.open(disk)
    try CrashTests.wait {
      _ = try await database.backup(to: DamageFixture.repository)
      try await database.close()
    }
    return (fixture, disk)
  }

  private static func repair(
    _ disk: SimulatedDisk, from repository: String? = DamageFixture.repository
  ) throws -> RepairReport {
    try CrashTests.wait {
      try await Database.repair(
        at: DamageFixture.database, from: repository, fileSystem: disk,
        configuration: DamageFixture.configuration)
    }
  }

  private static func path(_ disk: SimulatedDisk, _ kind: String) -> [String] {
    disk.filePaths.filter {
      $0.hasPrefix(DamageFixture.database + "/") && DamagePlan.kind($0) == kind
    }
  }

  private static func halve(_ path: String, on disk: SimulatedDisk) {
    let bytes = disk.contents(path) ?? []
    disk.replace(path, with: Array(bytes.prefix(bytes.count / 2)))
  }

  private static func requireWhole(
    _ disk: SimulatedDisk, _ fixture: DamageFixture, _ report: RepairReport
  ) throws {
    guard report.missing.isEmpty, report.check?.problems == [] else {
      throw SoakFailure("not whole: \(report)")
    }
    let database = try DamageFixture.open(disk)
    defer { DamageFixture.close(database) }
    guard try DamageFixture.answers(database, fixture.queries) == fixture.expected else {
      throw SoakFailure("the repaired database answers differently: \(report)")
    }
  }

  /// Every kind of damage to packs, manifests and records, each repaired from the repository.
  @Test(arguments: ["pack", "manifest", "records"])
  func everythingComesBack(kind: String) async throws {
    let (repaired, failures) = try await onThread {
      let (fixture, disk) = try Self.prepared.get()
      let plan = DamagePlan(disk: disk, earlier: [], spread: 2)
      var repaired = 0
      var failures: [String] = []
      for path in Self.path(disk, kind) {
        for (number, damage) in plan.damages(of: path, seed: 5).enumerated()
        where number % (kind == "manifest" ? 6 : 12) == 0 {
          let damaged = disk.restarted(.everything)
          damage.apply(to: damaged)
          do {
            let report = try Self.repair(damaged)
            try Self.requireWhole(damaged, fixture, report)
            if !report.repairs.isEmpty { repaired += 1 }
          } catch {
            failures.append("\(damage.description): \(error)")
          }
        }
      }
      return (repaired, failures)
    }
    print("repaired: \(repaired) damages of \(kind) files")
    #expect(repaired > 3)
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(8).joined(separator: "\n"))")
  }

  /// Nothing is lost by trying: without a copy the files stay as they were.
  @Test func refusesWithoutACopy() async throws {
    try await onThread {
      let (_, disk) = try Self.prepared.get()
      let damaged = disk.restarted(.everything)
      // Vectors are primary data; what is derived from them would be built anew.
      try Self.corrupt("exact", on: damaged)
      let before = damaged.filePaths.map { damaged.contents($0) }
      let report = try Self.repair(damaged, from: nil)
      let missing = try #require(report.missing.first)
      #expect(missing.contains("block") && missing.contains("--from"), "\(missing)")
      #expect(report.repairs.isEmpty && report.check == nil)
      let after = damaged.filePaths.map { damaged.contents($0) }
      #expect(before.count == after.count)
      #expect(zip(before, after).filter { $0 != $1 }.count <= 1, "only LOCK may change")
    }
  }

  /// Flips a bit in every copy of the first block of an array of the newest manifest.
  private static func corrupt(_ array: String, on disk: SimulatedDisk) throws {
    let blocks = try BlockStore(directory: DamageFixture.database, fileSystem: disk)
    let manifest = try #require(try blocks.newestManifest()?.manifest)
    let items = try #require(manifest.collections.first { $0.name == "items" })
    let hash = try blocks.list(of: try #require(items.array(array))).hashes[0]
    let bytes = try blocks.read(hash)
    var copies = 0
    for pack in path(disk, "pack") {
      let contents = try #require(disk.contents(pack))
      for offset in stride(from: 4_096, through: contents.count - bytes.count, by: 4_096)
      where contents[offset..<offset + bytes.count].elementsEqual(bytes) {
        disk.corrupt(pack, at: offset + bytes.count / 2)
        copies += 1
      }
    }
    #expect(copies > 0, "\(array)")
  }

  /// Damages one array, repairs without any other copy, and compares all answers.
  private static func rebuild(_ array: String, of disk: SimulatedDisk) throws {
    let fixture = try prepared.get().0
    let whole = disk.restarted(.everything)
    let damaged = disk.restarted(.everything)
    let database = try DamageFixture.open(whole)
    let expected = try DamageFixture.answers(database, fixture.queries)
    DamageFixture.close(database)
    try corrupt(array, on: damaged)
    let report = try repair(damaged, from: nil)
    #expect(report.repairs.contains { $0.hasPrefix("rebuilt: 1 block") }, "\(report)")
    #expect(report.missing.isEmpty && report.check?.problems == [], "\(report)")
    let repaired = try DamageFixture.open(damaged)
    #expect(try DamageFixture.answers(repaired, fixture.queries) == expected)
    DamageFixture.close(repaired)
  }

  /// The graph and the codes follow from the vectors and their lifetimes: no other copy is needed,
  /// and the result is the same to the bit.
  @Test(arguments: ["codes", "rowTerms", "links", "upperLinks", "nodes", "parents", "exactRows"])
  func theGraphIsBuiltAnew(array: String) async throws {
    try await onThread { try Self.rebuild(array, of: Self.prepared.get().1) }
  }

  /// Keys, hashes and columns follow from the records, as far as no record has died: what a dead one
  /// held is nowhere else.
  @Test(arguments: [
    "hashes", "keyReferences", "keyBytes", "column.0", "column.1", "column.1.entries",
    "column.1.values",
  ])
  func whatRecordsKnowIsBuiltAnew(array: String) async throws {
    try await onThread { try Self.rebuild(array, of: Self.prepared.get().0.earlier[0]) }
  }

  /// A damaged segment that the checkpoint covers is in nobody's way.
  @Test func logThatIsNotNeededIsPutAside() async throws {
    try await onThread {
      let (fixture, disk) = try Self.prepared.get()
      let damaged = disk.restarted(.everything)
      let segment = try #require(Self.path(disk, "log segment").first)
      Self.halve(segment, on: damaged)
      let report = try Self.repair(damaged, from: nil)
      #expect(report.repairs.contains { $0.hasPrefix("put aside") && $0.contains(segment) })
      #expect(damaged.filePaths.contains(segment + ".damaged"))
      try Self.requireWhole(damaged, fixture, report)
    }
  }

  @Test func leavesAWholeDatabaseAlone() async throws {
    try await onThread {
      let (fixture, disk) = try Self.prepared.get()
      let whole = disk.restarted(.everything)
      let report = try Self.repair(whole, from: nil)
      #expect(report.repairs.isEmpty && report.fetchedBlocks == 0)
      try Self.requireWhole(whole, fixture, report)
    }
  }

  /// The log is primary data.
  @Test func saysThatTheLogCannotBeRepaired() async throws {
    try await onThread {
      let (_, disk) = try Self.prepared.get()
      let segment = try #require(Self.path(disk, "log segment").last)
      let damaged = disk.restarted(.everything)
      Self.halve(segment, on: damaged)
      let report = try Self.repair(damaged)
      let missing = try #require(report.missing.first)
      #expect(missing.hasPrefix("the log: LSN ") && missing.contains("on, to an end"), "\(missing)")
      #expect(missing.contains("the repository reaches LSN"), "\(missing)")
    }
  }
}
