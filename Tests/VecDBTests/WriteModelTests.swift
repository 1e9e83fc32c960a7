import Foundation
import Testing
import VecDB

/// Random writes of every kind against a dictionary: what is there, which write put it there, and
/// what each call says, over reopenings, crashes and restores.
@Suite struct WriteModelTests {
  private static let dimensions = 6

  private struct Model {
    var records: [String: VectorRecord] = [:]
    var versions: [String: UInt64] = [:]
    var generator: SeededGenerator
    let metric: Metric

    /// The version of what the present call writes.
    static let underWay: UInt64 = 0

    mutating func written(_ lsn: UInt64) {
      for (key, version) in versions where version == Self.underWay { versions[key] = lsn }
    }

    mutating func key() -> String { "k\(Int.random(in: 0..<40, using: &generator))" }

    mutating func chance(_ percent: Int) -> Bool {
      Int.random(in: 0..<100, using: &generator) < percent
    }

    mutating func value() -> MetadataValue {
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: .null
      case 1: .bool(Bool.random(using: &generator))
      case 2: .string(String(repeating: "v", count: Int.random(in: 0..<90, using: &generator)))
      default: .integer(Int64.random(in: 0..<4, using: &generator))
      }
    }

    mutating func metadata() -> Metadata {
      var metadata = Metadata()
      for name in ["a", "b", "c"] where chance(60) { metadata[name] = value() }
      return metadata
    }

    mutating func record() -> VectorRecord {
      let key = key()
      // Often the vector that is there, so that some writes change nothing.
      let vector = chance(50) ? records[key]?.vector : nil
      let other = generator.vector(dimensions)
      let metadata = chance(30) ? records[key]?.metadata : nil
      return VectorRecord(
        key: key, vector: vector ?? (metric == .hamming ? other.map { $0 > 0 ? 1 : 0 } : other),
        metadata: metadata ?? self.metadata())
    }

    mutating func change() -> MetadataChange {
      MetadataChange(
        set: metadata(), remove: chance(50) ? ["b", "none"] : [], removesOthers: chance(15))
    }

    mutating func filter() -> Filter {
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: Field("a") == Int.random(in: 0..<4, using: &generator)
      case 1: Field("b").exists
      case 2: !(Field("c") >= 1)
      default: Field("a") == "v" || Field("b") == .null
      }
    }

    /// A version that may be right.
    mutating func version(_ key: String) -> UInt64 {
      let right = versions[key] ?? 1
      return chance(60) ? right : right + UInt64.random(in: 1...3, using: &generator)
    }

    mutating func put(_ record: VectorRecord, _ lsn: UInt64) {
      guard records[record.key] != record else { return }
      records[record.key] = record
      versions[record.key] = lsn
    }

    mutating func remove(_ key: String) {
      records[key] = nil
      versions[key] = nil
    }
  }

  private static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    configuration.maintenanceMinimum = 20
    configuration.maintenanceShare = 0
    return configuration
  }

  @Test(arguments: [Metric.l2, .cosine, .dot, .hamming])
  func whatIsWrittenIsThere(metric: Metric) async throws {
    let seed: UInt64 = 7_919 + UInt64(metric.rawValue.count)
    let steps = Int(ProcessInfo.processInfo.environment["VECDB_MODEL_STEPS"] ?? "") ?? 1_250
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let repository = directory.file("repository")
    var database = try await Database.open(at: path, configuration: Self.configuration)
    try await database.createCollection("items", dimensions: Self.dimensions, metric: metric)
    var model = Model(generator: SeededGenerator(seed: seed), metric: metric)
    var moments: [UInt64: Model] = [:]
    for step in 0..<steps {
      let place = "seed \(seed), step \(step)"
      let items = try database.collection("items")
      try await Self.step(items, of: database, &model, place)
      if step % 50 == 49 { try Self.compare(items, &model, place) }
      switch step % 200 {
      case 60: try await database.checkpoint()
      case 120:
        try await database.close()
        database = try await Database.open(at: path, configuration: Self.configuration)
      case 160:
        // As after a crash: what the log has is replayed.
        let copy = directory.file("crashed")
        try copyTree(atPath: path, toPath: copy)
        let other = try await Database.open(at: copy, configuration: Self.configuration)
        try Self.compare(try other.collection("items"), &model, place + ", replayed")
        let (here, there) = (try database.stats(), try other.stats())
        #expect(here.dataDigest == there.dataDigest, "\(place)")
        try await other.close()
        try FileManager.default.removeItem(atPath: copy)
      case 199:
        moments[try await database.backup(to: repository).lsn] = model
      default: break
      }
    }
    for (lsn, moment) in moments {
      let restored = directory.file("restored-\(lsn)")
      _ = try await Database.restore(
        from: repository, to: restored, target: .lsn(lsn))
      let copy = try await Database.open(at: restored, configuration: Self.configuration)
      var then = moment
      try Self.compare(try copy.collection("items"), &then, "seed \(seed), restored \(lsn)")
      try await copy.close()
    }
    let check = try await database.check()
    #expect(check.problems.isEmpty, "seed \(seed): \(check.problems)")
    try await database.close()
  }

  /// Everything that can be read is what the model has.
  private static func compare(
    _ items: VectorCollection, _ model: inout Model, _ place: String
  ) throws {
    var found: [String: VectorRecord] = [:]
    for record in try items.scroll(limit: 10_000).records { found[record.key] = record }
    #expect(found == model.records, "\(place)")
    for (key, version) in model.versions {
      #expect(found[key]?.version == version, "\(place): \(key)")
    }
    let filter = model.filter()
    let matching = model.records.values.filter { filter.matches($0.metadata) }
    #expect(try items.count(where: filter) == matching.count, "\(place): \(filter)")
    guard let some = model.records.values.first else { return }
    let options = SearchOptions(filter: filter, includeMetadata: true)
    let hits = try items.search(some.vector, k: 50, options: options).hits
    #expect(Set(hits.map(\.key)) == Set(matching.map(\.key)), "\(place): \(filter)")
    #expect(hits.allSatisfy { $0.metadata == model.records[$0.key]?.metadata }, "\(place)")
  }

  private static func step(
    _ items: VectorCollection, of database: Database, _ model: inout Model, _ place: String
  ) async throws {
    let before = model
    let what = Int.random(in: 0..<8, using: &model.generator)
    do {
      switch what {
      case 0, 1: try await upsert(items, of: database, &model, place)
      case 2:
        let record = model.record()
        let version = model.version(record.key)
        let isRight = model.versions[record.key] == version
        let result = try await items.upsert(record, ifVersion: version)
        #expect(isRight, "\(place)")
        model.put(record, result.receipt.lsn)
      case 3, 4:
        let updates = (0..<Int.random(in: 1...5, using: &model.generator)).map { _ in
          let key = model.key()
          return RecordUpdate(
            key, model.change(), ifVersion: model.chance(20) ? model.version(key) : nil)
        }
        var expected: VecDBError.Code?
        var updated = 0
        for update in updates where expected == nil {
          guard var record = model.records[update.key] else {
            expected = .notFound
            break
          }
          if let version = update.version, model.versions[update.key] != version {
            expected = .conflict
            break
          }
          let metadata = update.change.applied(to: record.metadata)
          if metadata == record.metadata { continue }
          updated += 1
          record.metadata = metadata
          model.records[update.key] = record
          model.versions[update.key] = Model.underWay
        }
        do {
          let result = try await items.update(updates)
          model.written(result.receipt.lsn)
          #expect(expected == nil && result.updated == updated, "\(place)")
          #expect(result.unchanged == updates.count - updated, "\(place)")
        } catch let error as VecDBError where error.code == expected {
          throw error
        }
      case 5:
        let (filter, change) = (model.filter(), model.change())
        var updated = 0
        let matching = model.records.values.filter { filter.matches($0.metadata) }
        for var record in matching {
          record.metadata = change.applied(to: record.metadata)
          if record != model.records[record.key] { updated += 1 }
          model.put(record, Model.underWay)
        }
        let result = try await items.update(where: filter, change)
        model.written(result.receipt.lsn)
        #expect(result.updated == updated, "\(place): \(filter)")
        #expect(result.unchanged == matching.count - updated, "\(place): \(filter)")
      case 6:
        let keys = [model.key(), model.key()]
        try await items.delete(keys)
        for key in keys { model.remove(key) }
      default:
        let filter = model.filter()
        let records = (0..<Int.random(in: 0...4, using: &model.generator)).map { _ in
          model.record()
        }
        let kept = Set(records.map(\.key))
        let old = model.records.values.filter {
          filter.matches($0.metadata) && !kept.contains($0.key)
        }
        for record in old { model.remove(record.key) }
        var last: [String: VectorRecord] = [:]
        for record in records { last[record.key] = record }
        for record in last.values { model.put(record, Model.underWay) }
        let result = try await items.replace(where: filter, with: records)
        model.written(result.receipt.lsn)
        #expect(result.deleted == old.count, "\(place): \(filter)")
        #expect(result.inserted + result.updated + result.unchanged == last.count, "\(place)")
      }
    } catch let error as VecDBError {
      #expect(
        [.alreadyExists, .notFound, .conflict].contains(error.code), "\(place), \(what): \(error)")
      // Nothing half done.
      model.records = before.records
      model.versions = before.versions
    }
  }

  private static func upsert(
    _ items: VectorCollection, of database: Database, _ model: inout Model, _ place: String
  ) async throws {
    let records = (0..<Int.random(in: 1...5, using: &model.generator)).map { _ in model.record() }
    let policy = WritePolicy.allCases.randomElement(using: &model.generator) ?? .overwrite
    let before = model.records
    var expected: VecDBError.Code?
    var skipped = 0
    for record in records {
      let exists = model.records[record.key] != nil
      switch policy {
      case .overwrite: break
      case .skipExisting where exists:
        skipped += 1
        continue
      case .skipMissing where !exists:
        skipped += 1
        continue
      case .failIfExisting where exists: expected = .alreadyExists
      case .failIfMissing where !exists: expected = .notFound
      default: break
      }
      model.records[record.key] = record
    }
    // What is the same in the end was not written.
    for (key, record) in model.records where before[key] != record {
      model.versions[key] = Model.underWay
    }
    let result: UpsertResult
    do { result = try await items.upsert(records, policy: policy) } catch let error as VecDBError {
      #expect(error.code == expected, "\(place), \(policy): \(error)")
      throw error
    }
    model.written(result.receipt.lsn)
    #expect(expected == nil, "\(place), \(policy)")
    if policy == .skipExisting { #expect(result.skipped == skipped, "\(place)") }
    #expect(result.inserted == model.records.count - before.count, "\(place), \(policy)")
  }

  // MARK: One at a time

  private static func items() async throws -> (Database, VectorCollection, TemporaryDirectory) {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    return (database, items, directory)
  }

  /// Those who read, count and write with the version lose no count, however many they are.
  @Test func concurrentCountersLoseNothing() async throws {
    let (database, items, directory) = try await Self.items()
    try await items.upsert(VectorRecord(key: "n", vector: [1, 2], metadata: ["count": 0]))
    try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask {
          var conflicts = 0
          var done = 0
          while done < 25 {
            let record = try #require(try items.get("n"))
            let count = try #require(record.metadata["count"]?.integerValue)
            do {
              try await items.update(
                "n", set: ["count": .integer(count + 1)], ifVersion: record.version)
              done += 1
            } catch let error as VecDBError where error.code == .conflict { conflicts += 1 }
          }
          return conflicts
        }
      }
      try await group.waitForAll()
    }
    #expect(try items.get("n")?.metadata["count"] == 200)
    #expect(try items.get("n")?.vector == [1, 2])
    try await database.close()
    withExtendedLifetime(directory) {}
  }

  /// Updates that wait at the same time see each other's effect.
  @Test func updatesOfOneGroupAddUp() async throws {
    let (database, items, directory) = try await Self.items()
    try await items.upsert((0..<10).map { VectorRecord(key: "k\($0)", vector: [Float($0), 1]) })
    try await withThrowingTaskGroup(of: Void.self) { group in
      for field in 0..<40 {
        group.addTask {
          try await items.update("k\(field % 10)", set: ["f\(field)": .integer(Int64(field))])
        }
      }
      try await group.waitForAll()
    }
    for number in 0..<10 {
      let record = try #require(try items.get("k\(number)"))
      #expect(record.metadata.fields.count == 4, "\(record.metadata)")
    }
    #expect(items.count == 10)
    try await database.close()
    withExtendedLifetime(directory) {}
  }

  /// More than one batch holds becomes several, and nothing is left out.
  @Test func aLargeUpdateIsSplit() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration)
    let items = try await database.createCollection("items", dimensions: 4_096, metric: .l2)
    var generator = SeededGenerator(seed: 5)
    try await items.upsert(
      (0..<1_500).map {
        VectorRecord(
          key: "k\($0)", vector: generator.vector(4_096), metadata: ["n": .integer(Int64($0))])
      })
    let some = try await items.update(where: Field("n") >= 100, MetadataChange(set: ["m": "x"]))
    #expect(some.updated == 1_400 && some.batches > 1)
    #expect(try items.count(where: Field("m") == "x") == 1_400)
    let all = try await items.update(
      (0..<1_500).map { RecordUpdate("k\($0)", MetadataChange(set: ["m": "y"])) })
    #expect(all.updated == 1_500 && all.batches > 1)
    #expect(try items.count(where: Field("m") == "y") == 1_500)
    let again = try await items.update(where: Field("m") == "y", MetadataChange(set: ["m": "y"]))
    #expect(again.updated == 0 && again.unchanged == 1_500)
    let digest = try database.stats().dataDigest
    await expectError(.limitExceeded) {
      try await items.replace(
        where: Field("m") == "y",
        with: (0..<1_500).map {
          VectorRecord(key: "new\($0)", vector: [Float](repeating: 1, count: 4_096))
        })
    }
    #expect(try database.stats().dataDigest == digest)
    #expect(items.count == 1_500)
    try await database.close()
  }

  @Test func badWritesChangeNothing() async throws {
    let (database, items, directory) = try await Self.items()
    try await items.upsert(VectorRecord(key: "a", vector: [1, 2], metadata: ["n": 1]))
    let (lsn, version) = (database.lsn, try #require(try items.get("a")?.version))
    #expect(version == lsn)
    var error = await expectError(.notFound) { try await items.update("b", set: ["n": 2]) }
    #expect(error?.location == "key 'b'")
    error = await expectError(.conflict) {
      try await items.update("a", set: ["n": 2], ifVersion: version + 1)
    }
    #expect(error?.message.contains("version \(version)") == true, "\(String(describing: error))")
    await expectError(.conflict) {
      try await items.upsert(VectorRecord(key: "b", vector: [1, 2]), ifVersion: version)
    }
    await expectError(.invalidArgument) { try await items.update("", set: ["n": 2]) }
    await expectError(.invalidArgument) { try await items.update("a", set: ["": 2]) }
    await expectError(.invalidArgument) { try await items.update("a", set: ["x": .double(.nan)]) }
    await expectError(.limitExceeded) {
      try await items.update("a", set: ["x": .string(String(repeating: "x", count: 1 << 20))])
    }
    await expectError(.invalidArgument) {
      try await items.update(where: Field("") == 1, MetadataChange(set: ["n": 2]))
    }
    await expectError(.alreadyExists) {
      try await items.upsert(
        [VectorRecord(key: "c", vector: [1, 2]), VectorRecord(key: "c", vector: [1, 2])],
        policy: .failIfExisting)
    }
    await expectError(.notFound) {
      try await items.update([
        RecordUpdate("a", MetadataChange(set: ["n": 2])),
        RecordUpdate("b", MetadataChange(set: ["n": 2])),
      ])
    }
    // Together the fields are too many, though each change is allowed.
    var many = Metadata()
    for number in 0..<1_024 { many["f\(number)"] = 1 }
    await expectError(.limitExceeded) { try await items.update("a", set: many) }
    await expectError(.invalidArgument) {
      try await items.replace(where: Filter.and([]), with: [VectorRecord(key: "d", vector: [1])])
    }
    #expect(database.lsn == lsn)
    #expect(try items.get("a")?.metadata == ["n": 1])
    let nothing = try await items.update([])
    #expect(nothing.updated == 0 && nothing.batches == 0)
    try await database.close()
    await expectError(.closed) { try await items.update("a", set: ["n": 2]) }
    withExtendedLifetime(directory) {}
  }
}
