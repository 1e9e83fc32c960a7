import Synchronization

/// Phase 1: a new node's own rows.
extension BuildStep {
  /// Finds and writes the neighbours of a node of the batch on all its layers. Reads the frozen
  /// graph and codes; writes the node's rows and `nearestOld`.
  func findNeighbours(of place: Int, _ worker: BuildWorker) {
    let slot = batch[place]
    let scratch = worker.scratch
    fit[place] = 0
    guard !generation.isAbsent(slot) else { return }
    let query = generation.storedQuery(
      slot, into: scratch.signedQuery, scratch: scratch.dots, buffers: scratch.rowBuffers)
    batch.slots.withUnsafeBufferPointer { slots in
      if let ids = slots.baseAddress {
        query.distances(ids, count: slots.count, worker.fellowDistances)
      }
    }
    let top = graph.count > 0 ? graph.level(graph.entry) : -1
    let level = graph.level(UInt32(slot))
    let degree = generation.parameters.degree
    let ef = generation.parameters.buildWidth
    var distanceCount = 0
    var nearest: UInt64?
    var layer = level
    while layer >= 0 {
      scratch.pool.reset(capacity: ef)
      if layer <= top {
        scratch.visited.reset(count: Int(graph.count))
        if let nearest {
          seed(scratch, with: nearest)
        } else {
          _ = graph.descend(
            toward: query, above: layer, width: GraphView.descentWidth(ef: ef), scratch,
            distanceCount: &distanceCount)
        }
        _ = graph.walk(level: layer, toward: query, scratch, distanceCount: &distanceCount)
        nearest = scratch.pool.words[0] & ~1
        if layer == 0 { measureFit(of: place, worker) }
      }
      addFellows(of: place, onLayer: layer, worker)
      let pool = scratch.pool
      for index in 0..<pool.count { pool.words[index] &= ~1 }
      let chosen = worker.selector.select(
        of: slot, pool.words, count: pool.count, limit: layer == 0 ? degree + degree / 2 : degree,
        generation: generation)
      if let row = row(of: slot, layer: layer) {
        let result = worker.selector.result
        for index in 0..<chosen { row[index].store(result[index], ordering: .relaxed) }
      }
      layer -= 1
    }
    nearestOld[place] = nearest.map(CandidatePool.slot) ?? IndexArrays.none
  }

  private func seed(_ scratch: SearchScratch, with word: UInt64) {
    scratch.visited.tags[Int(CandidatePool.slot(word))] = scratch.visited.tag
    scratch.pool.insert(word)
  }

  /// Other nodes of the batch that reach a layer are candidates too: the frozen graph lacks them.
  private func addFellows(of place: Int, onLayer layer: Int, _ worker: BuildWorker) {
    var pool = worker.scratch.pool
    var bound = pool.bound
    for other in 0..<batch.count where other != place {
      let slot = batch.slots[other]
      let word = CandidatePool.word(
        distance: UInt32(bitPattern: worker.fellowDistances[other]), slot: slot)
      guard word < bound, layer == 0 || graph.level(slot) >= layer,
        !generation.isAbsent(Int(slot))
      else { continue }
      pool.insert(word)
      bound = pool.bound
    }
    worker.scratch.pool = pool
  }
}
