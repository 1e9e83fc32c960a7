import VecDB

/// A collection that a verb reads from, in this process or through the one that has it open.
struct CollectionReader {
  let dimensions: Int
  let metric: Metric
  let get: (_ key: String, _ includeVector: Bool) async throws -> Record?
  let search: (_ vector: [Float], _ k: Int, _ options: SearchOptions) async throws -> SearchResult

  init(_ access: Access, collection name: String) async throws {
    switch access {
    case .own(let database):
      let collection = try database.collection(name)
      dimensions = collection.dimensions
      metric = collection.metric
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
      get = { try await remote.get($0, in: name, includeVector: $1) }
      search = { try await remote.search($0, k: $1, options: $2, in: name) }
    }
  }
  /// See `Metric.unpacked`.
  func unpacked(_ row: [Float]) -> [Float] { metric.unpacked(row, dimensions: dimensions) }
}
