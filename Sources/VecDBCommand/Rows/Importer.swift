import VecDB

/// Writes a source of records to a collection in batches. While one batch is being written, the
/// next is read; batches are acknowledged in the order of the file.
///
/// What a slow stream has sent is written within a second, whether or not it fills a batch.
struct Importer {
  let collection: CollectionWriter
  let batchRows: Int
  let limit: Int?
  let receipts: ReceiptJournal?
  /// Rows a second at most; nil does not limit it.
  let rate: Int?
  /// Whether a row that has its number for a key may replace another record of that key.
  let numbersReplace: Bool

  /// Rows acknowledged: durable and searchable.
  private(set) var rows = 0
  private(set) var inserted = 0
  private(set) var updated = 0
  private(set) var unchanged = 0
  /// Rows that a later row of their batch with the same key took the place of.
  private(set) var superseded = 0
  /// The last batch's receipt.
  private(set) var receipt: Receipt?
  private(set) var seconds = 0.0
  /// Whether a signal stopped the import before the end of the file.
  private(set) var interrupted = false
  private var numbers = NumberedRows()

  init(
    collection: CollectionWriter, batchRows: Int = 1000, limit: Int? = nil,
    receipts: ReceiptJournal? = nil, rate: Int? = nil, numbersReplace: Bool = false
  ) {
    self.collection = collection
    self.batchRows = batchRows
    self.limit = limit
    self.receipts = receipts
    self.rate = rate
    self.numbersReplace = numbersReplace
  }

  /// Imports everything; after an error the counters tell what was acknowledged before it.
  mutating func run(_ source: RecordSource, showProgress: Bool = true) async throws {
    let start = ContinuousClock.now
    let bar = ProgressBar(.items("rows"))
    defer {
      seconds = (ContinuousClock.now - start).inSeconds
      bar.finish()
    }
    let reader = RowReader(
      source, batchRows: batchRows, limit: limit ?? .max, check: Self.fitting(collection))
    defer { reader.stop() }
    var inFlight: (rows: [ImportRow], task: Task<UpsertResult, any Error>)?
    var failure: (any Error)?
    var read = 0
    while true {
      let batch = await reader.next()
      if batch.isInterrupted {
        interrupted = true
        break
      }
      // A bad row ends the import, and nothing of its batch is written.
      failure = batch.failure
      if failure != nil { break }
      do { try numbers.check(batch.rows, mayReplace: numbersReplace) } catch {
        failure = error
        break
      }
      guard !batch.rows.isEmpty else { break }
      read += batch.rows.count
      if let previous = inFlight {
        inFlight = nil
        try acknowledge(previous.rows, await previous.task.result)
        if showProgress { update(bar, reader) }
      }
      if let rate { await Self.wait(until: start + .seconds(Double(read) / Double(rate))) }
      let (collection, rows, numbersReplace) = (collection, batch.rows, numbersReplace)
      inFlight = (
        rows,
        Task {
          try await collection.upsert(
            rows.map(\.record), rows.map { !$0.isNumbered || numbersReplace })
        }
      )
    }
    if let last = inFlight { try acknowledge(last.rows, await last.task.result) }
    if let failure { throw failure }
  }

  /// Sleeps in steps, so that a signal ends it.
  private static func wait(until moment: ContinuousClock.Instant) async {
    while ContinuousClock.now < moment, !Interruption.requested {
      let step = min(moment - ContinuousClock.now, .milliseconds(100))
      guard step > .zero else { continue }
      do { try await Task.sleep(for: step) } catch { return }
    }
  }

  /// Unpacks bits, and refuses rows of another dimension.
  private static func fitting(
    _ collection: CollectionWriter
  ) -> @Sendable (inout ImportRow, RecordSource) throws -> Void {
    { row, source in
      row.record.vector = collection.unpacked(row.record.vector)
      guard row.record.vector.count != collection.dimensions else { return }
      throw inputError(
        "the row has \(row.record.vector.count) components, the collection "
          + "\(collection.dimensions)", source.vectors.bytes, row: row.number,
        remedy: "Import it into a collection of that dimension.")
    }
  }

  private mutating func acknowledge(
    _ rows: [ImportRow], _ outcome: Result<UpsertResult, any Error>
  ) throws {
    let result: UpsertResult
    do { result = try outcome.get() } catch { throw located(error, rows) }
    self.rows += rows.count
    inserted += result.inserted
    updated += result.updated
    unchanged += result.unchanged
    superseded += rows.count - result.inserted - result.updated - result.unchanged
    receipt = result.receipt
    try receipts?.append(rows: self.rows, result.receipt)
  }

  /// The error with the row that it is about, if it is about one.
  private func located(_ error: any Error, _ rows: [ImportRow]) -> any Error {
    guard var error = error as? VecDBError, let first = rows.first, let last = rows.last else {
      return error
    }
    switch error.code {
    case .alreadyExists:
      guard let row = rows.first(where: { error.location == "key '\($0.record.key)'" }) else {
        return error
      }
      return NumberedRows.conflict(row, "in '\(collection.name)' already")
    case .invalidArgument, .limitExceeded:
      if let row = rows.first(where: { collection.fault($0.record) != nil }) {
        error = collection.fault(row.record) ?? error
        error.location = "\(row.place): \(error.location)"
      } else {
        error.location += " (\(first.place) to \(last.number))"
      }
      return error
    default: return error
    }
  }

  private func update(_ bar: ProgressBar, _ reader: RowReader) {
    let total = reader.count.map { min($0, limit ?? .max) } ?? limit
    let fraction = total.map { Double(rows) / Double(max(1, $0)) } ?? reader.fraction
    bar.update("importing", done: rows, total: total, fraction: fraction)
  }
}
