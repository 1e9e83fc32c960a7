import Dispatch
import Logging
import Synchronization

/// Asks the writer to remove what has expired, at most half a second after it has.
///
/// Invariant: at most one request waits at a time.
final class Expirer: Companion, Sendable {
  private static let interval = DispatchTimeInterval.milliseconds(400)
  private static let leeway = DispatchTimeInterval.milliseconds(100)

  private let engine: Engine
  private let writer: Writer
  private let queue = DispatchQueue(label: "vecdb.expiry", qos: .utility)
  private let isAsked = Atomic(false)
  private let isStopped = Atomic(false)
  private let failures = RepeatedFailure("cannot remove what has expired", level: .error)

  init(engine: Engine, writer: Writer) {
    self.engine = engine
    self.writer = writer
  }

  func start() { again() }

  func abandon() { isStopped.store(true, ordering: .releasing) }

  private func again() {
    queue.asyncAfter(deadline: .now() + Self.interval) { [weak self] in
      guard let self, !isStopped.load(ordering: .acquiring) else { return }
      ask()
      again()
    }
  }

  private func ask() {
    guard let next = engine.records.earliestExpiry, next <= engine.systemClock(),
      !engine.shared.refusesWrites.load(ordering: .acquiring),
      !isAsked.exchange(true, ordering: .acquiringAndReleasing)
    else { return }
    writer.submit(
      .exclusive { [self] engine in
        defer { isAsked.store(false, ordering: .releasing) }
        // A database that is being closed removes the rest when it is opened again.
        guard case .success(let engine) = engine else { return }
        do {
          let removed = try engine.removeExpired()
          failures.isOver(engine.configuration.logger)
          // More waits: behind the writes that wait already.
          if removed == Engine.expiredAtOnce { queue.async { self.ask() } }
        } catch {
          failures.note(error, engine.configuration.logger)
        }
      }, sizeBytes: 0)
  }
}
