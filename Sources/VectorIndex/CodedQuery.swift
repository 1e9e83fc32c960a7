import VectorKernels

/// A query in codes, and how its integer distances come from the kernel's dot products:
/// distance = base + term(row) - dot << shift, modulo 2³², which is exact (see `CodeDistance`).
///
/// Under L2 and cosine the query uses the records' grid and the distance is squared L2 in code
/// units. Under the inner product the query has a grid of its own, and a larger dot product is
/// nearer: 2³¹ - 1 - dot.
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
  /// While building under the inner product: the coordinate of each row, and the query's, that make
  /// it an L2 space.
  var augments: UnsafePointer<UInt32>?
  var augment: UInt32 = 0

  @inline(__always)
  func distance(dot: Int32, row: Int) -> UInt32 {
    base &+ (rowTerms[row] & termMask) &- (UInt32(bitPattern: dot) &<< shift)
  }

  /// The integer distance up to which a record may be nearer than one at integer distance
  /// `distance`.
  func rerankLimit(_ distance: UInt32) -> UInt32 {
    let limit = Double(distance) + Double(slack + slackPerRoot * Float(distance).squareRoot())
    return limit < 4_294_967_295 ? UInt32(limit) : .max
  }

  /// Distances of `count` rows, as the bits of Int32, in place of the dot products.
  @inline(__always)
  func distances(
    _ ids: UnsafePointer<UInt32>, count: Int, _ out: UnsafeMutablePointer<Int32>
  ) {
    kernel(query, codes, strideBytes, ids, count, strideBytes, out)
    var index = 0
    while index < count {
      out[index] = Int32(bitPattern: distance(dot: out[index], row: Int(ids[index])))
      index &+= 1
    }
    if let augments {
      for index in 0..<count {
        out[index] = augmented(out[index], by: augments[Int(ids[index])])
      }
    }
  }

  /// The same for the rows from `first` on.
  @inline(__always)
  func distances(first: Int, count: Int, _ out: UnsafeMutablePointer<Int32>) {
    rangeKernel(query, codes, strideBytes, first, count, strideBytes, out)
    var index = 0
    while index < count {
      out[index] = Int32(bitPattern: distance(dot: out[index], row: first &+ index))
      index &+= 1
    }
    if let augments {
      for index in 0..<count { out[index] = augmented(out[index], by: augments[first + index]) }
    }
  }

  /// Adds the square of the difference of two augmenting coordinates; what does not fit is as far
  /// as can be.
  private func augmented(_ bits: Int32, by coordinate: UInt32) -> Int32 {
    let difference = UInt64(max(augment, coordinate) - min(augment, coordinate))
    let sum = UInt64(UInt32(bitPattern: bits)) + difference * difference
    return Int32(bitPattern: UInt32(clamping: sum))
  }
}

extension IndexGeneration {
  /// A stored slot as a query in the space that the graph is built in. `signed` receives its codes
  /// (a row's stride of bytes); `scratch` one dot product.
  @inline(__always)
  func storedQuery(
    _ slot: Int, into signed: UnsafeMutablePointer<Int8>, scratch: UnsafeMutablePointer<Int32>
  ) -> CodedQuery {
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
    // dot = Σx² - 128 Σx and term = Σx² - 256 Σx, so Σx² = 2 dot - term.
    kernels.dotCodesRange(
      UnsafePointer(signed), UnsafeRawPointer(arrays.codes.base), stride, slot, 1, stride, scratch)
    let squares = UInt32(bitPattern: scratch[0]) &* 2 &- rowTerms[slot]
    var query = CodedQuery(
      kernel: kernels.dotCodes, rangeKernel: kernels.dotCodesRange,
      query: UnsafePointer(signed), codes: UnsafeRawPointer(arrays.codes.base),
      strideBytes: stride, rowTerms: rowTerms, base: squares, termMask: .max, shift: 1)
    if let augments = arrays.augments {
      query.augments = UnsafePointer(augments.base.assumingMemoryBound(to: UInt32.self))
      query.augment = query.augments?[slot] ?? 0
    }
    return query
  }

  /// Encodes the prepared query of a scratch. Only once the generation is trained.
  func codedQuery(_ scratch: SearchScratch, quantizer: Quantizer) -> CodedQuery {
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
    let isDot = parameters.metric == .dot
    var base: UInt32 = 0x7fff_ffff
    // The rounding error of a component is uniform in ±1/2: variance 1/12, and 1/6 for a
    // difference. Then a squared distance d is off by 2√(d/6) + 0.2√dimensions (a standard
    // deviation) beside what all have in common, and an inner product by √((|x|² + |q|²) / 12).
    // Three to four of them are allowed for, and a whole step where there are few dimensions to
    // average over.
    var slack = 2 + Float(dimensions).squareRoot()
    var slackPerRoot: Float = 3
    if isDot {
      let norm = Self.encodeDotQuery(
        scratch.query, dimensions: dimensions, into: scratch.signedQuery)
      slack = Float(norm + UInt64(quantizer.maximumNorm)).squareRoot()
      slackPerRoot = 0
    } else {
      let encoded = quantizer.encode(
        scratch.query, dimensions: dimensions, paddedTo: stride, into: scratch.codes)
      CodeDistance.makeQuery(
        scratch.codes, dimensions, paddedDimensions: stride, scratch.signedQuery)
      scratch.isQueryExact =
        quantizer.isIntegral && encoded.isLossless && parameters.metric == .l2
      base = encoded.squares
      if scratch.isQueryExact { (slack, slackPerRoot) = (0, 0) }
    }
    var result = CodedQuery(
      kernel: kernels.dotCodes, rangeKernel: kernels.dotCodesRange,
      query: UnsafePointer(scratch.signedQuery), codes: UnsafeRawPointer(arrays.codes.base),
      strideBytes: stride,
      rowTerms: UnsafePointer(arrays.rowTerms.base.assumingMemoryBound(to: UInt32.self)),
      base: base, termMask: isDot ? 0 : .max, shift: isDot ? 0 : 1)
    result.slack = slack
    result.slackPerRoot = slackPerRoot
    return result
  }

  /// Symmetric signed codes of a query for inner products: only the order of the results counts, so
  /// the query may have its own scale. The padding stays zero. Returns the squared norm of the
  /// codes.
  private static func encodeDotQuery(
    _ query: UnsafePointer<Float>, dimensions: Int, into signed: UnsafeMutablePointer<Int8>
  ) -> UInt64 {
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
    var norm: UInt32 = 0
    for j in 0..<dimensions { norm &+= UInt32(Int32(signed[j]) &* Int32(signed[j])) }
    return UInt64(norm)
  }
}
