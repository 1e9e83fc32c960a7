import Synchronization

/// Phase 2: the nodes that were chosen as neighbours take up links to those that chose them.
extension GraphBuilder {
  /// Collects the reverse edges of the batch, sorted by layer and target, and where each target's
  /// begin.
  func collectEdges() {
    edges.removeAll(keepingCapacity: true)
    for (place, slot) in batch.slots.enumerated() {
      for layer in 0...graph.level(slot) {
        guard let row = row(of: Int(slot), layer: layer) else { continue }
        for index in 0..<(layer == 0 ? graph.baseDegree : graph.degree) {
          let target = row[index].load(ordering: .relaxed)
          guard target != IndexArrays.none else { break }
          edges.append(UInt64(layer) << 47 | UInt64(target) << 16 | UInt64(place))
        }
      }
    }
    edges.sort()
    groups.removeAll(keepingCapacity: true)
    var previous = UInt64.max
    for (index, edge) in edges.enumerated() where edge >> 16 != previous {
      previous = edge >> 16
      groups.append(index)
    }
    groups.append(edges.count)
  }

  /// Adds the sources of one target's edges to its row. When they do not fit, all are candidates
  /// and the row is chosen anew, a little below what it can hold, so that pruning is not due again
  /// with the next edge. On layer 0 a node's children stay whatever happens.
  func mergeEdges(_ range: Range<Int>, _ worker: BuildWorker) {
    let edge = edges[range.lowerBound]
    let layer = Int(edge >> 47)
    let target = Int(edge >> 16 & 0x7fff_ffff)
    guard let row = row(of: target, layer: layer) else { return }
    let capacity = layer == 0 ? graph.baseDegree : graph.degree
    let arrays = generation.arrays
    let (ids, dots) = (worker.scratch.ids, worker.scratch.dots)
    var count = 0
    while count < capacity {
      let neighbour = row[count].load(ordering: .relaxed)
      guard neighbour != IndexArrays.none else { break }
      ids[count] = neighbour
      count += 1
    }
    let oldCount = count
    let isNew = batch.place(of: UInt32(target)) != nil
    // A row and a whole batch may be more than one kernel call takes.
    for index in range where count < SearchScratch.batchLimit {
      let source = batch.slots[Int(edges[index] & 0xffff)]
      if isNew, (0..<oldCount).contains(where: { ids[$0] == source }) { continue }
      ids[count] = source
      count += 1
    }
    guard count > oldCount else { return }
    if layer == 0 {
      arrays.links.willWrite(row: target)
    } else {
      arrays.upperLinks.willWrite(row: Int(graph.nodes[target] >> 4) + layer - 1)
    }
    guard count > capacity else {
      for index in oldCount..<count { row[index].store(ids[index], ordering: .releasing) }
      return
    }
    let query = generation.storedQuery(
      target, into: worker.scratch.signedQuery, scratch: worker.scratch.dots)
    query.distances(ids, count: count, dots)
    let candidates = worker.candidates
    for index in 0..<count {
      candidates[index] = CandidatePool.word(
        distance: UInt32(bitPattern: dots[index]), slot: ids[index])
    }
    var sortable = UnsafeMutableBufferPointer(start: candidates, count: count)
    sortable.sort()
    var isChild: UnsafePointer<Bool>?
    if layer == 0 {
      let parents = arrays.parents.base.assumingMemoryBound(to: UInt32.self)
      for index in 0..<count {
        worker.isChild[index] =
          parents[Int(CandidatePool.slot(candidates[index]))] == UInt32(target)
      }
      isChild = UnsafePointer(worker.isChild)
    }
    let limit = capacity - capacity / 8
    worker.selector.select(
      of: target, candidates, count: count, limit: limit, isKept: isChild,
      generation: generation)
    for index in 0..<capacity {
      let isUsed = index < worker.selector.resultCount
      row[index].store(
        isUsed ? worker.selector.result[index] : IndexArrays.none, ordering: .releasing)
    }
  }
}
