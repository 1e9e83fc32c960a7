import VecDBThreads

/// Records of a collection one after another, in the order of their keys' UTF-8 bytes.
///
/// vecdb reads them in pages. What ``VectorCollection/scroll(after:limit:filter:includeVectors:)`` says of
/// records that are written between two pages holds here too.
public struct RecordSequence: AsyncSequence, Sendable {
  private static let pageRecords = 256

  fileprivate let collection: VectorCollection
  fileprivate let filter: Filter?
  fileprivate let includeVectors: Bool

  public func makeAsyncIterator() -> Iterator { Iterator(sequence: self) }

  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let sequence: RecordSequence
    private var page: [VectorRecord] = []
    private var position = 0
    private var cursor: String?
    private var isAtEnd = false

    fileprivate init(sequence: RecordSequence) { self.sequence = sequence }

    /// - Throws: as ``VectorCollection/scroll(after:limit:filter:includeVectors:)``; `cancelled` if the
    ///   task was cancelled before a page.
    public mutating func next() async throws -> VectorRecord? {
      while position == page.count {
        guard !isAtEnd else { return nil }
        let (sequence, cursor) = (sequence, cursor)
        let next = try await VecDBError.translating {
          try Task.checkCancellation()
          return try await onBackground {
            try sequence.collection.scroll(
              after: cursor, limit: RecordSequence.pageRecords, filter: sequence.filter,
              includeVectors: sequence.includeVectors)
          }
        }
        (page, position) = (next.records, 0)
        self.cursor = next.next
        isAtEnd = next.next == nil
      }
      defer { position += 1 }
      return page[position]
    }
  }
}

extension VectorCollection {
  /// The records that match, one after another; all of them without a filter.
  ///
  /// ```swift
  /// for try await record in notes.records(where: Field("year") >= 2020) { print(record.key) }
  /// ```
  ///
  /// Cost: one pass over the records of the collection, a few hundred in memory at a time.
  public func records(
    where filter: Filter? = nil, includeVectors: Bool = true
  ) -> RecordSequence {
    RecordSequence(collection: self, filter: filter, includeVectors: includeVectors)
  }
}
