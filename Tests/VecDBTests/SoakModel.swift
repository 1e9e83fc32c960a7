import Synchronization
import VecDB

/// What a database must hold after any crash: what was acknowledged, and of each call that was
/// under way all or nothing. Any thread may tell it what it does.
final class SoakModel: Sendable {
  typealias Records = [String: VectorRecord]

  /// A call whose outcome is not known yet.
  enum Call: Sendable {
    /// New records by key; nil for deleted ones. Atomic.
    case write(collection: String, changes: [String: VectorRecord?])
    case create(String)
    case drop(String)
  }

  struct State: Sendable {
    var collections: [String: Records] = [:]
    var pending: [Int: Call] = [:]
    /// Restore points by LSN.
    var restorePoints: [UInt64: [String: Records]] = [:]
    var nextID = 0
  }

  private let state: Mutex<State>

  init(_ state: State = State()) { self.state = Mutex(state) }

  var now: State { state.withLock { $0 } }

  func begin(_ call: Call) -> Int {
    state.withLock { state in
      state.nextID += 1
      state.pending[state.nextID] = call
      return state.nextID
    }
  }

  /// The call returned: its effect must be there for ever.
  func acknowledge(_ id: Int) {
    state.withLock { state in
      if let call = state.pending.removeValue(forKey: id) { Self.apply(call, &state.collections) }
    }
  }

  /// The call failed with the promise that nothing was changed.
  func reject(_ id: Int) { state.withLock { state in _ = state.pending.removeValue(forKey: id) } }

  func addRestorePoint(_ lsn: UInt64) {
    state.withLock { $0.restorePoints[lsn] = $0.collections }
  }

  static func apply(_ call: Call, _ collections: inout [String: Records]) {
    switch call {
    case .write(let collection, let changes):
      for (key, record) in changes { collections[collection]?[key] = record }
    case .create(let name): collections[name] = [:]
    case .drop(let name): collections[name] = nil
    }
  }
}

extension SoakModel.State {
  /// Decides, from what was found after a crash, which pending calls took effect; throws if what
  /// was found cannot be explained.
  func resolved(by found: [String: SoakModel.Records]) throws -> SoakModel.State {
    var result = self
    result.pending = [:]
    for call in pending.values where try wasDone(call, found) {
      SoakModel.apply(call, &result.collections)
    }
    guard result.collections.keys.sorted() == found.keys.sorted() else {
      throw SoakFailure(
        "collections \(found.keys.sorted()), expected \(result.collections.keys.sorted())")
    }
    for (name, records) in result.collections where found[name] != records {
      let there = found[name] ?? [:]
      let missing = records.keys.filter { there[$0] == nil }.sorted()
      let extra = there.keys.filter { records[$0] == nil }.sorted()
      let wrong = records.filter { there[$0.key] != nil && there[$0.key] != $0.value }.keys.sorted()
      throw SoakFailure("'\(name)' lost \(missing), gained \(extra), has other \(wrong)")
    }
    return result
  }

  private func wasDone(
    _ call: SoakModel.Call, _ found: [String: SoakModel.Records]
  ) throws -> Bool {
    switch call {
    case .create(let name): return found[name] != nil
    case .drop(let name): return found[name] == nil
    case .write(let collection, let changes):
      guard let after = found[collection], let before = collections[collection] else {
        return false
      }
      if changes.allSatisfy({ after[$0.key] == $0.value }) { return true }
      guard changes.keys.allSatisfy({ after[$0] == before[$0] }) else {
        throw SoakFailure("a batch of \(changes.count) in '\(collection)' is there in part")
      }
      return false
    }
  }
}

struct SoakFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
