import Synchronization

extension IndexGeneration {
  /// Compares every visible slot (of the filter, if there is one) with the prepared query of a
  /// scratch, by reported distance.
  func scan(
    view: ReadView, k: Int, filter: SlotBitset?, scratch: SearchScratch
  ) -> SearchOutcome {
    var outcome = SearchOutcome()
    guard k > 0 else { return outcome }
    var coded: CodedQuery?
    // A graph proves that all slots below the view's count have their codes.
    if graphCount.load(ordering: .acquiring) > 0, let quantizer {
      coded = codedQuery(scratch, quantizer: quantizer)
    }
    scratch.results.reset(capacity: k)
    var pending = 0
    func flush() {
      exactDistances(scratch.ids, count: pending, scratch, coded: coded)
      for index in 0..<pending {
        let word = CandidatePool.word(
          distance: Self.sortableBits(scratch.floatResults[index]), slot: scratch.ids[index])
        if word < scratch.results.bound { scratch.results.insert(word) }
      }
      outcome.distanceCount += pending
      pending = 0
    }
    func add(_ slot: Int) {
      guard isVisible(slot, in: view) else { return }
      scratch.ids[pending] = UInt32(slot)
      pending += 1
      if pending == 64 { flush() }
    }
    if let filter {
      filter.visit { if $0 < view.slotCount { add($0) } }
    } else {
      for slot in 0..<view.slotCount { add(slot) }
    }
    flush()
    outcome.hits = hits(of: scratch.results, k: k)
    return outcome
  }

  /// The first `k` of a pool whose distances are sortable bits.
  func hits(of pool: CandidatePool, k: Int) -> [SearchHit] {
    let count = min(k, pool.count)
    // With no capacity the array would write its count, 0, into the storage that all empty arrays
    // share: harmless, but a race by the letter and to the thread sanitizer.
    guard count > 0 else { return [] }
    return [SearchHit](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count {
        let word = pool.words[index]
        let hit = SearchHit(
          slot: CandidatePool.slot(word),
          distance: Self.distance(sortableBits: CandidatePool.distance(word)))
        buffer.initializeElement(at: index, to: hit)
      }
      initialized = count
    }
  }
}
