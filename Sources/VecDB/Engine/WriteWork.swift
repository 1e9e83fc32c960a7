/// What a client asks of the writer.
enum WriteWork: Sendable {
  case upsert(CollectionRuntime, [PreparedRecord], CheckedContinuation<UpsertResult, any Error>)
  case delete(CollectionRuntime, [String], CheckedContinuation<DeleteResult, any Error>)
  case update(CollectionRuntime, UpdateWork, CheckedContinuation<UpdateProgress, any Error>)
  /// Runs alone between commit groups, on the writer, and reports for itself; gets an error
  /// instead of the engine if it will never run.
  case exclusive(@Sendable (Result<Engine, VecDBError>) -> Void)

  func fail(_ error: VecDBError) {
    switch self {
    case .upsert(_, _, let continuation): continuation.resume(throwing: error)
    case .delete(_, _, let continuation): continuation.resume(throwing: error)
    case .update(_, _, let continuation): continuation.resume(throwing: error)
    case .exclusive(let body): body(.failure(error))
    }
  }
}

/// Changes of metadata, as many of which are made as one batch holds.
struct UpdateWork: Sendable {
  var updates: ArraySlice<RecordUpdate>
  /// Records that do not match are left alone, and so are keys that are not there; nil where each
  /// key must be there.
  var filter: FilterPlan?
}

/// What one batch of an update did.
struct UpdateProgress: Sendable {
  var result: UpdateResult
  /// Updates that are done, from the first one on.
  var done: Int
}
