import VecDBBytes

/// Collections that are filled from elsewhere, and named when they are complete. Until then they
/// have a name that nobody can give or see; what a crash leaves of one is dropped.
extension Database {
  private static let stagedPrefix = "\u{1}\u{1}"

  static func isStaged(_ name: String) -> Bool { name.utf8.starts(with: stagedPrefix.utf8) }

  /// Bounded, whatever the name that it is to have.
  private static func stagedName(for name: String) -> String {
    stagedPrefix + SHA256.hash(Array(name.utf8)).hex.prefix(32)
  }

  /// An empty collection that is to be called `name`.
  ///
  /// - Throws: `alreadyExists` if another call is about to make one of that name.
  func stage(_ definition: CollectionDefinition, as name: String) async throws -> VectorCollection {
    try Self.requireName(name, of: "collection")
    let staged = Self.stagedName(for: name)
    guard restoring.withLock({ $0.insert(staged).inserted }) else {
      throw VecDBError(
        .alreadyExists, "a collection of that name is being restored", at: name,
        remedy: "Wait for it, or choose another name.")
    }
    do {
      // What a process left that ended on the way.
      if catalog.find(staged) != nil { try await dropCollection(staged) }
      let runtime = try await createCollection(
        named: staged, dimensions: definition.dimensions, metric: definition.metric,
        index: definition.options)
      return VectorCollection(runtime, database: self)
    } catch {
      restoring.withLock { _ = $0.remove(staged) }
      throw error
    }
  }

  /// Gives a staged collection its name, in one transaction of the log.
  func adopt(_ staged: CollectionRuntime, as name: String) async throws {
    try await writer.exclusively { engine in
      try staged.requireLive()
      guard engine.state.collection(named: name) == nil else {
        throw VecDBError(
          .alreadyExists, "a collection of that name was created meanwhile", at: name,
          remedy: "Choose another name, or drop it first.")
      }
      // Names are exchanged: an empty collection of that name takes the staged one's, and goes.
      var empty = staged.definition
      empty.name = name
      empty.id = engine.state.nextCollectionID
      let header = RebuildBatch.Header(
        collection: empty.id, number: staged.id, timeMilliseconds: engine.logTime())
      _ = try engine.write([
        BatchPayload.encodeCreate(empty), RebuildBatch.exchange.encode(header),
        BatchPayload.encodeDrop(collection: empty.id),
      ])
    }
  }

  /// Drops a staged collection.
  func discard(_ staged: VectorCollection) async throws {
    defer { restoring.withLock { _ = $0.remove(staged.name) } }
    if catalog.find(staged.name) != nil { try await dropCollection(staged.name) }
  }

  /// Drops what a process left that ended while it filled a collection. At opening.
  func discardAbandoned() {
    let isAbandoned = catalog.all.contains { Self.isStaged($0.definition.name) }
    guard isAbandoned else { return }
    writer.submit(
      .exclusive { engine in
        // A follower's come and go with the log.
        guard case .success(let engine) = engine, engine.writeRefusal == nil else { return }
        let left = engine.state.sortedCollections.filter {
          Self.isStaged($0.definition.name)
        }
        do {
          _ = try engine.write(left.map { BatchPayload.encodeDrop(collection: $0.id) })
        } catch {
          engine.configuration.logger.warning(
            "an unfinished collection remains", metadata: ["error": "\(error)"])
        }
      }, sizeBytes: 0)
  }
}
