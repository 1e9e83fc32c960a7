import Synchronization

extension IndexGeneration {
  /// Walks the graph through any node but keeps those that are visible and match; scans where few
  /// match, or where the walk turns out to cost as much. Without a filter all visible ones match.
  func filteredSearch(
    view: ReadView, k: Int, ef: Int, filter: SlotBitset?, graph: GraphView, coded: CodedQuery,
    scratch: SearchScratch
  ) -> SearchOutcome {
    let matching = filter?.population ?? max(0, view.slotCount - view.deadCount)
    // A scan costs one distance per match; a walk passes about ef / selectivity nodes, each with
    // several distances and poor locality. Where both cost the same the scan's answer is exact.
    guard matching * matching > 8 * ef * view.slotCount else {
      return scan(view: view, k: k, filter: filter, scratch: scratch)
    }
    var outcome = SearchOutcome(plan: .filteredGraph)
    startWalk(graph, coded, scratch, capacity: ef, &outcome)
    let isComplete = walkFiltered(
      graph, coded, scratch, ef: ef, distanceLimit: matching * 2, filter: filter, view: view,
      &outcome)
    guard isComplete else { return scan(view: view, k: k, filter: filter, scratch: scratch) }
    addMatchingTail(graph, coded, scratch, filter: filter, view: view, &outcome)
    let pool = scratch.pool
    rank(pool, k: k, view: view, coded: coded, scratch: scratch, &outcome)
    guard outcome.hits.count >= min(k, matching) else {
      // Some that match are dead; only the scan can tell whether these are all.
      return scan(view: view, k: k, filter: filter, scratch: scratch)
    }
    return outcome
  }

  @inline(__always)
  private func matches(_ slot: Int, _ filter: SlotBitset?, _ view: ReadView) -> Bool {
    if let filter, !filter[slot] { return false }
    if !view.hasDeaths, slot < view.settledSlots { return true }
    return isVisible(slot, in: view)
  }

  /// The two-heap search of the HNSW paper where only what matches enters the results, `ef` of
  /// them, left in the scratch's pool. False when it gave up at `distanceLimit`.
  private func walkFiltered(
    _ graph: GraphView, _ coded: CodedQuery, _ scratch: SearchScratch, ef: Int,
    distanceLimit: Int, filter: SlotBitset?, view: ReadView, _ outcome: inout SearchOutcome
  ) -> Bool {
    let seeds = (0..<scratch.pool.count).map { scratch.pool.words[$0] }
    scratch.pool.reset(capacity: ef)
    var results = scratch.pool
    var heap = scratch.heap
    heap.removeAll()
    defer {
      scratch.pool = results
      scratch.heap = heap
    }
    for seed in seeds {
      heap.push(seed)
      if matches(Int(CandidatePool.slot(seed)), filter, view) { results.insert(seed) }
    }
    let (ids, dots) = (scratch.ids, scratch.dots)
    let (tags, tag) = (scratch.visited.tags, scratch.visited.tag)
    while heap.count > 0 {
      let word = heap.pop()
      if word > results.bound { break }
      guard outcome.distanceCount < distanceLimit else { return false }
      outcome.hopCount += 1
      let row = graph.baseRow(CandidatePool.slot(word))
      let n = graph.gather(
        row, length: graph.baseDegree, tags: tags, tag: tag, into: ids)
      guard n > 0 else { continue }
      if heap.count > 0 { graph.prefetchRow(heap.first) }
      coded.distances(ids, count: n, dots)
      outcome.distanceCount += n
      for i in 0..<n {
        let candidate = CandidatePool.word(
          distance: UInt32(bitPattern: dots[i]), slot: ids[i])
        guard candidate < results.bound else { continue }
        heap.push(candidate)
        if matches(Int(ids[i]), filter, view) { results.insert(candidate) }
      }
    }
    return true
  }

  private func addMatchingTail(
    _ graph: GraphView, _ coded: CodedQuery, _ scratch: SearchScratch, filter: SlotBitset?,
    view: ReadView, _ outcome: inout SearchOutcome
  ) {
    var slot = Int(graph.count)
    while slot < view.slotCount {
      var n = 0
      while slot < view.slotCount, n < SearchScratch.batchLimit {
        if matches(slot, filter, view) {
          scratch.ids[n] = UInt32(slot)
          n += 1
        }
        slot += 1
      }
      guard n > 0 else { continue }
      coded.distances(scratch.ids, count: n, scratch.dots)
      outcome.distanceCount += n
      for i in 0..<n {
        let word = CandidatePool.word(
          distance: UInt32(bitPattern: scratch.dots[i]), slot: scratch.ids[i])
        if word < scratch.pool.bound { scratch.pool.insert(word) }
      }
    }
  }
}
