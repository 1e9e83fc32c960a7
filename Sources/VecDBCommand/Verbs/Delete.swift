import ArgumentParser
import VecDB

struct Delete: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Delete records by key or by filter.",
    discussion: """
      A key that does not exist is not an error: the command prints how many records it deleted. \
      If another process has the database open, that process deletes the records.

      EXAMPLE
        vecdb delete photos.vecdb images 17 18
        vecdb delete photos.vecdb images --where "label = 3"
      """)

  @OptionGroup var target: CollectionArguments
  @Argument(help: "The keys.")
  var keys: [String] = []
  @OptionGroup var filter: FilterArguments
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard keys.isEmpty != filter.isEmpty else {
      throw ValidationError("Give keys, or --where or --where-file, and not both.")
    }
  }

  func run() async throws {
    let filter = try filter.filter()
    let result = try await Session.run(
      target.database,
      remotely: { owner in
        let collection = try await RemoteCollection(target.collection, of: owner)
        guard let filter else { return try await collection.delete(keys) }
        return try await collection.delete(where: filter)
      },
      { database in
        let collection = try database.collection(target.collection)
        guard let filter else { return try await collection.delete(keys) }
        return try await collection.delete(where: filter)
      })
    if output.json {
      Output.json(result)
    } else {
      Output.line("deleted \(Format.count(result.deleted)); LSN \(result.receipt.lsn)")
    }
  }
}
