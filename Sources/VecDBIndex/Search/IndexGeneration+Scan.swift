extension IndexGeneration {
  /// Compares every visible slot (of the filter, if there is one) with the prepared query of a
  /// scratch, by reported distance.
  func scan(
    view: ReadView, k: Int, filter: SlotBitset?, scratch: SearchScratch, coded: CodedQuery? = nil
  ) -> SearchOutcome {
    guard k > 0 else { return SearchOutcome() }
    var scan = ExactScan(self, view: view, k: k, scratch: scratch, coded: coded)
    if let filter {
      filter.visit { if $0 < view.slotCount { scan.add($0) } }
    } else {
      for slot in 0..<view.slotCount { scan.add(slot) }
    }
    return scan.finish()
  }

  /// The `k` nearest visible records of many queries, as `exactSearch` finds them for each. The
  /// vectors are read from memory once for all, not once for each. Throws as `search`.
  package func exactSearch(
    _ queries: [[Float]], k: Int, at view: ReadView? = nil
  ) throws(IndexError) -> [SearchOutcome] {
    guard k > 0 else { throw .invalidParameter("k is \(k), it must be at least 1") }
    let view = view ?? self.view()
    var outcomes: [SearchOutcome] = []
    for first in stride(from: 0, to: queries.count, by: Self.queriesAtOnce) {
      let some = queries[first..<min(first + Self.queriesAtOnce, queries.count)]
      outcomes += try exactSearchAtOnce(some, k: k, at: view)
    }
    return outcomes
  }

  /// As many scratches are in use, and kept for later searches.
  private static let queriesAtOnce = 10

  private func exactSearchAtOnce(
    _ queries: ArraySlice<[Float]>, k: Int, at view: ReadView
  ) throws(IndexError) -> [SearchOutcome] {
    var scratches: [SearchScratch] = []
    defer { scratches.forEach(scratchPool.giveBack) }
    for query in queries {
      let scratch = scratchPool.take(parameters)
      scratches.append(scratch)
      let prepared = query.withUnsafeBufferPointer { buffer in
        Result { () throws(IndexError) in try prepare(scratch, for: buffer) }
      }
      try prepared.get()
    }
    guard view.slotCount > 0 else { return queries.map { _ in SearchOutcome() } }
    var scans = scratches.map {
      ExactScan(self, view: view, k: min(k, view.slotCount), scratch: $0)
    }
    // What is compared with every query before the next slots are read stays in the cache.
    let step = max(SearchScratch.batchLimit, (256 << 10) / max(1, parameters.dimensions))
    for first in stride(from: 0, to: view.slotCount, by: step) {
      let slots = first..<min(first + step, view.slotCount)
      for index in scans.indices {
        for slot in slots { scans[index].add(slot) }
      }
    }
    return scans.indices.map { scans[$0].finish() }
  }

  /// The first `k` of the scratch's results, whose distances are keys.
  func hits(of scratch: SearchScratch, k: Int) -> [SearchHit] {
    let pool = scratch.results
    let count = min(k, pool.count)
    // With no capacity the array would write its count, 0, into the storage that all empty arrays
    // share: harmless, but a race by the letter and to the thread sanitizer.
    guard count > 0 else { return [] }
    return [SearchHit](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count {
        let word = pool.words[index]
        let slot = CandidatePool.slot(word)
        let hit = SearchHit(
          slot: slot,
          distance: scratch.isWide
            ? Float(wideDistance(Int(slot), from: scratch.query))
            : Self.distance(sortableBits: CandidatePool.distance(word)))
        buffer.initializeElement(at: index, to: hit)
      }
      initialized = count
    }
  }
}
