import Synchronization

/// Phase 2: the nodes that were chosen as neighbours take up links to those that chose them.
extension BuildStep {
  /// Adds the sources of one target's edges to its row. When they do not fit, all are candidates
  /// and the row is chosen anew, a little below what it can hold, so that pruning is not due again
  /// with the next edge. On layer 0 a node's children stay whatever happens.
  func mergeEdges(_ edges: UnsafeBufferPointer<UInt64>, _ worker: BuildWorker) {
    let layer = Int(edges[0] >> 47)
    let target = Int(edges[0] >> 16 & 0x7fff_ffff)
    guard let row = row(of: target, layer: layer) else { return }
    let capacity = capacity(onLayer: layer)
    let (ids, dots) = (worker.scratch.ids, worker.scratch.dots)
    var count = 0
    while count < capacity {
      let neighbour = row[count].load(ordering: .relaxed)
      guard neighbour < slotLimit else { break }
      ids[count] = neighbour
      count += 1
    }
    let oldCount = count
    let mayHold = isRefresh || batch.place(of: UInt32(target)) != nil
    // A row and a whole batch may be more than one kernel call takes.
    for edge in edges where count < SearchScratch.batchLimit {
      let source = batch.slots[Int(edge & 0xffff)]
      if mayHold, Self.holds(ids, count: oldCount, source) { continue }
      ids[count] = source
      count += 1
    }
    guard count > oldCount else { return }
    willWrite(target, layer: layer)
    guard count > capacity else {
      for index in oldCount..<count { row[index].store(ids[index], ordering: .releasing) }
      return
    }
    let query = generation.storedQuery(
      target, into: worker.scratch.signedQuery, scratch: worker.scratch.dots,
      buffers: worker.scratch.rowBuffers)
    query.distances(ids, count: count, dots)
    let candidates = worker.candidates
    for index in 0..<count {
      candidates[index] = CandidatePool.word(
        distance: UInt32(bitPattern: dots[index]), slot: ids[index])
    }
    Self.sort(candidates, count: count)
    var isChild: UnsafePointer<Bool>?
    if layer == 0 {
      for index in 0..<count {
        worker.isChild[index] =
          parents[Int(CandidatePool.slot(candidates[index]))] == UInt32(target)
      }
      isChild = UnsafePointer(worker.isChild)
    }
    let limit = capacity - capacity / 8
    let chosen = worker.selector.select(
      of: target, candidates, count: count, limit: limit, isKept: isChild,
      generation: generation)
    let result = worker.selector.result
    for index in 0..<capacity {
      row[index].store(index < chosen ? result[index] : IndexArrays.none, ordering: .releasing)
    }
  }

  @inline(__always)
  private static func holds(_ ids: UnsafePointer<UInt32>, count: Int, _ id: UInt32) -> Bool {
    for index in 0..<count where ids[index] == id { return true }
    return false
  }

  /// A row is mostly in order, with some newcomers at its end, which insertion takes few steps for.
  private static func sort(_ words: UnsafeMutablePointer<UInt64>, count: Int) {
    guard count <= insertionLimit else {
      var sortable = UnsafeMutableBufferPointer(start: words, count: count)
      sortable.sort()
      return
    }
    var sorted = 1
    while sorted < count {
      let word = words[sorted]
      var place = sorted
      while place > 0, words[place &- 1] > word {
        words[place] = words[place &- 1]
        place &-= 1
      }
      words[place] = word
      sorted &+= 1
    }
  }

  private static let insertionLimit = 64
}
