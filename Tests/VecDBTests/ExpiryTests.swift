import Foundation
import Testing
import VecDB
import VecDBBytes

/// Records go when their time has come, everywhere at the same LSN.
@Suite struct ExpiryTests {
  private static let start: Int64 = 1_800_000_000_000

  /// A clock that the test sets.
  private static func configuration(_ now: Guarded<Int64>) -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    configuration.clock = { now.withLock { $0 } }
    configuration.maintenanceMinimum = 20
    configuration.maintenanceShare = 0
    return configuration
  }

  private static func date(_ milliseconds: Int64) -> Date {
    Date(timeIntervalSince1970: Double(milliseconds) / 1_000)
  }

  private static func contents(_ database: Database) throws -> [String: VectorRecord] {
    let records = try database.collection("items").scroll(limit: 10_000).records
    return Dictionary(uniqueKeysWithValues: records.map { ($0.key, $0) })
  }

  /// Random writes and a clock that goes on, also while the database is closed, against a dictionary.
  @Test(arguments: [UInt64(1), 2, 3])
  func whatHasExpiredIsGone(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed &* 15_485_863)
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let now = Guarded(Self.start)
    let configuration = Self.configuration(now)
    var database = try await Database.open(at: directory.file("db"), configuration: configuration)
    try await database.createCollection("items", dimensions: 4, metric: .l2)
    _ = try await database.backup(to: repository)
    var model: [String: VectorRecord] = [:]
    var moments: [(time: Int64, records: [String: VectorRecord])] = []
    for step in 0..<250 {
      let place = "seed \(seed), step \(step)"
      let items = try database.collection("items")
      let time = now.withLock { now in
        now += Int64.random(in: 1...2_000, using: &generator)
        return now
      }
      switch Int.random(in: 0..<10, using: &generator) {
      case 0..<5:
        let records = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
          VectorRecord(
            key: "k\(Int.random(in: 0..<60, using: &generator))", vector: generator.vector(4),
            metadata: ["step": .integer(Int64(step))],
            expires: Int.random(in: 0..<3, using: &generator) == 0
              ? nil : Self.date(time + Int64.random(in: -2_000...20_000, using: &generator)))
        }
        for record in records { model[record.key] = record }
        try await items.upsert(records)
      case 5, 6:
        // Those that are there; some may have expired, and have not gone yet.
        let keys = Array(try Self.contents(database).keys.sorted().prefix(3))
        let date =
          Bool.random(using: &generator)
          ? nil : Self.date(time + Int64.random(in: -1_000...20_000, using: &generator))
        do {
          try await items.touch(keys, expires: date)
          for key in keys { model[key]?.expires = date }
        } catch let error as VecDBError where error.code == .notFound {
          // Gone between the look and the touch.
        }
      case 7:
        let keys = try Self.contents(database).keys.filter { _ in Bool.random(using: &generator) }
        try await items.delete(Array(keys.prefix(2)))
        for key in keys.prefix(2) { model[key] = nil }
      case 8:
        try await database.close()
        database = try await Database.open(at: directory.file("db"), configuration: configuration)
      default: try await database.checkpoint()
      }
      _ = try await database.removeExpired()
      model = model.filter { $0.value.expiryMilliseconds.map { $0 > time } ?? true }
      #expect(try Self.contents(database) == model, "\(place)")
      #expect(try database.collection("items").count == model.count, "\(place)")
      if step % 25 == 0 {
        let moment = time + 1
        now.withLock { $0 = moment }
        _ = try await database.removeExpired()
        model = model.filter { $0.value.expiryMilliseconds.map { $0 > moment } ?? true }
        try await database.mark("step \(step)")
        moments.append((moment, model))
        // As after a crash, with a clock that stands still: only what the log removed is gone.
        let copy = directory.file("crashed")
        try copyTree(atPath: directory.file("db"), toPath: copy)
        let other = try await Database.open(
          at: copy, configuration: Self.configuration(Guarded(Self.start - 1_000_000)))
        #expect(try Self.contents(other) == model, "\(place), replayed")
        #expect(try other.stats().dataDigest == database.stats().dataDigest, "\(place)")
        try await other.close()
        try FileManager.default.removeItem(atPath: copy)
      }
    }
    _ = try await database.archive(to: repository)
    let check = try await database.check()
    #expect(check.problems.isEmpty, "seed \(seed): \(check.problems)")
    try await database.close()
    for (time, records) in moments {
      let path = directory.file("restored-\(time)")
      _ = try await Database.restore(
        from: repository, to: path, target: .time(milliseconds: time), configuration: configuration)
      let copy = try await Database.open(
        at: path, configuration: Self.configuration(Guarded(Self.start - 1_000_000)))
      #expect(try Self.contents(copy) == records, "seed \(seed), restored to \(time)")
      try await copy.close()
    }
  }

  /// Nobody has to ask; more than one pass removes goes in several.
  @Test func recordsGoByThemselves() async throws {
    let directory = try TemporaryDirectory()
    let now = Guarded(Self.start)
    var configuration = Self.configuration(now)
    configuration.maintenanceMinimum = .max
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    let other = try await database.createCollection("other", dimensions: 2, metric: .l2)
    try await items.upsert(
      (0..<10_000).map {
        VectorRecord(key: "k\($0)", vector: [Float($0), 1], expires: Self.date(Self.start + 1_000))
      } + [VectorRecord(key: "stays", vector: [1, 1])])
    try await other.upsert(
      VectorRecord(key: "a", vector: [1, 2], expires: Self.date(Self.start + 500)))
    #expect(items.count == 10_001)
    now.withLock { $0 += 1_000 }
    let deadline = ContinuousClock.now + .seconds(60)
    while items.count > 1 || other.count > 0, ContinuousClock.now < deadline {
      try await Task.sleep(nanoseconds: 20_000_000)
    }
    #expect(items.count == 1 && other.count == 0)
    #expect(try items.get("stays") != nil)
    // The last removal may be about to be published.
    #expect(try await database.removeExpired() == 0)
    // A rebuild may be logged at any moment, since nearly all records are gone; it changes no record.
    let digest = try database.stats().dataDigest
    #expect(try await database.removeExpired() == 0)
    #expect(try database.stats().dataDigest == digest)
    try await database.close()
  }

  @Test func timesAreKeptAndChanged() async throws {
    let directory = try TemporaryDirectory()
    let now = Guarded(Self.start)
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration(now))
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    let date = Self.date(Self.start + 60_000)
    try await items.upsert(
      VectorRecord(key: "a", vector: [1, 2], metadata: ["n": 1], expires: date))
    #expect(try items.get("a")?.expires == date)
    // An update leaves the time, an upsert sets it anew.
    try await items.update("a", set: ["n": 2])
    #expect(try items.get("a")?.expires == date)
    let again = try await items.touch(["a"], expires: date)
    #expect(again.updated == 0 && again.unchanged == 1)
    try await items.touch(["a"], expires: nil)
    #expect(try items.get("a")?.expires == nil)
    #expect(try items.get("a")?.metadata == ["n": 2])
    #expect(try items.get("a")?.vector == [1, 2])
    try await items.touch(["a"], expires: date)
    try await items.upsert(VectorRecord(key: "a", vector: [1, 2], metadata: ["n": 2]))
    #expect(try items.get("a")?.expires == nil)
    await expectError(.notFound) { try await items.touch(["a", "b"], expires: date) }
    #expect(try items.get("a")?.expires == nil)
    // Before 1970, and as far as a date goes.
    for extreme in [
      Date.distantPast, Date(timeIntervalSince1970: 0), Date(timeIntervalSince1970: -1e300),
    ] {
      try await items.upsert(VectorRecord(key: "old", vector: [1, 2], expires: extreme))
      _ = try await database.removeExpired()
      #expect(try items.get("old") == nil)
    }
    try await items.upsert(
      VectorRecord(key: "late", vector: [1, 2], expires: Date(timeIntervalSince1970: 1e300)))
    #expect(try await database.removeExpired() == 0)
    #expect(try items.get("late") != nil)
    // A clock that was far ahead and is back does not let new records expire.
    now.withLock { $0 += 1_000_000_000 }
    try await items.upsert(VectorRecord(key: "x", vector: [1, 2]))
    now.withLock { $0 = Self.start }
    try await items.upsert(VectorRecord(key: "new", vector: [1, 2], expires: date))
    #expect(try await database.removeExpired() == 0)
    #expect(try items.get("new") != nil)
    try await database.close()
  }
}
