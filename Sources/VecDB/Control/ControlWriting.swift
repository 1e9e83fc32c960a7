import FoundationEssentials

/// A write on the wire: records to put, keys to delete, a filter of records to delete, or an update.
package struct ControlWrite: Codable, Sendable, Hashable {
  var records: [ControlRecord]?
  /// For each record whether it may replace another one of its key.
  var mayReplace: [Bool]?
  var keys: [String]?
  /// As text; see ``Filter``.
  var filter: String?
  var update: ControlUpdate?

  /// So many bytes of records, or of keys, go into one request at most; one record alone may take more.
  static let requestBytes = ControlFrame.requestLimitBytes / 2
}

/// A change of metadata on the wire, of the records with these keys or of those that match. It has
/// keys and filter of its own: an older version, which does not know it, deletes what the ones above
/// name.
struct ControlUpdate: Codable, Sendable, Hashable {
  var keys: [String]?
  var filter: String?
  /// Canonical bytes of the fields to set.
  var set: Data
  var remove: [String]
  var removesOthers: Bool
  var version: UInt64?
  /// 0 for never; nil leaves it as it is.
  var expiryMilliseconds: Int64?

  init(_ change: MetadataChange) throws {
    set = Data(try change.set.canonicalBytes())
    remove = change.remove
    removesOthers = change.removesOthers
  }

  var change: MetadataChange {
    get throws {
      MetadataChange(
        set: try Metadata(canonicalBytes: Array(set)), remove: remove,
        removesOthers: removesOthers)
    }
  }
}

extension Database {
  /// Does a write of a control connection: acknowledged as any other of this process.
  func write(_ request: ControlRequest, into answer: inout ControlAnswer) async throws {
    let collection = try collection(request.name ?? "")
    let write = request.write ?? ControlWrite()
    if let records = write.records {
      let mayReplace = write.mayReplace ?? []
      guard mayReplace.isEmpty || mayReplace.count == records.count else {
        throw VecDBError(.invalidArgument, "mayReplace does not have one value for each record")
      }
      answer.upserted = try await collection.upsert(
        try records.map { try $0.record }, mayReplace: mayReplace)
    } else if let keys = write.keys {
      answer.deleted = try await collection.delete(keys)
    } else if let filter = write.filter {
      answer.deleted = try await collection.delete(
        where: try Filter.parse(filter, limitBytes: ControlFrame.requestLimitBytes))
    } else if let update = write.update {
      let change = try update.change
      if let filter = update.filter {
        answer.updated = try await collection.update(
          where: try Filter.parse(filter, limitBytes: ControlFrame.requestLimitBytes), change,
          expiryMilliseconds: update.expiryMilliseconds)
      } else {
        answer.updated = try await collection.update(
          (update.keys ?? []).map { key in
            var one = RecordUpdate(key, change, ifVersion: update.version)
            one.expiryMilliseconds = update.expiryMilliseconds
            return one
          })
      }
    } else {
      throw VecDBError(
        .invalidArgument, "the request does not say what to write",
        remedy: "Run the same version of vecdb in both processes.")
    }
  }
}

extension Database {
  /// Makes a collection for a control connection.
  func create(_ definition: CollectionInfo?) async throws -> CollectionInfo {
    guard let definition else {
      throw VecDBError(
        .invalidArgument, "the request does not say which collection to create",
        remedy: "Run the same version of vecdb in both processes.")
    }
    let collection = try await createCollection(
      definition.name, dimensions: definition.dimensions, metric: definition.metric,
      index: definition.index)
    var created = definition
    created.count = collection.count
    return created
  }
}

extension RemoteDatabase {
  /// A new connection to the process that has the database at `path` open.
  package static func reaching(_ path: String) throws -> RemoteDatabase {
    if let database = try RemoteDatabase(path: path) { return database }
    throw VecDBError(
      .closed, "the process that had the database open has ended", at: path,
      remedy: "Run the command again: it does not write a record twice.")
  }

  /// As `Database.createCollection`.
  package func createCollection(
    _ name: String, dimensions: Int, metric: Metric, index: IndexOptions
  ) async throws -> CollectionInfo {
    var request = ControlRequest(.create)
    request.definition = CollectionInfo(
      name: name, dimensions: dimensions, metric: metric, index: index, count: 0)
    guard let created = try await perform(request).collection else {
      throw VecDBError(.inputOutput, "the owner of the database gave an answer of another kind")
    }
    return created
  }

  /// As `Database.dropCollection`.
  package func dropCollection(_ name: String) async throws -> Receipt {
    var request = ControlRequest(.drop)
    request.name = name
    guard let receipt = try await perform(request).receipt else {
      throw VecDBError(.inputOutput, "the owner of the database gave an answer of another kind")
    }
    return receipt
  }
}

/// A collection of a database that another process has open, for writing.
///
/// Each request has a connection of its own: the owner ends one that asks for nothing for a while.
package struct RemoteCollection: Sendable {
  package let name: String
  package let dimensions: Int
  package let metric: Metric
  /// Live records when it was asked.
  package let count: Int
  private let path: String

  /// Throws `notFound`.
  package init(_ name: String, of database: RemoteDatabase) async throws {
    let all = try await database.stats(graphDigests: false).collections
    guard let found = all.first(where: { $0.name == name }) else {
      throw VecDBError(
        .notFound, "there is no such collection", at: name,
        remedy: all.isEmpty
          ? "The database has none." : "There are: \(all.map(\.name).joined(separator: ", ")).")
    }
    self.name = name
    dimensions = found.dimensions
    metric = found.metric
    count = found.count
    path = database.path
  }

  /// As `VectorCollection.upsert`, in as many requests as it takes: each is a batch of its own, and
  /// those before one that fails stay.
  package func upsert(_ records: [VectorRecord], mayReplace: [Bool]) async throws -> UpsertResult {
    var total: UpsertResult?
    var first = 0
    while first < records.count {
      var write = ControlWrite()
      var (sent, bytes): ([ControlRecord], Int) = ([], 0)
      while first + sent.count < records.count {
        let record = try ControlRecord(records[first + sent.count])
        guard sent.isEmpty || bytes + record.sizeBytes <= ControlWrite.requestBytes else { break }
        bytes += record.sizeBytes
        sent.append(record)
      }
      write.records = sent
      write.mayReplace = mayReplace.isEmpty ? nil : Array(mayReplace[first..<first + sent.count])
      first += sent.count
      let done = try Self.part(try await perform(write).upserted)
      if total == nil { total = done } else { total?.add(done) }
    }
    return try Self.part(total)
  }

  /// As `VectorCollection.delete`, likewise.
  package func delete(_ keys: [String]) async throws -> DeleteResult {
    var total: DeleteResult?
    var rest = keys[...]
    while !rest.isEmpty {
      var write = ControlWrite()
      var bytes = 0
      let part = rest.prefix { key in
        // As JSON escapes a byte of control at most.
        bytes += 6 * key.utf8.count + 3
        return bytes <= ControlWrite.requestBytes || bytes == 6 * key.utf8.count + 3
      }
      write.keys = Array(part)
      rest = rest[part.endIndex...]
      let done = try Self.part(try await perform(write).deleted)
      total = DeleteResult(
        receipt: done.receipt, deleted: done.deleted + (total?.deleted ?? 0))
    }
    return try Self.part(total)
  }

  package func delete(where filter: Filter) async throws -> DeleteResult {
    var write = ControlWrite()
    write.filter = "\(filter)"
    return try Self.part(try await perform(write).deleted)
  }

  /// As `VectorCollection.update`. All keys are in one request, which has a limit.
  package func update(
    _ keys: [String], _ change: MetadataChange, ifVersion version: UInt64?,
    expiryMilliseconds: Int64?
  ) async throws -> UpdateResult {
    var update = try ControlUpdate(change)
    update.expiryMilliseconds = expiryMilliseconds
    update.keys = keys
    update.version = version
    return try await perform(update)
  }

  /// As `VectorCollection.update`.
  package func update(
    where filter: Filter, _ change: MetadataChange, expiryMilliseconds: Int64?
  ) async throws -> UpdateResult {
    var update = try ControlUpdate(change)
    update.expiryMilliseconds = expiryMilliseconds
    update.filter = "\(filter)"
    return try await perform(update)
  }

  private func perform(_ update: ControlUpdate) async throws -> UpdateResult {
    var write = ControlWrite()
    write.update = update
    return try Self.part(try await perform(write).updated)
  }

  private func perform(_ write: ControlWrite) async throws -> ControlAnswer {
    let database = try RemoteDatabase.reaching(path)
    var request = ControlRequest(.write)
    request.name = name
    request.write = write
    return try await database.perform(request)
  }

  private static func part<Value>(_ value: Value?) throws -> Value {
    guard let value else {
      throw VecDBError(
        .inputOutput, "the owner of the database gave an answer of another kind",
        remedy: "Run the same version of vecdb in both processes.")
    }
    return value
  }
}
