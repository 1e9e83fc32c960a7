import Foundation
import VecDB

/// What must hold after the process was killed: every acknowledged step is there, of the one that
/// was under way all or nothing, `check` is clean, searches find what is there, and writing works.
struct Verification {
  let directory: String
  let receipts: String
  let seed: UInt64
  let writers: Int

  private static let proofKey = "after"

  struct Outcome: Codable {
    var acknowledged = 0
    var refused = 0
    var records = 0
    var reopenMilliseconds = 0.0
    var problems: [String] = []
  }

  func run() async throws -> Outcome {
    var outcome = Outcome()
    let known = try Receipts(path: receipts)
    outcome.acknowledged = known.acknowledgedCount
    outcome.refused = known.refusedCount
    let started = Date()
    let database: Database
    do {
      var configuration = Writing.configuration()
      // Killed before the database was created: nothing was acknowledged then.
      configuration.createIfMissing = known.next.isEmpty
      database = try await Database.open(at: directory + "/db", configuration: configuration)
    } catch {
      outcome.problems.append("cannot be opened: \(error)")
      return outcome
    }
    outcome.reopenMilliseconds = Date().timeIntervalSince(started) * 1e3
    guard try !database.collections().isEmpty else {
      if !known.next.isEmpty { outcome.problems.append("the collection is lost") }
      try await database.close()
      return outcome
    }
    let collection = try database.collection("c")
    let found = try collection.scroll(limit: 10_000).records
    outcome.records = found.count
    if collection.count != found.count {
      outcome.problems.append("counts \(collection.count) records and lists \(found.count)")
    }
    // What an earlier proof wrote stays where its removal found no space.
    let written = found.filter { $0.key != Self.proofKey }
    try resolve(
      Dictionary(uniqueKeysWithValues: written.map { ($0.key, $0) }), known, &outcome)
    // Wide enough for all of the graph: this is about what can be reached, not about recall, which
    // is low where a rebuild with few links serves.
    let wide = SearchOptions(efSearch: 4_000)
    for record in found.prefix(300) {
      let hit = try collection.search(record.vector, k: 1, options: wide).hits.first
      if hit?.distance != 0 { outcome.problems.append("a search misses '\(record.key)'") }
    }
    outcome.problems += try await database.check().problems
    if Rebuilding.isOn {
      outcome.problems += try await Rebuilding(seed).finish(database)
      outcome.problems += try await database.check().problems
    }
    do {
      let new = VectorRecord(
        key: Self.proofKey, vector: Array(repeating: 2, count: Operation.dimensions))
      try await collection.upsert(new)
      if try collection.get(Self.proofKey) != new { outcome.problems.append("a new write is lost") }
      try await collection.delete([Self.proofKey])
    } catch let error as VecDBError where error.code == .diskFull {
      // Reading must work on a full disk; writing may be refused.
    }
    do { try await database.close() } catch let error as VecDBError where error.code == .diskFull {}
    if Rebuilding.isOn { outcome.problems += try Rebuilding.orphans(directory + "/db") }
    return outcome
  }

  /// Compares what was found with the steps of each writer, and writes down which of the steps that
  /// were under way took effect, so that the next life goes on from there.
  private func resolve(
    _ found: [String: VectorRecord], _ known: Receipts, _ outcome: inout Outcome
  ) throws {
    let journal = try ReceiptWriter(path: receipts)
    var unexplained = Set(found.keys)
    for writer in 0..<writers {
      var before: [String: VectorRecord] = [:]
      for step in known.acknowledged[writer] ?? [] {
        Operation(seed: seed, writer: writer, step: step).apply(to: &before)
      }
      let step = known.next[writer] ?? 0
      var after = before
      Operation(seed: seed, writer: writer, step: step).apply(to: &after)
      let own = found.filter { $0.key.hasPrefix("w\(writer)-") }
      unexplained.subtract(own.keys)
      if own == after {
        try journal.add(writer: writer, step: step, isAcknowledged: true)
      } else if own == before {
        try journal.add(writer: writer, step: step, isAcknowledged: false)
      } else {
        let lost = before.filter { own[$0.key] != $0.value && after[$0.key] == $0.value }.keys
        let extra = own.keys.filter { before[$0] == nil && after[$0] == nil }
        outcome.problems.append(
          "writer \(writer), after step \(step - 1): lost or changed \(lost.sorted()), "
            + "extra \(extra.sorted())")
      }
    }
    if !unexplained.isEmpty { outcome.problems.append("nobody wrote \(unexplained.sorted())") }
  }
}
