import Synchronization
import VecDBIndex

/// The slots that filters asked for lately match, of one collection.
///
/// Bounded in entries and bytes; the one not asked for longest goes first. Readers of many threads
/// share it through a spin lock held for a look at a short list; who does not get it soon goes
/// without the cache, so that no search ever waits for another.
package final class FilterCache: @unchecked Sendable {
  /// A filter, hashed once.
  package struct Key {
    let filter: Filter
    let hash: Int

    package init(_ filter: Filter) {
      self.filter = filter
      hash = filter.hashValue
    }
  }

  /// What is known about a filter: slots below the set's `count`, as of the moment when `sequence`
  /// slots had been reused.
  package struct Answer {
    package var slots: SlotBitset
    package var sequence: UInt64

    package init(slots: SlotBitset, sequence: UInt64) {
      self.slots = slots
      self.sequence = sequence
    }

    func isNewer(than other: Answer) -> Bool {
      sequence > other.sequence || sequence == other.sequence && slots.count > other.slots.count
    }
  }

  private struct Entry {
    let key: Key
    var answer: Answer
    var lastUse: UInt64
  }

  package static let entryLimit = 32
  package static let sizeLimitBytes = 32 << 20
  /// Tries to get the lock, some microseconds in all.
  private static let patience = 200

  private let isHeld = Atomic<Bool>(false)
  // Touched by the holder of the lock only.
  private var entries: [Entry] = []
  private var clock: UInt64 = 0

  package init() {}

  package func answer(for key: Key) -> Answer? {
    withLock { () -> Answer? in
      guard let place = place(of: key) else { return nil }
      clock += 1
      entries[place].lastUse = clock
      return entries[place].answer
    } ?? nil
  }

  /// Keeps what was found out, unless more is known already or it is too large.
  package func keep(_ answer: Answer, for key: Key) {
    guard answer.slots.sizeBytes <= Self.sizeLimitBytes / 2 else { return }
    // Freed outside of the lock.
    var dropped: [Entry] = []
    _ = withLock {
      clock += 1
      if let place = place(of: key) {
        guard answer.isNewer(than: entries[place].answer) else { return }
        dropped.append(entries.remove(at: place))
      }
      entries.append(Entry(key: key, answer: answer, lastUse: clock))
      while entries.count > Self.entryLimit
        || entries.reduce(0, { $0 + $1.answer.slots.sizeBytes }) > Self.sizeLimitBytes
      {
        guard let oldest = entries.indices.min(by: { entries[$0].lastUse < entries[$1].lastUse })
        else { break }
        dropped.append(entries.remove(at: oldest))
      }
    }
    withExtendedLifetime(dropped) {}
  }

  private func place(of key: Key) -> Int? {
    entries.firstIndex { $0.key.hash == key.hash && $0.key.filter == key.filter }
  }

  /// Nil if the lock could not be had.
  private func withLock<Result>(_ body: () -> Result) -> Result? {
    for _ in 0..<Self.patience {
      guard !isHeld.load(ordering: .relaxed), !isHeld.exchange(true, ordering: .acquiring) else {
        continue
      }
      defer { isHeld.store(false, ordering: .releasing) }
      return body()
    }
    return nil
  }
}
