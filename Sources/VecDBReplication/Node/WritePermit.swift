import Glibc
import Synchronization
import VecDB
import VecDBBytes

/// Until when a node may write, as a coordination has it. Any thread may ask at any time; a process
/// that stood still finds it over.
package final class WritePermit: Sendable {
  /// Milliseconds of the clock that counts suspension; none is 0.
  private let end = Atomic<UInt64>(0)
  private let reason: Guarded<VecDBError>
  private let isOpening = Atomic(false)

  package init(_ reason: VecDBError) { self.reason = Guarded(reason) }

  /// Milliseconds of a clock that goes on while the machine is suspended.
  package static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000
  }

  /// - Parameters:
  ///   - end: `UInt64.max` for ever, 0 not at all.
  ///   - reason: what writers are told when it is over.
  package func set(until end: UInt64, _ reason: VecDBError) {
    self.reason.withLock { $0 = reason }
    self.end.store(end, ordering: .releasing)
  }

  /// Lets what begins an epoch into the log, whatever the permit says. Nothing is acknowledged by it.
  func whileOpening<Value>(_ body: () async throws -> Value) async rethrows -> Value {
    isOpening.store(true, ordering: .releasing)
    defer { isOpening.store(false, ordering: .releasing) }
    return try await body()
  }

  /// Why nothing may be written now.
  var admission: VecDBError? { isOpening.load(ordering: .acquiring) ? nil : refusal }

  /// Why nothing may be acknowledged now.
  package var refusal: VecDBError? {
    let end = end.load(ordering: .acquiring)
    if end == .max || end > 0 && Self.now() < end { return nil }
    return reason.withLock { $0 }
  }
}

/// The other nodes of a database, where that is not known at the start and changes.
package final class LivePeers: Sendable {
  private let state = Guarded<(addresses: [NodeAddress], changes: Int)>(([], 0))

  package init() {}

  /// The primary first, if it is known.
  package func set(_ addresses: [NodeAddress]) {
    state.withLock { state in
      guard state.addresses != addresses else { return }
      state = (addresses, state.changes + 1)
    }
  }

  package var addresses: [NodeAddress] { state.withLock { $0.addresses } }
  /// How often they changed.
  package var changes: Int { state.withLock { $0.changes } }
}
