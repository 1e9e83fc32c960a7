import ArgumentParser
import VecDB

struct Drop: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remove a collection with all its records.",
    discussion: """
      EXAMPLE
        vecdb drop photos.vecdb images
      """)

  @OptionGroup var target: CollectionArguments
  @OptionGroup var output: OutputOptions

  private struct Line: Encodable {
    var collection: String
    var receipt: Receipt
  }

  func run() async throws {
    try await Session.run(target.database) { database in
      let receipt = try await database.dropCollection(target.collection)
      if output.json {
        Output.json(Line(collection: target.collection, receipt: receipt))
      } else {
        Output.line("dropped \(target.collection) at LSN \(receipt.lsn)")
      }
    }
  }
}
