import VecDB

/// The example in README.md, between the markers, word for word; `ReadmeTests` compares and runs
/// it.
func readmeExample(path: String, repository: String, copy: String) async throws -> [String] {
  var lines: [String] = []
  func print(_ words: Any...) { lines.append(words.map { "\($0)" }.joined(separator: " ")) }

  // README: begin
  let database = try await Database.open(at: path)
  let books = try await database.createCollection("books", dimensions: 3, metric: .cosine)

  // Returns when the records are on disk and searches find them.
  try await books.upsert([
    VectorRecord(
      key: "moby-dick", vector: [0.9, 0.1, 0.2], metadata: ["year": 1851, "lang": "en"]),
    VectorRecord(
      key: "der-prozess", vector: [0.2, 0.8, 0.1], metadata: ["year": 1925, "lang": "de"]),
    VectorRecord(key: "ulysses", vector: [0.7, 0.4, 0.1], metadata: ["year": 1922, "lang": "en"]),
  ])

  // Synchronous, without locks, from any thread.
  let found = try books.search([0.8, 0.2, 0.1], k: 2)
  for hit in found.hits { print(hit.key, hit.distance) }

  let modern = Field("year") >= 1900 && Field("lang").in(["de", "en"])
  let filtered = try books.search(
    [0.8, 0.2, 0.1], k: 1, options: SearchOptions(filter: modern, includeMetadata: true))
  print(filtered.hits[0].key, filtered.hits[0].metadata?["year"] == 1922)

  try await books.delete(["moby-dick"])

  // The first backup is full, every later one sends only what is new.
  let backup = try await database.backup(to: repository)
  print(backup.newBytes, "bytes sent at LSN", backup.lsn)
  try await database.close()

  // A restored copy is proven before it goes live.
  let report = try await Database.restore(from: repository, to: copy)
  print(report.records, "records")
  // README: end
  return lines
}
