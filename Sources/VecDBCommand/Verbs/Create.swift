import ArgumentParser
import VecDB

struct Create: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Create a collection, and the database if it does not exist.",
    discussion: """
      If another process has the database open, that process creates the collection.

      EXAMPLE
        vecdb create photos.vecdb images --dimensions 784 --metric l2
      """)

  @OptionGroup var target: CollectionArguments
  @Option(help: "Number of components of each vector, 1 to 65,536.")
  var dimensions: Int
  @Option(help: "How to measure the distance between two vectors.")
  var metric: Metric
  @Option(help: "Number of links of a node in the graph, 4 to 64.")
  var m = IndexOptions().m
  @Option(help: "Number of candidates for the links of a new node, 8 to 4,096.")
  var efConstruction = IndexOptions().efConstruction
  @Option(
    help: "Search on 8-bit codes or float32 vectors; automatic measures and chooses.")
  var codes = IndexOptions().codes
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (1...65_536).contains(dimensions) else {
      throw ValidationError("--dimensions is \(dimensions); it must be 1 to 65536.")
    }
    guard (4...64).contains(m) else { throw ValidationError("--m is \(m); it must be 4 to 64.") }
    guard (8...4096).contains(efConstruction) else {
      throw ValidationError("--ef-construction is \(efConstruction); it must be 8 to 4096.")
    }
  }

  func run() async throws {
    let index = IndexOptions(m: m, efConstruction: efConstruction, codes: codes)
    let created = try await Session.run(
      target.database, create: true,
      remotely: {
        try await $0.createCollection(
          target.collection, dimensions: dimensions, metric: metric, index: index)
      },
      { database in
        _ = try await database.createCollection(
          target.collection, dimensions: dimensions, metric: metric, index: index)
        return CollectionInfo(
          name: target.collection, dimensions: dimensions, metric: metric, index: index, count: 0)
      })
    if output.json { return Output.json(created) }
    Output.line(
      "created \(target.collection) in \(target.database): "
        + "\(Format.count(dimensions)) dimensions, \(metric.rawValue)")
  }
}
