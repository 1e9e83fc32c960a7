import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// A database in a directory: collections of vectors behind a write-ahead log.
///
/// Only one process can have a database open at a time, and it can open the database only once. You
/// can use the handle from any thread. Every error is a ``VecDBError``.
///
/// ```swift
/// let database = try await Database.open(at: "photos.vecdb")
/// let photos = try await database.createCollection("photos", dimensions: 512, metric: .cosine)
/// try await photos.upsert(VectorRecord(key: "cat", vector: embedding, metadata: ["year": 2024]))
/// let result = try photos.search(query, k: 10, options: .init(filter: Field("year") >= 2020))
/// try await database.close()
/// ```
public final class Database: Sendable {
  public let path: String
  let writer: Writer
  let engine: Engine
  let records: RecordStore
  let catalog: Catalog
  let closing = Atomic(false)
  let isEnding = Atomic(false)
  /// The background work: rebuilds, the control socket, the scrub.
  let companions = Companions()
  /// Answers the requests of other processes to the replication layer.
  package let nodeHandler = Guarded<(@Sendable (String) async throws -> String)?>(nil)
  /// Hidden names of collections during a restore into this database.
  let restoring = Guarded<Set<String>>([])

  /// The entry of this database among those that this process has open.
  private let place: OpenDatabases.Place?

  init(engine: Engine) {
    path = engine.directory.path
    place = engine.fileSystem is PosixFileSystem ? OpenDatabases.add(engine.directory.path) : nil
    self.engine = engine
    records = engine.records
    catalog = engine.shared.catalog
    let writer = Writer(engine: engine, configuration: engine.configuration)
    self.writer = writer
    engine.checkpointer.setNudge { [weak writer] in
      // An empty turn of the writer takes up the checkpoint that was written.
      writer?.submit(.exclusive { _ in }, sizeBytes: 0)
    }
  }

  deinit {
    OpenDatabases.remove(place)
    writer.abandon()
    companions.abandon()
  }

  /// The LSN up to which writes are durable and searchable.
  public var lsn: UInt64 { engine.shared.lsn.load(ordering: .acquiring) }

  /// The receipt of a write that changes nothing.
  var currentReceipt: Receipt { Receipt(epoch: engine.epochCounter, lsn: lsn) }

  func requireOpen() throws {
    if closing.load(ordering: .relaxed) { throw VecDBError.databaseClosed }
  }
}

// MARK: Collections

extension Database {
  /// Creates an empty collection.
  ///
  /// - Parameters:
  ///   - name: 1 to 255 bytes of UTF-8 without control characters.
  ///   - dimensions: 1 to 65,536.
  /// - Throws: `alreadyExists`, `invalidArgument`.
  @discardableResult
  public func createCollection(
    _ name: String, dimensions: Int, metric: Metric, index: IndexOptions = IndexOptions()
  ) async throws -> VectorCollection {
    try await VecDBError.translating {
      try Self.requireName(name, of: "collection")
      let runtime = try await createCollection(
        named: name, dimensions: dimensions, metric: metric, index: index)
      return VectorCollection(runtime, database: self)
    }
  }

  /// The collection of this name, which is created if there is none.
  ///
  /// Cost: nothing is written where it exists, so this works on a replica too.
  ///
  /// - Parameters: as those of ``createCollection(_:dimensions:metric:index:)``; `index` counts only
  ///   where the collection is created.
  /// - Throws: `invalidArgument` if the collection that exists has other dimensions or another metric;
  ///   as ``createCollection(_:dimensions:metric:index:)``.
  @discardableResult
  public func openCollection(
    _ name: String, dimensions: Int, metric: Metric, index: IndexOptions = IndexOptions()
  ) async throws -> VectorCollection {
    while true {
      do {
        let found = try collection(name)
        guard found.dimensions == dimensions, found.metric == metric else {
          throw VecDBError(
            .invalidArgument,
            "the collection has \(found.dimensions) dimensions and the metric \(found.metric)",
            at: name, remedy: "Ask for these, or choose another name.")
        }
        return found
      } catch let error as VecDBError where error.code == .notFound {
        do {
          return try await createCollection(
            name, dimensions: dimensions, metric: metric, index: index)
        } catch let error as VecDBError where error.code == .alreadyExists {
          // Another call was faster.
        }
      }
    }
  }

  func createCollection(
    named name: String, dimensions: Int, metric: Metric, index: IndexOptions
  ) async throws -> CollectionRuntime {
    try requireOpen()
    guard (1...DatabaseLimits.maximumDimensions).contains(dimensions) else {
      throw VecDBError(
        .invalidArgument, "dimensions is \(dimensions)", at: name,
        remedy: "Use 1 to \(DatabaseLimits.maximumDimensions).")
    }
    return try await writer.exclusively { engine in
      guard engine.state.collection(named: name) == nil else {
        throw VecDBError(
          .alreadyExists, "there is already a collection of that name", at: name,
          remedy: "Use it, drop it, or choose another name.")
      }
      guard engine.state.collections.count < DatabaseLimits.maximumCollections else {
        throw VecDBError(
          .limitExceeded, "there are \(DatabaseLimits.maximumCollections) collections", at: name,
          remedy: "Drop a collection that you do not need.")
      }
      let id = engine.state.nextCollectionID
      let definition = CollectionDefinition(
        id: id, name: name, dimensions: dimensions, metric: metric, options: index,
        seed: 0x9e37_79b9_7f4a_7c15 &* UInt64(id))
      // What the log will have is tried first: a machine without the room for it refuses here.
      _ = try CollectionRuntime(definition, threads: engine.state.threads)
      _ = try engine.write([BatchPayload.encodeCreate(definition)])
      guard let runtime = engine.state.collection(named: name) else {
        throw VecDBError(.closed, "another call dropped the collection at once", at: name)
      }
      return runtime
    }
  }

  /// The collection of that name.
  ///
  /// - Throws: `notFound`, with the names of the existing collections.
  public func collection(_ name: String) throws -> VectorCollection {
    try VecDBError.translating {
      try requireOpen()
      guard let runtime = catalog.find(name) else {
        let names = catalog.all.filter { !Self.isHidden($0.definition.name) }.map {
          "'\($0.definition.name)'"
        }.joined(separator: ", ")
        throw VecDBError(
          .notFound, "there is no collection '\(name)'", at: path,
          remedy: names.isEmpty ? "Create it first." : "There are: \(names).")
      }
      return VectorCollection(runtime, database: self)
    }
  }

  /// All collections, by name.
  public func collections() throws -> [CollectionInfo] {
    try VecDBError.translating {
      try requireOpen()
      return catalog.all.filter { !Self.isHidden($0.definition.name) }.map { runtime in
        let definition = runtime.definition
        return CollectionInfo(
          name: definition.name, dimensions: definition.dimensions, metric: definition.metric,
          index: runtime.options, count: runtime.count)
      }
    }
  }

  /// Removes a collection and all its records. Searches that are under way on it finish.
  @discardableResult
  public func dropCollection(_ name: String) async throws -> Receipt {
    try await VecDBError.translating {
      try requireOpen()
      return try await writer.exclusively { engine in
        guard let runtime = engine.state.collection(named: name) else {
          throw VecDBError(
            .notFound, "there is no collection '\(name)'", at: engine.directory.path,
            remedy: "List the collections with `vecdb stats`.")
        }
        let receipts = try engine.write([BatchPayload.encodeDrop(collection: runtime.id)])
        return receipts.last ?? engine.receipt
      }
    }
  }

  static func requireName(_ name: String, of what: String) throws {
    let isClean = name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
    guard (1...DatabaseLimits.maximumNameBytes).contains(name.utf8.count), isClean else {
      throw VecDBError(
        .invalidArgument, "'\(name)' is not a valid \(what) name",
        remedy:
          "Use 1 to \(DatabaseLimits.maximumNameBytes) bytes of UTF-8 without control characters.")
    }
  }
}

// MARK: Checkpoint

extension Database {
  /// Writes a checkpoint of the present state while writes and searches go on, and returns when it
  /// is durable. Writes nothing if the newest checkpoint already has everything.
  @discardableResult
  public func checkpoint() async throws -> CheckpointReport {
    try await VecDBError.translating {
      try requireOpen()
      while true {
        let started = try await writer.exclusively { try $0.startCheckpoint() }
        guard let (job, isNew) = started else {
          let newest = try await writer.exclusively { $0.checkpointer.newest.lsn }
          return CheckpointReport(lsn: newest, blocksWritten: 0, bytesWritten: 0, seconds: 0)
        }
        let outcome = await job.whenWritten()
        try await writer.exclusively { engine in engine.awaitCheckpoint() }
        // One that was running already may lack the newest writes: begin another.
        if isNew { return try outcome.get().report }
      }
    }
  }
}
