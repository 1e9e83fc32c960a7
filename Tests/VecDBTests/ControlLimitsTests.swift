import Foundation
import Testing
import VecDB

/// What comes through the control socket: numbers of any size, and answers of any length.
@Suite struct ControlLimitsTests {
  private static let numbers: [Int] = [
    .min, .min + 1, -20_000_000_000_000, -1, 0, 1, 1_000, 20_000_000_000_000, .max - 1, .max,
  ]

  /// Every numeric field with every kind of number is answered, with an error or not, and the owner
  /// goes on.
  @Test func noNumberEndsTheOwner() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    var configuration = DatabaseConfiguration()
    configuration.logger.logLevel = .critical
    let database = try await Database.open(at: path, configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    try await items.upsert((0..<50).map { VectorRecord(key: "k\($0)", vector: [Float($0), 1]) })
    let repository = directory.file("repository")
    _ = try await database.backup(to: repository)
    func ask(_ what: String, _ change: @escaping @Sendable (inout ControlRequest) -> Void) async {
      var request = ControlRequest(.status)
      change(&request)
      let asked = request
      // Some of these go on for as long as the connection lasts.
      let task = Task {
        guard let remote = try RemoteDatabase(path: path) else { return }
        _ = try? await remote.perform(asked)
      }
      _ = await Task { try? await Task.sleep(nanoseconds: 30_000_000) }.value
      task.cancel()
      #expect((try? database.stats().lsn) != nil, "\(what)")
    }
    for number in Self.numbers {
      await ask("archive \(number)") {
        $0 = ControlRequest(.archive)
        $0.repository = repository
        $0.intervalMilliseconds = number
      }
      await ask("backup \(number)") {
        $0 = ControlRequest(.backup)
        $0.repository = repository
        $0.bytesPerSecond = number
      }
      await ask("restore \(number)") {
        $0 = ControlRequest(.restoreCollection)
        $0.repository = repository
        $0.name = "items"
        $0.newName = "new\(number)"
        $0.timeMilliseconds = Int64(number)
      }
      await ask("restore lsn \(number)") {
        $0 = ControlRequest(.restoreCollection)
        $0.repository = repository
        $0.name = "items"
        $0.newName = "newer\(number)"
        $0.lsn = UInt64(bitPattern: Int64(number))
      }
      let remote = try #require(try RemoteDatabase(path: path))
      _ = try? await remote.search(
        [1, 2], k: number, options: SearchOptions(efSearch: number), in: "items")
      for action in [RebuildRequest.Action.begin, .budget, .trial] {
        await ask("rebuild \(number)") {
          $0 = ControlRequest(.rebuild)
          var rebuild = RebuildRequest(action, "items")
          var options = RebuildOptions(m: number, efConstruction: number)
          options.graceSeconds = number
          options.gate.k = number
          options.gate.queries = number
          options.gate.efSearch = number
          options.gate.minimumRecall = Double(number)
          options.gate.latencyFactor = Double(number)
          options.budget.threads = number
          options.budget.recordsPerSecond = number
          options.budget.memoryBytes = number
          options.budget.pauseAboveMilliseconds = Double(number)
          rebuild.options = options
          rebuild.budget = options.budget
          $0.rebuild = rebuild
        }
      }
    }
    // The same numbers as options of this process.
    for number in Self.numbers {
      var policy = RetentionPolicy()
      policy.keepWithinMilliseconds = Int64(number)
      policy.keepLast = number
      policy.keepDaily = number
      _ = try? await Database.prune(
        repository: repository, keeping: policy, grace: .seconds(number), dryRun: true)
      _ = try? await database.waitUntilSearchable(
        minimumLSN: database.lsn, timeout: .milliseconds(number))
    }
    let remote = try #require(try RemoteDatabase(path: path))
    #expect(try await remote.status().lsn == database.lsn)
    try await database.close()
  }

  /// Longer than a frame may be: it comes in parts.
  @Test func aLongAnswerComesInParts() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let database = try await Database.open(at: path)
    let items = try await database.createCollection("items", dimensions: 1_024, metric: .l2)
    var generator = SeededGenerator(seed: 8)
    for part in 0..<8 {
      try await items.upsert(
        (0..<1_000).map {
          VectorRecord(
            key: "k\(part * 1_000 + $0)", vector: generator.vector(1_024),
            metadata: ["number": .integer(Int64($0))])
        })
    }
    let query = generator.vector(1_024)
    let remote = try #require(try RemoteDatabase(path: path))
    for (k, includeVector) in [(8_000, true), (8_000, false), (3, true), (1, false)] {
      let options = SearchOptions(exact: true, includeMetadata: true, includeVector: includeVector)
      let here = try items.search(query, k: k, options: options)
      let there = try await remote.search(query, k: k, options: options, in: "items")
      #expect(here.hits.count == k)
      #expect(there.hits == here.hits && there.lsn == here.lsn)
    }
    #expect(try await remote.get("k17", in: "items")?.vector == items.get("k17")?.vector)
    #expect(try await remote.get("none", in: "items") == nil)
    try await database.close()
  }
}
