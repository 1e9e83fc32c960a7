import ArgumentParser
import VecDB

/// Resident memory of a process that opens a database and searches it: what a service that only
/// reads would take. Float vectors that no search asked for stay on disk.
struct Memory: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Resident bytes after opening a database and searching it, as a line of JSON.")

  @Option(help: "The database.") var database: String
  @Option(help: "The collection in it.") var collection = "bench"
  @Option(help: "Vectors to search for (.fvecs).") var queries: String
  @Option(help: "efSearch.") var ef = 64
  @Option(help: "Neighbours to find.") var k = 10

  func run() async throws {
    let wanted = try readFvecs(queries, limit: .max)
    let before = ProcessMemory.residentBytes
    let database = try await Database.open(at: database)
    let collection = try database.collection(collection)
    let opened = ProcessMemory.residentBytes
    let options = SearchOptions(efSearch: ef)
    for query in wanted { _ = try collection.search(query, k: k, options: options) }
    let after = ProcessMemory.residentBytes
    print(
      "{\"ef\": \(ef), \"opened_bytes\": \(opened - before), "
        + "\"resident_bytes\": \(after - before), \"process_bytes\": \(after)}")
    try await database.close()
  }
}
