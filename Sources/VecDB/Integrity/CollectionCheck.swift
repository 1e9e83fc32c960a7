import VecDBBytes
import VecDBIndex
import VecDBLogStore
import VecDBThreads

/// Holds a collection's index, its records and their digests against each other.
struct CollectionCheck {
  let collection: CollectionRuntime
  let records: RecordStore
  var cancellation = Cancellation()

  /// Problems named in full by one check.
  private static let namedProblems = 8

  /// Everything.
  func all() throws -> [String] { try structure() + contents() }

  /// The index alone: counters, links, reachability of every live record.
  func structure() throws -> [String] {
    collection.index.checkInvariants().map { "'\(collection.definition.name)': \($0)" }
  }

  /// Every live record against its stored hash, its row in records, and the data digest.
  func contents() throws -> [String] {
    let name = collection.definition.name
    let view = collection.index.view()
    var problems: [String] = []
    var digest = MultisetDigest()
    var rows = 0
    func report(_ problem: String) {
      if problems.count < Self.namedProblems { problems.append("'\(name)': \(problem)") }
    }
    try records.forEach(collection: collection.id) { row in
      rows += 1
      try cancellation.check()
      if let problem = Self.problem(of: row, in: collection, at: view) { report(problem) }
      digest.insert(collection.recordHash(of: row.slot))
      return true
    }
    if rows != collection.count {
      report("there are \(rows) records, but \(collection.count) live slots")
    }
    if digest.sum != collection.dataDigest { report("the data digest does not match the records") }
    return problems
  }

  /// What is wrong with a record: its place, its key, or its content, by the hash that the index
  /// has of it. Nil if nothing is.
  static func problem(
    of row: RecordRow, in collection: CollectionRuntime, at view: ReadView? = nil
  ) -> String? {
    guard collection.index.isVisible(Int(row.slot), in: view ?? collection.index.view()) else {
      return "the record '\(row.key)' is in slot \(row.slot), which is dead"
    }
    let key = collection.key(of: row.slot)
    guard Array(key.utf8) == Array(row.key.utf8) else {
      return "slot \(row.slot) has the key '\(key)', not '\(row.key)'"
    }
    let hash = collection.vector(of: row.slot).withUnsafeBytes {
      recordHash(
        key: Array(row.key.utf8), metadata: row.metadata,
        expiryMilliseconds: row.expiryMilliseconds, vector: $0)
    }
    return hash == collection.recordHash(of: row.slot)
      ? nil : "the record '\(row.key)' does not match its hash"
  }
}
