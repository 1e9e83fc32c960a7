import ArgumentParser
import VecDB

struct Get: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print records by key.",
    discussion: """
      Prints one JSON object per record, as export does. If a key does not exist, the command \
      prints the other records first and then fails.

      EXAMPLE
        vecdb get photos.vecdb images 17 18 --no-vector
      """)

  @OptionGroup var target: CollectionArguments
  @Argument(help: "The keys.")
  var keys: [String]
  @Flag(help: "Do not print vectors.")
  var noVector = false
  @Flag(help: "Print the version of each record, for `vecdb update --if-version`.")
  var withVersion = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    try await Session.runShared(target.database) { database in
      let collection = try await CollectionReader(database, collection: target.collection)
      var missing: [String] = []
      for key in keys {
        try Output.requireWritable()
        if let record = try await collection.get(key, !noVector) {
          Output.bytes(
            JSONText.line(record, includeVector: !noVector, includeVersion: withVersion))
        } else {
          missing.append(key)
        }
      }
      guard missing.isEmpty else {
        let names = missing.prefix(5).joined(separator: ", ") + (missing.count > 5 ? ", …" : "")
        throw VecDBError(
          .notFound,
          missing.count == 1 ? "there is no such key" : "\(missing.count) keys are missing",
          at: "\(target.collection): \(names)", remedy: "List the keys with vecdb export.")
      }
    }
  }
}
