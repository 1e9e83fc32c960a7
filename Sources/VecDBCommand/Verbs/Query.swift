import ArgumentParser
import VecDB

struct Query: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find the records nearest to one or many vectors.",
    discussion: """
      EXAMPLE
        vecdb query photos.vecdb images --key 17 -k 5
        vecdb query photos.vecdb images --vectors test.npy -k 10 --recall 0.99 --json
        vecdb query texts.vecdb notes --vector '[0.1,0.7]' --where "year >= 2020 and lang = 'de'"
        vecdb query texts.vecdb notes --key 17 --group-by document --groups 5 --per-group 2
        vecdb query texts.vecdb notes --key 17 --within 0.3
        vecdb query texts.vecdb notes --near 17 23 --away-from 4
      """)

  @OptionGroup var target: CollectionArguments
  @Option(help: "The query as a JSON array: '[0.1,0.2]'.")
  var vector: String?
  @Option(help: "A file of queries: .fvecs, .bvecs, .npy or .jsonl, also .gz.", completion: .file())
  var vectors: String?
  @Option(help: "Search with the vector of the record that has this key.")
  var key: String?
  @Option(name: .customShort("k"), help: "How many records to find. (default: 10)")
  var k: Int?
  @OptionGroup var retrieval: RetrievalOptions
  @Option(help: "Candidates that a search keeps; a higher value finds more and takes longer.")
  var ef: Int?
  @Option(help: "The recall to reach, such as 0.95; vecdb measures which --ef reaches it.")
  var recall: Double?
  @OptionGroup var filter: FilterArguments
  @Flag(help: "Compare the query with every record, for the exact answer.")
  var exact = false
  @Flag(help: "Print the vectors of the records found.")
  var includeVector = false
  @Flag(help: "Do not print metadata.")
  var noMetadata = false
  @Flag(help: "Print the plan, selectivity, distances and time of each search.")
  var explain = false
  @Option(help: "Stop after this many queries of the file.")
  var limit: Int?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    let sources = [vector != nil, vectors != nil, key != nil, !retrieval.near.isEmpty]
    guard sources.count(where: { $0 }) == 1 else {
      throw ValidationError("Give one of --vector, --vectors, --key and --near.")
    }
    if let k, k < 1 { throw ValidationError("-k is \(k); it must be at least 1.") }
    if let ef, !(1...65_536).contains(ef) {
      throw ValidationError("--ef is \(ef); it must be 1 to 65536.")
    }
    if let recall, !(recall > 0 && recall < 1) {
      throw ValidationError("--recall is \(recall); it must be between 0 and 1.")
    }
    guard ef == nil || recall == nil else {
      throw ValidationError("Give --ef or --recall, not both.")
    }
  }

  func run() async throws {
    let filter = try filter.filter()
    try await Session.runShared(target.database) { database in
      let collection = try await CollectionReader(database, collection: target.collection)
      let options = SearchOptions(
        efSearch: ef, recall: recall, filter: filter, exact: exact,
        includeMetadata: !noMetadata, includeVector: includeVector)
      if let vectors {
        let source = try openVectors(vectors)
        var index = 0
        while index < limit ?? .max, var row = try source.next() {
          row.vector = collection.unpacked(row.vector)
          if row.vector.count != collection.dimensions {
            throw inputError(
              "the query has \(row.vector.count) components, the collection "
                + "\(collection.dimensions)", source.bytes, row: index,
              remedy: "Query with vectors of the collection's dimension.")
          }
          try await answer(row.vector, in: collection, options, query: index)
          try Output.requireWritable()
          index += 1
        }
      } else if !retrieval.near.isEmpty {
        try await answerNear(in: collection, options)
      } else {
        let query = try await singleQuery(collection)
        try await answer(query, in: collection, options, query: 0)
      }
    }
  }

  private func singleQuery(_ collection: CollectionReader) async throws -> [Float] {
    if let key {
      guard let record = try await collection.get(key, true) else {
        throw VecDBError(
          .notFound, "there is no record with this key", at: "\(target.collection), key \(key)",
          remedy: "List the keys with vecdb export.")
      }
      return record.vector
    }
    do { return try parseVector(vector ?? "") } catch let failure as JSONFailure {
      throw UsageError(
        message: "--vector cannot be read: \(failure)", remedy: "Write it like '[0.1,0.2,0.3]'.")
    }
  }

  private func parseVector(_ text: String) throws -> [Float] {
    try Array(text.utf8).withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      var numbers: [Float] = []
      try scanner.vector(into: &numbers)
      try scanner.expectEnd()
      return numbers
    }
  }

  private func answer(
    _ vector: [Float], in collection: CollectionReader, _ options: SearchOptions, query: Int
  ) async throws {
    let clock = ContinuousClock()
    let start = clock.now
    guard retrieval.groupBy == nil else {
      return try await answerInGroups(vector, in: collection, options, query: query)
    }
    let result = try await found(near: vector, in: collection, options)
    write(result, query: query, time: clock.now - start)
  }

  func write(_ result: SearchResult, query: Int, time: Duration) {
    write(result, query: query)
    if query == 0, let warning = result.warning { Terminal.message("WARNING  \(warning)") }
    if explain { write(explanationOf: result, time: time) }
  }

  /// To standard error, so that what goes to standard output stays the same.
  private func write(explanationOf result: SearchResult, time: Duration) {
    let exact =
      result.plan == "scan"
      ? "" : " (ef \(result.efSearch), \(result.hops) hops over \(result.codes))"
    var parts = ["plan \(result.plan)\(exact)"]
    if let matching = result.matching, let selectivity = result.selectivity {
      let source = result.isFilterCached ? ", cached" : ""
      parts.append(
        "filter matches \(Format.count(matching)), selectivity "
          + "\(Format.decimal(selectivity * 100, 2)) %\(source)")
    }
    parts.append("\(Format.count(result.distances)) distances")
    parts.append("\(Format.decimal(time / .microseconds(1), 0)) us")
    Terminal.message(parts.joined(separator: "; "))
  }

  private func write(_ result: SearchResult, query: Int) {
    guard !output.json else {
      Output.bytes(JSONText.searchLine(result.hits, query: query))
      return
    }
    if vectors != nil { Output.line("query \(query)") }
    writeTable(result.hits)
    if vectors == nil, !explain {
      let ef = result.plan == "scan" ? "" : ", ef \(result.efSearch)"
      Terminal.message(
        "\(result.hits.count) hits; \(result.plan)\(ef), \(Format.count(result.distances)) "
          + "distances, LSN \(result.lsn)")
    }
  }

  func writeTable(_ hits: [Hit]) {
    var table = Table([
      ("#", .right), ("key", .left), ("distance", .right),
      (noMetadata ? "" : "metadata", .left),
    ])
    for (rank, hit) in hits.enumerated() {
      var text = hit.metadata.map { JSONText.text($0) } ?? ""
      if let vector = hit.vector { text += (text.isEmpty ? "" : " ") + JSONText.text(vector) }
      table.add(String(rank + 1), hit.key, "\(hit.distance)", text)
    }
    table.write()
  }
}
