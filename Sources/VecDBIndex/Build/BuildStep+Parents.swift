import Synchronization

/// Phase 3: reachability, by construction.
///
/// Every node but the root (slot 0) has a parent: an earlier node whose row on layer 0 holds a link
/// to it that pruning never drops. So every node can be reached from the root, whatever the pruning
/// heuristic thinks of its links, and a search seeded with the root can find it. A node has at most
/// half a row of children; beyond that, newcomers go to one of the children.
extension BuildStep {
  var childLimit: Int { graph.baseDegree / 2 }

  func assignParent(to place: Int, _ worker: BuildWorker) {
    let slot = batch[place]
    guard slot > 0, !generation.isAbsent(slot) else { return }
    // Fellows that come later have no parent yet.
    func isEarlier(_ node: UInt32) -> Bool { batch.place(of: node).map { $0 < place } ?? true }
    let own = graph.baseRow(UInt32(slot))
    // A neighbour that has a link to the node already, the nearest first.
    var nearest = IndexArrays.none
    for index in 0..<graph.baseDegree {
      let neighbour = own[index].load(ordering: .relaxed)
      guard neighbour < slotLimit else { break }
      guard isEarlier(neighbour) else { continue }
      if nearest == IndexArrays.none { nearest = neighbour }
      if holds(neighbour, UInt32(slot)), childCount(neighbour) < childLimit {
        parents[slot] = neighbour
        return
      }
    }
    if nearest == IndexArrays.none { nearest = nearestOld[place] }
    if nearest == IndexArrays.none {
      nearest = generation.isAbsent(slot - 1) ? 0 : UInt32(slot - 1)
    }
    adopt(slot, by: nearest, worker)
  }

  func holds(_ node: UInt32, _ other: UInt32) -> Bool {
    let row = graph.baseRow(node)
    for index in 0..<graph.baseDegree where row[index].load(ordering: .relaxed) == other {
      return true
    }
    return false
  }

  func childCount(_ node: UInt32) -> Int {
    let row = graph.baseRow(node)
    var count = 0
    for index in 0..<graph.baseDegree {
      let neighbour = row[index].load(ordering: .relaxed)
      guard neighbour < slotLimit else { break }
      if parents[Int(neighbour)] == node { count += 1 }
    }
    return count
  }

  /// Makes `node`, or where it has too many children the nearest of its descendants that has not,
  /// the parent of `slot`, with a link if there is none: in the place of the last link that is not
  /// to a child where the row is full.
  func adopt(_ slot: Int, by node: UInt32, _ worker: BuildWorker) {
    // Damaged rows may have children in a circle, or only `slot` itself.
    var (node, steps) = (node, slotLimit)
    while steps > 0, childCount(node) >= childLimit,
      let child = nearestChild(of: node, to: slot, worker)
    {
      (node, steps) = (child, steps - 1)
    }
    parents[slot] = node
    guard !holds(node, UInt32(slot)) else { return }
    let row = graph.baseRow(node)
    var place = 0
    for index in 0..<graph.baseDegree {
      let neighbour = row[index].load(ordering: .relaxed)
      if neighbour >= slotLimit {
        place = index
        break
      }
      if parents[Int(neighbour)] != node { place = index }
    }
    generation.arrays.links.willWrite(row: Int(node))
    row[place].store(UInt32(slot), ordering: .releasing)
  }

  /// The child of a node that is nearest to `slot`, and not itself; a living one if there is one,
  /// nil where there is no child.
  /// Among equally near ones the slot's number decides, so that thousands of equal vectors make a
  /// broad tree. (Going down without passing `slot` never leads to what descends from it.)
  private func nearestChild(of node: UInt32, to slot: Int, _ worker: BuildWorker) -> UInt32? {
    let scratch = worker.scratch
    let row = graph.baseRow(node)
    var count = 0
    for isDeadToo in [false, true] where count == 0 {
      for index in 0..<graph.baseDegree {
        let neighbour = row[index].load(ordering: .relaxed)
        guard neighbour < slotLimit else { break }
        guard parents[Int(neighbour)] == node, neighbour != slot,
          isDeadToo || !generation.isDoomed(Int(neighbour))
        else { continue }
        scratch.ids[count] = neighbour
        count += 1
      }
    }
    guard count > 0 else { return nil }
    let query = generation.storedQuery(
      slot, into: scratch.signedQuery, scratch: scratch.dots,
      buffers: scratch.rowBuffers)
    query.distances(scratch.ids, count: count, scratch.dots)
    var least = UInt32.max
    for index in 0..<count { least = min(least, UInt32(bitPattern: scratch.dots[index])) }
    var equals = 0
    for index in 0..<count where UInt32(bitPattern: scratch.dots[index]) == least {
      scratch.ids[equals] = scratch.ids[index]
      equals += 1
    }
    return scratch.ids[slot % equals]
  }
}
