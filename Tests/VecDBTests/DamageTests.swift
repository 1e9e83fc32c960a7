import Foundation
import Testing
import VecDB
import VecDBSimulatedDisk

/// Bit rot, file by file: whatever is damaged is found on opening or by `check`, `verify` or
/// `restore`, or does not matter; no answer is ever wrong without a word, and nothing crashes.
///
/// `VECDB_DAMAGE_SPREAD` sets how many random positions of each file are hit (4 in an ordinary
/// run, which also samples); `VECDB_DAMAGE_TRACE=1` prints each damage before it is tried.
@Suite(.serialized) struct DamageTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let spread = environment["VECDB_DAMAGE_SPREAD"].flatMap(Int.init) ?? 4
  /// Everything is tried that an ordinary run samples.
  private static let isThorough = spread > 4
  private nonisolated(unsafe) static var restores = 0
  private static let traces = environment["VECDB_DAMAGE_TRACE"] == "1"
  private static let fixture = Result { try DamageFixture() }

  struct Undetected: Error, CustomStringConvertible {
    var description: String
  }

  private static func trace(_ damage: Damage) {
    if traces { FileHandle.standardError.write(Data("\(damage.description)\n".utf8)) }
  }

  /// Runs every damage of the files below `prefix` through `judge` and prints the table.
  private static func campaign(
    _ title: String, on disk: SimulatedDisk, below prefix: String,
    judge: (DamageFixture, SimulatedDisk) throws -> (DamageTable.Finding, Bool)
  ) throws -> [String] {
    let fixture = try fixture.get()
    let plan = DamagePlan(disk: disk, earlier: fixture.earlier, spread: spread)
    var table = DamageTable()
    var failures: [String] = []
    var blocks = 0
    for path in disk.filePaths
    where path.hasPrefix(prefix + "/") && DamagePlan.kind(path) != nil {
      // Blocks are all alike, and many.
      if path.contains("/blocks/") {
        blocks += 1
        if !isThorough, blocks % 10 != 1 { continue }
      }
      for (number, damage) in plan.damages(of: path, seed: 17).enumerated() {
        // An ordinary run takes every third of the flips, and all of everything else.
        if !isThorough, damage.form == .flip, number % 3 > 0 { continue }
        trace(damage)
        let damaged = disk.restarted(.everything)
        damage.apply(to: damaged)
        do {
          let (finding, answerChanged) = try judge(fixture, damaged)
          table.add(damage, finding, answerChanged: answerChanged)
        } catch {
          failures.append("\(damage.description): \(error)")
        }
      }
    }
    print("\(title): \(table.total) damages (found on opening / by a check / harmless)")
    print(table.description)
    // Until the scrub has been over them, damaged blocks of an index can change what a search finds;
    // the check finds them. It must stay rare.
    failures += table.answersChanged.filter { $0.value * 100 > table.total }
      .map { "\($0): \($1) changed answers without a word" }
    return failures
  }

  /// Refusals that name a place and what to do.
  private static func requireHelpful(_ error: any Error) throws {
    guard let error = error as? VecDBError else {
      throw Undetected(description: "not a VecDBError: \(error)")
    }
    let isDamage = [.corrupt, .notFound, .unknownVersion, .limitExceeded, .verificationFailed]
      .contains(error.code)
    guard isDamage, !error.remedy.isEmpty, !error.message.isEmpty else {
      throw Undetected(description: "an unhelpful error (\(error.code)): \(error)")
    }
  }

  private static func judgeDatabase(
    _ fixture: DamageFixture, _ disk: SimulatedDisk
  ) throws -> (DamageTable.Finding, Bool) {
    let database: Database
    do { database = try DamageFixture.open(disk) } catch {
      try requireHelpful(error)
      return (.opening, false)
    }
    defer { DamageFixture.close(database) }
    let answers = Result { try DamageFixture.answers(database, fixture.queries) }
    let isEqual = (try? answers.get()) == fixture.expected
    let isSilent = (try? answers.get()).map { fixture.expected.isContradicted(by: $0) } ?? false
    let problems: [String]
    do { problems = try CrashTests.wait { try await database.check().problems } } catch {
      try requireHelpful(error)
      return (.check, isSilent)
    }
    guard problems.isEmpty else { return (.check, isSilent) }
    guard isEqual else {
      let what = difference(answers, fixture.expected)
      throw Undetected(description: "wrong, and check is clean: \(what)")
    }
    return (.harmless, false)
  }

  private static func difference(
    _ found: Result<DamageFixture.Answers, any Error>, _ expected: DamageFixture.Answers
  ) -> String {
    switch found {
    case .failure(let error): return "\(error)"
    case .success(let answers):
      if answers.digests != expected.digests { return "digests \(answers.digests)" }
      if answers.records != expected.records { return "\(answers.records.count) records" }
      return "hits"
    }
  }

  private static func judgeRepository(
    _ fixture: DamageFixture, _ disk: SimulatedDisk
  ) throws -> (DamageTable.Finding, Bool) {
    var isFound = false
    do {
      let report = try CrashTests.wait {
        try await Database.verify(
          repository: DamageFixture.repository, verification: .quick, fileSystem: disk,
          scratchDirectory: "/data", progress: nil)
      }
      isFound = !report.problems.isEmpty
    } catch {
      try requireHelpful(error)
      return (.opening, false)
    }
    // Of what was found, some; of what was not, everything: what a restore gives must be right.
    restores += 1
    if isFound, !isThorough, restores % 20 > 0 { return (.check, false) }
    for (lsn, expected) in fixture.restored {
      let copy = disk.restarted(.everything)
      do {
        let answers = try DamageFixture.restore(copy, lsn, fixture.queries)
        guard answers == expected else {
          throw Undetected(description: "restored LSN \(lsn) is wrong")
        }
      } catch let error as VecDBError {
        try requireHelpful(error)
        // A restore point or a piece of log that is gone as a whole looks like one that was never
        // made, or removed on purpose: a restore says what there is instead.
        guard isFound || error.code == .notFound else {
          throw Undetected(description: "verify is clean, but LSN \(lsn) fails: \(error)")
        }
        isFound = true
      }
    }
    return (isFound ? .check : .harmless, false)
  }

  /// With live WALs, as a power failure leaves them, and closed in order.
  @Test(arguments: [true, false]) func database(afterPowerFailure isLive: Bool) async throws {
    let failures = try await onThread {
      let fixture = try Self.fixture.get()
      return try Self.campaign(
        isLive ? "database with live WALs" : "closed database",
        on: isLive ? fixture.live : fixture.closed, below: DamageFixture.database,
        judge: Self.judgeDatabase)
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(20).joined(separator: "\n"))")
  }

  @Test func repository() async throws {
    let failures = try await onThread {
      let fixture = try Self.fixture.get()
      return try Self.campaign(
        "repository", on: fixture.closed, below: DamageFixture.repository,
        judge: Self.judgeRepository)
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(20).joined(separator: "\n"))")
  }
}
