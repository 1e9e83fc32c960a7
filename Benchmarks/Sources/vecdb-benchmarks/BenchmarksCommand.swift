import ArgumentParser

/// Measurements through the public API. Each prints lines of a Markdown table.
@main
struct BenchmarksCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vecdb-benchmarks",
    abstract: "Measure vecdb through its public API.",
    subcommands: [
      Writes.self, Searches.self, Opening.self, Churn.self, Growth.self, Mixed.self, Filters.self,
      Sweep.self,
    ])
}
