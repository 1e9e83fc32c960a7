import Foundation
import VecDB
import VecDBBytes

/// What the writer was told is done, so that readers can tell a wrong answer from a late one.
final class Oracle: Sendable {
  struct Entry: Sendable {
    var vector: [Float]
    /// Counts changes of the key; odd while one is under way.
    var version: Int
    var isAlive: Bool
  }

  private struct State {
    var entries: [String: Entry] = [:]
    var recent: [String] = []
    var failures: [String] = []
  }

  private let state = Guarded(State())

  /// A change of the key begins.
  func begin(_ key: String, _ vector: [Float]?) {
    state.withLock { state in
      let old = state.entries[key]
      state.entries[key] = Entry(
        vector: vector ?? old?.vector ?? [], version: (old?.version ?? 0) + 1,
        isAlive: vector != nil)
    }
  }

  /// It was acknowledged.
  func end(_ key: String) {
    state.withLock { state in
      state.entries[key]?.version += 1
      state.recent.append(key)
      if state.recent.count > 512 { state.recent.removeFirst(256) }
    }
  }

  /// A key that was changed lately, settled.
  func sample(_ number: Int) -> (key: String, entry: Entry)? {
    state.withLock { state in
      guard !state.recent.isEmpty else { return nil }
      let key = state.recent[number % state.recent.count]
      guard let entry = state.entries[key], entry.version % 2 == 0 else { return nil }
      return (key, entry)
    }
  }

  /// Whether nothing happened to the key since it was sampled.
  func isUnchanged(_ key: String, since entry: Entry) -> Bool {
    state.withLock { $0.entries[key]?.version == entry.version }
  }

  func fail(_ text: String) {
    state.withLock { state in if state.failures.count < 20 { state.failures.append(text) } }
  }

  var failures: [String] { state.withLock { $0.failures } }
}
