import Testing
import VecDB

/// Copies that seem to be at one place.
extension BranchTests {
  /// In containers of one image, host name and path two copies seem to be at one place. While both are
  /// open, the one whose epoch is not the newest any more is told.
  @Test(arguments: [false, true]) func twoCopiesAtOnePlaceAreNoticed(archiving: Bool) async throws {
    let site = try await Site(seed: 75)
    try await site.write(10)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("other")
    try await site.database.close()
    let (first, second) = (
      try await Self.open(site.path, place: [1]),
      try await Self.open(site.directory.file("other"), place: [1])
    )
    site.database = first
    func send(_ database: Database) async throws -> BranchReport? {
      archiving
        ? try await database.archive(to: site.repository).branch
        : try await database.backup(to: site.repository).branch
    }
    try await site.write(4)
    #expect(try await send(first) == nil)
    try await second.collection("items").upsert(
      (0..<9).map {
        VectorRecord(key: "other\($0)", vector: [Float](repeating: Float($0), count: 8))
      })
    #expect(try await send(second)?.epoch == 2)
    let refusal = await expectError(.invalidArgument) { _ = try await send(first) }
    #expect(refusal?.message.contains("another copy") == true, "\(String(describing: refusal))")
    #expect(try await send(second) == nil)
    #expect(try await site.restored() == (try Self.digest(second)))
    try await first.close()
    try await second.close()
  }

  /// Two such copies that are open only for their backups take turns. Each is told by the chain that
  /// the repository has another history; each backup restores to what was backed up.
  @Test func twoCopiesAtOnePlaceByTurnsAreTold() async throws {
    let site = try await Site(seed: 76)
    try await site.write(10)
    _ = try await site.database.backup(to: site.repository)
    try await site.snapshot("other")
    try await site.database.close()
    let paths = [site.path, site.directory.file("other")]
    var states: [(lsn: UInt64, digest: String)] = []
    for turn in 0..<6 {
      let database = try await Self.open(paths[turn % 2], place: [1])
      // Of different lengths, so that every restore point has an LSN of its own.
      for number in 0...turn {
        try await database.collection("items").upsert(
          VectorRecord(key: "\(turn % 2) \(number)", vector: site.generator.vector(8)))
      }
      let report = try await database.backup(to: site.repository)
      #expect(
        (report.branch == nil) == (turn == 0), "\(turn): \(String(describing: report.branch))")
      states.append((report.lsn, try Self.digest(database)))
      #expect(try await site.restored() == states[turn].digest, "\(turn)")
      try await database.close()
    }
    for state in states where states.count(where: { $0.lsn == state.lsn }) == 1 {
      #expect(try await site.restored(.lsn(state.lsn), base: state.lsn) == state.digest)
    }
    #expect(try await Database.verify(repository: site.repository, samples: 4).problems == [])
    site.database = try await Self.open(site.path, place: [1])
    try await site.database.close()
  }
}
