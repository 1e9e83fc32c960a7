import Foundation
import VecDBBytes
import VecDBFiles
import VecDBSimulatedBucket

/// Several processes on one simulated bucket, of which one at a time makes one request: which, is drawn
/// from a seed. Time passes only here.
///
/// A process may be held for hours before its request is carried out, which then fails as one that
/// took too long; or after it, as a process that was stopped by its machine. It may be killed at either
/// place.
final class Interleaving: @unchecked Sendable {
  struct Killed: Error {}

  // Unchecked, because all that changes is touched with `condition` locked.
  private let condition = NSCondition()
  private var random: SeededGenerator
  private var milliseconds: Int64 = 1_790_000_000_000
  private var running = 0
  private var waiting: [Int: Wait] = [:]
  private var chosen: Int?
  private var left = 0
  private(set) var steps = 0

  private struct Wait {
    var wakesAt: Int64
    var isKilled = false
  }

  /// A request that is not carried out for so long has failed.
  private static let deadlineMilliseconds: Int64 = 60_000

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  var now: Int64 {
    condition.lock()
    defer { condition.unlock() }
    return milliseconds
  }

  func draw(_ range: Range<Int>) -> Int {
    condition.lock()
    defer { condition.unlock() }
    return Int.random(in: range, using: &random)
  }

  // MARK: Processes

  /// A handle on the bucket for process `id`.
  func settings(_ id: Int, aheadMilliseconds: Int64, mayDie: Bool) -> BucketHandle.Settings {
    var settings = BucketHandle.Settings()
    settings.options.requestsAtOnce = 1
    settings.options.uptimeMilliseconds = { [self] in now }
    settings.options.nowMilliseconds = { [self] in now + aheadMilliseconds }
    settings.storeMilliseconds = { [self] in now }
    settings.before = { [self] in
      let begun = now
      try pause(id, longest: 120_000, mayDie: mayDie)
      guard now - begun < Self.deadlineMilliseconds else {
        throw StoreError(.inputOutput, "the request took too long")
      }
    }
    settings.after = { [self] in try pause(id, longest: 7_200_000, mayDie: mayDie) }
    settings.losesReply = { [self] in draw(0..<40) == 0 }
    return settings
  }

  func sleep(_ id: Int, _ milliseconds: Int64) throws {
    try wait(id, for: milliseconds, dies: false)
  }

  private func pause(_ id: Int, longest: Int64, mayDie: Bool) throws {
    let kind = draw(0..<300)
    let length = kind == 0 ? Int64(draw(0..<Int(longest))) : Int64(draw(0..<60))
    try wait(id, for: length, dies: mayDie && draw(0..<150) == 0)
  }

  private func wait(_ id: Int, for length: Int64, dies: Bool) throws {
    condition.lock()
    defer { condition.unlock() }
    waiting[id] = Wait(wakesAt: milliseconds + length)
    running -= 1
    condition.broadcast()
    while chosen != id { condition.wait() }
    chosen = nil
    waiting[id] = nil
    running += 1
    if dies { throw Killed() }
  }

  /// Runs all to their ends.
  func run(_ processes: [@Sendable (Int) -> Void]) {
    running = processes.count
    left = processes.count
    for (id, body) in processes.enumerated() {
      let thread = Thread { [self] in
        condition.lock()
        // All begin when the scheduler says so.
        running -= 1
        waiting[id] = Wait(wakesAt: milliseconds)
        condition.broadcast()
        while chosen != id { condition.wait() }
        chosen = nil
        waiting[id] = nil
        running += 1
        condition.unlock()
        body(id)
        condition.lock()
        running -= 1
        left -= 1
        condition.broadcast()
        condition.unlock()
      }
      thread.stackSize = 1 << 20
      thread.start()
    }
    condition.lock()
    while left > 0 {
      while running > 0 || chosen != nil { condition.wait() }
      guard left > 0, !waiting.isEmpty else { break }
      steps += 1
      milliseconds += Int64.random(in: 1...40, using: &random)
      let earliest = waiting.values.map(\.wakesAt).min() ?? milliseconds
      milliseconds = max(milliseconds, earliest)
      let ready = waiting.filter { $0.value.wakesAt <= milliseconds }.keys.sorted()
      chosen = ready[Int.random(in: 0..<ready.count, using: &random)]
      condition.broadcast()
    }
    condition.unlock()
  }
}
