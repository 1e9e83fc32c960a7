import VecDB

/// Writes a source of records to a collection in batches. While one batch is being written, the
/// next is read; batches are acknowledged in the order of the file.
struct Importer {
  let collection: VectorCollection
  let batchRows: Int
  let limit: Int?
  let receipts: ReceiptJournal?
  /// Rows a second at most; nil does not limit it.
  let rate: Int?

  /// Rows acknowledged: durable and searchable.
  private(set) var rows = 0
  private(set) var inserted = 0
  private(set) var updated = 0
  private(set) var unchanged = 0
  /// The last batch's receipt.
  private(set) var receipt: Receipt?
  private(set) var seconds = 0.0
  /// Whether a signal stopped the import before the end of the file.
  private(set) var interrupted = false

  init(
    collection: VectorCollection, batchRows: Int = 1000, limit: Int? = nil,
    receipts: ReceiptJournal? = nil, rate: Int? = nil
  ) {
    self.collection = collection
    self.batchRows = batchRows
    self.limit = limit
    self.receipts = receipts
    self.rate = rate
  }

  /// Imports everything; after an error the counters tell what was acknowledged before it.
  mutating func run(_ source: RecordSource, showProgress: Bool = true) async throws {
    let start = ContinuousClock.now
    let bar = ProgressBar(.items("rows"))
    defer {
      seconds = (ContinuousClock.now - start).inSeconds
      bar.finish()
    }
    var inFlight: (count: Int, task: Task<UpsertResult, any Error>)?
    var failure: (any Error)?
    while true {
      if Interruption.requested {
        interrupted = true
        break
      }
      let batch: [Record]
      do { batch = try nextBatch(source) } catch {
        // The rows before the bad one are good: what is in flight is still waited for.
        failure = error
        break
      }
      guard !batch.isEmpty else { break }
      if let previous = inFlight {
        inFlight = nil
        try acknowledge(previous.count, try await previous.task.value)
        if showProgress { update(bar, source) }
      }
      if let rate {
        let due = Double(source.row) / Double(rate) - (ContinuousClock.now - start).inSeconds
        if due > 0 { try await Task.sleep(nanoseconds: UInt64(due * 1e9)) }
      }
      let collection = collection
      inFlight = (batch.count, Task { try await collection.upsert(batch) })
    }
    if let last = inFlight { try acknowledge(last.count, try await last.task.value) }
    if let failure { throw failure }
  }

  private func nextBatch(_ source: RecordSource) throws -> [Record] {
    let count = min(batchRows, (limit ?? .max) - source.row)
    var batch: [Record] = []
    batch.reserveCapacity(min(count, 10_000))
    while batch.count < count, var record = try source.next() {
      record.vector = collection.unpacked(record.vector)
      if record.vector.count != collection.dimensions {
        throw inputError(
          "the row has \(record.vector.count) components, the collection \(collection.dimensions)",
          source.vectors.bytes, row: source.row - 1,
          remedy: "Import it into a collection of that dimension.")
      }
      batch.append(record)
    }
    return batch
  }

  private mutating func acknowledge(_ count: Int, _ result: UpsertResult) throws {
    rows += count
    inserted += result.inserted
    updated += result.updated
    unchanged += result.unchanged
    receipt = result.receipt
    try receipts?.append(rows: rows, result.receipt)
  }

  private func update(_ bar: ProgressBar, _ source: RecordSource) {
    let total = source.count.map { min($0, limit ?? .max) } ?? limit
    let fraction = total.map { Double(rows) / Double(max(1, $0)) } ?? source.vectors.bytes.fraction
    bar.update("importing", done: rows, total: total, fraction: fraction)
  }
}
