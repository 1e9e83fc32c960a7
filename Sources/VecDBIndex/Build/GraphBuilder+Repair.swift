import Synchronization

/// Maintenance of the graph after deletes, in two kinds of steps that are batches of the log.
///
/// *Repair* goes through a run of nodes. A live node that has links to dead ones loses them, but for
/// those to its children, and inherits what they lead to: links that it has stay, and of the others
/// as many come in as pruning allows (the delete of FreshDiskANN, Singh et al., 2021). A node whose
/// parent is dead gets a living one. Dead nodes keep their links and go on leading searches.
///
/// *Collect* then looks at all links, and frees the dead nodes that no living one leads to but as
/// their parent.
/// What a repair missed, because it died or was linked after the repair had passed, waits for the
/// next time.
extension GraphBuilder {
  /// Repairs the nodes of a range. Threads read dead nodes' rows, which nothing changes, and write
  /// only those of their own nodes.
  func repair(_ range: Range<Int>) {
    let step = step(for: SlotBatch(0..<0))
    let range = range.clamped(to: 0..<Int(step.graph.count))
    parallel(count: range.count, chunk: 64, least: 64) { worker, index in
      step.repair(range.lowerBound + index, worker)
    }
    for node in range where node > 0 { step.replaceDeadParent(of: node, workers[0]) }
  }

  /// Frees the dead nodes that neither a living node nor a dead one that stays leads to.
  func collect() { step(for: SlotBatch(0..<0)).collect() }
}

extension BuildStep {
  // MARK: Repair

  fileprivate func repair(_ node: Int, _ worker: BuildWorker) {
    guard !generation.isDoomed(node) else { return }
    for layer in 0...graph.level(UInt32(node)) { repair(node, layer: layer, worker) }
  }

  private func repair(_ node: Int, layer: Int, _ worker: BuildWorker) {
    guard let row = row(of: node, layer: layer) else { return }
    let capacity = capacity(onLayer: layer)
    let scratch = worker.scratch
    let ids = scratch.ids
    var (count, deadCount) = (0, 0)
    // Dead neighbours from the end of the room for ids.
    let dead = ids + (SearchScratch.batchLimit - capacity)
    for index in 0..<capacity {
      let neighbour = row[index].load(ordering: .relaxed)
      guard neighbour < graph.count else { break }
      if generation.isDoomed(Int(neighbour)) {
        dead[deadCount] = neighbour
        deadCount += 1
        // Others may be reached through it, until they have other parents.
        guard layer == 0, parents[Int(neighbour)] == node else { continue }
      }
      ids[count] = neighbour
      count += 1
    }
    guard deadCount > 0 else { return }
    let kept = count
    scratch.visited.reset(count: Int(graph.count))
    let (tags, tag) = (scratch.visited.tags, scratch.visited.tag)
    tags[node] = tag
    for index in 0..<kept { tags[Int(ids[index])] = tag }
    for index in 0..<deadCount { tags[Int(dead[index])] = tag }
    let limit = SearchScratch.batchLimit - capacity
    // What dead neighbours lead to; where that is dead too, what it leads to in turn.
    var frontier = (0..<deadCount).map { dead[$0] }
    var next = 0
    while next < frontier.count, next < Self.bridgeLimit, count < limit {
      let bridge = frontier[next]
      next += 1
      if next > deadCount, count >= kept + capacity { break }
      guard let links = self.row(of: Int(bridge), layer: layer) else { continue }
      for index in 0..<capacity where count < limit {
        let neighbour = links[index].load(ordering: .relaxed)
        guard neighbour < graph.count else { break }
        guard tags[Int(neighbour)] != tag else { continue }
        tags[Int(neighbour)] = tag
        if generation.isDoomed(Int(neighbour)) {
          frontier.append(neighbour)
        } else {
          ids[count] = neighbour
          count += 1
        }
      }
    }
    rewrite(row, of: node, layer: layer, capacity: capacity, kept: kept, count: count, worker)
  }

  /// Dead nodes at most whose links are looked at for one node.
  private static let bridgeLimit = 96

  /// Writes the first `kept` of the scratch's ids into a row, and of the others those that no
  /// nearer one occludes, until the row is as full as pruning leaves it.
  private func rewrite(
    _ row: UnsafeMutablePointer<Atomic<UInt32>>, of node: Int, layer: Int, capacity: Int,
    kept: Int, count: Int, _ worker: BuildWorker
  ) {
    let (ids, dots) = (worker.scratch.ids, worker.scratch.dots)
    willWrite(node, layer: layer)
    var chosen = kept
    var result = UnsafePointer(ids)
    if count > kept {
      let query = generation.storedQuery(
        node, into: worker.scratch.signedQuery, scratch: worker.scratch.dots,
        buffers: worker.scratch.rowBuffers)
      query.distances(ids, count: count, dots)
      let candidates = worker.candidates
      for index in 0..<count {
        // The lowest bit, free in a word, tells those that stay.
        candidates[index] =
          CandidatePool.word(distance: UInt32(bitPattern: dots[index]), slot: ids[index])
          | (index < kept ? 1 : 0)
      }
      var sortable = UnsafeMutableBufferPointer(start: candidates, count: count)
      sortable.sort()
      for index in 0..<count {
        worker.isChild[index] = candidates[index] & 1 == 1
        candidates[index] &= ~1
      }
      chosen = worker.selector.select(
        of: node, candidates, count: count, limit: max(kept, capacity - capacity / 8),
        isKept: UnsafePointer(worker.isChild), generation: generation)
      result = UnsafePointer(worker.selector.result)
    }
    for index in 0..<capacity {
      row[index].store(index < chosen ? result[index] : IndexArrays.none, ordering: .releasing)
    }
  }

  /// Gives a live node whose parent is dead a living one: a near node that has a link to it already
  /// and does not descend from it, else its nearest living ancestor.
  fileprivate func replaceDeadParent(of node: Int, _ worker: BuildWorker) {
    guard !generation.isDoomed(node), parents[node] < graph.count,
      generation.isDoomed(Int(parents[node]))
    else { return }
    let own = graph.baseRow(UInt32(node))
    for index in 0..<graph.baseDegree {
      let neighbour = own[index].load(ordering: .relaxed)
      guard neighbour < graph.count else { break }
      guard !generation.isDoomed(Int(neighbour)), holds(neighbour, UInt32(node)),
        childCount(neighbour) < childLimit, !descends(neighbour, from: UInt32(node))
      else { continue }
      generation.arrays.parents.willWrite(row: node)
      parents[node] = neighbour
      return
    }
    var (ancestor, steps) = (parents[node], graph.count)
    while ancestor != 0, generation.isDoomed(Int(ancestor)) {
      // Damaged parents may lead in a circle.
      ancestor = steps > 0 ? parent(of: ancestor) : 0
      steps = steps > 0 ? steps - 1 : 0
    }
    generation.arrays.parents.willWrite(row: node)
    adopt(node, by: ancestor, worker)
  }

  private func descends(_ node: UInt32, from other: UInt32) -> Bool {
    var (ancestor, steps) = (node, graph.count)
    while ancestor != 0, steps > 0 {
      if ancestor == other { return true }
      ancestor = parent(of: ancestor)
      steps -= 1
    }
    return steps == 0
  }

  /// The root where a damaged array has no node.
  private func parent(of node: UInt32) -> UInt32 {
    let parent = parents[Int(node)]
    return parent < graph.count ? parent : 0
  }

  // MARK: Collect

  fileprivate func collect() {
    let count = Int(graph.count)
    var leaving = SlotBitset(count: count)
    for node in 1..<max(1, count) where generation.isDoomed(node) && !generation.isFree(node) {
      leaving[node] = true
    }
    for node in 0..<count where !generation.isDoomed(node) {
      visitLinks(of: node) { link in
        if leaving[link], parents[link] != node { leaving[link] = false }
      }
    }
    keepAncestors(&leaving)
    for node in 0..<count where !leaving[node] && !generation.isFree(node) {
      dropLinks(of: node, to: leaving)
    }
    chooseEntry(without: leaving)
    var freed: [Int] = []
    leaving.visit { freed.append($0) }
    for node in freed.reversed() {
      for layer in 0...graph.level(UInt32(node)) { clearRow(of: node, layer: layer) }
      generation.makeFree(node)
    }
    generation.mustAwaitReaders = true
  }

  private func visitLinks(of node: Int, _ body: (Int) -> Void) {
    for layer in 0...graph.level(UInt32(node)) {
      guard let row = row(of: node, layer: layer) else { continue }
      for index in 0..<capacity(onLayer: layer) {
        let link = row[index].load(ordering: .relaxed)
        guard link < graph.count else { break }
        body(Int(link))
      }
    }
  }

  /// Whoever stays keeps the way from the root.
  private func keepAncestors(_ leaving: inout SlotBitset) {
    for node in 1..<max(1, Int(graph.count)) where !leaving[node] && !generation.isFree(node) {
      var ancestor = parent(of: UInt32(node))
      while ancestor != 0, leaving[Int(ancestor)] {
        leaving[Int(ancestor)] = false
        ancestor = parent(of: ancestor)
      }
    }
  }

  private func dropLinks(of node: Int, to leaving: SlotBitset) {
    for layer in 0...graph.level(UInt32(node)) {
      guard let row = row(of: node, layer: layer) else { continue }
      let capacity = capacity(onLayer: layer)
      var (kept, index) = (0, 0)
      while index < capacity {
        let link = row[index].load(ordering: .relaxed)
        guard link < graph.count else { break }
        if !leaving[Int(link)] {
          if kept < index { row[kept].store(link, ordering: .releasing) }
          kept += 1
        } else if kept == index {
          willWrite(node, layer: layer)
        }
        index += 1
      }
      while kept < index {
        row[kept].store(IndexArrays.none, ordering: .releasing)
        kept += 1
      }
    }
  }

  private func clearRow(of node: Int, layer: Int) {
    guard let row = row(of: node, layer: layer) else { return }
    willWrite(node, layer: layer)
    for index in 0..<capacity(onLayer: layer) {
      row[index].store(IndexArrays.none, ordering: .relaxed)
    }
  }

  /// The lowest of the highest nodes that stay, unless the present entry point is one of these.
  private func chooseEntry(without leaving: SlotBitset) {
    let entry = Int(graph.entry)
    guard leaving[entry] else { return }
    var best = 0
    for node in 1..<max(1, Int(graph.count)) where !leaving[node] && !generation.isFree(node) {
      if graph.level(UInt32(node)) > graph.level(UInt32(best)) { best = node }
    }
    generation.entryPoint.store(best, ordering: .releasing)
  }
}
