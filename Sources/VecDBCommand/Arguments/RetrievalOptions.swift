import ArgumentParser
import VecDB

/// How a query looks for more than the nearest k.
struct RetrievalOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: "Find all records within this distance; -k is then a limit.")
  var within: Float?
  @Option(help: "Group the records found by this field of their metadata.")
  var groupBy: String?
  @Option(help: "With --group-by: how many groups to find.")
  var groups = 10
  @Option(help: "With --group-by: how many records of each group to find.")
  var perGroup = 3
  @Option(
    help: """
      Choose records that are unlike each other: from 0, only that, to 1, only near to the query. \
      Maximal marginal relevance.
      """)
  var mmr: Double?
  @Option(help: "With --mmr: how many of the nearest records to choose from.")
  var candidates: Int?
  @Option(
    parsing: .upToNextOption,
    help: "Search near the mean of the records that have these keys, and leave them out.")
  var near: [String] = []
  @Option(parsing: .upToNextOption, help: "With --near: away from the mean of these records.")
  var awayFrom: [String] = []

  func validate() throws {
    let given = [within != nil, groupBy != nil, mmr != nil, !near.isEmpty].count(where: { $0 })
    guard given <= 1 else {
      throw ValidationError("Give one of --within, --group-by, --mmr and --near.")
    }
    guard candidates == nil || mmr != nil else {
      throw ValidationError("--candidates needs --mmr.")
    }
    guard awayFrom.isEmpty || !near.isEmpty else {
      throw ValidationError("--away-from needs --near.")
    }
  }
}
