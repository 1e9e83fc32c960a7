import VecDB

extension Query {
  /// The answer of one search, or of the searches within a distance or for unlike records.
  func found(
    near vector: [Float], in collection: CollectionReader, _ options: SearchOptions
  ) async throws -> SearchResult {
    if let within = retrieval.within {
      let search = try RangeSearch(
        within: within, limit: k, metric: collection.metric, count: collection.count,
        options: options)
      return try await collection.run(search, vector)
    }
    if let lambda = retrieval.mmr {
      let search = try DiverseSearch(
        vector, k: k ?? 10, lambda: lambda, candidates: retrieval.candidates,
        metric: collection.metric, options: options)
      return try await collection.run(search, vector)
    }
    return try await collection.search(vector, k ?? 10, options)
  }

  func answerInGroups(
    _ vector: [Float], in collection: CollectionReader, _ options: SearchOptions, query: Int
  ) async throws {
    let field = retrieval.groupBy ?? ""
    let search = try GroupedSearch(
      by: field, groups: retrieval.groups, perGroup: retrieval.perGroup, options: options)
    let result = try await collection.run(search, vector)
    if query == 0, let warning = result.warning { Terminal.message("WARNING  \(warning)") }
    if query == 0, result.groups.isEmpty {
      Terminal.message("WARNING  no record that matches has the field '\(field)'")
    }
    guard !output.json else {
      Output.bytes(JSONText.groupsLine(result.groups, query: query))
      return
    }
    if vectors != nil { Output.line("query \(query)") }
    for group in result.groups {
      Output.line("\(field) = \(JSONText.text(group.value))")
      writeTable(group.hits)
    }
    if vectors == nil {
      let hits = result.groups.map(\.hits.count).reduce(0, +)
      Terminal.message(
        "\(result.groups.count) groups, \(hits) hits; \(result.searches) searches, "
          + "LSN \(result.lsn)")
    }
  }

  func answerNear(in collection: CollectionReader, _ options: SearchOptions) async throws {
    let search = try ExampleSearch(
      near: retrieval.near, awayFrom: retrieval.awayFrom, k: k ?? 10, options: options)
    var vectors: [[Float]] = []
    for key in search.keys {
      guard let record = try await collection.get(key, true) else {
        throw ExampleSearch.missing(key, in: target.collection)
      }
      vectors.append(record.vector)
    }
    let start = ContinuousClock.now
    let result = try await collection.run(
      search, search.query(of: vectors, metric: collection.metric))
    write(result, query: 0, time: ContinuousClock.now - start)
  }
}
