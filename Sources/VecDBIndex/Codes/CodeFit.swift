import VecDBBytes

/// Whether 8-bit codes order records as their vectors do: measured for ever, on nodes as they are
/// inserted.
///
/// Of a new node that is drawn for it, the candidates that its search found by codes are compared
/// anew with its vector. A node none of whose nearest ones was far back by codes is in order. The
/// node is not in the graph yet, so it is a query as any other. The measurement is integer
/// arithmetic and bit-identical distances over state and batch, and is part of both: every copy of
/// the database decides alike, at the same batch.
///
/// Invariants: `missed <= sampled * neighbours`; nodes below `provenNodes` that no batch after
/// `provenLSN` wrote were inserted while codes were right.
package struct CodeFit: Sendable, Hashable {
  /// Nearest ones that codes must not put far back.
  static let neighbours = 10
  /// Candidates compared at most.
  static let candidates = 128
  /// Candidates compared at least: fewer tell nothing.
  static let leastCandidates = 24
  /// Of 128 candidates the ten nearest must be among the first 32 by codes. Searches keep twice
  /// as many by default.
  static func front(of candidates: Int) -> Int { max(neighbours + 2, candidates / 4) }

  /// Nodes measured since the window began.
  package var sampled: UInt32 = 0
  /// Nearest ones that codes put too far back, of these.
  package var missed: UInt32 = 0
  /// Nodes, and the batch, when the last window ended well.
  package var provenNodes: UInt32 = 0
  package var provenLSN: UInt64 = 0

  init() {}

  /// Whether a slot's node is measured: of the first nodes a quarter, then every sixteenth, spread
  /// evenly (multiples of the golden ratio), so that no period of the data escapes.
  static func draws(_ slot: Int) -> Bool {
    let mixed = UInt32(truncatingIfNeeded: slot) &* 0x9e37_79b9
    return mixed >> (slot < 2_048 ? 30 : 28) == 0
  }

  /// Nodes measured in a window.
  private static let windowNodes: UInt32 = 128
  /// Nearest ones that may be missed whatever the window: single odd records prove nothing.
  private static let missedAlways: UInt32 = 6
  /// And beyond them one of so many.
  private static let missedShare: UInt32 = 200
  /// What a node counts for at most, so that a few odd ones do not outweigh all others.
  static let missedByNode = 4

  /// Whether codes are found wanting.
  var isPoor: Bool {
    missed > Self.missedAlways + sampled * UInt32(Self.neighbours) / Self.missedShare
  }

  /// Ends a full window of which `isPoor` is false.
  mutating func endWindow(nodes: Int, lsn: UInt64) {
    guard sampled >= Self.windowNodes else { return }
    prove(nodes: nodes, lsn: lsn)
  }

  /// Begins a window: everything so far is right.
  mutating func prove(nodes: Int, lsn: UInt64) {
    (sampled, missed) = (0, 0)
    provenNodes = UInt32(nodes)
    provenLSN = lsn
  }

  // MARK: State

  func write(to writer: inout ByteWriter) {
    writer.write(sampled)
    writer.write(missed)
    writer.write(provenNodes)
    writer.write(provenLSN)
  }

  init(reading reader: inout ByteReader) throws {
    sampled = try reader.read(UInt32.self, "measured nodes")
    missed = try reader.read(UInt32.self, "missed neighbours")
    provenNodes = try reader.read(UInt32.self, "proven nodes")
    provenLSN = try reader.read(UInt64.self, "proven LSN")
    guard UInt64(missed) <= UInt64(sampled) * UInt64(Self.neighbours) else {
      throw reader.failure("missed neighbours")
    }
  }
}

extension BuildStep {
  /// Measures a node of the batch, whose candidates by codes are in the worker's pool, if it is
  /// drawn for it.
  func measureFit(of place: Int, _ worker: BuildWorker) {
    let slot = batch[place]
    guard generation.measuresCodes, CodeFit.draws(slot), generation.exactRow(slot) != nil else {
      return
    }
    let excess = excessBeyondLimit(slot, worker)
    let pool = worker.scratch.pool
    let count = min(pool.count, CodeFit.candidates)
    guard count >= CodeFit.leastCandidates else {
      if excess != nil { fit[place] = UInt8(1 + CodeFit.missedByNode) }
      return
    }
    let (ids, distances) = (worker.scratch.ids, worker.scratch.dots)
    for index in 0..<count { ids[index] = CandidatePool.slot(pool.words[index]) }
    let query = generation.storedRowQuery(slot, buffers: worker.scratch.rowBuffers)
    query.distances(ids, count: count, distances)
    // The nearest by their vectors, farthest first out.
    var nearest = [UInt32](repeating: .max, count: CodeFit.neighbours)
    for index in 0..<count {
      let distance = UInt32(bitPattern: distances[index])
      var position = CodeFit.neighbours
      while position > 0, nearest[position - 1] > distance {
        if position < CodeFit.neighbours { nearest[position] = nearest[position - 1] }
        position -= 1
      }
      if position < CodeFit.neighbours { nearest[position] = distance }
    }
    let worst = nearest[CodeFit.neighbours - 1]
    if let excess, isFar(excess, comparedWith: worst, of: query) {
      // Codes cannot say where it is, and what they call its nearest proves nothing.
      fit[place] = UInt8(1 + CodeFit.missedByNode)
      return
    }
    var found = 0
    for index in 0..<CodeFit.front(of: count) where UInt32(bitPattern: distances[index]) <= worst {
      found += 1
    }
    let missed = min(CodeFit.missedByNode, max(0, CodeFit.neighbours - found))
    fit[place] = UInt8(1 + missed)
  }

  /// How far a record lies outside the codes' range, in squared code units; nil within the limit of
  /// those that the codes were trained on.
  private func excessBeyondLimit(_ slot: Int, _ worker: BuildWorker) -> Float? {
    guard generation.excessLimit.isFinite, let quantizer = generation.quantizer,
      var vector = generation.exactVector(slot)
    else { return nil }
    let dimensions = generation.parameters.dimensions
    if generation.parameters.metric == .cosine {
      // Codes are those of the direction.
      let inverse = VectorNorm.inverse(vector, dimensions: dimensions)
      let direction = worker.scratch.query
      VectorNorm.scale(vector, by: inverse, dimensions: dimensions, into: direction)
      vector = UnsafePointer(direction)
    }
    let excess = quantizer.excess(of: vector, dimensions: dimensions)
    return excess > generation.excessLimit ? excess : nil
  }

  /// Whether a record is so far outside that its codes are not near it: by more than a quarter of
  /// the distance to the tenth of the candidates.
  private func isFar(_ excess: Float, comparedWith tenth: UInt32, of query: RowQuery) -> Bool {
    guard let scale = generation.quantizer?.scale else { return false }
    let metric = generation.parameters.metric
    // Under cosine this is half the squared distance of directions.
    let squares = metric == .cosine ? 2.0 : 1.0
    let distance = squares * RowQuery.distance(ofKey: tenth, isWide: query.isWide, metric)
    return Double(excess) * 16 * Double(scale) * Double(scale) > distance
  }
}

extension IndexGeneration {
  /// Whether codes are in use and on trial.
  var measuresCodes: Bool {
    parameters.codes == .automatic && parameters.metric != .hamming && !usesRows
  }

  /// Whether a generation goes without codes from the start: they are given up, or a row of floats
  /// takes no more cache lines than one of codes.
  func prefersRows(_ quantizer: Quantizer) -> Bool {
    guard parameters.metric != .hamming else { return false }
    switch parameters.codes {
    case .bytes: return false
    case .rows: return true
    case .automatic:
      let isExact = quantizer.isIntegral && parameters.metric != .cosine
      return !isExact && arrays.exact.strideBytes <= arrays.codes.strideBytes
    }
  }

  /// Gives every slot that may be a node its row of floats, and uses these from now on.
  func goOverToRows() throws(IndexError) {
    let dimensions = parameters.dimensions
    var failure: IndexError?
    for slot in 0..<slotCount.load(ordering: .relaxed)
    where exactRow(slot) == nil && !isAbsent(slot) && !isFree(slot) {
      withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { vector in
        guard failure == nil, copyVector(slot, to: vector) else { return }
        do throws(IndexError) {
          let row = try takeExactRow()
          arrays.exactRows.willWrite(row: slot)
          writeExact(UnsafeBufferPointer(vector), row: row, slot: slot)
        } catch {
          failure = error
        }
      }
    }
    if let failure { throw failure }
    traversesRows.store(true, ordering: .releasing)
  }
}

extension GraphBuilder {
  /// Counts what a sub-batch measured. Where codes are poor the generation goes over to rows, and
  /// the nodes that they were trusted with since they were last right get new links.
  func judgeCodes(_ step: BuildStep) throws(IndexError) {
    guard generation.measuresCodes else { return }
    for place in 0..<step.batch.count where step.fit[place] > 0 {
      generation.codeFit.sampled += 1
      generation.codeFit.missed += UInt32(step.fit[place] - 1)
    }
    let nodes = generation.graphCount.load(ordering: .relaxed)
    guard generation.codeFit.isPoor else {
      return generation.codeFit.endWindow(nodes: nodes, lsn: generation.appliedLSN)
    }
    let proven = generation.codeFit
    try generation.goOverToRows()
    // While a generation is built from another, slots come in order and batches do not.
    let isAdopting = generation.appliedLSN == 0
    let suspects = (0..<nodes).filter { slot in
      !generation.isAbsent(slot) && !generation.isFree(slot)
        && (slot >= proven.provenNodes
          || !isAdopting && generation.bornLSN(slot) > proven.provenLSN)
    }
    refresh(suspects.map { UInt32($0) })
  }
}
