import ArgumentParser
import VecDB
import VecDBReplication

struct Import: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Import vectors from a file.",
    discussion: """
      Reads .fvecs, .bvecs, .npy (uint8, int8, float16, float32, float64) and .jsonl, each also as \
      .gz, in constant memory. JSON lines look like \
      {"key":"17","vector":[0.5,1],"metadata":{"year":2024}}. A row without a key gets its row \
      number as key, from 0 or --key-offset. It replaces another record with that key only if you \
      give --replace.

      Records are written in batches. Each batch is durable and searchable when it is \
      acknowledged. You can interrupt an import (Ctrl-C stops after the batch in flight) and run \
      it again: it does not rewrite records that are already there with equal key, vector and \
      metadata.

      If another process has the database open, that process writes the records and acknowledges \
      them under its own policy, which may wait for replicas. It receives batches of at most about \
      half a MiB; larger ones are split.

      EXAMPLE
        vecdb import photos.vecdb images train.npy.gz --metadata labels.jsonl
        vecdb import photos.vecdb images - --format jsonl < records.jsonl
      """)

  @OptionGroup var target: CollectionArguments
  @Argument(help: "The file of vectors; - is standard input.", completion: .file())
  var file: String
  @Option(help: "A file with one JSON object of metadata per vector.", completion: .file())
  var metadata: String?
  @Option(help: "The metadata field that holds the key.")
  var keyField: String?
  @Option(help: "The key of the first row, if rows have no keys of their own.")
  var keyOffset = 0
  @Flag(help: "Let a row without a key replace the record whose key is the row's number.")
  var replace = false
  @Option(help: "The file's format, if its extension does not tell.")
  var format: VectorFormat?
  @Option(help: "Records per batch.")
  var batch = 1000
  @Option(help: "Stop after this many rows.")
  var limit: Int?
  @Option(help: "Write at most this many rows a second.")
  var rate: Int?
  @Option(help: "Threads that build the index; 0 means one per core.")
  var threads = 0
  @Option(
    help: "Append a JSON line per acknowledged batch to this file, and sync it before the next.",
    completion: .file())
  var receipts: String?
  @OptionGroup(title: "Serving replicas meanwhile") var node: NodeArguments
  @OptionGroup(title: "Waiting for replicas") var acknowledgement: AcknowledgementArguments
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (1...1_000_000).contains(batch) else {
      throw ValidationError("--batch is \(batch); it must be 1 to 1000000.")
    }
    guard (0...1024).contains(threads) else {
      throw ValidationError("--threads is \(threads); it must be 0 to 1024.")
    }
    guard keyOffset >= 0 else { throw ValidationError("--key-offset must not be negative.") }
    if let rate, rate < 1 { throw ValidationError("--rate must be above 0.") }
    if let limit, limit < 0 { throw ValidationError("--limit must not be negative.") }
    guard node.listen == nil else { return }
    let needless = [
      ("--replicas", acknowledgement.replicas != nil), ("--http", node.http != nil),
      ("--asynchronous", acknowledgement.asynchronous), ("--peer", !node.peer.isEmpty),
    ]
    if let option = needless.first(where: \.1)?.0 {
      throw ValidationError("\(option) needs --listen: without it, no replica can connect.")
    }
  }

  private struct Line: Encodable {
    var collection: String
    var rows: Int
    var inserted: Int
    var updated: Int
    var unchanged: Int
    var superseded: Int
    var epoch: UInt64?
    var lsn: UInt64?
    var seconds: Double
    var rowsPerSecond: Double
  }

  func run() async throws {
    Interruption.install()
    guard node.listen != nil else {
      return try await Session.run(
        target.database, buildThreads: threads, isBrief: false,
        remotely: {
          try await run(on: CollectionWriter(try await RemoteCollection(target.collection, of: $0)))
        },
        { try await run(on: CollectionWriter(try $0.collection(target.collection))) })
    }
    var options = try node.options(database: target.database)
    acknowledgement.apply(to: &options)
    var configuration = DatabaseConfiguration()
    configuration.buildThreads = threads
    let primary = try await ReplicationNode.serve(
      target.database, options: options, configuration: configuration)
    do {
      let page = try await node.page(of: primary)
      try await waitUntilWritable(primary)
      try await run(on: CollectionWriter(try primary.database.collection(target.collection)))
      try await page?.stop()
    } catch {
      do { try await primary.stop() } catch { Terminal.message("vecdb: closing failed: \(error)") }
      throw error
    }
    try await primary.stop()
  }

  /// A primary that waits for replicas writes when it has heard enough of them.
  private func waitUntilWritable(_ primary: ReplicationNode) async throws {
    while !(await primary.isWritable), !Interruption.requested {
      guard primary.role == .primary else {
        throw VecDBError(
          .readOnly, "another node has become the primary", at: target.database,
          remedy: "Import into that one.")
      }
      try await Task.sleep(nanoseconds: 10_000_000)
    }
  }

  private func run(on collection: CollectionWriter) async throws {
    let source = try RecordSource(
      vectors: file, format: format, metadata: metadata, keyField: keyField, keyOffset: keyOffset)
    try requireDimensions(source.vectors, collection)
    let journal = try receipts.map { try ReceiptJournal(path: $0) }
    var importer = Importer(
      collection: collection, batchRows: batch, limit: limit, receipts: journal,
      rate: rate, numbersReplace: replace)
    do { try await importer.run(source) } catch {
      if importer.rows > 0 {
        Terminal.clearLine()
        Terminal.message(
          "vecdb: stopped after \(Format.count(importer.rows)) acknowledged rows; remove the cause "
            + "and run the import again: it skips rows that are already there.")
      }
      throw error
    }
    report(importer)
    if importer.interrupted {
      throw VecDBError(
        .cancelled,
        "interrupted after \(Format.count(importer.rows)) rows, all of them durable",
        at: target.database, remedy: "Run the same import again to continue.")
    }
  }

  private func report(_ importer: Importer) {
    let rate = importer.seconds > 0 ? Double(importer.rows) / importer.seconds : 0
    if output.json {
      Output.json(
        Line(
          collection: target.collection, rows: importer.rows, inserted: importer.inserted,
          updated: importer.updated, unchanged: importer.unchanged,
          superseded: importer.superseded,
          epoch: importer.receipt?.epoch, lsn: importer.receipt?.lsn, seconds: importer.seconds,
          rowsPerSecond: rate.rounded()))
      return
    }
    Output.line(
      "\(Format.count(importer.rows)) rows in \(Format.seconds(importer.seconds)) "
        + "(\(Format.count(Int(rate)))/s): \(Format.count(importer.inserted)) inserted, "
        + "\(Format.count(importer.updated)) updated, \(Format.count(importer.unchanged)) unchanged"
        + (importer.superseded > 0
          ? ", \(Format.count(importer.superseded)) replaced by a later row of their key" : "")
        + (importer.receipt.map { "; LSN \($0.lsn)" } ?? ""))
  }

  /// Refuses a file of the wrong dimension before anything is written.
  private func requireDimensions(
    _ source: any VectorSource, _ collection: CollectionWriter
  ) throws {
    guard let found = source.dimensions, found != collection.dimensions else { return }
    // Packed bits; whether they are, each row tells.
    if collection.metric == .hamming, found * 8 == collection.dimensions { return }
    throw VecDBError(
      .invalidArgument,
      "the file's vectors have \(found) components, the collection's \(collection.dimensions)",
      at: "\(file), row 0", remedy: "Import it into a collection of \(found) dimensions.")
  }
}
