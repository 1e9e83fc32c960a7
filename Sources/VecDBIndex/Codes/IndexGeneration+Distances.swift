import VecDBKernels

extension IndexParameters.Metric {
  /// Whether the distance is Σ(q−x)²: of zeros and ones that is the number that differ.
  var countsDifferences: Bool { self == .l2 || self == .hamming }
}

/// Reported distances. One rule gives the same value for the same query and slot in every plan, on
/// every machine: under L2, where query and record both are whole numbers that their codes hold
/// exactly, the integer distance; everything else in the float order of the kernels.
extension IndexGeneration {
  /// Readies a scratch for a query. Throws `.invalidParameter` for a query that cannot be asked.
  func prepare(
    _ scratch: SearchScratch, for query: UnsafeBufferPointer<Float>
  ) throws(IndexError) {
    let dimensions = parameters.dimensions
    guard query.count == dimensions, let base = query.baseAddress else {
      throw .invalidParameter("the query has \(query.count) dimensions, not \(dimensions)")
    }
    if parameters.metric == .cosine {
      let inverse = VectorNorm.inverse(base, dimensions: dimensions)
      guard inverse > 0 else {
        throw .invalidParameter("a zero vector has no direction to measure a cosine with")
      }
      VectorNorm.scale(base, by: inverse, dimensions: dimensions, into: scratch.query)
    } else {
      guard parameters.metric != .hamming || BinaryCodes.holds(base, dimensions: dimensions) else {
        throw .invalidParameter("the query has components other than 0 and 1")
      }
      scratch.query.update(from: base, count: dimensions)
    }
    scratch.isQueryExact = false
    scratch.isWide = isWide(base)
  }

  /// What orders the reported distances of `count` slots (at most `SearchScratch.batchLimit`) into
  /// `scratch.keys`. The codes of the query must have been prepared if `isQueryExact`.
  func exactKeys(
    _ slots: UnsafePointer<UInt32>, count: Int, _ scratch: SearchScratch,
    coded: CodedQuery?
  ) {
    let keys = scratch.keys
    if scratch.isWide {
      for index in 0..<count {
        keys[index] = key(Int(slots[index]), from: scratch.query, isWide: true)
      }
      return
    }
    exactDistances(slots, count: count, scratch, coded: coded)
    for index in 0..<count { keys[index] = Self.sortableBits(scratch.floatResults[index]) }
  }

  private func exactDistances(
    _ slots: UnsafePointer<UInt32>, count: Int, _ scratch: SearchScratch,
    coded: CodedQuery?
  ) {
    let dimensions = parameters.dimensions
    let results = scratch.floatResults
    var rowCount = 0
    var integerCount = 0
    let integerFirst = SearchScratch.batchLimit
    for index in 0..<count {
      let slot = Int(slots[index])
      if let row = exactRow(slot) {
        scratch.rows[rowCount] = row
        scratch.positions[rowCount] = UInt32(index)
        rowCount &+= 1
      } else if scratch.isQueryExact {
        // Filled from the end: both kinds together are at most `count`.
        integerCount &+= 1
        scratch.rows[integerFirst &- integerCount] = UInt32(slot)
        scratch.positions[integerFirst &- integerCount] = UInt32(index)
      } else {
        results[index] = decodedDistance(slot, scratch)
      }
    }
    if rowCount > 0 {
      let kernel =
        parameters.metric.countsDifferences ? kernels.squaredL2Rows : kernels.innerProductRows
      kernel(
        scratch.query, arrays.exact.base, arrays.exact.strideBytes, scratch.rows, rowCount,
        dimensions, scratch.floats)
      for index in 0..<rowCount {
        let position = Int(scratch.positions[index])
        results[position] = finish(scratch.floats[index], slot: Int(slots[position]), scratch)
      }
    }
    if integerCount > 0, let coded {
      let ids = scratch.rows + (integerFirst &- integerCount)
      let positions = scratch.positions + (integerFirst &- integerCount)
      coded.distances(ids, count: integerCount, scratch.dots)
      for index in 0..<integerCount {
        results[Int(positions[index])] = Float(UInt32(bitPattern: scratch.dots[index]))
      }
    }
  }

  /// How far every slot of a moment is from a query, by codes: numbers that order as the distances
  /// do. Empty before there is a graph, for a query that cannot be asked too.
  package func codedDistances(from query: [Float], at view: ReadView) -> [UInt32] {
    let scratch = scratchPool.take(parameters)
    defer { scratchPool.giveBack(scratch) }
    guard graphCount.load(ordering: .acquiring) > 0, let quantizer,
      query.withUnsafeBufferPointer({ (try? prepare(scratch, for: $0)) != nil })
    else { return [] }
    let coded = codedQuery(scratch, quantizer: quantizer)
    var distances: [UInt32] = []
    distances.reserveCapacity(view.slotCount)
    for first in stride(from: 0, to: view.slotCount, by: SearchScratch.batchLimit) {
      let count = min(SearchScratch.batchLimit, view.slotCount - first)
      coded.distances(first: first, count: count, scratch.dots)
      for index in 0..<count { distances.append(UInt32(bitPattern: scratch.dots[index])) }
    }
    return distances
  }

  private func decodedDistance(_ slot: Int, _ scratch: SearchScratch) -> Float {
    let dimensions = parameters.dimensions
    guard let quantizer else { return .infinity }
    kernels.decodeCodes(
      codes(slot), dimensions, quantizer.scale, quantizer.offset, scratch.decoded)
    let kernel = parameters.metric.countsDifferences ? kernels.squaredL2 : kernels.innerProduct
    return finish(kernel(scratch.query, scratch.decoded, dimensions), slot: slot, scratch)
  }

  /// Turns a kernel's value into the distance reported.
  @inline(__always)
  private func finish(_ value: Float, slot: Int, _ scratch: SearchScratch) -> Float {
    guard value.isFinite else { return Float(wideDistance(slot, from: scratch.query)) }
    switch parameters.metric {
    case .l2, .hamming: return value
    case .dot: return 0 - value
    case .cosine:
      guard let inverseNorms = arrays.inverseNorms else { return value }
      let inverse = inverseNorms.row(slot).load(as: Double.self)
      return Float(min(2, max(0, 1 - Double(value) * inverse)))
    }
  }

  /// Bits that order as the distances do; NaN last.
  @inline(__always)
  static func sortableBits(_ distance: Float) -> UInt32 {
    guard distance == distance else { return .max }
    let bits = (distance + 0).bitPattern
    return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
  }

  @inline(__always)
  static func distance(sortableBits bits: UInt32) -> Float {
    Float(bitPattern: bits >> 31 == 1 ? bits & 0x7fff_ffff : ~bits)
  }
}
