import Dispatch
import Glibc
import Synchronization

/// Inserts the tail, or slots that got other records, into the graph, in sub-batches whose sizes are
/// a pure function of the graph's size and the number of nodes to insert.
///
/// Each sub-batch goes through phases that only read what was frozen at its start, so that threads
/// never see each other's work and the result does not depend on their number:
///
/// 1. in parallel, every new node searches the frozen graph and its fellows for neighbours and
///    writes its own rows (`BuildStep+Neighbours`);
/// 2. the reverse edges are sorted by target; in parallel, every target takes up its new
///    neighbours, pruning where its row is full (`BuildStep+ReverseEdges`);
/// 3. serially, in slot order, every new node is given a parent (`BuildStep+Parents`).
///
/// (Batches as in ParlayANN, Manohar et al., PPoPP 2024.)
final class GraphBuilder {
  unowned let generation: IndexGeneration
  let workers: [BuildWorker]
  private let nearestOld: UnsafeMutablePointer<UInt32>
  private let fit: UnsafeMutablePointer<UInt8>
  private var edges = ReverseEdges()
  /// Searches under way, as they were seen lately.
  private var recentReaders = 0.0

  init(_ generation: IndexGeneration, threads: Int) {
    self.generation = generation
    workers = (0..<threads).map { _ in BuildWorker(parameters: generation.parameters) }
    nearestOld = .allocate(capacity: SearchScratch.batchLimit)
    fit = .allocate(capacity: SearchScratch.batchLimit)
  }

  deinit {
    nearestOld.deallocate()
    fit.deallocate()
    edges.deallocate()
  }

  func step(for batch: SlotBatch) -> BuildStep {
    BuildStep(generation, batch: batch, nearestOld: nearestOld, fit: fit)
  }

  /// How many of `pending` nodes to insert next: the graph doubles at first, then grows by 2 %.
  static func batchSize(graphCount: Int, pending: Int) -> Int {
    let size = graphCount < 32 ? max(1, graphCount) : max(32, graphCount / 50)
    return min(pending, size, SearchScratch.batchLimit)
  }

  /// Inserts every slot that is not in the graph yet.
  func insertTail() throws(IndexError) {
    while try insertNext() {}
  }

  /// Inserts the next sub-batch; false if there is nothing left to insert.
  func insertNext() throws(IndexError) -> Bool {
    let end = generation.slotCount.load(ordering: .relaxed)
    let start = generation.graphCount.load(ordering: .relaxed)
    guard start < end else { return false }
    let size = Self.batchSize(graphCount: start, pending: end - start)
    let batch = SlotBatch(start..<start + size)
    for slot in start..<start + size {
      try allocateRows(of: slot, level: generation.isAbsent(slot) ? 0 : generation.level(slot))
    }
    let step = insert(batch)
    generation.upperRowCount.store(generation.arrays.upperLinks.count, ordering: .releasing)
    generation.graphCount.store(start + size, ordering: .releasing)
    raiseEntry(step)
    try judgeCodes(step)
    return true
  }

  /// Inserts slots that were nodes before, and whose rows in the graph are empty.
  func insert(_ slots: [UInt32]) throws(IndexError) {
    for slot in slots { try readyUpperRows(of: Int(slot)) }
    generation.upperRowCount.store(generation.arrays.upperLinks.count, ordering: .releasing)
    var rest = slots[...]
    while !rest.isEmpty {
      let size = Self.batchSize(
        graphCount: generation.graphCount.load(ordering: .relaxed), pending: rest.count)
      let step = insert(SlotBatch(rest.prefix(size)))
      raiseEntry(step)
      try judgeCodes(step)
      rest = rest.dropFirst(size)
    }
  }

  /// A slot that has been a node has rows, which will be written; one that the graph was built
  /// without has none yet.
  private func readyUpperRows(of slot: Int) throws(IndexError) {
    let arrays = generation.arrays
    let word = arrays.nodes.row(slot).load(as: UInt32.self)
    let level = generation.level(slot)
    if Int(word & 15) == level {
      for row in Int(word >> 4)..<Int(word >> 4) + level { arrays.upperLinks.willWrite(row: row) }
    } else {
      try allocateRows(of: slot, level: level)
    }
  }

  private func insert(_ batch: SlotBatch) -> BuildStep {
    let step = step(for: batch)
    parallel(count: batch.count, chunk: 1, least: 4) { worker, place in
      step.findNeighbours(of: place, worker)
    }
    merge(step)
    let worker = workers[0]
    for place in 0..<batch.count { step.assignParent(to: place, worker) }
    return step
  }

  /// The neighbours that a step's nodes have chosen take up links back.
  func merge(_ step: BuildStep) {
    edges.collect(step)
    let groups = edges.groups
    parallel(count: groups.count, chunk: 16, least: 16) { worker, index in
      step.mergeEdges(groups[index], worker)
    }
  }

  private func raiseEntry(_ step: BuildStep) {
    let graph = step.graph
    var entry = graph.entry
    for slot in step.batch.slots where graph.level(slot) > graph.level(entry) { entry = slot }
    generation.entryPoint.store(Int(entry), ordering: .releasing)
  }

  /// Gives a node its level and empty upper rows. Its rows in the other arrays were made when the
  /// slot was born, perhaps before the last checkpoint.
  private func allocateRows(of slot: Int, level: Int) throws(IndexError) {
    let arrays = generation.arrays
    let first = arrays.upperLinks.count
    if level > 0 {
      try arrays.upperLinks.extend(to: first + level)
      arrays.upperLinks.row(first).initializeMemory(
        as: UInt32.self, repeating: IndexArrays.none,
        count: level * generation.parameters.degree)
    }
    arrays.nodes.willWrite(row: slot)
    arrays.links.willWrite(row: slot)
    arrays.parents.willWrite(row: slot)
    arrays.nodes.row(slot).storeBytes(of: UInt32(first << 4 | level), as: UInt32.self)
  }

  /// Threads that leave a core to each search that is under way: the result is the same with any
  /// number. A search that has just ended still counts in part, since the next one is likely.
  private func threadBudget() -> Int {
    recentReaders = max(Double(generation.activeReaderCount), recentReaders * 0.95)
    return max(1, Self.processorCount - Int(recentReaders.rounded()))
  }

  private static let processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

  /// Runs `body` for every index below `count`, on as many threads as there are workers. A thread
  /// takes `chunk` of them at a time: at the end all wait for one who has just begun. There is
  /// one thread for every `least` of them at most.
  func parallel(count: Int, chunk: Int, least: Int, _ body: (BuildWorker, Int) -> Void) {
    let threads = min(workers.count, (count + least - 1) / least, threadBudget())
    guard threads > 1 else {
      let worker = workers[0]
      for index in 0..<count { body(worker, index) }
      return
    }
    // The counters also order the workers' memory accesses before and after this thread's.
    let next = Atomic<Int>(0)
    let finished = Atomic<Int>(0)
    next.store(0, ordering: .releasing)
    withoutActuallyEscaping(body) { body in
      let work = ParallelWork(body: body, workers: workers)
      DispatchQueue.concurrentPerform(iterations: threads) { number in
        let (body, worker) = (work.body, work.workers[number])
        while true {
          let start = next.wrappingAdd(chunk, ordering: .acquiringAndReleasing).oldValue
          guard start < count else { break }
          for index in start..<min(start + chunk, count) { body(worker, index) }
        }
        finished.wrappingAdd(1, ordering: .acquiringAndReleasing)
      }
    }
    _ = finished.load(ordering: .acquiring)
  }
}

/// Carries a phase to its threads. Sound because the phases write disjoint rows and every thread
/// has a worker of its own.
private struct ParallelWork: @unchecked Sendable {
  let body: (BuildWorker, Int) -> Void
  let workers: [BuildWorker]
}

/// What one thread of the builder writes to besides the arrays.
final class BuildWorker {
  let scratch: SearchScratch
  let selector: NeighbourSelector
  /// Candidates of a row that is full, in ascending order, and which of them are children.
  let candidates: UnsafeMutablePointer<UInt64>
  let isChild: UnsafeMutablePointer<Bool>
  /// Distances to the other nodes of the batch.
  let fellowDistances: UnsafeMutablePointer<Int32>
  private static let spare = 256

  init(parameters: IndexParameters) {
    scratch = SearchScratch(parameters: parameters)
    selector = NeighbourSelector(parameters: parameters)
    candidates = .allocate(capacity: SearchScratch.batchLimit + Self.spare)
    isChild = .allocate(capacity: SearchScratch.batchLimit + Self.spare)
    fellowDistances = .allocate(capacity: SearchScratch.batchLimit)
  }

  deinit {
    candidates.deallocate()
    isChild.deallocate()
    fellowDistances.deallocate()
  }
}

extension IndexGeneration {
  /// Inserts the tail if it is full, or if there are enough records for a first graph.
  func insertTailIfDue() throws(IndexError) {
    let slots = slotCount.load(ordering: .relaxed)
    let nodes = graphCount.load(ordering: .relaxed)
    guard isTrained.load(ordering: .relaxed), slots - nodes >= Self.tailLimit else { return }
    try currentBuilder().insertTail()
  }

  /// The builder, with as many workers as the generation may use now.
  func currentBuilder() -> GraphBuilder {
    if let present = builder, present.workers.count == threads { return present }
    let builder = GraphBuilder(self, threads: threads)
    self.builder = builder
    return builder
  }
}
