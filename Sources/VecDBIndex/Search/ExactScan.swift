import Synchronization

/// One query being compared with slots, in batches.
struct ExactScan {
  private let index: IndexGeneration
  private let view: ReadView
  private let k: Int
  private let scratch: SearchScratch
  private let coded: CodedQuery?
  private var outcome = SearchOutcome()
  private let leftOut: UInt32
  private var pending = 0

  private static let batch = 64

  /// The scratch holds the prepared query, and `coded` too if there is one; `k` is at least 1.
  init(
    _ index: IndexGeneration, view: ReadView, k: Int, scratch: SearchScratch,
    coded: CodedQuery? = nil
  ) {
    self.index = index
    self.view = view
    self.k = k
    self.scratch = scratch
    leftOut = scratch.leftOut
    // A graph proves that all slots below the view's count have their codes.
    let isCoded = index.graphCount.load(ordering: .acquiring) > 0
    self.coded =
      coded
      ?? (isCoded ? index.quantizer.map { index.codedQuery(scratch, quantizer: $0) } : nil)
    scratch.results.reset(capacity: k)
  }

  mutating func add(_ slot: Int) {
    guard index.isVisible(slot, in: view), slot != leftOut else { return }
    scratch.ids[pending] = UInt32(slot)
    pending += 1
    if pending == Self.batch { flush() }
  }

  mutating func finish() -> SearchOutcome {
    flush()
    outcome.hits = index.hits(of: scratch, k: k)
    return outcome
  }

  private mutating func flush() {
    index.exactKeys(scratch.ids, count: pending, scratch, coded: coded)
    for position in 0..<pending {
      let word = CandidatePool.word(
        distance: scratch.keys[position], slot: scratch.ids[position])
      if word < scratch.results.bound { scratch.results.insert(word) }
    }
    outcome.distanceCount += pending
    pending = 0
  }
}
