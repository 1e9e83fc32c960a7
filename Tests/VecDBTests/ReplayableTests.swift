import Foundation
import Testing
import VecDB
import VecDBBytes
import VecDBLogStore

/// What is logged can be replayed. Calls at and beyond every limit either succeed, and a reopened
/// database has them, or are refused and change nothing; the database goes on in both cases.
@Suite struct ReplayableTests {
  private static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.maintenanceMinimum = .max
    configuration.logger.logLevel = .critical
    // What is replayed is the point.
    configuration.checkpointOnClose = false
    configuration.checkpointReplayMilliseconds = 1_000_000
    return configuration
  }

  private static func name(_ bytes: Int, _ generator: inout SeededGenerator) -> String {
    // Letters of one to four bytes, filled up with one.
    let letters = ["x", "é", "€", "𝄞"]
    var name = ""
    while name.utf8.count < bytes {
      let letter = letters.randomElement(using: &generator) ?? "x"
      name += name.utf8.count + letter.utf8.count <= bytes ? letter : "x"
    }
    return name
  }

  /// Sizes around a limit, and far from it.
  private static func size(around limit: Int, _ generator: inout SeededGenerator) -> Int {
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: Int.random(in: 1...limit, using: &generator)
    case 1: limit + Int.random(in: 1...limit, using: &generator)
    default: limit + Int.random(in: -2...2, using: &generator)
    }
  }

  @Test(arguments: UInt64(1)...4)
  func whatIsAcceptedIsReplayed(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed &* 104_729)
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    var database = try await Database.open(at: path, configuration: Self.configuration)
    var names: [String] = []
    var accepted = 0
    var refused = 0
    for step in 0..<60 {
      let lsn = database.lsn
      let what = Int.random(in: 0..<9, using: &generator)
      do {
        switch what {
        case 0, 1:
          let name = Self.name(Self.size(around: 255, &generator), &generator)
          try await database.createCollection(name, dimensions: 2, metric: .l2)
          names.append(name)
        case 2:
          guard let name = names.randomElement(using: &generator) else { continue }
          try await database.collection(name).upsert(
            VectorRecord(
              key: Self.name(Self.size(around: 1_024, &generator), &generator), vector: [1, 2],
              metadata: [Self.name(Self.size(around: 256, &generator), &generator): 1]))
        case 3:
          guard let name = names.randomElement(using: &generator) else { continue }
          try await database.collection(name).delete(
            [Self.name(Self.size(around: 1_024, &generator), &generator)])
        case 4:
          _ = try await database.mark(Self.name(Self.size(around: 255, &generator), &generator))
        case 5:
          // Version 1, no replica, no limit of the lag, a timeout, no members: one that does not
          // wait, or nothing could be written after it.
          let timeout = UInt8.random(in: 0...255, using: &generator)
          try await database.appendAcknowledgementPolicy(
            [1] + [UInt8](repeating: 0, count: 4) + [UInt8](repeating: 255, count: 8)
              + [timeout, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 4))
        case 6:
          guard let name = names.randomElement(using: &generator) else { continue }
          let migration = try await database.beginMigration(
            of: name, dimensions: 3, metric: .cosine)
          let page = try migration.pending()
          try await migration.supply(
            page.records.map { ($0.key, [1, 2, 3]) }, asOf: page.lsn)
          try await migration.finish()
          if Bool.random(using: &generator) {
            try await database.rollBackMigration(of: name)
            try await database.retireMigration(of: name)
          }
        case 7:
          guard let name = names.randomElement(using: &generator) else { continue }
          var options = RebuildOptions(m: 8)
          options.gate.minimumRecall = 0
          options.gate.latencyFactor = 1_000_000
          let collection = try database.collection(name)
          _ = try await collection.rebuild(options)
          try await collection.rollBackRebuild(
            reason: Self.name(Self.size(around: 4_096, &generator), &generator))
        default:
          guard let name = names.randomElement(using: &generator) else { continue }
          try await database.dropCollection(name)
          names.removeAll { $0 == name }
        }
        accepted += 1
      } catch let error as VecDBError {
        #expect(
          [.invalidArgument, .limitExceeded, .alreadyExists, .notFound].contains(error.code),
          "seed \(seed), step \(step), kind \(what): \(error)")
        if what != 6, what != 7 { #expect(database.lsn == lsn, "seed \(seed), step \(step)") }
        refused += 1
      }
      if step % 12 == 11 {
        let digest = try database.stats().dataDigest
        try await database.close()
        database = try await Database.open(at: path, configuration: Self.configuration)
        #expect(try database.stats().dataDigest == digest, "seed \(seed), step \(step)")
      }
    }
    #expect(try await database.check().problems == [])
    print("replayable: seed \(seed), \(accepted) accepted, \(refused) refused")
    try await database.close()
  }

  /// Whatever an encoder writes is read before it is logged: what nobody can read is refused, and
  /// changes nothing.
  @Test func aBatchThatNobodyCanReadIsNotLogged() async throws {
    var generator = SeededGenerator(seed: 12)
    let sound = BatchPayload.encodeDrop(collection: 3)
    try BatchPayload.requireReplayable(sound, lsn: 5)
    for _ in 0..<500 {
      var payload = sound
      switch Int.random(in: 0..<3, using: &generator) {
      case 0: payload.removeLast(Int.random(in: 1...payload.count, using: &generator))
      case 1: payload += [UInt8](repeating: 1, count: Int.random(in: 1...9, using: &generator))
      default: payload[0] = UInt8.random(in: 3...255, using: &generator)
      }
      let changed = payload
      await expectError(.invalidArgument) {
        try BatchPayload.requireReplayable(changed, lsn: 5)
      }
    }
  }

  /// A batch full of small updates: what they replace counts, too.
  @Test func aFullBatchOfSmallUpdatesFits() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration)
    let items = try await database.createCollection(
      "items", dimensions: 1, metric: .l2, index: .init(m: 4, efConstruction: 8))
    for turn in 0..<2 {
      try await items.upsert(
        (0..<320_000).map {
          VectorRecord(key: String($0, radix: 36), vector: [Float(turn * 400_000 + $0)])
        })
    }
    #expect(items.count == 320_000)
    try await database.close()
  }

  /// The largest batch, and one byte more: refused before anything is written, and nothing is
  /// poisoned.
  @Test func aBatchThatIsTooLargeIsRefusedAndHarmsNothing() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration)
    let lsn = database.lsn
    for size in [LogFrame.payloadBytesMaximum - 5, 64 << 20] {
      await expectError(.limitExceeded) {
        try await database.appendAcknowledgementPolicy([UInt8](repeating: 7, count: size))
      }
      #expect(database.lsn == lsn)
    }
    try await database.createCollection("items", dimensions: 2, metric: .l2)
    try await database.close()
  }
}
