/// What a client asks of the writer.
enum WriteWork: Sendable {
  case upsert(CollectionRuntime, [PreparedRecord], CheckedContinuation<UpsertResult, any Error>)
  case delete(CollectionRuntime, [String], CheckedContinuation<DeleteResult, any Error>)
  /// Runs alone between commit groups, on the writer, and reports for itself; gets an error
  /// instead of the engine if it will never run.
  case exclusive(@Sendable (Result<Engine, VecDBError>) -> Void)

  func fail(_ error: VecDBError) {
    switch self {
    case .upsert(_, _, let continuation): continuation.resume(throwing: error)
    case .delete(_, _, let continuation): continuation.resume(throwing: error)
    case .exclusive(let body): body(.failure(error))
    }
  }
}
