#if Service
  import VecDB
  import VecDBBytes

  /// A value that a service has from some moment on, for tasks that wait for it.
  final class LaterValue<Value: Sendable>: Sendable {
    private struct State {
      var hasBegun = false
      var result: Result<Value, any Error>?
      var waiting: [UInt64: CheckedContinuation<Value, any Error>] = [:]
      /// Those who were cancelled before they began to wait.
      var cancelled: Set<UInt64> = []
      var nextID: UInt64 = 0
    }

    private let state = Guarded(State())

    /// Throws if the service runs already, or has run.
    func begin(_ what: String) throws {
      let isFirst = state.withLock { state in
        defer { state.hasBegun = true }
        return !state.hasBegun
      }
      guard isFirst else {
        throw VecDBError(
          .invalidArgument, "\(what) was run already", remedy: "Make another one, and run that.")
      }
    }

    var isThere: Bool {
      state.withLock { state in
        if case .success = state.result { return true }
        return false
      }
    }

    func succeed(_ value: Value) { settle(.success(value)) }

    func fail(_ error: any Error) { settle(.failure(error)) }

    private func settle(_ result: Result<Value, any Error>) {
      let waiting = state.withLock { state in
        state.result = result
        defer { state.waiting = [:] }
        return Array(state.waiting.values)
      }
      for continuation in waiting { continuation.resume(with: result) }
    }

    func value() async throws -> Value {
      let id = state.withLock { state in
        state.nextID += 1
        return state.nextID
      }
      return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
          let result = state.withLock { state -> Result<Value, any Error>? in
            if let result = state.result { return result }
            if state.cancelled.remove(id) != nil { return .failure(Self.cancelled) }
            state.waiting[id] = continuation
            return nil
          }
          if let result { continuation.resume(with: result) }
        }
      } onCancel: {
        let continuation = state.withLock { state in
          let waiting = state.waiting.removeValue(forKey: id)
          if waiting == nil, state.result == nil { state.cancelled.insert(id) }
          return waiting
        }
        continuation?.resume(throwing: Self.cancelled)
      }
    }

    private static var cancelled: VecDBError {
      VecDBError(.cancelled, "the task was cancelled while it waited for the service")
    }
  }
#endif
