import ArgumentParser
import Glibc
import VecDB

struct Export: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write all records as JSON lines, in key order.",
    discussion: """
      The lines are canonical: if you import them elsewhere and export again, you get the same \
      bytes. A regular file appears under its name only when it is complete. A pipe or a device \
      receives the lines directly.

      If another process has the database open, the command reads the records from that process, \
      a page at a time. A record that is written during the export may then be in it or not.

      EXAMPLE
        vecdb export photos.vecdb images --output images.jsonl
        vecdb export photos.vecdb images --where "label = 3" | gzip > threes.jsonl.gz
      """)

  @OptionGroup var target: CollectionArguments
  @Option(name: .shortAndLong, help: "The file to write; standard output if missing or -.")
  var output: String?
  @OptionGroup var filter: FilterArguments
  @Flag(help: "Do not write vectors.")
  var noVector = false
  @OptionGroup var options: OutputOptions

  private struct Line: Encodable {
    var collection: String
    var file: String
    var records: Int
    var seconds: Double
  }

  func run() async throws {
    let filter = try filter.filter()
    let output = output == "-" ? nil : output
    let (name, path, includeVectors) = (target.collection, target.database, !noVector)
    try await Session.run(
      path,
      remotely: { owner in
        let count = try await RemoteCollection(name, of: owner).count
        // A connection for each page: the owner ends one that asks for nothing for a while.
        try await write(to: output, filter == nil ? count : nil) { cursor in
          try await RemoteDatabase.reaching(path).scroll(
            name, after: cursor, limit: Self.pageRecords, filter: filter,
            includeVectors: includeVectors)
        }
      },
      { database in
        let collection = try database.collection(name)
        try await write(to: output, filter == nil ? collection.count : nil) { cursor in
          try collection.scroll(
            after: cursor, limit: Self.pageRecords, filter: filter, includeVectors: includeVectors)
        }
      })
  }

  private static let pageRecords = 1_000

  /// Writes all pages; `total` is nil where nobody knows how many records there are.
  private func write(
    to output: String?, _ total: Int?, page: (_ after: String?) async throws -> RecordPage
  ) async throws {
    let start = ContinuousClock.now
    let file = try output.map { try FileWriter(path: $0) }
    let bar = ProgressBar(.items("records"))
    var records = 0
    var cursor: String?
    repeat {
      let page = try await page(cursor)
      for record in page.records {
        let line = JSONText.line(record, includeVector: !noVector)
        if let file { try file.write(line) } else { Output.bytes(line) }
      }
      try Output.requireWritable()
      records += page.records.count
      cursor = page.next
      bar.update(
        "exporting", done: records, total: total,
        fraction: total.map { min(1, Double(records) / Double(max(1, $0))) })
    } while cursor != nil
    try file?.publish()
    bar.finish()
    guard let file, let output else { return }
    let seconds = (ContinuousClock.now - start).inSeconds
    if file.isStandardOutput {
      // The records went where the report would.
      return Terminal.message("\(Format.count(records)) records written to \(output)")
    }
    if options.json {
      Output.json(
        Line(collection: target.collection, file: output, records: records, seconds: seconds))
    } else {
      Output.line(
        "\(Format.count(records)) records written to \(output) in \(Format.seconds(seconds))")
    }
  }
}
