import FoundationEssentials
import Glibc
import VecDBIndex
import VecDBLogStore

/// A collection of records with vectors of one dimension and metric.
///
/// A handle is cheap. You can use it from any thread, and it stays valid until you drop the
/// collection or close the database. Searches run on the calling thread and take no lock; plain
/// ones never wait for writers. Writes are `async`, and return when they are durable and
/// searchable.
public final class VectorCollection: Sendable {
  let runtime: CollectionRuntime
  let database: Database

  public var name: String { runtime.definition.name }
  public var dimensions: Int { runtime.definition.dimensions }
  public var metric: Metric { runtime.definition.metric }

  /// Live records.
  public var count: Int { runtime.count }

  init(_ runtime: CollectionRuntime, database: Database) {
    self.runtime = runtime
    self.database = database
  }

  func requireUsable() throws {
    try database.requireOpen()
    try runtime.requireLive()
  }
}

// MARK: Reading by key

extension VectorCollection {
  /// The record with this key, bit for bit as you wrote it; nil if there is none.
  ///
  /// - Parameter includeVector: false leaves `vector` empty.
  public func get(_ key: String, includeVector: Bool = true) throws -> VectorRecord? {
    try VecDBError.translating {
      try requireUsable()
      return try runtime.index.reading {
        try database.records.row(collection: runtime.id, key: key).map {
          try record(of: $0, includeVector: includeVector)
        }
      }
    }
  }

  /// The records with these keys, in their order; nil where there is none.
  public func get(_ keys: [String]) throws -> [VectorRecord?] {
    try VecDBError.translating { try keys.map { try get($0) } }
  }

  /// How many records match. Cost: one pass over the columns that the filter needs.
  public func count(where filter: Filter) throws -> Int {
    try VecDBError.translating {
      try reduce(where: filter, into: 0) { count, _, _ in count += 1 }
    }
  }

  /// Folds the slots of all records that match at one moment.
  func reduce<Value>(
    where filter: Filter, into initial: Value,
    _ body: (inout Value, _ slot: Int, IndexGeneration) throws -> Void
  ) throws -> Value {
    try reading { index, view in
      var value = initial
      try runtime.matchingSlots(filter, records: database.records, in: index, at: view).slots
        .visit { slot in
          if index.isVisible(slot, in: view) { try body(&value, slot, index) }
        }
      return value
    }
  }

  /// Runs `body` on the index as of one moment. Where a record is replaced while it is looked at, runs
  /// it again.
  func reading<Value>(_ body: (IndexGeneration, ReadView) throws -> Value) throws -> Value {
    try requireUsable()
    let giveUp = ContinuousClock.now + RecordReplaced.patience
    while true {
      let index = runtime.index
      do { return try index.reading { try body(index, index.view()) } } catch is RecordReplaced {
        guard ContinuousClock.now < giveUp else { throw RecordReplaced.tooFast(name) }
        usleep(200)
      }
    }
  }

  /// With its vector, compares the record with its hash before returning it.
  func record(of row: RecordRow, includeVector: Bool) throws -> VectorRecord {
    let vector = includeVector ? runtime.vector(of: row.slot) : []
    if includeVector { try requireIntact(row, vector) }
    var record = VectorRecord(
      key: row.key, vector: vector, metadata: try Metadata(canonicalBytes: row.metadata))
    if row.expiryMilliseconds != 0 { record.expiryMilliseconds = row.expiryMilliseconds }
    record.version = runtime.index.birthLSN(of: Int(row.slot))
    return record
  }

  /// A slot's key, metadata, vector and hash never change once it is visible, so that a mismatch
  /// can only be damage.
  func requireIntact(_ row: RecordRow, _ vector: [Float]) throws {
    let hash = vector.withUnsafeBytes {
      recordHash(
        key: Array(row.key.utf8), metadata: row.metadata,
        expiryMilliseconds: row.expiryMilliseconds, vector: $0)
    }
    guard hash == runtime.recordHash(of: row.slot) else {
      throw VecDBError.unlikeItsHash(row.key, of: name, at: database.path)
    }
  }
}

extension VecDBError {
  static func unlikeItsHash(
    _ key: String, of collection: String, at path: String = ""
  ) -> VecDBError {
    VecDBError(
      .corrupt, "the record '\(key)' of '\(collection)' does not match its hash", at: path,
      remedy: "Run `vecdb check`; restore from a backup, or write it again.")
  }
}

// MARK: Scrolling

/// A page of records in the order of their keys, and where the next page begins.
public struct RecordPage: Sendable {
  public var records: [VectorRecord]
  /// Pass it as `after` to get the next page; nil at the end.
  public var next: String?
}

extension VectorCollection {
  /// Records in the order of their keys' UTF-8 bytes, a page at a time.
  ///
  /// Each page is consistent in itself. If you write a record between two pages, a later page shows
  /// it only if its key comes after the last key that you read.
  /// - Parameters:
  ///   - cursor: `next` of the page before; nil for the first page.
  ///   - limit: records in a page, 1 to 10,000.
  ///   - filter: returns only records that match; pages may then be shorter than `limit` before the
  ///     end.
  public func scroll(
    after cursor: String? = nil, limit: Int = 100, filter: Filter? = nil,
    includeVectors: Bool = true
  ) throws -> RecordPage {
    try VecDBError.translating {
      try requireUsable()
      guard (1...10_000).contains(limit) else {
        throw VecDBError(
          .invalidArgument, "limit is \(limit)", at: name, remedy: "Use 1 to 10000.")
      }
      let plan = try filter?.plan()
      return try runtime.index.reading {
        let rows = try database.records.scan(
          collection: runtime.id, afterKey: cursor, limit: limit)
        let records = try rows.filter { row in
          try plan.map { plan in
            try row.metadata.withUnsafeBytes { try plan.matches(canonicalMetadata: $0) }
          } ?? true
        }.map { try record(of: $0, includeVector: includeVectors) }
        return RecordPage(records: records, next: rows.count == limit ? rows.last?.key : nil)
      }
    }
  }
}
