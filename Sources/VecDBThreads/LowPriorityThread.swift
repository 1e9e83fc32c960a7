import Dispatch
import Glibc
import VecDBBytes
import VecDBFiles

/// Threads that run when nothing else wants the processor: for work that has time, such as a backup
/// beside searches.
package enum LowPriorityThread {
  /// Runs `body` on so many threads at the same time and returns when all have ended.
  package static func perform(
    _ count: Int, yields: Bool = true, _ body: @escaping @Sendable () -> Void
  ) throws {
    guard count > 0 else { return }
    var threads: [pthread_t] = []
    for _ in 0..<count {
      do { threads.append(try start(yields: yields, body)) } catch {
        // Fewer threads do the same work.
        guard threads.isEmpty else { break }
        throw error
      }
    }
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Runs `body` on a thread of its own; with `yields` false, of ordinary priority.
  package static func detach(
    yields: Bool = true, _ body: @escaping @Sendable () -> Void
  ) throws {
    pthread_detach(try start(yields: yields, body))
  }

  /// Runs `body` on a thread of its own and of ordinary priority, called `name` (at most 15 bytes).
  /// Where no thread can be started, one of the queues' pool runs it.
  package static func serve(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let named: @Sendable () -> Void = {
      ThreadPriority.setName(name)
      body()
    }
    do { try detach(yields: false, named) } catch {
      DispatchQueue.global(qos: .userInitiated).async(execute: named)
    }
  }

  /// Work on a thread of its own, and its outcome.
  package final class Job<Value: Sendable>: Sendable {
    private let outcome = Guarded<Result<Value, any Error>?>(nil)
    private let done = DispatchGroup()

    package init(yields: Bool = true, _ body: @escaping @Sendable () throws -> Value) throws {
      done.enter()
      do { try begin(yields: yields, body) } catch {
        done.leave()
        throw error
      }
    }

    private func begin(
      yields: Bool, _ body: @escaping @Sendable () throws -> Value
    ) throws {
      try LowPriorityThread.detach(yields: yields) { [self] in
        let result = Result { try body() }
        outcome.withLock { $0 = result }
        done.leave()
      }
    }

    /// Waits until the work has ended.
    package func wait() { done.wait() }

    /// Waits for the result.
    package func value() throws -> Value {
      done.wait()
      guard let result = outcome.withLock({ $0 }) else {
        throw StoreError(.cancelled, "the work did not run")
      }
      return try result.get()
    }
  }

  private final class Body {
    let yields: Bool
    let run: @Sendable () -> Void
    init(_ yields: Bool, _ run: @escaping @Sendable () -> Void) {
      self.yields = yields
      self.run = run
    }
  }

  private static func start(
    yields: Bool = true, _ body: @escaping @Sendable () -> Void
  ) throws -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Body(yields, body))
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        if body.yields { ThreadPriority.yieldToOthers() }
        body.run()
        return nil
      }, argument.toOpaque())
    guard code == 0 else {
      argument.release()
      throw StoreError(
        .inputOutput, "cannot start a thread: \(String(cString: strerror(code)))",
        remedy: "Raise the limit of threads, or end some.")
    }
    return thread
  }
}
