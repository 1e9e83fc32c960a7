import Synchronization

extension IndexGeneration {
  /// Whether a search for `k` among so many matching slots compares all of them, exactly, however
  /// narrow a walk would be.
  package func scansAlways(matching: Int, k: Int, at view: ReadView) -> Bool {
    let planner = FilteredSearchPlanner(
      matching: matching, slots: view.slotCount, ef: k, baseDegree: parameters.baseDegree,
      strideBytes: traversalStrideBytes)
    return matching <= FilteredSearchPlanner.directScanLimit(k: k) || planner.isScanCheapest
  }

  /// Searches among the visible slots of a filter; without one among all visible ones. The planner
  /// chooses the way, and a walk that turns out to cost more than it should gives way to the next:
  /// walking through every node, hopping over those that do not match, scanning those that do.
  ///
  /// Where few of the nodes near the query match, the walk is `farEf` wide, if that is more than
  /// `ef`.
  func filteredSearch(
    view: ReadView, k: Int, ef: Int, farEf: Int = 0, filter: SlotBitset?, graph: GraphView,
    coded: CodedQuery,
    scratch: SearchScratch
  ) -> SearchOutcome {
    let count = filter?.population ?? max(0, view.slotCount - view.deadCount)
    guard count > FilteredSearchPlanner.directScanLimit(k: k) else {
      return scan(view: view, k: k, filter: filter, scratch: scratch, coded: coded)
    }
    var planner = FilteredSearchPlanner(
      matching: count, slots: view.slotCount, ef: ef, baseDegree: graph.baseDegree,
      strideBytes: coded.strideBytes)
    return MatchTest.with(filter, self, at: view) { matching in
      var outcome = SearchOutcome(plan: .scan)
      outcome.walksRows = coded.rows != nil
      if !planner.isScanCheapest {
        startWalk(graph, coded, scratch, capacity: max(ef, farEf), &outcome)
        planner.nearby = linksNearby(graph, scratch.pool, matching)
        if farEf > ef, planner.isMatchingFar { planner.ef = farEf }
        scratch.pool.shrink(to: planner.ef)
        outcome.ef = planner.ef
        outcome.plan = planner.plan
      }
      if outcome.plan == .filteredGraph {
        let isComplete = walkPlain(
          graph, coded, scratch, planner: planner, matching: matching, &outcome)
        if !isComplete { outcome.plan = .scan }
      }
      if outcome.plan == .twoHop {
        let isComplete = walkTwoHop(
          graph, coded, scratch, planner: planner, matching: matching, &outcome)
        if !isComplete { outcome.plan = .scan }
      }
      if outcome.plan != .scan {
        addMatching(
          from: Int(graph.count), coded, scratch, view: view, matching: matching, &outcome)
        rank(scratch.pool, k: k, view: view, coded: coded, scratch: scratch, &outcome)
        // Where fewer are found, some that match are dead, or no walk leads to them; only the scan
        // can tell.
        if outcome.hits.count >= min(k, count) { return outcome }
        outcome.plan = .scan
      }
      // It keeps the k nearest before it knows which of them is left out.
      let spare = scratch.leftOut == IndexArrays.none ? 0 : 1
      if let hits = codeScan(
        view: view, k: k + spare, coded: coded, scratch: scratch, matching: matching, &outcome)
      {
        outcome.hits = Array(hits.prefix(k))
        return outcome
      }
      var exact = scan(view: view, k: k, filter: filter, scratch: scratch, coded: coded)
      exact.distanceCount += outcome.distanceCount
      exact.hopCount = outcome.hopCount
      return exact
    }
  }

  /// Counts the links of the nodes that a walk begins with, and those to what matches.
  private func linksNearby(
    _ graph: GraphView, _ pool: CandidatePool, _ matching: MatchTest
  ) -> (links: Int, matching: Int) {
    var (links, matches) = (0, 0)
    for index in 0..<min(FilteredSearchPlanner.nearbyNodes, pool.count) {
      let row = graph.baseRow(CandidatePool.slot(pool.words[index]))
      for j in 0..<graph.baseDegree {
        let neighbour = row[j].load(ordering: .acquiring)
        guard neighbour < graph.count else { continue }
        links += 1
        matches += matching(Int(neighbour)) ? 1 : 0
      }
    }
    return (links, matches)
  }

  /// Offers the matching slots from `first` on to the scratch's pool, compared by codes.
  private func addMatching(
    from first: Int, _ coded: CodedQuery, _ scratch: SearchScratch, view: ReadView,
    matching: MatchTest, _ outcome: inout SearchOutcome
  ) {
    var pool = scratch.pool
    defer { scratch.pool = pool }
    let (ids, dots) = (scratch.ids, scratch.dots)
    var slot = first
    while slot < view.slotCount {
      let n = matching.collect(
        from: &slot, to: view.slotCount, limit: SearchScratch.batchLimit, into: ids)
      guard n > 0 else { continue }
      coded.distances(ids, count: n, dots)
      outcome.distanceCount &+= n
      pool.insert(ids, dots, count: n)
    }
  }

  /// The two-heap search of the HNSW paper where only what matches enters the results, the
  /// planner's `ef` of them, left in the scratch's pool. False when it gave up.
  private func walkPlain(
    _ graph: GraphView, _ coded: CodedQuery, _ scratch: SearchScratch,
    planner: FilteredSearchPlanner, matching: MatchTest, _ outcome: inout SearchOutcome
  ) -> Bool {
    let (ids, dots) = (scratch.ids, scratch.dots)
    let (tags, tag) = (scratch.visited.tags, scratch.visited.tag)
    var heap = scratch.heap
    heap.removeAll()
    for index in 0..<scratch.pool.count { heap.push(scratch.pool.words[index]) }
    scratch.pool.retain { matching(Int(CandidatePool.slot($0))) }
    var results = scratch.pool
    defer {
      scratch.pool = results
      scratch.heap = heap
    }
    while heap.count > 0 {
      let word = heap.pop()
      if word > results.bound { break }
      let (distances, hops) = (outcome.distanceCount, outcome.hopCount)
      guard !planner.isPlainWalkTooLong(distances: distances, hops: hops) else { return false }
      outcome.hopCount &+= 1
      let row = graph.baseRow(CandidatePool.slot(word))
      let n = graph.gather(row, length: graph.baseDegree, tags: tags, tag: tag, into: ids)
      guard n > 0 else { continue }
      if heap.count > 0 { graph.prefetchRow(heap.first) }
      coded.distances(ids, count: n, dots)
      outcome.distanceCount &+= n
      for i in 0..<n {
        let candidate = CandidatePool.word(
          distance: UInt32(bitPattern: dots[i]), slot: ids[i])
        guard candidate < results.bound else { continue }
        heap.push(candidate)
        if matching(Int(ids[i])) { results.insert(candidate) }
      }
    }
    return true
  }
}
