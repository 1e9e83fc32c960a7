import CVecDBShims
import Synchronization

/// The walk of ACORN-1 (Patel, Kraft, Guestrin and Zaharia, SIGMOD 2024): distances are computed
/// for matching nodes only, and a neighbour that does not match is a bridge to its neighbours.
///
/// It enters near the query, and at matching nodes all over the graph, since what matches may fall
/// into parts that no two hops join.
extension IndexGeneration {
  /// After `startWalk`: walks layer 0 from matching node to matching node; the best, as many as the
  /// planner's `ef`, are left in the scratch's pool. False when it gave up: the matching records do
  /// not lie where the query is, or it had cost what a scan does.
  func walkTwoHop(
    _ graph: GraphView, _ coded: CodedQuery, _ scratch: SearchScratch,
    planner: FilteredSearchPlanner, matching: MatchTest,
    _ outcome: inout SearchOutcome
  ) -> Bool {
    let entries = (0..<min(FilteredSearchPlanner.entryBridges, scratch.pool.count)).map {
      scratch.pool.words[$0]
    }
    scratch.pool.retain { matching(Int(CandidatePool.slot($0))) }
    var pool = scratch.pool
    defer { scratch.pool = pool }
    let (ids, dots) = (scratch.ids, scratch.dots)
    let (tags, tag) = (scratch.visited.tags, scratch.visited.tag)
    let (rowCost, costLimit) = (planner.walkRowCost, planner.scanCost)
    var cost = 0.0

    @inline(__always)
    func measure(_ n: Int) {
      guard n > 0 else { return }
      if pool.cursor < pool.count { graph.prefetchRow(pool.words[pool.cursor]) }
      coded.distances(ids, count: n, dots)
      outcome.distanceCount &+= n
      cost += Double(n) * rowCost
      pool.insert(ids, dots, count: n, isExpanded: false)
    }
    @inline(__always)
    func expand(_ word: UInt64) -> Int {
      outcome.hopCount &+= 1
      let (n, bridges) = gatherTwoHop(
        graph, CandidatePool.slot(word), tags: tags, tag: tag, into: ids, matching)
      cost += Double(bridges) * FilteredSearchPlanner.bridge
      measure(n)
      return n
    }

    var (opened, found) = (0, 0)
    for word in entries where !matching(Int(CandidatePool.slot(word))) {
      found += expand(word)
      opened += 1
    }
    // Elsewhere: a walk that came upon them from afar would find but the near edge of some.
    if opened == entries.count, found < opened * planner.fewNeighbours { return false }
    measure(gatherSamples(graph, tags: tags, tag: tag, into: ids, matching))
    while pool.cursor < pool.count {
      let word = pool.words[pool.cursor]
      guard word & 1 == 0 else {
        pool.cursor &+= 1
        continue
      }
      guard cost < costLimit else { return false }
      pool.words[pool.cursor] = word | 1
      pool.cursor &+= 1
      _ = expand(word)
    }
    return true
  }

  /// Collects matching nodes spread evenly over the slots.
  private func gatherSamples(
    _ graph: GraphView, tags: UnsafeMutablePointer<UInt8>, tag: UInt8,
    into ids: UnsafeMutablePointer<UInt32>, _ matching: MatchTest
  ) -> Int {
    let (count, parts) = (Int(graph.count), FilteredSearchPlanner.sampledSeeds)
    var n = 0
    for part in 0..<parts {
      var slot = count * part / parts
      let end = count * (part + 1) / parts
      guard matching.collect(from: &slot, to: end, limit: 1, into: ids + n) == 1 else { continue }
      let seed = Int(ids[n])
      n += tags[seed] == tag ? 0 : 1
      tags[seed] = tag
    }
    return n
  }

  /// Collects matching nodes not visited yet among the neighbours of `node` and, until there are
  /// enough, among the neighbours of those that do not match. Says too how many of these it took.
  @inline(__always)
  private func gatherTwoHop(
    _ graph: GraphView, _ node: UInt32, tags: UnsafeMutablePointer<UInt8>, tag: UInt8,
    into ids: UnsafeMutablePointer<UInt32>, _ matching: MatchTest
  ) -> (count: Int, bridges: Int) {
    let (count, degree) = (graph.count, graph.baseDegree)
    let limit = FilteredSearchPlanner.twoHopLimit
    // Behind all that is collected: less than `limit`, and one row.
    let bridges = ids + (SearchScratch.batchLimit - degree)
    var (n, bridgeCount) = (0, 0)
    var row = graph.baseRow(node)
    var j = 0
    while j < degree {
      let neighbour = row[j].load(ordering: .acquiring)
      j &+= 1
      guard neighbour < count else {
        if neighbour == IndexArrays.none { break }
        continue
      }
      guard tags[Int(neighbour)] != tag else { continue }
      if matching(Int(neighbour)) {
        tags[Int(neighbour)] = tag
        ids[n] = neighbour
        n &+= 1
      } else {
        bridges[bridgeCount] = neighbour
        bridgeCount &+= 1
      }
    }
    var (bridge, requested) = (0, 0)
    while bridge < bridgeCount, n < limit {
      while requested < bridgeCount, requested < bridge &+ 4 {
        graph.prefetchRow(CandidatePool.word(distance: 0, slot: bridges[requested]))
        requested &+= 1
      }
      let through = bridges[bridge]
      bridge &+= 1
      // Its links are looked at once; bridges left over stay open to other nodes.
      tags[Int(through)] = tag
      row = graph.baseRow(through)
      j = 0
      while j < degree {
        let neighbour = row[j].load(ordering: .acquiring)
        j &+= 1
        guard neighbour < count else {
          if neighbour == IndexArrays.none { break }
          continue
        }
        guard matching.isInFilter(Int(neighbour)), tags[Int(neighbour)] != tag,
          matching.isVisible(Int(neighbour))
        else { continue }
        tags[Int(neighbour)] = tag
        ids[n] = neighbour
        n &+= 1
      }
    }
    return (n, bridge)
  }
}
