import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A bucket in memory. Several handles, each as a process has one, share what is in it.
package final class SimulatedBucket: Sendable {
  package struct Object: Sendable, Equatable {
    package var bytes: [UInt8]
    package var modifiedMilliseconds: Int64
  }

  /// How the store behaves.
  package struct Behaviour: Sendable {
    /// Takes the condition and ignores it, as some servers do.
    package var ignoresConditions = false
    /// Keeps objects whose names begin so when they are to be deleted.
    package var lockedPrefixes: [String] = []
    /// Times have whole seconds.
    package var coarseTimes = true
    package var pageObjects = 1_000

    package init() {}
  }

  private struct State: Sendable {
    var objects: [String: Object] = [:]
    var behaviour = Behaviour()
    var counts = RequestCounts()
  }

  private let state = Guarded(State())
  package let address: String

  package init(_ address: String) { self.address = address }

  package func change(_ body: (inout Behaviour) -> Void) { state.withLock { body(&$0.behaviour) } }

  /// All that is there.
  package var objects: [String: Object] { state.withLock { $0.objects } }
  package func set(_ name: String, _ bytes: [UInt8]?, at time: Int64 = 0) {
    state.withLock {
      $0.objects[name] = bytes.map { Object(bytes: $0, modifiedMilliseconds: time) }
    }
  }
  /// Requests of all handles.
  package var requests: RequestCounts { state.withLock { $0.counts } }
  package func resetRequests() { state.withLock { $0.counts = RequestCounts() } }

  // MARK: What a request does

  func list(_ prefix: String, after: String?) -> BucketPage {
    state.withLock { state in
      state.counts.lists += 1
      let names = state.objects.keys.filter { name in
        name.hasPrefix(prefix) && after.map { $0.utf8.lexicographicallyPrecedes(name.utf8) } ?? true
      }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      let page = names.prefix(state.behaviour.pageObjects)
      return BucketPage(
        objects: page.map { name in
          let object = state.objects[name] ?? Object(bytes: [], modifiedMilliseconds: 0)
          return BucketPage.Object(
            name: name, sizeBytes: object.bytes.count,
            modifiedMilliseconds: object.modifiedMilliseconds)
        }, next: page.count < names.count ? page.last : nil)
    }
  }

  func get(_ name: String) -> [UInt8]? {
    state.withLock { state in
      state.counts.gets += 1
      let bytes = state.objects[name]?.bytes
      state.counts.bytesReceived += bytes?.count ?? 0
      return bytes
    }
  }

  /// Whether it was created.
  func create(_ name: String, _ bytes: [UInt8], at time: Int64) -> Bool {
    state.withLock { state in
      state.counts.puts += 1
      state.counts.bytesSent += bytes.count
      guard state.objects[name] == nil || state.behaviour.ignoresConditions else { return false }
      let time = state.behaviour.coarseTimes ? time / 1_000 * 1_000 : time
      state.objects[name] = Object(bytes: bytes, modifiedMilliseconds: time)
      return true
    }
  }

  func delete(_ name: String) -> Bool {
    state.withLock { state in
      state.counts.deletes += 1
      if state.behaviour.lockedPrefixes.contains(where: { name.hasPrefix($0) }) { return false }
      state.objects[name] = nil
      return true
    }
  }
}
