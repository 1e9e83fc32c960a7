import VecDB

/// A collection that a verb reads from, in this process or through the one that has it open.
struct CollectionReader {
  let dimensions: Int
  let metric: Metric
  /// Live records.
  let count: Int
  let get: (_ key: String, _ includeVector: Bool) async throws -> VectorRecord?
  let search: (_ vector: [Float], _ k: Int, _ options: SearchOptions) async throws -> SearchResult

  init(_ access: Access, collection name: String) async throws {
    switch access {
    case .own(let database):
      let collection = try database.collection(name)
      dimensions = collection.dimensions
      metric = collection.metric
      count = collection.count
      get = { try collection.get($0, includeVector: $1) }
      search = { try collection.search($0, k: $1, options: $2) }
    case .remote(let remote):
      let all = try await remote.stats(graphDigests: false).collections
      guard let stats = all.first(where: { $0.name == name }) else {
        throw VecDBError(
          .notFound, "there is no collection '\(name)'", at: remote.path,
          remedy: "There are: " + all.map { "'\($0.name)'" }.joined(separator: ", ") + ".")
      }
      dimensions = stats.dimensions
      metric = stats.metric
      count = stats.count
      get = { key, includeVector in
        try await Self.repeating(remote, name) {
          try await $0.get(key, in: name, includeVector: includeVector)
        } elsewhere: {
          try await $0.get(key, includeVector)
        }
      }
      search = { vector, k, options in
        try await Self.repeating(remote, name) {
          try await $0.search(vector, k: k, options: options, in: name)
        } elsewhere: {
          try await $0.search(vector, k, options)
        }
      }
    }
  }

  func run<Search: ComposedSearch>(
    _ search: Search, _ vector: [Float]
  ) async throws -> Search.Answer {
    var search = search
    while let step = search.next() {
      try search.take(try await self.search(vector, step.k, step.options))
    }
    return try search.answer()
  }

  /// Asks the owner; where that closes the database meanwhile, whoever has it then.
  private static func repeating<Value>(
    _ remote: RemoteDatabase, _ name: String, ask: (RemoteDatabase) async throws -> Value,
    elsewhere: (CollectionReader) async throws -> Value
  ) async throws -> Value {
    do { return try await ask(remote) } catch let error as VecDBError
      where Session.hasGone(remote, error)
    {
      return try await Session.runShared(remote.path) { access in
        try await elsewhere(try await CollectionReader(access, collection: name))
      }
    }
  }

  /// See `Metric.unpacked`.
  func unpacked(_ row: [Float]) -> [Float] { metric.unpacked(row, dimensions: dimensions) }
}
