import ArgumentParser
import VecDB

struct Facets: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Count the values of a metadata field.",
    discussion: """
      The most frequent values come first. An array counts once for each of its different elements.

      EXAMPLE
        vecdb facets notes.vecdb notes language
        vecdb facets notes.vecdb notes tags --where "year >= 2020" --limit 20
      """)

  @OptionGroup var target: CollectionArguments
  @Argument(help: "The field.")
  var field: String
  @OptionGroup var filter: FilterArguments
  @Option(help: "Print so many values at most.")
  var limit = 100
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (1...65_536).contains(limit) else {
      throw ValidationError("--limit is \(limit); it must be 1 to 65536.")
    }
  }

  func run() async throws {
    let filter = try filter.filter()
    let result = try await Session.runShared(target.database) { access in
      switch access {
      case .own(let database):
        try database.collection(target.collection).facets(field, where: filter, limit: limit)
      case .remote(let remote):
        try await remote.facets(
          field, where: filter, limit: limit, in: target.collection)
      }
    }
    guard !output.json else { return Output.json(result) }
    var table = Table([("value", .left), ("records", .right)])
    for facet in result.values {
      table.add(JSONText.text(facet.value), Format.count(facet.count))
    }
    table.write()
    let more = result.distinct - result.values.count
    Output.line(
      "\(Format.count(result.matching)) records match; \(Format.count(result.missing)) lack the field"
        + (more > 0 ? "; \(Format.count(more)) more values" : ""))
  }
}
