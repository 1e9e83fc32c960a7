import ArgumentParser
import VecDB

/// Recall, speed and resident memory of a database that is there, in a process that only opens and
/// searches it. Float vectors that no search asked for stay on disk.
struct Sweep: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Recall, speed and memory of an existing database on one thread, as lines of JSON.")

  @Option(help: "The database.") var database: String
  @Option(help: "The collection in it.") var collection = "bench"
  @Option(help: "Vectors to search for (.fvecs).") var queries: String
  @Option(parsing: .upToNextOption, help: "Settings of efSearch.")
  var ef: [Int] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256]
  @Option(help: "Neighbours to find.") var k = 10
  @Option(help: "Rounds through the queries per setting; the median counts.") var rounds = 3

  func validate() throws {
    guard !ef.isEmpty, rounds > 0 else { throw ValidationError("--ef and --rounds are needed.") }
  }

  func run() async throws {
    let wanted = try readFvecs(queries, limit: .max)
    let before = ProcessMemory.residentBytes
    let anonymousBefore = ProcessMemory.anonymousBytes
    let database = try await Database.open(at: database)
    let opened = ProcessMemory.residentBytes - before
    let searched = try database.collection(collection)
    let sweep = EffortSweep(
      collection: searched, queries: wanted, k: k, rounds: rounds
    ) {
      // The pages of float vectors that re-ranking touched: clean pages of files.
      let arrays = try? searched.memory()
      return arrays?.first { $0.name == "exact" }?.residentBytes ?? 0
    }
    for point in try sweep.run(ef, enough: 2) {
      print(
        "{\"setting\": \(point.ef), \"recall\": \(decimal(point.recall, 5)), "
          + "\"qps\": \(decimal(point.queriesPerSecond, 1)), "
          + "\"qps_cpu\": \(decimal(point.queriesPerCPUSecond, 1)), "
          + "\"opened_bytes\": \(opened), \"resident_bytes\": \(point.residentBytes - before), "
          + "\"vector_bytes\": \(point.vectorBytes), "
          + "\"anonymous_bytes\": \(point.anonymousBytes - anonymousBefore)}")
    }
    try await database.close()
  }
}
