import VecDBBytes

/// The same work for many items on several threads.
package enum Parallel {
  private struct Shared<Value: Sendable>: Sendable {
    var next = 0
    var values: [Int: Value] = [:]
    var failure: (any Error)?
  }

  /// The results in the order of the items. The first error ends the work and is thrown. With one
  /// thread, or one item, this thread does it all.
  package static func map<Item: Sendable, Value: Sendable>(
    _ items: [Item], threads: Int, _ body: @escaping @Sendable (Item) throws -> Value
  ) throws -> [Value] {
    let count = min(threads, items.count)
    guard count > 1 else { return try items.map(body) }
    let shared = Guarded(Shared<Value>())
    try LowPriorityThread.perform(count, yields: false) {
      while true {
        let index = shared.withLock { shared -> Int? in
          guard shared.failure == nil, shared.next < items.count else { return nil }
          shared.next += 1
          return shared.next - 1
        }
        guard let index else { return }
        do {
          let value = try body(items[index])
          shared.withLock { $0.values[index] = value }
        } catch {
          shared.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    return try shared.withLock { shared in
      if let failure = shared.failure { throw failure }
      return items.indices.compactMap { shared.values[$0] }
    }
  }
}
