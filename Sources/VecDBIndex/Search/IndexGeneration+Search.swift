import Synchronization

extension IndexGeneration {
  /// The `k` nearest visible records, approximately; `ef` (raised to `k`) is how many candidates
  /// the walk through the graph keeps. With a filter only its slots count. Never fewer than `k`
  /// where that many match. Where little of what is near the query is in the filter, `farEf` is
  /// the width if it is larger.
  ///
  /// `compensation` is how the search makes up for a poor index; nil takes the index's own.
  ///
  /// With `leavingOut` a slot is passed over as if it and its links were not there: its vector is
  /// a query then that this index has never seen.
  ///
  /// Lock-free, from any thread, beside the writer. Without a `view` the present moment is
  /// searched. Throws `.invalidParameter` for a wrong dimension, a zero query under cosine, or `k`
  /// below 1.
  package func search(
    _ query: UnsafeBufferPointer<Float>, k: Int, ef: Int, farEf: Int = 0,
    filter: SlotBitset? = nil, leavingOut leftOut: UInt32? = nil, at view: ReadView? = nil,
    compensation given: Compensation? = nil
  ) throws(IndexError) -> SearchOutcome {
    guard k > 0 else { throw .invalidParameter("k is \(k), it must be at least 1") }
    let scratch = scratchPool.take(parameters)
    let compensation = given ?? self.compensation
    scratch.compensation = compensation
    scratch.leftOut = leftOut ?? IndexArrays.none
    defer {
      scratch.leftOut = IndexArrays.none
      scratchPool.giveBack(scratch)
    }
    try prepare(scratch, for: query)
    let view = view ?? self.view()
    let k = min(k, view.slotCount)
    let graph = GraphView(self)
    guard graph.count > 0, k > 0, let quantizer, compensation != .scan else {
      return scan(view: view, k: k, filter: filter, scratch: scratch)
    }
    let ef = min(max(ef, k), view.slotCount)
    let coded = codedQuery(scratch, quantizer: quantizer)
    func filtered(_ filter: SlotBitset?, farEf: Int = 0) -> SearchOutcome {
      filteredSearch(
        view: view, k: k, ef: ef, farEf: min(farEf, view.slotCount), filter: filter, graph: graph,
        coded: coded, scratch: scratch)
    }
    if let filter { return filtered(filter, farEf: farEf) }
    // Nodes that are dead, or of batches not published yet.
    let gone = min(view.deadCount, absentCount.load(ordering: .relaxed) + view.freeCount)
    let hidden = view.deadCount - gone + max(0, Int(graph.count) - view.settledSlots)
    let live = max(1, view.slotCount - gone - hidden)
    // With few hidden nodes the walk keeps as many candidates more as are hidden on average; with
    // many it counts only those it may show.
    guard hidden <= live else { return filtered(nil) }
    var outcome = SearchOutcome(plan: .graph)
    outcome.walksRows = coded.rows != nil
    let capacity = ef + (ef * hidden + live - 1) / live
    startWalk(graph, coded, scratch, capacity: capacity, &outcome)
    // As many more may be hidden among the nearest ones.
    let patience = Patience(
      k: (k * capacity + ef - 1) / ef, ef: capacity, parameters, coded)
    outcome.hopCount = graph.walk(
      level: 0, toward: coded, scratch, patience: patience,
      distanceCount: &outcome.distanceCount)
    addTail(graph, coded, scratch, view: view, &outcome)
    rank(scratch.pool, k: k, view: view, coded: coded, scratch: scratch, &outcome)
    let others = view.slotCount - view.deadCount - (leftOut == nil ? 0 : 1)
    return outcome.hits.count < min(k, others) ? filtered(nil) : outcome
  }

  /// The same for an array.
  package func search(
    _ query: [Float], k: Int, ef: Int, farEf: Int = 0, filter: SlotBitset? = nil,
    leavingOut leftOut: UInt32? = nil, at view: ReadView? = nil,
    compensation: Compensation? = nil
  ) throws(IndexError) -> SearchOutcome {
    let result = query.withUnsafeBufferPointer { buffer in
      Result { () throws(IndexError) in
        try search(
          buffer, k: k, ef: ef, farEf: farEf, filter: filter, leavingOut: leftOut, at: view,
          compensation: compensation)
      }
    }
    return try result.get()
  }

  /// The `k` nearest visible records, exactly, by comparing all of them: the truth that recall is
  /// measured against. Costs a pass over all vectors. Throws as `search`.
  package func exactSearch(
    _ query: [Float], k: Int, filter: SlotBitset? = nil, at view: ReadView? = nil
  ) throws(IndexError) -> SearchOutcome {
    guard k > 0 else { throw .invalidParameter("k is \(k), it must be at least 1") }
    let scratch = scratchPool.take(parameters)
    defer { scratchPool.giveBack(scratch) }
    let prepared = query.withUnsafeBufferPointer { buffer in
      Result { () throws(IndexError) in try prepare(scratch, for: buffer) }
    }
    try prepared.get()
    let view = view ?? self.view()
    return scan(view: view, k: min(k, view.slotCount), filter: filter, scratch: scratch)
  }

  /// Fills the scratch's pool with the seeds of a walk of layer 0.
  func startWalk(
    _ graph: GraphView, _ coded: CodedQuery, _ scratch: SearchScratch, capacity: Int,
    _ outcome: inout SearchOutcome
  ) {
    scratch.pool.reset(capacity: capacity)
    scratch.visited.reset(count: Int(graph.count))
    if scratch.leftOut < graph.count {
      scratch.visited.tags[Int(scratch.leftOut)] = scratch.visited.tag
    }
    _ = graph.descend(
      toward: coded, above: 0, width: GraphView.descentWidth(ef: capacity), scratch,
      distanceCount: &outcome.distanceCount)
  }

  /// Compares the slots that are not in the graph yet.
  private func addTail(
    _ graph: GraphView, _ coded: CodedQuery, _ scratch: SearchScratch, view: ReadView,
    _ outcome: inout SearchOutcome
  ) {
    var pool = scratch.pool
    var first = Int(graph.count)
    while first < view.slotCount {
      let count = min(SearchScratch.batchLimit, view.slotCount - first)
      coded.distances(first: first, count: count, scratch.dots)
      outcome.distanceCount += count
      for index in 0..<count {
        // Marked as expanded: there are no links to follow.
        let word =
          CandidatePool.word(
            distance: UInt32(bitPattern: scratch.dots[index]), slot: UInt32(first + index)) | 1
        if word < pool.bound { pool.insert(word) }
      }
      first += count
    }
    scratch.pool = pool
  }

  /// Ranks the visible candidates of a pool by reported distance and keeps the first `k`. Compared
  /// anew are the `k` nearest by codes and those that rounding to codes may have put behind them.
  func rank(
    _ pool: CandidatePool, k: Int, view: ReadView, coded: CodedQuery, scratch: SearchScratch,
    _ outcome: inout SearchOutcome
  ) {
    scratch.results.reset(capacity: k)
    var (taken, pending) = (0, 0)
    var farthest = UInt32.max
    let (ids, leftOut) = (scratch.ids, scratch.leftOut)
    func flush() {
      exactKeys(ids, count: pending, scratch, coded: coded)
      outcome.distanceCount += pending
      for index in 0..<pending { keep(key: scratch.keys[index], slot: ids[index]) }
      pending = 0
    }
    func keep(key: UInt32, slot: UInt32) {
      let word = CandidatePool.word(distance: key, slot: slot)
      if word < scratch.results.bound { scratch.results.insert(word) }
    }
    for index in 0..<pool.count {
      let word = pool.words[index]
      guard CandidatePool.distance(word) <= farthest else { break }
      let slot = Int(CandidatePool.slot(word))
      guard slot != leftOut else { continue }
      if view.hasDeaths || slot >= view.settledSlots {
        guard isVisible(slot, in: view) else { continue }
      }
      taken += 1
      if coded.rows != nil {
        // The distances are the reported ones already, and in order.
        scratch.results.insert(word & ~1)
        if taken == k { break }
        continue
      }
      if taken == k { farthest = coded.rerankLimit(word) }
      if scratch.isQueryExact, exactRow(slot) == nil {
        // The integer distance is the true one.
        keep(
          key: Self.sortableBits(Float(CandidatePool.distance(word))), slot: UInt32(slot))
        continue
      }
      ids[pending] = UInt32(slot)
      pending += 1
      if pending == SearchScratch.batchLimit { flush() }
    }
    if pending > 0 { flush() }
    outcome.hits = hits(of: scratch, k: k)
  }
}
