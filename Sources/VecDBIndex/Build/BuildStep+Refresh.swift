import Synchronization

/// New links for nodes that are in the graph already.
extension GraphBuilder {
  /// Finds the neighbours of nodes anew, as an insertion does, in sub-batches: their links are
  /// chosen again among what the walk finds and what they have, children stay, and the new
  /// neighbours take up links back. Any number of threads gives the same result: each sub-batch
  /// searches the graph as it was at its start.
  func refresh(_ slots: [UInt32]) {
    var rest = slots[...]
    while !rest.isEmpty {
      let size = Self.batchSize(graphCount: slots.count, pending: rest.count)
      var step = step(for: SlotBatch(rest.prefix(size)))
      step.isRefresh = true
      rest = rest.dropFirst(size)
      var links = [[[UInt32]]](repeating: [], count: step.batch.count)
      links.withUnsafeMutableBufferPointer { links in
        let found = UncheckedBox(links)
        let step = step
        parallel(count: step.batch.count, chunk: 1, least: 4) { worker, place in
          found.value[place] = step.linksAnew(of: place, worker)
        }
      }
      for place in 0..<step.batch.count { step.write(links[place], of: place) }
      merge(step)
    }
  }
}

/// Threads write to disjoint elements.
private struct UncheckedBox: @unchecked Sendable {
  let value: UnsafeMutableBufferPointer<[[UInt32]]>
  init(_ value: UnsafeMutableBufferPointer<[[UInt32]]>) { self.value = value }
}

extension BuildStep {
  /// The links that a node should have, layer by layer. Reads the graph and writes nothing.
  fileprivate func linksAnew(of place: Int, _ worker: BuildWorker) -> [[UInt32]] {
    let slot = batch[place]
    let scratch = worker.scratch
    let query = generation.storedQuery(
      slot, into: scratch.signedQuery, scratch: scratch.dots, buffers: scratch.rowBuffers)
    return (0...graph.level(UInt32(slot))).map { layer in
      scratch.pool.reset(capacity: generation.parameters.buildWidth)
      scratch.visited.reset(count: Int(graph.count))
      var distanceCount = 0
      _ = graph.descend(
        toward: query, above: layer,
        width: GraphView.descentWidth(ef: generation.parameters.buildWidth), scratch,
        distanceCount: &distanceCount)
      _ = graph.walk(level: layer, toward: query, scratch, distanceCount: &distanceCount)
      return choose(slot, layer: layer, query, worker)
    }
  }

  private func choose(
    _ slot: Int, layer: Int, _ query: CodedQuery, _ worker: BuildWorker
  ) -> [UInt32] {
    let scratch = worker.scratch
    let (ids, dots, candidates) = (scratch.ids, scratch.dots, worker.candidates)
    let capacity = capacity(onLayer: layer)
    guard let row = row(of: slot, layer: layer) else { return [] }
    var (count, present) = (0, 0)
    while present < capacity {
      let neighbour = row[present].load(ordering: .relaxed)
      guard neighbour < slotLimit else { break }
      ids[present] = neighbour
      present += 1
    }
    query.distances(ids, count: present, dots)
    for index in 0..<present {
      let isChild = layer == 0 && parents[Int(ids[index])] == UInt32(slot)
      candidates[count] =
        CandidatePool.word(distance: UInt32(bitPattern: dots[index]), slot: ids[index])
        | (isChild ? 1 : 0)
      count += 1
    }
    let pool = scratch.pool
    for index in 0..<min(pool.count, SearchScratch.batchLimit - capacity) {
      let word = pool.words[index] & ~1
      let other = CandidatePool.slot(word)
      guard other != UInt32(slot), graph.level(other) >= layer else { continue }
      var isKnown = false
      for known in 0..<present where ids[known] == other { isKnown = true }
      guard !isKnown else { continue }
      candidates[count] = word
      count += 1
    }
    var sortable = UnsafeMutableBufferPointer(start: candidates, count: count)
    sortable.sort()
    var kept = 0
    for index in 0..<count {
      worker.isChild[index] = candidates[index] & 1 == 1
      kept += worker.isChild[index] ? 1 : 0
      candidates[index] &= ~1
    }
    let degree = graph.degree
    let chosen = worker.selector.select(
      of: slot, candidates, count: count,
      limit: max(kept, layer == 0 ? degree + degree / 2 : degree),
      isKept: UnsafePointer(worker.isChild), generation: generation)
    return (0..<chosen).map { worker.selector.result[$0] }
  }

  fileprivate func write(_ links: [[UInt32]], of place: Int) {
    let slot = batch[place]
    for (layer, links) in links.enumerated() {
      guard let row = row(of: slot, layer: layer) else { continue }
      willWrite(slot, layer: layer)
      for index in 0..<capacity(onLayer: layer) {
        row[index].store(
          index < links.count ? links[index] : IndexArrays.none, ordering: .releasing)
      }
    }
  }
}
