import CVecDBShims

extension KernelSet {
  /// The set that runs everywhere, and the one that the others are tested against.
  package static var portable: KernelSet {
    KernelSet(
      instructionSet: .portable,
      dotCodes: portableDotCodes, dotCodesRange: portableDotCodesRange,
      squaredL2: portableSquaredL2, innerProduct: portableInnerProduct,
      squaredL2Rows: portableSquaredL2Rows, innerProductRows: portableInnerProductRows,
      decodeCodes: portableDecodeCodes, differingBits: portableDifferingBits,
      differingBitsRange: portableDifferingBitsRange, selectIDs: portableSelectIDs)
  }
}

// MARK: Codes

#if arch(x86_64)
  // SSE2 belongs to the baseline. The compiler does not find these few instructions by itself.

  /// Sixteen row bytes times sixteen query bytes, added to four sums. `pmaddwd` is exact here.
  @inline(__always)
  private func step(_ sum: __m128i, _ row: UnsafeRawPointer, _ low: __m128i, _ high: __m128i)
    -> __m128i
  {
    let zero = _mm_setzero_si128()
    let codes = vecdb_load_128(row)
    let products = _mm_add_epi32(
      _mm_madd_epi16(_mm_unpacklo_epi8(codes, zero), low),
      _mm_madd_epi16(_mm_unpackhi_epi8(codes, zero), high))
    return _mm_add_epi32(sum, products)
  }

  @inline(__always)
  private func fold(_ sums: __m128i) -> Int32 {
    let two = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))
    return _mm_cvtsi128_si32(two) &+ _mm_cvtsi128_si32(_mm_srli_epi64(two, 32))
  }

  @inline(__always)
  private func dot(_ query: UnsafePointer<Int8>, _ row: UnsafeRawPointer, _ count: Int) -> Int32 {
    let query = UnsafeRawPointer(query)
    var sum0 = _mm_setzero_si128()
    var sum1 = sum0
    var j = 0
    while j < count {
      let q0 = vecdb_load_128(query + j)
      let q1 = vecdb_load_128(query + j + 16)
      sum0 = step(
        sum0, row + j, _mm_srai_epi16(_mm_unpacklo_epi8(q0, q0), 8),
        _mm_srai_epi16(_mm_unpackhi_epi8(q0, q0), 8))
      sum1 = step(
        sum1, row + j + 16, _mm_srai_epi16(_mm_unpacklo_epi8(q1, q1), 8),
        _mm_srai_epi16(_mm_unpackhi_epi8(q1, q1), 8))
      j &+= 32
    }
    return fold(_mm_add_epi32(sum0, sum1))
  }
#else
  @inline(__always)
  private func dot(_ query: UnsafePointer<Int8>, _ row: UnsafeRawPointer, _ count: Int) -> Int32 {
    let codes = row.assumingMemoryBound(to: UInt8.self)
    var sum: Int32 = 0
    var j = 0
    while j < count {
      sum &+= Int32(codes[j]) &* Int32(query[j])
      j &+= 1
    }
    return sum
  }
#endif

@inline(__always)
private func prefetch(_ row: UnsafeRawPointer, _ countBytes: Int) {
  var offset = 0
  while offset < countBytes {
    vecdb_prefetch(row + offset)
    offset &+= 64
  }
}

private func portableDotCodes(
  _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
  _ ids: UnsafePointer<UInt32>, _ n: Int, _ paddedDimensions: Int,
  _ out: UnsafeMutablePointer<Int32>
) {
  var ahead = 0
  while ahead < n, ahead < 8 {
    prefetch(rows + Int(ids[ahead]) &* strideBytes, paddedDimensions)
    ahead &+= 1
  }
  var i = 0
  while i < n {
    if ahead < n {
      prefetch(rows + Int(ids[ahead]) &* strideBytes, paddedDimensions)
      ahead &+= 1
    }
    out[i] = dot(query, rows + Int(ids[i]) &* strideBytes, paddedDimensions)
    i &+= 1
  }
}

private func portableDotCodesRange(
  _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
  _ firstRow: Int, _ n: Int, _ paddedDimensions: Int,
  _ out: UnsafeMutablePointer<Int32>
) {
  var row = rows + firstRow &* strideBytes
  var i = 0
  while i < n {
    out[i] = dot(query, row, paddedDimensions)
    row += strideBytes
    i &+= 1
  }
}

private func portableDecodeCodes(
  _ codes: UnsafePointer<UInt8>, _ n: Int, _ scale: Float, _ offset: Float,
  _ out: UnsafeMutablePointer<Float>
) {
  var j = 0
  while j < n {
    let product = scale * Float(codes[j])
    out[j] = offset + product
    j &+= 1
  }
}

// MARK: Floats

@inline(__always)
private func load(_ pointer: UnsafeRawPointer) -> SIMD16<Float> {
  pointer.loadUnaligned(as: SIMD16<Float>.self)
}

/// The last one to fifteen elements, zero behind them. A zero adds nothing: a lane starts at +0
/// and no sum of squares or products rounds it to -0, so that x + 0 is x.
@inline(__always)
private func loadTail(_ pointer: UnsafePointer<Float>, _ count: Int) -> SIMD16<Float> {
  var lanes = SIMD16<Float>.zero
  var l = 0
  while l < count {
    lanes[l] = pointer[l]
    l &+= 1
  }
  return lanes
}

@inline(__always)
private func fold(_ lanes: SIMD16<Float>) -> Float {
  let eight = lanes.lowHalf + lanes.highHalf
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

private func portableSquaredL2(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
) -> Float {
  var sum = SIMD16<Float>.zero
  var j = 0
  while j &+ 16 <= dimensions {
    let difference = load(a + j) - load(b + j)
    sum += difference * difference
    j &+= 16
  }
  if j < dimensions {
    let difference = loadTail(a + j, dimensions &- j) - loadTail(b + j, dimensions &- j)
    sum += difference * difference
  }
  return fold(sum)
}

private func portableInnerProduct(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
) -> Float {
  var sum = SIMD16<Float>.zero
  var j = 0
  while j &+ 16 <= dimensions {
    sum += load(a + j) * load(b + j)
    j &+= 16
  }
  if j < dimensions {
    sum += loadTail(a + j, dimensions &- j) * loadTail(b + j, dimensions &- j)
  }
  return fold(sum)
}

private func portableSquaredL2Rows(
  _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
  _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
  _ out: UnsafeMutablePointer<Float>
) {
  var i = 0
  while i < n {
    if i &+ 1 < n { prefetch(rows + Int(ids[i &+ 1]) &* strideBytes, dimensions &* 4) }
    let row = (rows + Int(ids[i]) &* strideBytes).assumingMemoryBound(to: Float.self)
    out[i] = portableSquaredL2(query, row, dimensions)
    i &+= 1
  }
}

private func portableInnerProductRows(
  _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
  _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
  _ out: UnsafeMutablePointer<Float>
) {
  var i = 0
  while i < n {
    if i &+ 1 < n { prefetch(rows + Int(ids[i &+ 1]) &* strideBytes, dimensions &* 4) }
    let row = (rows + Int(ids[i]) &* strideBytes).assumingMemoryBound(to: Float.self)
    out[i] = portableInnerProduct(query, row, dimensions)
    i &+= 1
  }
}
