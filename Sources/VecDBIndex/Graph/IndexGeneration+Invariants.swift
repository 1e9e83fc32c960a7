import Synchronization
import VecDBBytes

/// The integrity check: reads every array but the codes and vectors themselves.
extension IndexGeneration {
  /// Violations reported at most; the rest would say the same.
  private static let violationLimit = 20

  /// What contradicts the rules that the index keeps, in words; empty when all hold. Reachability
  /// is proven through the parents: each has a link to its child, and following them leads back
  /// from every node to the root.
  ///
  /// For the writer's thread. Costs a pass over links and small arrays.
  package func checkInvariants() -> [String] {
    var report = InvariantReport(limit: Self.violationLimit)
    checkCounts(&report)
    guard report.violations.isEmpty else { return report.violations }
    checkSlots(&report)
    checkGraph(&report)
    checkColumns(&report)
    report.require(
      recomputeDataDigest() == dataDigest, "the data digest is not that of the records")
    return report.violations
  }

  private func checkCounts(_ report: inout InvariantReport) {
    let slots = slotCount.load(ordering: .relaxed)
    let nodes = graphCount.load(ordering: .relaxed)
    for array in slotArrays {
      report.require(array.count == slots, "\(array.name) has \(array.count) rows, not \(slots)")
    }
    report.require(nodes <= slots, "the graph has \(nodes) nodes, but \(slots) slots are assigned")
    report.require(
      entryPoint.load(ordering: .relaxed) < max(1, nodes), "the entry point is not in the graph")
    report.require(
      slots - nodes < Self.tailLimit || quantizer == nil, "the tail is \(slots - nodes) long")
    report.require(nodes == 0 || quantizer != nil, "there is a graph without a quantiser")
    report.require(
      upperRowCount.load(ordering: .relaxed) == arrays.upperLinks.count,
      "the count of upper rows is wrong")
  }

  private func checkSlots(_ report: inout InvariantReport) {
    let slots = slotCount.load(ordering: .relaxed)
    var (dead, absent) = (0, 0)
    var previousBirth: UInt64 = 0
    let isInOrder = reuseSequence.load(ordering: .relaxed) == 0
    checkFreeSlots(&report)
    for slot in 0..<slots {
      let (born, died) = (bornLSN(slot), diedLSN(slot))
      if isFree(slot) {
        dead += 1
        continue
      }
      guard born != 0 else {
        dead += 1
        absent += 1
        report.require(died == 0 && slot > 0, "slot \(slot) is absent and not dead")
        continue
      }
      report.require(
        !isInOrder || born >= previousBirth, "slot \(slot) was inserted out of order")
      report.require(born <= appliedLSN, "slot \(slot) has an insert of a later LSN")
      previousBirth = born
      if died != .max {
        dead += 1
        report.require(died > born && died <= appliedLSN, "slot \(slot) has a wrong tombstone")
      }
      let row = Int(exactRowWord(slot).pointee.load(ordering: .relaxed))
      if row == IndexArrays.none {
        report.require(quantizer?.isIntegral == true, "slot \(slot) has no vector")
      } else {
        report.require(row < arrays.exact.count, "slot \(slot) has a vector out of range")
      }
      let key = arrays.keyReferences.row(slot).load(as: UInt64.self)
      report.require(
        Int(key >> 16) + Int(key & 0xffff) <= arrays.keyBytes.count,
        "slot \(slot) has a key out of range")
    }
    report.require(
      dead == deadCount.load(ordering: .relaxed), "\(dead) slots are dead, not as many as counted")
    report.require(
      absent == absentCount.load(ordering: .relaxed),
      "\(absent) slots are absent, not as many as counted")
  }

  /// The list of free slots has those that count as free, each once.
  private func checkFreeSlots(_ report: inout InvariantReport) {
    let free = freeCount.load(ordering: .relaxed)
    var (count, slot) = (0, freeHead)
    while slot != IndexArrays.none, count <= free {
      guard slot < graphCount.load(ordering: .relaxed), isFree(Int(slot)) else {
        return report.require(false, "slot \(slot) is in the list of free ones, but is not free")
      }
      count += 1
      slot = parentWords[Int(slot)]
    }
    report.require(count == free, "\(count) slots are in the list of free ones, not \(free)")
    let marked = (0..<slotCount.load(ordering: .relaxed)).count { isFree($0) }
    report.require(marked == free, "\(marked) slots are free, but \(free) in the list")
  }

  private func checkGraph(_ report: inout InvariantReport) {
    let graph = GraphView(self)
    let nodes = Int(graph.count)
    var upperRows = 0
    var usedRows = SlotBitset(count: graph.upperRowCount)
    var highest = 0
    var childCounts = [Int32](repeating: 0, count: nodes)
    let parents = arrays.parents.base.assumingMemoryBound(to: UInt32.self)
    // Links lead anywhere: a bit for each node stays in the cache, the lifetimes do not.
    var isNode = SlotBitset(count: nodes)
    for slot in 0..<nodes where !isAbsent(slot) && !isFree(slot) { isNode[slot] = true }
    let seen = UnsafeMutablePointer<UInt32>.allocate(capacity: graph.baseDegree)
    defer { seen.deallocate() }
    for slot in 0..<slotCount.load(ordering: .relaxed) {
      guard slot < nodes else {
        report.require(
          parents[slot] == IndexArrays.none && graph.nodes[slot] == 0
            && graph.baseRow(UInt32(slot))[0].load(ordering: .relaxed) == IndexArrays.none,
          "slot \(slot) of the tail has links")
        continue
      }
      let node = UInt32(slot)
      let level = graph.level(node)
      guard !isAbsent(slot) else {
        report.require(
          level == 0 && parents[slot] == IndexArrays.none
            && graph.baseRow(node)[0].load(ordering: .relaxed) == IndexArrays.none,
          "the absent slot \(slot) has links")
        continue
      }
      // One that is free may never have been a node: dead when the graph was built.
      report.require(
        level == self.level(slot) || (level == 0 && isFree(slot)),
        "node \(slot) has level \(level)")
      upperRows += level
      for row in Int(graph.nodes[slot] >> 4)..<Int(graph.nodes[slot] >> 4) + level {
        report.require(
          row < graph.upperRowCount && !usedRows[row], "node \(slot) has upper rows of others")
        if row < graph.upperRowCount { usedRows[row] = true }
      }
      if isFree(slot) {
        report.require(
          (0...level).allSatisfy {
            ($0 == 0 ? graph.baseRow(node) : graph.upperRow(node, level: $0))?[0]
              .load(ordering: .relaxed) == IndexArrays.none
          }, "the free slot \(slot) has links")
        continue
      }
      highest = max(highest, level)
      checkRow(graph.baseRow(node), of: node, layer: 0, graph, isNode, seen, &report)
      for layer in stride(from: 1, through: level, by: 1) {
        if let row = graph.upperRow(node, level: layer) {
          checkRow(row, of: node, layer: layer, graph, isNode, seen, &report)
        }
      }
      let parent = parents[slot]
      guard slot > 0 else {
        report.require(parent == IndexArrays.none, "the root has a parent")
        continue
      }
      guard parent < graph.count, parent != node, !isFree(Int(parent)) else {
        report.require(false, "node \(slot) has no parent")
        continue
      }
      childCounts[Int(parent)] += 1
      let row = graph.baseRow(parent)
      report.require(
        (0..<graph.baseDegree).contains { row[$0].load(ordering: .relaxed) == node },
        "node \(slot) cannot be reached from its parent \(parent)")
    }
    checkPaths(graph, &report)
    report.require(upperRows == graph.upperRowCount, "there are upper rows of no node")
    report.require(nodes == 0 || graph.level(graph.entry) == highest, "the entry point is low")
    if let most = childCounts.max() {
      report.require(Int(most) <= graph.baseDegree / 2, "a node has \(most) children")
    }
  }

  /// Following the parents leads to the root, not in a circle.
  private func checkPaths(_ graph: GraphView, _ report: inout InvariantReport) {
    guard report.violations.isEmpty, graph.count > 0 else { return }
    let parents = parentWords
    var proven = SlotBitset(count: Int(graph.count))
    proven[0] = true
    var path: [Int] = []
    for slot in 1..<max(1, Int(graph.count))
    where !isFree(slot) && !isAbsent(slot) && !proven[slot] {
      path.removeAll(keepingCapacity: true)
      var node = slot
      while node < Int(graph.count), !proven[node], path.count <= Int(graph.count) {
        path.append(node)
        node = Int(parents[node])
      }
      guard node < Int(graph.count), path.count <= Int(graph.count) else {
        return report.require(false, "node \(slot) cannot be reached from the root")
      }
      for node in path { proven[node] = true }
    }
  }

  /// `seen` has room for the links of a row.
  private func checkRow(
    _ row: UnsafeMutablePointer<Atomic<UInt32>>, of node: UInt32, layer: Int, _ graph: GraphView,
    _ isNode: SlotBitset, _ seen: UnsafeMutablePointer<UInt32>, _ report: inout InvariantReport
  ) {
    let capacity = layer == 0 ? graph.baseDegree : graph.degree
    var count = 0
    for index in 0..<capacity {
      let link = row[index].load(ordering: .relaxed)
      guard link != IndexArrays.none else { continue }
      report.require(count == index, "node \(node) has a gap in its row of layer \(layer)")
      // Without an early end the compiler compares many at once.
      var repeats: UInt32 = 0
      for before in 0..<count { repeats |= seen[before] == link ? 1 : 0 }
      report.require(
        link < graph.count && link != node && isNode[Int(link)] && repeats == 0
          && (layer == 0 || graph.level(link) >= layer),
        "node \(node) has a wrong link on layer \(layer): \(link)")
      seen[count] = link
      count += 1
    }
  }

  private func checkColumns(_ report: inout InvariantReport) {
    let slots = slotCount.load(ordering: .relaxed)
    for number in 0..<columnCount.load(ordering: .relaxed) {
      guard let column = columns[number] else { continue }
      guard column.ids.count == slots,
        column.entryCount.load(ordering: .relaxed) == column.entries.count
      else {
        report.require(false, "\(column.ids.name) has a wrong number of rows")
        continue
      }
      let limit = Int(Column.firstEntryID) + column.entries.count
      for slot in 0..<slots {
        let id = Int(column.ids.row(slot).load(as: UInt32.self))
        report.require(id < limit, "\(column.ids.name) of slot \(slot) is out of range")
      }
      for entry in 0..<column.entries.count where !column.isFree(entry) {
        let reference = column.entries.row(entry).load(as: UInt64.self)
        report.require(
          Int(reference >> 16) + Int(reference & 0xffff) <= column.values.count,
          "\(column.entries.name) \(entry) is out of range")
      }
    }
  }
}

/// Collects violations up to a limit.
private struct InvariantReport {
  let limit: Int
  var violations: [String] = []

  mutating func require(_ holds: Bool, _ violation: @autoclosure () -> String) {
    if !holds, violations.count < limit { violations.append(violation()) }
  }
}
