import VecDBKernels

/// A query in codes, and how its integer distances come from the kernel's dot products:
/// distance = base + term(row) - dot << shift, modulo 2³², which is exact (see `CodeDistance`).
///
/// Under L2 and cosine the query uses the records' grid and the distance is squared L2 in code
/// units. Under the inner product this sum is the negated product of codes, and the distance, less
/// for larger products, is 2³¹ - 1 - (product * weight(row)) >> weightShift. A query from outside has
/// a grid of its own there, and a stored one leaves its own weight out: only the order counts.
struct CodedQuery {
  let kernel: KernelSet.CodeGatherKernel
  let rangeKernel: KernelSet.CodeRangeKernel
  let query: UnsafePointer<Int8>
  let codes: UnsafeRawPointer
  let strideBytes: Int
  let rowTerms: UnsafePointer<UInt32>
  let base: UInt32
  let termMask: UInt32
  let shift: UInt32
  /// How far rounding to codes may have moved a distance d: `slack` + `slackPerRoot` * √d.
  var slack: Float = 0
  var slackPerRoot: Float = 0
  /// Under the inner product: each row's weight.
  var weights: UnsafePointer<UInt32>?
  var weightShift: Int64 = 0
  /// Under the inner product: the weight of a stored slot.
  var weight: UInt32 = 1
  /// Where the graph is walked on the float32 rows: distances are the reported ones then, as
  /// sortable bits, and nothing else here counts.
  var rows: RowQuery?

  @inline(__always)
  func distance(dot: Int32, row: Int) -> UInt32 {
    base &+ (rowTerms[row] & termMask) &- (UInt32(bitPattern: dot) &<< shift)
  }

  /// The integer distance up to which a record may be nearer than a candidate.
  func rerankLimit(_ word: UInt64) -> UInt32 {
    if rows != nil { return CandidatePool.distance(word) }
    let distance = CandidatePool.distance(word)
    var margin = Double(slack + slackPerRoot * Float(distance).squareRoot())
    if let weights {
      let weight = Double(weights[Int(CandidatePool.slot(word))])
      margin = 2 + margin * weight / Double(1 << weightShift)
    }
    let limit = Double(distance) + margin
    return limit < 4_294_967_295 ? UInt32(limit) : .max
  }

  /// What orders a stored node's products with others: with its weight, which distances lack.
  @inline(__always)
  static func product(_ distance: UInt32, weight: UInt32) -> Int64 {
    (0x7fff_ffff &- Int64(distance)) &* Int64(weight)
  }

  /// Distances of `count` rows, as the bits of Int32, in place of the dot products.
  @inline(__always)
  func distances(
    _ ids: UnsafePointer<UInt32>, count: Int, _ out: UnsafeMutablePointer<Int32>
  ) {
    if let rows { return rows.distances(ids, count: count, out) }
    kernel(query, codes, strideBytes, ids, count, strideBytes, out)
    var index = 0
    while index < count {
      out[index] = Int32(bitPattern: distance(dot: out[index], row: Int(ids[index])))
      index &+= 1
    }
    if let weights {
      for index in 0..<count { out[index] = weighted(out[index], by: weights[Int(ids[index])]) }
    }
  }

  /// The same for the rows from `first` on.
  @inline(__always)
  func distances(first: Int, count: Int, _ out: UnsafeMutablePointer<Int32>) {
    if let rows { return rows.distances(first: first, count: count, out) }
    rangeKernel(query, codes, strideBytes, first, count, strideBytes, out)
    var index = 0
    while index < count {
      out[index] = Int32(bitPattern: distance(dot: out[index], row: first &+ index))
      index &+= 1
    }
    if let weights {
      for index in 0..<count { out[index] = weighted(out[index], by: weights[first &+ index]) }
    }
  }

  @inline(__always)
  private func weighted(_ negated: Int32, by weight: UInt32) -> Int32 {
    let product = (Int64(negated) &* Int64(weight)) &>> weightShift
    return Int32(truncatingIfNeeded: 0x7fff_ffff &+ product)
  }
}

extension IndexGeneration {
  /// A stored slot as a query in the space that the graph is built in. `signed` receives its codes
  /// (a row's stride of bytes); `scratch` one dot product. On rows the query is the slot's own row.
  @inline(__always)
  func storedQuery(
    _ slot: Int, into signed: UnsafeMutablePointer<Int8>, scratch: UnsafeMutablePointer<Int32>,
    buffers: RowBuffers
  ) -> CodedQuery {
    if usesRows {
      return codedQuery(on: storedRowQuery(slot, buffers: buffers), unused: signed)
    }
    let stride = arrays.codes.strideBytes
    let row = UnsafeRawPointer(arrays.codes.base + slot &* stride)
    if parameters.metric == .hamming {
      signed.update(from: row.assumingMemoryBound(to: Int8.self), count: stride)
      return binaryQuery(signed)
    }
    // Rows are zero where padded, so the query's padding does not count.
    let target = UnsafeMutableRawPointer(signed)
    var offset = 0
    while offset < stride {
      let word = row.load(fromByteOffset: offset, as: UInt64.self)
      target.storeBytes(of: word ^ 0x8080_8080_8080_8080, toByteOffset: offset, as: UInt64.self)
      offset &+= 8
    }
    let rowTerms = UnsafePointer(arrays.rowTerms.base.assumingMemoryBound(to: UInt32.self))
    if let weights = arrays.weights, let quantizer {
      return storedProductQuery(slot, signed, weights: weights, quantizer: quantizer)
    }
    // dot = Σx² - 128 Σx and term = Σx² - 256 Σx, so Σx² = 2 dot - term.
    kernels.dotCodesRange(
      UnsafePointer(signed), UnsafeRawPointer(arrays.codes.base), stride, slot, 1, stride, scratch)
    let squares = UInt32(bitPattern: scratch[0]) &* 2 &- rowTerms[slot]
    return CodedQuery(
      kernel: kernels.dotCodes, rangeKernel: kernels.dotCodesRange,
      query: UnsafePointer(signed), codes: UnsafeRawPointer(arrays.codes.base),
      strideBytes: stride, rowTerms: rowTerms, base: squares, termMask: .max, shift: 1)
  }

  /// The same under the inner product. With codes x, q and their zero z, the product is
  /// Σ(x-z)(q-z) = Σx(q-128) + (128-z)Σx - zΣq + z² dimensions.
  private func storedProductQuery(
    _ slot: Int, _ signed: UnsafePointer<Int8>, weights: RowArray, quantizer: Quantizer
  ) -> CodedQuery {
    let zero = UInt32(bitPattern: quantizer.zeroCode)
    let codes = arrays.codes.row(slot).assumingMemoryBound(to: UInt8.self)
    var sum: UInt32 = 0
    for j in 0..<parameters.dimensions { sum &+= UInt32(codes[j]) }
    var query = productQuery(
      signed, base: zero &* (sum &- zero &* UInt32(parameters.dimensions)), weights: weights,
      quantizer: quantizer)
    query.weight = weights.row(slot).load(as: UInt32.self)
    return query
  }

  private func productQuery(
    _ signed: UnsafePointer<Int8>, base: UInt32, termMask: UInt32 = .max, weights: RowArray,
    quantizer: Quantizer
  ) -> CodedQuery {
    CodedQuery(
      kernel: kernels.dotCodes, rangeKernel: kernels.dotCodesRange, query: signed,
      codes: UnsafeRawPointer(arrays.codes.base), strideBytes: arrays.codes.strideBytes,
      rowTerms: UnsafePointer(arrays.rowTerms.base.assumingMemoryBound(to: UInt32.self)),
      base: base, termMask: termMask, shift: 0,
      weights: UnsafePointer(weights.base.assumingMemoryBound(to: UInt32.self)),
      weightShift: quantizer.weightShift(dimensions: parameters.dimensions))
  }

  /// A query on rows; what codes need is left empty.
  func codedQuery(on rows: RowQuery, unused signed: UnsafeMutablePointer<Int8>) -> CodedQuery {
    var query = CodedQuery(
      kernel: kernels.dotCodes, rangeKernel: kernels.dotCodesRange,
      query: UnsafePointer(signed), codes: UnsafeRawPointer(arrays.codes.base),
      strideBytes: arrays.exact.strideBytes,
      rowTerms: UnsafePointer(arrays.rowTerms.base.assumingMemoryBound(to: UInt32.self)),
      base: 0, termMask: 0, shift: 0)
    query.rows = rows
    return query
  }

  /// Encodes the prepared query of a scratch. Only once the generation is trained. What the query
  /// is to be compared with must have been loaded before: slots that came after the generation
  /// went over to rows have no codes.
  func codedQuery(_ scratch: SearchScratch, quantizer: Quantizer) -> CodedQuery {
    if usesRows || (scratch.compensation == .rows && parameters.metric != .hamming) {
      scratch.isQueryExact = false
      return codedQuery(
        on: rowQuery(scratch.query, buffers: scratch.rowBuffers, isWide: scratch.isWide),
        unused: scratch.signedQuery)
    }
    let dimensions = parameters.dimensions
    let stride = arrays.codes.strideBytes
    if parameters.metric == .hamming {
      _ = BinaryCodes.pack(
        scratch.query, dimensions: dimensions, paddedTo: stride, into: scratch.codes)
      scratch.isQueryExact = true
      scratch.signedQuery.update(
        from: UnsafeRawPointer(scratch.codes).assumingMemoryBound(to: Int8.self), count: stride)
      return binaryQuery(scratch.signedQuery)
    }
    if let weights = arrays.weights {
      let encoded = Self.encodeDotQuery(
        scratch.query, dimensions: dimensions, into: scratch.signedQuery)
      // The order does not depend on what all rows' products have in common, but weights need it.
      let base = UInt32(bitPattern: quantizer.zeroCode) &* encoded.sum
      var result = productQuery(
        UnsafePointer(scratch.signedQuery), base: base, termMask: 0, weights: weights,
        quantizer: quantizer)
      result.slack = Float(encoded.norm + UInt64(quantizer.maximumNorm)).squareRoot()
      return result
    }
    // The rounding error of a component is uniform in ±1/2: variance 1/12, and 1/6 for a
    // difference. Then a squared distance d is off by 2√(d/6) + 0.2√dimensions (a standard
    // deviation) beside what all have in common, and an inner product, above, by
    // √((|x|² + |q|²) / 12).
    // Three to four of them are allowed for, and a whole step where there are few dimensions to
    // average over.
    let encoded = quantizer.encode(
      scratch.query, dimensions: dimensions, paddedTo: stride, into: scratch.codes)
    if encoded.clipped > 0,
      quantizer.excess(of: scratch.query, dimensions: dimensions) > excessLimit
    {
      // Codes cannot say where such a query is.
      scratch.isQueryExact = false
      return codedQuery(
        on: rowQuery(scratch.query, buffers: scratch.rowBuffers, isWide: scratch.isWide),
        unused: scratch.signedQuery)
    }
    CodeDistance.makeQuery(
      scratch.codes, dimensions, paddedDimensions: stride, scratch.signedQuery)
    scratch.isQueryExact = quantizer.isIntegral && encoded.isLossless && parameters.metric == .l2
    var result = CodedQuery(
      kernel: kernels.dotCodes, rangeKernel: kernels.dotCodesRange,
      query: UnsafePointer(scratch.signedQuery), codes: UnsafeRawPointer(arrays.codes.base),
      strideBytes: stride,
      rowTerms: UnsafePointer(arrays.rowTerms.base.assumingMemoryBound(to: UInt32.self)),
      base: encoded.squares, termMask: .max, shift: 1)
    if !scratch.isQueryExact {
      result.slack = 2 + Float(dimensions).squareRoot()
      result.slackPerRoot = 3
    }
    return result
  }

  /// Symmetric signed codes of a query for inner products: only the order of the results counts, so
  /// the query may have its own scale. The padding stays zero. Returns the codes' squared norm and
  /// their sum, wrapping.
  private static func encodeDotQuery(
    _ query: UnsafePointer<Float>, dimensions: Int, into signed: UnsafeMutablePointer<Int8>
  ) -> (norm: UInt64, sum: UInt32) {
    var largest: Float = 0
    for j in 0..<dimensions {
      let magnitude = abs(query[j])
      largest = magnitude > largest ? magnitude : largest
    }
    let factor = largest > 0 && largest.isFinite ? 127 / largest : 0
    let magic: Float = 12_582_912
    for j in 0..<dimensions {
      let rounded = (query[j] * factor + magic).bitPattern
      signed[j] = Int8(truncatingIfNeeded: rounded)
    }
    var (norm, sum): (UInt32, UInt32) = (0, 0)
    for j in 0..<dimensions {
      let code = Int32(signed[j])
      norm &+= UInt32(code &* code)
      sum &+= UInt32(bitPattern: code)
    }
    return (UInt64(norm), sum)
  }
}
