import ArgumentParser
import VecDB

struct Drop: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remove a collection with all its records.",
    discussion: """
      If another process has the database open, that process removes the collection.

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
    let receipt = try await Session.run(
      target.database,
      remotely: { try await $0.dropCollection(target.collection) },
      { try await $0.dropCollection(target.collection) })
    if output.json {
      Output.json(Line(collection: target.collection, receipt: receipt))
    } else {
      Output.line("dropped \(target.collection) at LSN \(receipt.lsn)")
    }
  }
}
